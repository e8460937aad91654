#!/bin/sh
# Whoever stops a run politely (SIGTERM, SIGINT) finds a checkpoint, exit code 130 and, resumed, the same bytes as
# undisturbed. One run directory belongs to one program at a time. What is there is never begun anew by mistake.
. "$(dirname "$0")/lib.sh"
finished=$work/whole-rounds

# begun RUN: waits until RUN has a line of metrics, in itself or in a stage below it; 1 if it ended before that.
begun() {
    waited=0
    until find "$1" -name metrics.jsonl -size +0 2>/dev/null | grep -q .; do
        waited=$((waited + 1))
        [ $waited -le 15000 ] || fail "$1 did not begin"
        kill -0 $running 2>/dev/null || return 1
        sleep 0.02
    done
}

# ended RUN: waits for the end; $code. Only 130, with nothing half-written left, and 0 (it was faster than we) are right.
ended() {
    code=0
    wait $running || code=$?
    running=
    case $code in
    0) ;;
    130) no_temporaries "$1" ;;
    *)
        tail -n 5 "$1.log"
        fail "$1: exit code $code, not 130"
        ;;
    esac
}

# stopped STAGE RUN SIGNAL: starts or resumes RUN and ends it by SIGNAL behind its first step, or it was faster.
stopped() {
    (resumed "$1" "$2") >"$2.log" 2>&1 &
    running=$!
    begun "$2" && kill -"$3" $running 2>/dev/null
    ended "$2"
}

# stopped_while_held STAGE RUN: starts RUN and holds it behind its first step; a second program is refused; then it is
# ended by SIGTERM. 1 if it was faster.
stopped_while_held() {
    (stage "$1" "$2") >"$2.log" 2>&1 &
    running=$!
    begun "$2" && kill -STOP $running 2>/dev/null
    code=0
    (resumed "$1" "$2") >out 2>&1 || code=$?
    case $code in
    1) says "lock|another program|in use" ;;
    0) ;; # the first was done already
    *)
        cat out
        fail "$1: exit code $code of a second program, not 1"
        ;;
    esac
    kill -TERM $running 2>/dev/null
    kill -CONT $running 2>/dev/null
    ended "$2"
    [ $code = 130 ]
}

# Everything about one stage. On a loaded machine a stage may end before we come to stop it: then once more.
check() {
    name=$1 run=$work/$1
    [ -e "$work/whole-$name" ] || must 0 stage "$name" "$work/whole-$name"

    tries=0
    until stopped_while_held "$name" "$run"; do
        tries=$((tries + 1))
        [ $tries -lt 10 ] || fail "$name was faster than its signal $tries times"
        rm -rf "$run"
    done

    if [ "$name" != rounds ]; then
        must 2 stage "$name" "$run"
        says "--resume"
        must 2 resumed "$name" "$run" --set "$name.lr=0.5"
        says "$name\.lr"
    fi
    must 2 resumed "$name" "$run" --set seed=7
    says "seed"

    # By the other signal once more, unless it is done by then; then to the end.
    stopped "$name" "$run" INT
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
