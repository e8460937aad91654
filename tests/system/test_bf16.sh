#!/bin/sh
# Stages that compute in bf16, whole models and adapters: the same bytes after kills, with other threads and instruction
# sets; sampling, scoring and training are one arithmetic; less memory, as planned; the type is part of the run.
. "$(dirname "$0")/lib.sh"
finished=$work/whole
must 0 stage rounds "$finished" --set rounds.count=1 --set dtype=bf16

# half NAME RUN [ARGUMENT...]: the stage in bf16; adapted the same with adapters.
half() {
    name=$1 run=$2
    shift 2
    stage "$name" "$run" --set dtype=bf16 --set "$name.save_every=1" "$@"
}
adapted() {
    name=$1 run=$2
    shift 2
    half "$name" "$run" --set "$name.lora_rank=4" --set "$name.lora_alpha=8" "$@"
}

# killed HOW NAME: the stage, killed behind its first checkpoint, goes on elsewhere and ends with an undisturbed one's
# bytes.
killed() {
    must 0 "$1" "$2" "$work/$1-$2"
    (export RLHF_ISA=avx2; "$1" "$2" "$work/$1-$2-killed" --set threads=1) >log 2>&1 &
    running=$!
    until [ -e "$work/$1-$2-killed/checkpoints/latest" ]; do
        kill -0 $running 2>/dev/null || break
        sleep 0.02
    done
    kill -KILL $running 2>/dev/null
    wait $running 2>/dev/null
    running=
    must 2 "$1" "$2" "$work/$1-$2-killed" --set dtype=f32 --resume
    says 'dtype'
    must 0 "$1" "$2" "$work/$1-$2-killed" --set threads=3 --resume
    same_bytes "$work/$1-$2" "$work/$1-$2-killed" "$2 in bf16 ($1)"
}
for name in sft reward ppo; do
    killed half $name
    killed adapted $name
done

for run in "$finished/round-01/ppo" half-ppo adapted-ppo; do
    grep -q '"logprob_mismatch_max":0[,}]' "$run/metrics.jsonl" || fail "$run/metrics.jsonl: no logprob_mismatch_max"
    if grep -h '"logprob_mismatch_max":' "$run/metrics.jsonl" | grep -qv '"logprob_mismatch_max":0[,}]'; then
        fail "$run: sampled and trained log-probabilities differ"
    fi
done

# The type changes what is computed, and parameters are saved in f32 all the same.
must 0 stage sft "$work/single" --set sft.save_every=1
cmp -s single/metrics.jsonl half-sft/metrics.jsonl && fail "bf16 changes nothing"
[ "$(wc -c <single/model/model.safetensors)" = "$(wc -c <half-sft/model/model.safetensors)" ] ||
    fail "parameters are not saved alike"

# planned ARGUMENT...: bytes of a dry run.
planned() { "$@" --dry-run 2>&1 | awk '/ bytes in all/ {print $1}'; }
[ "$(planned half ppo "$work/none")" -lt "$(planned stage ppo "$work/none")" ] || fail "bf16 takes no less memory"

must 2 stage sft "$work/bad" --set dtype=f16
says 'dtype'
echo "bf16: SFT, reward and PPO, whole and with adapters"
