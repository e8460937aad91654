#!/bin/sh
# configs/tiny.yaml whole, from an empty directory to the report, and a second start, which changes nothing.
. "$(dirname "$0")/lib.sh"

started=$(now_ms)
must 0 "$rlhf" rounds "$root/configs/tiny.yaml" --set run=run
seconds=$((($(now_ms) - started) / 1000))

stages=$(sed -n 's/.*"stage":"\([a-z0-9]*\)".*/\1/p' run/summary.json | tr '\n' ' ')
[ "$stages" = "pretrain sft round1 round2 " ] || fail "summary.json has the stages: $stages"
grep -q '</html>' run/report.html || fail "no report"
for round in 01 02; do
    for part in sample/answers.jsonl reward/model/model.safetensors ppo/policy/model.safetensors snapshot.jsonl; do
        [ -s "run/round-$round/$part" ] || fail "no round-$round/$part"
    done
    n=$(grep -c '"logprob_mismatch_max":' "run/round-$round/ppo/metrics.jsonl")
    [ "$n" -ge 3 ] || fail "round-$round: $n lines of PPO metrics"
    if grep '"logprob_mismatch_max":' "run/round-$round/ppo/metrics.jsonl" | grep -v '"logprob_mismatch_max":0[,}]'; then
        fail "round-$round: sampled and trained log-probabilities differ"
    fi
done
no_temporaries run

# best/ has a scale of its own, so that ppo takes it as it takes model/.
scale() { sed -n 's/.*"reward_mean": *\([^,}]*\).*/\1/p' "run/round-01/reward/$1/config.json"; }
for model in model best; do
    case $(scale $model) in "" | 0 | 0.0) fail "reward/$model has no reward_mean" ;; esac
done
must 0 "$rlhf" ppo "$root/configs/tiny.yaml" --set run=by-best --set ppo.policy=run/sft/model --set ppo.iterations=1 \
    --set ppo.reward=run/round-01/reward/best --set ppo.prompts="[$root/configs/tiny/prompts.jsonl]"
must 0 "$rlhf" label import --db run/store.db by-best
must 0 "$rlhf" label lineage --db run/store.db by-best/policy
says '^snapshots: 1'

# Whoever reads the first lines of an export has enough of it.
{
    code=0
    "$rlhf" label export --db run/store.db 2>said || code=$?
    echo $code >code
} | head -n 1 >line
[ "$(cat code) $(wc -l <line) $(wc -c <said)" = "0 1 0" ] || fail "label export | head: $(cat code) $(cat said)"

find run -type f -exec sha256sum {} + | LC_ALL=C sort >before
must 0 "$rlhf" rounds "$root/configs/tiny.yaml" --set run=run
find run -type f -exec sha256sum {} + | LC_ALL=C sort >after
diff before after || fail "a second start changed files"
must 0 "$rlhf" label fsck --db run/store.db
echo "tiny: whole in $seconds s, mismatch 0, a second start changes nothing"
