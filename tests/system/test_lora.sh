#!/bin/sh
# Adapters through all three stages over one base: the same bytes after a kill, every rollout's arithmetic is that of
# training, adapters are far smaller than models, and merged ones think the same.
. "$(dirname "$0")/lib.sh"
finished=$work/whole
must 0 stage rounds "$finished" --set rounds.count=1

# tuned STAGE RUN [ARGUMENT...]: the stage with adapters of rank 4, alpha 8.
tuned() {
    name=$1 run=$2
    shift 2
    stage "$name" "$run" --set "$name.lora_rank=4" --set "$name.lora_alpha=8" "$@"
}
adapted() {
    case $1 in
    sft) tuned "$@" --set sft.init="$finished/pretrain/model" ;;
    reward) tuned "$@" --set reward.init="$work/sft/model" ;;
    ppo) tuned "$@" --set ppo.policy="$work/sft/model" --set ppo.reward="$work/reward/model" ;;
    esac
}

for name in sft reward ppo; do
    must 0 adapted $name "$work/$name"
    # Killed behind its first checkpoint and resumed.
    (adapted $name "$work/$name-killed" --set $name.save_every=1) >log 2>&1 &
    running=$!
    until [ -e "$work/$name-killed/checkpoints/latest" ]; do
        kill -0 $running 2>/dev/null || break
        sleep 0.02
    done
    kill -KILL $running 2>/dev/null
    wait $running 2>/dev/null
    running=
    must 0 adapted $name "$work/$name-killed" --set $name.save_every=1 --resume
    must 0 adapted $name "$work/$name-undisturbed" --set $name.save_every=1
    same_bytes "$work/$name-undisturbed" "$work/$name-killed" "$name with adapters"
done

if grep -h '"logprob_mismatch_max":' ppo/metrics.jsonl | grep -qv '"logprob_mismatch_max":0[,}]'; then
    fail "sampled and trained log-probabilities of an adapted policy differ"
fi
[ "$(wc -c <ppo/policy/adapter_model.safetensors)" -lt 60000 ] || fail "an adapter as large as a model"
[ ! -e ppo/policy/model.safetensors ] || fail "a whole model was saved beside the adapter"
grep -q '"role":"base"' ppo/lineage.json || grep -q '"role": *"base"' ppo/lineage.json || fail "lineage names no base"

# The three that were trained share the base: one copy of the weights.
must 0 adapted ppo "$work/none" --dry-run
[ "$(grep -c ': weights$' out)" = 1 ] || fail "the four models do not share their weights"
says 'value: adapter$'

# Merged, the model thinks what the adapter does, up to rounding, and stands alone.
must 0 "$rlhf" merge ppo/policy merged
must 2 "$rlhf" merge ppo/policy merged
says 'is there already'
must 3 "$rlhf" merge merged other
says 'no adapter'
prompts=$root/configs/tiny/demonstrations.jsonl
must 0 "$rlhf" eval logprobs ppo/policy "$prompts" --out one.jsonl
rm -rf moved && mkdir moved && mv merged moved/merged
must 0 "$rlhf" eval logprobs moved/merged "$prompts" --out two.jsonl
sed 's/.*"logprob":\[null,//; s/\].*//; s/,/\n/g' one.jsonl >one
sed 's/.*"logprob":\[null,//; s/\].*//; s/,/\n/g' two.jsonl >two
paste one two | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d; n++ }
    END { exit !(n > 1000 && most < 1e-3) }' || fail "merged and adapted log-probabilities differ"

# lora_merge saves whole models at once.
must 0 tuned sft "$work/at-once" --set sft.init="$finished/pretrain/model" --set sft.lora_merge=true
[ -e at-once/model/model.safetensors ] && [ ! -e at-once/model/adapter_config.json ] || fail "not merged"

# What cannot be.
must 2 tuned sft "$work/bad" --set sft.init=
says 'sft.init must name it'
must 2 stage sft "$work/bad" --set sft.init="$work/sft/model"
says 'set lora_rank'
must 2 tuned sft "$work/bad" --set sft.init="$finished/pretrain/model" --set sft.lora_targets='[q_proj]'
says 'q_proj'
printf x >>"$finished/pretrain/model/generation_config.json"
must 3 adapted reward "$work/bad2"
says 'trained over'
echo "lora: adapters of SFT, reward and PPO over one base"
