#!/bin/sh
# SIGKILL at random moments of sft (also of a mixture, with a cache), reward, ppo, generate and rounds, RLHF_KILLS (24) together: the runs that go on afterwards,
# each time with another number of threads and another instruction set, end with the bytes of an undisturbed one.
# Four more kills are aimed: rounds, when its snapshot appears, which is before the store knows of it.
# RLHF_KILL_SEED repeats the moments of an earlier test (the machine's own timing stays its own).
. "$(dirname "$0")/lib.sh"
kills=${RLHF_KILLS:-24}
first_seed=${RLHF_KILL_SEED:-$(($(now_ms) % 100000))}
seed=$first_seed
echo "kills: $kills with seed $seed (RLHF_KILL_SEED=$seed repeats them)"
other_isa=avx512
for flag in avx512f avx512bw avx512dq avx512vl; do
    grep -qw $flag /proc/cpuinfo || other_isa=avx2
done
[ $other_isa = avx512 ] || echo "kills: no AVX-512 here, so all runs use AVX2"
variant=0

# run_killed STAGE RUN MOST: RUN from its start to its end, killed after at most MOST milliseconds and resumed as long
# as kills are left ($left).
run_killed() {
    while :; do
        variant=$((variant + 1))
        case $((variant % 2)) in
        0) RLHF_ISA=avx2 ;;
        *) RLHF_ISA=$other_isa ;;
        esac
        export RLHF_ISA
        (resumed "$1" "$2" --set threads=$((variant % 3 + 1))) >"$2.log" 2>&1 &
        running=$!
        if [ "$left" -gt 0 ]; then
            random 1 "$3"
            pause "$random"
            kill -KILL $running 2>/dev/null
        fi
        code=0
        wait $running 2>/dev/null || code=$?
        running=
        case $code in
        0) return ;;
        137) left=$((left - 1)) ;;
        *)
            tail -n 20 "$2.log"
            fail "$1 after a kill (seed $first_seed): exit code $code"
            ;;
        esac
    done
}

# kill_stage STAGE N: N kills of a stage, in as many runs as that takes.
kill_stage() {
    left=$2 runs=0
    unset RLHF_ISA
    started=$(now_ms)
    must 0 stage "$1" "$work/whole-$1"
    took=$(($(now_ms) - started))
    while [ "$left" -gt 0 ]; do
        runs=$((runs + 1))
        run_killed "$1" "$work/$1-$runs" $((took / 2 + 1))
        no_temporaries "$work/$1-$runs"
        [ ! -e "$work/$1-$runs-cache" ] || no_temporaries "$work/$1-$runs-cache"
        same_bytes "$work/whole-$1" "$work/$1-$runs" "$1, killed (seed $first_seed, run $runs)"
        rm -rf "$work/$1-$runs"
    done
    echo "kills: $1: $2 in $runs runs; undisturbed it takes $took ms"
}

# killed_at FILE RUN: rounds in RUN, killed as soon as FILE appears there.
killed_at() {
    (stage rounds "$2") >"$2.log" 2>&1 &
    running=$!
    until [ -e "$2/$1" ]; do
        kill -0 $running 2>/dev/null || fail "$2 ended without $1: $(tail -n 3 "$2.log")"
    done
    pause "${3:-0}"
    kill -KILL $running 2>/dev/null
    wait $running 2>/dev/null
    running=
}

# Kills at and just behind the moment when the snapshot of round 1 appears, from where all before it is done.
kill_snapshot() {
    unset RLHF_ISA
    killed_at round-01/sample/answers.jsonl "$work/before"
    for after in 0 1 4 16; do
        rm -rf "$work/aimed" && cp -R "$work/before" "$work/aimed"
        killed_at round-01/snapshot.jsonl "$work/aimed" $after
        where=behind
        [ -e "$work/aimed/round-01/reward/lineage.json" ] || where="before the reward model"
        must 0 stage rounds "$work/aimed"
        no_temporaries "$work/aimed"
        same_bytes "$work/whole-rounds" "$work/aimed" "rounds, killed $after ms behind its snapshot"
        must 0 "$rlhf" label fsck --db "$work/aimed/store.db"
        echo "kills: rounds: $after ms behind its snapshot ($where)"
    done
    rm -rf "$work/before" "$work/aimed"
}

finished=$work/whole-rounds
kill_stage rounds $((kills - kills / 6 * 2 - kills / 3 - kills / 8 - kills / 12))
kill_snapshot
kill_stage sft $((kills / 6))
kill_stage mixture $((kills / 12))
kill_stage reward $((kills / 6))
kill_stage ppo $((kills / 3))
kill_stage generate $((kills / 8))
