#!/bin/sh
# rlhf eval as a user would: two models in one table, with and without examples; the
# same bytes with any number of threads; what is wrong with a command line or a file is told with its place.
. "$(dirname "$0")/lib.sh"

rlhf() { "$rlhf" "$@"; }
# refuse CODE PATTERN COMMAND...: and no file is left.
refuse() {
    code_wanted=$1 pattern=$2
    shift 2
    must "$code_wanted" "$@"
    says "$pattern"
    no_temporaries "$work"
    [ ! -e left.jsonl ] || fail "left.jsonl is there after: $*"
}

head -c 6000 "$root/configs/tiny/stories.txt" >stories.txt
must 0 rlhf tokenizer stories.txt --vocab 300 tokenizer
cat >base.yaml <<'END'
seed: 1
model: {d_model: 64, n_layer: 1, n_head: 1, context: 96}
data: {template: plain}
sft: {batch: 2, lr: 3e-3}
END
i=0
while [ $i -lt 12 ]; do
    i=$((i + 1))
    printf '{"prompt":"The sky is","completion":" blue today."}\n' >>d.jsonl
    printf '{"subject":"s%d","context":"Day %d. The sky is","choices":["blue today.","zq kx%d"],"label":0}\n' \
        $((i % 2)) $i $i >>q.jsonl
done
must 0 rlhf sft base.yaml --set run=early --set sft.train=d.jsonl --set tokenizer.path=tokenizer --set sft.steps=1
must 0 rlhf sft base.yaml --set run=late --set sft.train=d.jsonl --set tokenizer.path=tokenizer --set sft.steps=40

# ---- choices ----
must 0 rlhf eval choices early/model late/model q.jsonl --shots 0,2 --threads 1 --out one.jsonl
says '^late/model +0 +100\.0 \(75\.8 to 100\.0\)'
says '^late/model +2 '
says '^chance +50\.0'
says '^longest choice '
says 'Points above early/model'
[ "$(wc -l <one.jsonl)" = 48 ] || fail "one.jsonl has $(wc -l <one.jsonl) lines, not 48"
must 0 rlhf eval choices early/model late/model q.jsonl --shots 0,2 --threads 2 --out two.jsonl
cmp one.jsonl two.jsonl || fail "other bytes with two threads"
must 0 rlhf eval choices late/model q.jsonl --limit 5 --format json --form letters --preamble 'On {subject}.\n'
says '"questions":5,"of":12'

# ---- perplexity ----
printf '{"text":"The sky is blue today."}\n{"text":"The sky"}\n' >docs.jsonl
must 0 rlhf eval perplexity late/model stories.txt docs.jsonl --window 64 --stride 16 --out documents.jsonl
says '^late/model: 3 documents, window 64, stride 16'
says '^bits per byte +[0-9.]+ +\('
[ "$(wc -l <documents.jsonl)" = 3 ] || fail "documents.jsonl has $(wc -l <documents.jsonl) lines, not 3"
must 0 rlhf eval perplexity late/model stories.txt docs.jsonl --window 64 --stride 16 --format json --threads 2
says '"bits_per_byte":\{"value":'

# ---- log-probabilities, for a reader who has enough: more than a pipe holds is not all computed ----
i=0
while [ $i -lt 400 ]; do
    i=$((i + 1))
    echo '{"text":"The sky is blue today. The sky is blue today. The sky is blue today."}' >>many.jsonl
done
{ rlhf eval logprobs late/model many.jsonl 2>said || echo "exit code $?" >>said; } | head -n 1 >first
grep -q '^{"prompt_len":0,"tokens":' first || fail "the first line is not there"
[ ! -s said ] || fail "a closed pipe: $(cat said)"
must 0 rlhf eval logprobs late/model many.jsonl --out all.jsonl
says '^400 lines'
[ "$(wc -c <all.jsonl)" -gt 131072 ] || fail "many.jsonl makes less than a pipe and a buffer hold"

# ---- bf16 ----
for type in f32 bf16; do
    must 0 rlhf eval logprobs late/model docs.jsonl --dtype $type --out $type.jsonl
done
cmp -s f32.jsonl bf16.jsonl && fail "bf16 changes nothing"
# Called by must, in a subshell.
narrow() {
    export RLHF_ISA=avx2
    "$@"
}
must 0 narrow rlhf eval logprobs late/model docs.jsonl --dtype bf16 --threads 1 --out bf16-avx2.jsonl
cmp bf16.jsonl bf16-avx2.jsonl || fail "other bytes in bf16 without dot products"
must 0 rlhf eval perplexity late/model docs.jsonl --dtype bf16
must 0 rlhf eval choices late/model q.jsonl --dtype bf16

# ---- what is wrong ----
echo '{"context":"c","choices":["a"],"label":0}' >bad.jsonl
refuse 2 'usage: rlhf eval' rlhf eval choice
refuse 2 'usage: rlhf eval choices' rlhf eval choices q.jsonl
refuse 2 '[-]-shots is "two"' rlhf eval choices late/model q.jsonl --shots two --out left.jsonl
refuse 2 '\{contxt\}' rlhf eval choices late/model q.jsonl --form '{contxt}{choice}' --out left.jsonl
refuse 3 'bad\.jsonl:1: "choices"' rlhf eval choices late/model bad.jsonl --out left.jsonl
refuse 3 'q\.jsonl:1: 6 examples are wanted in front, there are 5 other questions of subject s1' \
    rlhf eval choices late/model q.jsonl --shots 6 --out left.jsonl
refuse 3 'no-such: is no model directory' rlhf eval choices no-such q.jsonl --out left.jsonl
refuse 1 'no-such/left\.jsonl' rlhf eval choices late/model q.jsonl --out no-such/left.jsonl
refuse 2 'must be f32 or bf16, not "f16"' rlhf eval perplexity late/model stories.txt --dtype f16 --out left.jsonl
refuse 2 'context is 96' rlhf eval perplexity late/model stories.txt --window 97 --out left.jsonl
refuse 3 'bad\.jsonl:1: "text"' rlhf eval perplexity late/model bad.jsonl --out left.jsonl
: >empty.txt
refuse 3 'empty\.txt: an empty document' rlhf eval perplexity late/model empty.txt --out left.jsonl
echo "eval: choices and perplexity are as they should be"
