#!/bin/sh
# Each stage's memory against its plan: the peak of the process (VmHWM) is at most the arenas, what the plan says lies outside,
# and the larger of 5 % and 16 MB.
. "$(dirname "$0")/lib.sh"

# peak COMMAND...: kB, read while the process lives; the last reading is after its largest allocation, which comes at start.
peak() {
    "$@" >"$work/out" 2>&1 &
    running=$!
    kb=0
    while kill -0 "$running" 2>/dev/null; do
        now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$running/status" 2>/dev/null)
        [ "${now:-0}" -gt "$kb" ] && kb=$now
        sleep 0.01
    done
    code=0
    wait "$running" || code=$?
    running=
    [ "$code" = 0 ] || { tail -n 5 "$work/out"; fail "exit code $code: $*"; }
}

# within NAME PROGRAM CONFIG...
within() {
    name=$1
    shift
    must 0 "$@" --dry-run
    planned=$(awk '/ bytes in all/ || / bytes outside/ {n += $1} END {printf "%.0f", n}' "$work/out")
    [ "$planned" -gt 1000000 ] || fail "$name: no plan: $planned"
    peak "$@"
    allowed=$(awk -v n="$planned" 'BEGIN {more = n * 0.05; if (more < 16e6) more = 16e6; printf "%.0f", n + more}')
    echo "memory: $name: planned $planned bytes, peak $((kb * 1024)), allowed $allowed"
    [ $((kb * 1024)) -le "$allowed" ] || fail "$name: the process grew to $((kb * 1024)) bytes, allowed are $allowed"
}

tiny=$root/configs/tiny.yaml
must 0 "$rlhf" tokenizer "$root/configs/tiny/stories.txt" "$root/configs/tiny/demonstrations.jsonl" --vocab 512 tokenizer
within pretrain "$rlhf-sft" --pretrain "$tiny" --set run=pretrain --set tokenizer.path=tokenizer --set model.d_model=256
within sft "$rlhf-sft" "$tiny" --set run=sft --set sft.init=pretrain/model
within "sft in bf16" "$rlhf-sft" "$tiny" --set run=sft-bf16 --set sft.init=pretrain/model --set dtype=bf16
# Twenty times the examples, from a cache: 20 bytes each more, whatever their length.
for n in 5000 100000; do
    awk -v n=$n 'BEGIN { for (i = 0; i < n; i++)
        printf "{\"prompt\":\"Q: What is %d?\\nA:\",\"completion\":\" It is a number, and so is %d.\"}\n", i, i * 7 }' >many.jsonl
    within "sft of $n examples from a cache" "$rlhf-sft" "$tiny" --set run="sft-$n" --set sft.init=pretrain/model \
        --set sft.train=many.jsonl --set data.cache=cache --set sft.steps=3 --set data.too_long=cut
    [ $n = 5000 ] && few=$kb
done
[ $((kb - few)) -lt 6000 ] || fail "from $few kB with 5000 examples to $kb kB with 100000"
must 0 "$rlhf" generate "$tiny" --model pretrain/model --prompts "$root/configs/tiny/prompts.jsonl" --out sample --set generate.samples=4
sed 's/.*"prompt":\("[^"]*"\).*"text":\("[^"]*"\).*/{"prompt":\1,"chosen":"I am happy to help.","rejected":\2}/' \
    sample/answers.jsonl | head -n 60 >rankings.jsonl
within reward "$rlhf-reward" "$tiny" --set run=reward --set reward.init=sft/model --set 'reward.train=[rankings.jsonl]' \
    --set data.max_bad=60
within ppo "$rlhf-ppo" "$tiny" --set run=ppo --set ppo.policy=sft/model --set ppo.reward=reward/model \
    --set "ppo.prompts=[$root/configs/tiny/prompts.jsonl]"
within "ppo in bf16" "$rlhf-ppo" "$tiny" --set run=ppo-bf16 --set ppo.policy=sft/model --set ppo.reward=reward/model \
    --set "ppo.prompts=[$root/configs/tiny/prompts.jsonl]" --set dtype=bf16
