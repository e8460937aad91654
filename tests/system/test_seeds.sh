#!/bin/sh
# RLHF_SEEDS whole demos, seeds 1, 2, ...: in each of them gold rises from SFT to the last round by at least 0.7 standard
# deviations of SFT's gold. Minutes a seed, so only where RLHF_SEEDS is set (make check); prints the table.
[ -n "${RLHF_SEEDS:-}" ] || {
    echo "seeds: skipped; RLHF_SEEDS=10 runs ten demos"
    exit 77
}
. "$(dirname "$0")/lib.sh"

# figure NAME FILE: the figure NAME in the last line of FILE.
figure() { tail -n 1 "$2" | sed -n "s/.*\"$1\":\\([^,}]*\\).*/\\1/p"; }

echo "seed | gold SFT (sd) | round 1 | round 2 | rise in sd | seconds"
low=
for s in $(seq "$RLHF_SEEDS"); do
    started=$(now_ms)
    must 0 "$rlhf" rounds "$root/configs/demo.yaml" --set run=run --set seed="$s"
    seconds=$((($(now_ms) - started) / 1000))
    sft=run/sft/evaluate/metrics.jsonl
    if grep -h '"logprob_mismatch_max":' run/round-*/ppo/metrics.jsonl | grep -qv '"logprob_mismatch_max":0[,}]'; then
        fail "seed $s: sampled and trained log-probabilities differ"
    fi
    awk -v seed="$s" -v seconds="$seconds" -v gold="$(figure gold $sft)" -v sd="$(figure gold_std $sft)" \
        -v one="$(figure gold run/round-01/evaluate/metrics.jsonl)" \
        -v two="$(figure gold run/round-02/evaluate/metrics.jsonl)" 'BEGIN {
            printf "%d | %.2f (%.2f) | %.2f | %.2f | %.2f | %d\n", seed, gold, sd, one, two, (two - gold) / sd, seconds
            exit !((two - gold) / sd >= 0.7)
        }' || low="$low $s"
    rm -rf run
done
[ -z "$low" ] || fail "gold rose by less than 0.7 standard deviations with seed:$low"
