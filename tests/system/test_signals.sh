#!/bin/sh
# Whoever stops a run politely (SIGTERM, SIGINT) finds a checkpoint, exit code 130 and, resumed, the same bytes as
# undisturbed. One run directory belongs to one program at a time. What is there is never begun anew by mistake.
. "$(dirname "$0")/lib.sh"
finished=$work/whole-rounds

# begun RUN: waits until RUN has a line of metrics, in itself or in a stage below it.
begun() {
    waited=0
    until find "$1" -name metrics.jsonl -size +0 2>/dev/null | grep -q .; do
        waited=$((waited + 1))
        [ $waited -le 3000 ] || fail "$1 did not begin"
        kill -0 $running 2>/dev/null || fail "$1 ended before its first step: $(tail -n 3 "$1.log")"
        sleep 0.02
    done
}

# stopped STAGE RUN SIGNAL: starts or resumes RUN and ends it by SIGNAL behind its first step; 1 if it was faster.
stopped() {
    (resumed "$1" "$2") >"$2.log" 2>&1 &
    running=$!
    begun "$2"
    kill -"$3" $running
    code=0
    wait $running || code=$?
    running=
    case $code in
    130) no_temporaries "$2" ;;
    0) return 1 ;;
    *)
        tail -n 5 "$2.log"
        fail "$1: exit code $code after SIG$3, not 130"
        ;;
    esac
}

# Everything about one stage.
check() {
    name=$1 run=$work/$1
    [ -e "$work/whole-$name" ] || must 0 stage "$name" "$work/whole-$name"

    (stage "$name" "$run") >"$run.log" 2>&1 &
    running=$!
    begun "$run"
    kill -STOP $running
    must 1 resumed "$name" "$run"
    says "lock|another program|in use"
    kill -TERM $running
    kill -CONT $running
    code=0
    wait $running || code=$?
    running=
    [ $code = 130 ] || fail "$name: exit code $code after SIGTERM, not 130"
    no_temporaries "$run"

    if [ "$name" != rounds ]; then
        must 2 stage "$name" "$run"
        says "--resume"
        must 2 resumed "$name" "$run" --set "$name.lr=0.5"
        says "$name\.lr"
    fi
    must 2 resumed "$name" "$run" --set seed=7
    says "seed"

    # By the other signal once more, unless it is done by then; then to the end.
    stopped "$name" "$run" INT || true
    must 0 resumed "$name" "$run"
    same_bytes "$work/whole-$name" "$run" "$name, stopped twice"

    find "$run" -type f -exec sha256sum {} + | LC_ALL=C sort >before
    must 0 stage "$name" "$run"
    find "$run" -type f -exec sha256sum {} + | LC_ALL=C sort >after
    diff before after || fail "$name: starting a finished run changed files"
    echo "signals: $name: stopped twice, resumed, the same bytes; second program and second start refused"
}

must 0 stage rounds "$finished"
check sft
check reward
check ppo
check rounds
