#!/bin/sh
# What a user can get wrong, and what a machine can: each is refused with the documented exit code and a message with
# its place, and leaves nothing half-written.
. "$(dirname "$0")/lib.sh"

refused=0
# refuse CODE PATTERN COMMAND...
refuse() {
    code_wanted=$1 pattern=$2
    shift 2
    must "$code_wanted" "$@"
    says "$pattern"
    no_temporaries "$work"
    # A run that could not begin leaves nothing.
    case "$code_wanted $1" in "3 afresh") [ ! -e run ] || fail "left behind: $(ls run)" ;; esac
    refused=$((refused + 1))
}
rlhf() { "$rlhf" "$@"; }
sft() { "$rlhf" sft base.yaml --set run=run --set sft.init=model --set sft.train=d.jsonl "$@"; }
reward() { "$rlhf" reward base.yaml --set run=run --set reward.init=model --set reward.train=r.jsonl "$@"; }
ppo() {
    "$rlhf" ppo base.yaml --set run=run --set ppo.policy=model --set ppo.reward=judge --set ppo.prompts=p.jsonl "$@"
}
generate() { "$rlhf" generate base.yaml --set run=run --set generate.model=model --set generate.prompts=p.jsonl "$@"; }
# afresh COMMAND...: in a new run directory, however the last one ended.
afresh() {
    rm -rf run
    "$@"
}

head -c 6000 "$root/configs/tiny/stories.txt" >stories.txt
must 0 rlhf tokenizer stories.txt --vocab 300 tokenizer
cat >base.yaml <<'END'
seed: 1
threads: 2
model: {d_model: 64, n_layer: 1, n_head: 1, context: 64}
data: {template: plain}
sft: {steps: 4, batch: 4, lr: 1e-3, save_every: 1}
reward: {steps: 3, batch: 2, lr: 1e-3, save_every: 1}
ppo: {iterations: 3, batch: 4, minibatches: 2, max_tokens: 8, lr: 1e-4, save_every: 1}
generate: {max_tokens: 8, samples: 2}
END
for i in 1 2 3 4 5 6 7 8; do
    printf '{"prompt":"Q: %d?\\nA:","completion":" yes, %d."}\n' $i $i >>d.jsonl
    printf '{"prompt":"Q: %d?\\nA:","answers":[" a"," b %d"," c"],"ranks":[1,2,3]}\n' $i $i >>r.jsonl
    printf '{"prompt":"Q: %d?\\nA:"}\n' $i >>p.jsonl
done
must 0 rlhf sft base.yaml --set run=run --set sft.train=d.jsonl --set tokenizer.path=tokenizer && cp -R run/model model
must 0 afresh reward && cp -R run/model judge
must 0 afresh ppo
rm -rf run

# ---- command line ----
refuse 2 'usage' rlhf
refuse 2 'no command "sftt"' rlhf sftt
refuse 2 'CONFIG|config' rlhf sft
refuse 2 'no-such.yaml' rlhf sft no-such.yaml
refuse 2 'unknown key "sft.warmpu".*"sft\.warmup"' afresh sft --set sft.warmpu=1
refuse 2 '[-]-frobnicate' afresh sft --frobnicate
refuse 2 '^rlhf-sft: tokenizer.path is not set.*`rlhf tokenizer`' rlhf sft base.yaml --set run=run --set sft.train=d.jsonl
refuse 2 '^rlhf-sft: --set pretrain.lora_rank=2: pretrain.lora_rank adapts a model: pretrain.init' rlhf sft base.yaml \
    --pretrain --set run=run --set pretrain.train=d.jsonl --set tokenizer.path=tokenizer --set pretrain.lora_rank=2
refuse 2 'unknown option --trace' afresh sft --trace traces
refuse 2 'unknown option --pretrain' afresh reward --pretrain
# Answers end where the context does: no memory is planned or taken for more.
must 0 ppo --set ppo.max_tokens=64 --dry-run
mv out plan.64
must 0 ppo --set ppo.max_tokens=1000000000 --dry-run
cmp -s out plan.64 || fail "ppo.max_tokens over the context changes the plan: $(diff plan.64 out)"
must 0 ppo --set ppo.max_tokens=64 && mv run run.64
must 0 ppo --set ppo.max_tokens=1000000000
cmp -s run/metrics.jsonl run.64/metrics.jsonl || fail "ppo.max_tokens over the context changes the result"
rm -rf run run.64
must 0 generate --set generate.max_tokens=64 && mv run run.64
must 0 generate --set generate.max_tokens=1000000000
cmp -s run/answers.jsonl run.64/answers.jsonl || fail "generate.max_tokens over the context changes the answers"
rm -rf run run.64
refuse 2 '"pretrain.train" is needed' afresh sft --pretrain
refuse 2 'unknown option --round' afresh ppo --round 1
refuse 2 'unknown option --dry-run' afresh generate --dry-run
refuse 2 'round is "0"' afresh generate --round 0
refuse 2 '"generate.prompts" \(or --prompts FILE\) is needed' rlhf generate --model model --out run
must 0 afresh generate --round 1
refuse 2 'run: holds a run of round 1, not of 2' generate --round 2
refuse 2 'no option -v' rlhf tokenizer -v 300 stories.txt tokenizer-2
refuse 2 'must hold \{\}' rlhf chat --model model --format 'Q: A:'
refuse 3 'run: holds a run of generate' rlhf report run
must 0 afresh sft
refuse 3 'run: is no model directory .*; run/model is one' rlhf generate --model run --prompts p.jsonl --out other
refuse 3 'run: is no model directory .*; run/model is one' rlhf sft base.yaml --set run=other --set sft.init=run \
    --set sft.train=d.jsonl
refuse 3 'run: is no model directory .*; run/model is one' rlhf ppo base.yaml --set run=other --set ppo.policy=model \
    --set ppo.reward=run --set ppo.prompts=p.jsonl
refuse 3 'A has no answers\.jsonl: run: is no model directory .*; run/model is one' \
    rlhf eval winrate run model --rule demo --prompts p.jsonl
refuse 3 'B has no answers\.jsonl: no-such: is no model directory \(no config\.json\)$' \
    rlhf eval winrate model no-such --rule demo --prompts p.jsonl
refuse 3 'run: is no model directory .*; run/model is one' \
    rlhf eval winrate model model --judge-model run --prompts p.jsonl
refuse 3 'run: is no model directory .*; run/model is one' rlhf chat --model run
refuse 3 'run: is no model directory .*; run/model is one' rlhf eval logprobs run d.jsonl
rm -rf run other
for command in sft reward ppo generate rounds plan tokenizer chat report; do
    must 0 rlhf "$command" --help
    says "^usage: rlhf $command "
    says "^Example: rlhf $command "
done
refuse 2 'sft.steps=many' afresh sft --set sft.steps=many
refuse 2 'vocab' rlhf tokenizer stories.txt --vocab 3 tokenizer-2
refuse 3 'no-such.txt' rlhf tokenizer no-such.txt --vocab 300 tokenizer-2
refuse 2 'mips' env RLHF_ISA=mips "$rlhf" sft base.yaml --set run=run --set sft.train=d.jsonl

# ---- config: file:line:column ----
# config PATTERN TEXT: TEXT as a config file of sft is refused.
config() {
    printf '%b' "$2" >bad.yaml
    refuse 2 "$1" rlhf sft bad.yaml --set run=run --set sft.train=d.jsonl
}
config 'bad.yaml:2:3: .*stepps.*"sft.steps"' 'sft:\n  stepps: 3\n'
config 'bad.yaml:1:1: .*"sfft".*"?sft' 'sfft:\n  steps: 3\n'
config 'bad.yaml:2:10: ' 'sft:\n  steps: many\n'
config 'bad.yaml:3:12: .*(1.5|0.9)' 'sft:\n  steps: 3\n  dropout: 1.5\n'
config 'bad.yaml:2:13: .*(cosin|cosine)' 'sft:\n  schedule: cosin\n'
config 'bad.yaml:3:3: .*steps' 'sft:\n  steps: 3\n  steps: 4\n'
config 'bad.yaml:[0-9]+:[0-9]+: ' 'sft: [1, 2\n'
config 'bad.yaml:1:[0-9]+: ' '- a list\n'
config 'bad.yaml:' 'seed: 1\n\001\n'
config 'd_model|n_head' 'model: {d_model: 100, n_head: 3}\ntokenizer: {path: tokenizer}\n'

# ---- data: file:line ----
refuse 3 'no-such.jsonl' afresh sft --set sft.train=no-such.jsonl
refuse 3 'run|directory|tokenizer' afresh sft --set sft.train=tokenizer
: >empty.jsonl
refuse 3 'empty.jsonl|no example|nothing' afresh sft --set sft.train=empty.jsonl
refuse 3 'empty.jsonl|no ranking|nothing' afresh reward --set reward.train=empty.jsonl
refuse 3 'empty.jsonl|no prompt|nothing' afresh ppo --set ppo.prompts=empty.jsonl
refuse 3 'empty.jsonl|no prompt|nothing' afresh generate --set generate.prompts=empty.jsonl
refuse 3 'empty.jsonl|no text|nothing' afresh rlhf rounds base.yaml --set run=run --set rounds.prompts=p.jsonl \
    --set sft.train=empty.jsonl --set label.rule=demo
# Before the first stage of rounds, and with no run directory that would hold the mended config to this one; and by the
# plan, which is printed all the same.
early_in() {
    command=$1 code=$2 pattern=$3
    shift 3
    refuse "$code" "$pattern" rlhf "$command" "$root/configs/tiny.yaml" --set run=early "$@"
    [ ! -e early ] || fail "left behind: $(ls early)"
}
early() {
    early_in rounds "$@"
    early_in plan "$@"
    says 'the largest is'
}
early 3 'rounds.prompts: nofile cannot be read' --set rounds.prompts=nofile
early 3 'ppo.ptx: nofile cannot be read' --set ppo.ptx=nofile
early 2 'ppo.ptx is needed' --set 'ppo.ptx=[]'
early 2 'ppo.kl_horizon is 1' --set ppo.kl_adaptive=true --set ppo.kl_horizon=1
# What no file and no setting gave has no place: the key is named.
early 2 '^rlhf: ppo.kl_horizon is 10000, must be over' --set ppo.kl_adaptive=true --set ppo.batch=100000
early 2 '^rlhf: label.command is needed' --set label.judge=command
early 2 'label.rule: no rule "demoo"' --set label.rule=demoo
early 2 'eval.rule: no rule "demoo"' --set eval.rule=demoo
early 2 'ppo.rule is needed' --set ppo.score=rule
early 2 'neither sft.train' --set 'sft.train=[]'
kept=${RLHF_ISA:-}
export RLHF_ISA=sse
early_in rounds 2 'RLHF_ISA must be .* not "sse"'
early_in plan 2 'RLHF_ISA must be .* not "sse"'
[ -n "$kept" ] && RLHF_ISA=$kept || unset RLHF_ISA
early 3 'no prompt of split test' --set eval.split=test
# What is given and not used is told, whatever comes after.
early_in rounds 3 'warning: .*sft.init is not used: pretrain.train' --set eval.split=test --set sft.init=model
early_in rounds 3 'warning: .*ppo.rule is not used: ppo.score' --set eval.split=test --set ppo.rule=demo
early 3 'the prompt has 13 tokens, at most 10 fit' --set data.max_length=10 --set data.too_long=cut --set sft.loss=all
# What the later stages read is read.
printf 'no JSON\n' >odd.jsonl
early 3 'odd.jsonl:1' --set ppo.ptx=odd.jsonl
early 3 'odd.jsonl:1' --set reward.valid=odd.jsonl
early 3 'odd.jsonl:1' --set reward.normalise_on=odd.jsonl
early 3 'odd.jsonl:1' --set 'sft.train=[d.jsonl, odd.jsonl]' --set tokenizer.path=tokenizer
# A judge's model scores, and a model to start from is one.
early 3 'label.model: model: is no reward model' --set label.judge=model --set label.model=model
early 3 'eval.model: model: is no reward model' --set eval.judge=model --set eval.model=model
early 3 'label.model: nothing' --set label.judge=model --set label.model=nothing
early 3 'sft.init: tokenizer: is no model directory' --set sft.init=tokenizer --set 'pretrain.train=[]'
# ---- mixtures and the cache ----
sed 's/^{/{"split":"valid",/' d.jsonl >held.jsonl
refuse 2 'sft.weights has 2 numbers for 1 files' afresh sft --set 'sft.weights=[1, 2]'
refuse 2 'sft.weights.*1 to 1000000' afresh sft --set 'sft.weights=[0]'
refuse 3 'held.jsonl: has a weight and not one example' afresh sft --set 'sft.train=[d.jsonl, held.jsonl]' \
    --set 'sft.weights=[1, 1]'
refuse 1 'd.jsonl' afresh sft --set data.cache=d.jsonl
must 0 afresh sft --set data.cache=cache
for file in cache/*.tokens; do head -c 100 "$file" >cut && mv cut "$file"; done
must 0 afresh sft --set data.cache=cache
says "warning: .*cache/[0-9a-f]*.tokens: .*: d.jsonl is tokenised again"

# line PATTERN LINE COMMAND KEY: LINE after two good lines (of the file that COMMAND reads) is refused as line 3.
line() {
    case $3 in
    sft) good=d.jsonl ;;
    reward) good=r.jsonl ;;
    *) good=p.jsonl ;;
    esac
    { head -n 2 $good; printf '%b\n' "$2"; tail -n 4 $good; } >bad.jsonl
    refuse 3 "bad.jsonl:3: .*$1" afresh "$3" --set "$4=bad.jsonl"
}
line '' '{"prompt":"Q' sft sft.train
line '' '{"prompt":1,"completion":" a"}' sft sft.train
line '' '[1,2]' sft sft.train
line '' '{"question":"Q","reply":"A"}' sft sft.train
line '' '{"prompt":"Q","completion":"a"} {"again":1}' sft sft.train
line '' '{"prompt":"\\0377\\0376","completion":"a"}' sft sft.train
line '' "$(printf '[%.0s' $(seq 5000))" sft sft.train
long=$(printf 'long and longer %.0s' $(seq 60))
line 'token|context|long' "{\"prompt\":\"$long\",\"completion\":\" a\"}" sft sft.train
line 'token|context|long' "{\"prompt\":\"$long\"}" ppo ppo.prompts
line 'token|context|long' "{\"prompt\":\"$long\"}" generate generate.prompts
line 'token|context|long' "{\"prompt\":\"$long\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}" reward reward.train
line '' '{"prompt":"Q","answers":["a","b"],"ranks":[1]}' reward reward.train
line '' '{"prompt":"Q","answers":["a"],"ranks":[1]}' reward reward.train
line '' '{"prompt":"Q","answers":["a","b"],"ranks":[1.5,2]}' reward reward.train
line '' '{"prompt":"Q","answers":["a","b"],"ranks":["1","2"]}' reward reward.train
must 0 afresh reward --set reward.train=bad.jsonl --set data.max_bad=1
says 'bad.jsonl:3: '
printf '%s\n' '{"prompt":"Q1","answers":["a","b"],"ranks":[1,1]}' '{"prompt":"Q2","answers":["a","b"],"ranks":[1,1]}' >ties.jsonl
refuse 3 'pair|tie|rank' afresh reward --set reward.train=ties.jsonl
# Of held-out ties alone no model is the best: no best/ is left without the zero and unit of its scores.
must 0 afresh reward --set reward.valid=ties.jsonl --set reward.normalise=mean_std --set reward.eval_every=1
says 'over 0 pairs'
[ ! -e run/best ] || fail "best/ of ties alone"
gzip -c d.jsonl | head -c 60 >cut.jsonl.gz
refuse 3 'cut.jsonl.gz' afresh sft --set sft.train=cut.jsonl.gz

# ---- models ----
# model PATTERN SCRIPT: a copy of the model, damaged by SCRIPT, is refused by every program that reads it.
model() {
    rm -rf damaged
    cp -R model damaged
    (cd damaged && eval "$2") || fail "$2"
    refuse 3 "$1" afresh generate --set generate.model=damaged
    refuse 3 "$1" afresh sft --set sft.init=damaged
    refuse 3 "$1" afresh ppo --set ppo.policy=damaged
}
bytes=$(wc -c <model/model.safetensors)
# header TEXT: model.safetensors becomes TEXT, as long as it says.
header() {
    printf "\\$(printf %03o $((${#1} % 256)))\\$(printf %03o $((${#1} / 256)))\\0\\0\\0\\0\\0\\0%s" "$1" >model.safetensors
}
model 'safetensors' 'head -c 1000 ../model/model.safetensors >model.safetensors'
model 'safetensors' 'head -c $((bytes - 4)) ../model/model.safetensors >model.safetensors'
model 'safetensors' ': >model.safetensors'
model 'safetensors' 'printf "\377\377\377\377\377\377\377\377{}" >model.safetensors'
model 'safetensors' 'header "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,16]}}"'
model 'safetensors' 'header "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[18446744073709551612,0]}}"'
model 'safetensors' 'header "$(printf "[%.0s" $(seq 20000))"'
model 'safetensors' 'rm model.safetensors'
model 'config.json' 'rm config.json'
model 'config.json' 'echo "{\"model_type\":\"gpt2\"" >config.json'
model 'config.json' 'sed -i "s/\"n_head\": *[0-9]*/\"n_head\":0/" config.json'
model 'config.json' 'sed -i "s/\"n_layer\": *[0-9]*/\"n_layer\":1000000000/" config.json'
model 'config.json|safetensors' 'sed -i "s/\"n_embd\": *[0-9]*/\"n_embd\":128/" config.json'
model 'config.json|vocab|token' 'sed -i "s/\"vocab_size\": *[0-9]*/\"vocab_size\":200/" config.json'
model 'tokenizer.json' 'head -c 3000 ../model/tokenizer.json >tokenizer.json'
model 'tokenizer.json' 'printf "[%.0s" $(seq 100000) >tokenizer.json'
model 'tokenizer.json' 'echo "{}" >tokenizer.json'
model 'tokenizer.json' 'rm tokenizer.json'
refuse 3 'no-such-model' afresh generate --set generate.model=no-such-model
refuse 3 'score|head|reward' afresh ppo --set ppo.reward=model
rm -rf damaged && cp -R model damaged
head -c $((bytes - 4000)) model/model.safetensors >damaged/model.safetensors
head -c 4000 /dev/zero | tr '\0' '\377' >>damaged/model.safetensors
refuse 1 "^rlhf-sft: step 1: the loss is .*: the weights of damaged are broken: [a-z0-9_.]+ holds -?nan" \
    afresh sft --set sft.init=damaged
refuse 1 "^rlhf-reward: step 1: the loss is .*: the weights of damaged are broken: [a-z0-9_.]+ holds -?nan" \
    afresh reward --set reward.init=damaged
[ ! -e run/model ] || fail "a model was written although the loss was not finite"

# ---- an external scorer ----
# scorer PATTERN COMMAND
scorer() {
    refuse 1 "$1" afresh ppo --set ppo.score=command --set "ppo.command=$2" --set ppo.timeout_s=1
    [ ! -e run/policy ] || fail "a policy was written although the scorer failed: $2"
}
scorer 'exit|ended|dead|died|closed' 'exit 3'
scorer 'exit|ended|dead|died|closed' 'read -r line; echo 1'
scorer 'second|timeout|time' 'sleep 60'
scorer 'rubbish' 'while read -r line; do echo rubbish; done'
scorer 'nan|NaN|number' 'while read -r line; do echo nan; done'
scorer 'number|long|1e999' 'while read -r line; do echo 1e999; done'
scorer 'exit|ended|dead|died|closed|not found' 'no-such-command-anywhere'
scorer 'ended with exit code 7 after question' 'while read -r line; do echo 0.5; done; exit 7'
scorer 'was killed by signal 15 after question' 'while read -r line; do echo 0.5; done; kill $$'
must 0 afresh ppo --set ppo.score=command --set 'ppo.command=while read -r line; do echo 0.5; done'

# ---- what strangers wrote, on a terminal and in log.txt ----
# harmless FILE: text, without a control character.
harmless() {
    iconv -f UTF-8 -t UTF-8 "$1" >/dev/null || fail "$1 is no UTF-8"
    [ "$(LC_ALL=C tr -d '\n\t\040-\176\200-\377' <"$1" | wc -c)" = 0 ] || fail "$1 has control characters: $(cat -v "$1")"
}
scorer '␛\[31mred' 'while read -r line; do printf "\033[31mred\377\n"; done'
harmless out
must 0 afresh sft --set sft.sample_every=1
harmless out
harmless run/log.txt
must 0 afresh ppo --set ppo.eval_every=1
harmless out
harmless run/log.txt

# ---- the store ----
head -c 5000 /dev/zero | tr '\0' 'x' >foreign.db
cp foreign.db foreign.kept
refuse 3 'foreign.db' rlhf label stats --db foreign.db
cmp -s foreign.db foreign.kept || fail "a foreign file was changed"
must 0 rlhf label import --db store.db r.jsonl
refuse 3 'bad.jsonl:3' rlhf label import --db store.db bad.jsonl

# ---- no space left ----
# limited BLOCKS COMMAND...: COMMAND may write no file of more than BLOCKS (of 512 bytes); $code, and $work/out.
limited() {
    blocks=$1
    shift
    {
        (ulimit -f "$blocks" && "$@") 2>&1
        echo $? >code
    } | cat >out
    code=$(cat code)
}
# full COMMAND BLOCKS...: at each limit COMMAND fails with a word, or is done; without it, it goes on to the bytes of
# an undisturbed run.
full() {
    command=$1 hit=0
    shift
    rm -rf run whole
    must 0 "$command"
    mv run whole
    for blocks; do
        rm -rf run
        limited "$blocks" "$command"
        case $code in
        0) ;;
        1)
            says 'File too large|No space|disk is full'
            [ ! -e run ] || no_temporaries run
            hit=$((hit + 1))
            ;;
        *) says nothing; fail "$command: exit code $code where no file may have more than $blocks blocks" ;;
        esac
        must 0 "$command" --resume
        same_bytes whole run "$command, resumed after a limit of $blocks blocks"
    done
    [ $hit -ge 3 ] || fail "$command: only $hit of the limits were met"
    refused=$((refused + hit))
}
weights=$((bytes / 512))
full sft 0 1 2 4 8 $((weights / 2)) $((weights - 1)) $weights $((weights * 3 / 2)) $((weights * 3 - 2))
full reward 0 1 2 4 8 $((weights / 2)) $weights $((weights * 3 / 2))
full ppo 0 1 2 4 8 $((weights / 2)) $weights $((weights * 3 / 2))
full generate 0 1 2 4 8
for blocks in 0 1 4; do
    limited $blocks rlhf tokenizer stories.txt --vocab 300 tokenizer-3
    [ "$code" = 1 ] || fail "tokenizer: exit code $code where no file may have more than $blocks blocks"
    [ ! -e tokenizer-3 ] || [ -z "$(find tokenizer-3 -name tokenizer.json)" ] || fail "a tokenizer was left"
done
no_temporaries "$work"
for blocks in 0 8 64 200; do
    rm -f full.db*
    limited $blocks rlhf label import --db full.db r.jsonl
    [ "$code" = 0 ] && continue
    [ "$code" = 1 ] || fail "label import: exit code $code where no file may have more than $blocks blocks: $(cat out)"
    must 0 rlhf label import --db full.db r.jsonl
    must 0 rlhf label fsck --db full.db
done

# Standard streams that are closed: no file of the run gets their numbers, and so what is said there.
closed() { "$@" <&- >&- 2>&-; }
rm -rf run
must 0 closed sft
mv run whole-2
must 0 sft
same_bytes whole-2 run 'sft without standard streams'
rm -rf run
# Standard output that takes nothing: what prints results fails, with a word on standard error.
full_output() { "$@" >/dev/full; }
rm -rf run
for command in 'label stats --db full.db' 'label fsck --db full.db' 'label export --db full.db' 'plan base.yaml' 'sft --help'; do
    # shellcheck disable=SC2086
    refuse 1 'standard output: cannot write: No space left on device' full_output "$rlhf" $command
done
refuse 1 'standard output: cannot write: No space left on device' full_output sft --dry-run

echo "bad input: $refused cases refused, each with its code and its place"
