#!/bin/sh
# A killed or stopped `rlhf generate` goes on behind the answers that it had, to the bytes of an undisturbed run; not
# with those of other prompts. In round 2 `rounds.sft_share` is a share of the sets
# that are ranked, and its draws are its own.
. "$(dirname "$0")/lib.sh"

must 0 "$rlhf" rounds "$root/configs/tiny.yaml" --set run=rounds --set 'rounds.rankings=[64, 80]' \
    --set ppo.lr=1e-9
sft=$(wc -l <rounds/round-02/sample-sft/answers.jsonl)
policy=$(wc -l <rounds/round-02/sample/answers.jsonl)
[ $((4 * sft)) = $((sft + policy)) ] || fail "sft_share 0.25: $sft answers of $((sft + policy)) are the SFT model's"
held=$(grep -c '"split":"valid"' rounds/round-01/sample/answers.jsonl) # one set of 4 each
[ $((sft + policy)) = $((4 * 80 + 2 * held)) ] || fail "$((sft + policy)) answers for 80 rankings and held-out ones"
[ $((sft % 4)) = 0 ] || fail "$sft answers of the SFT model are no whole sets"
# The policy is still the SFT model here, but for rounding: with one noise sample k of both would be one text.
texts() { sed 's/,"tokens":.*//' "rounds/round-02/$1/answers.jsonl" | LC_ALL=C sort; }
texts sample >policy.txt
texts sample-sft >sft.txt
same=$(LC_ALL=C comm -12 policy.txt sft.txt | wc -l)
[ $((2 * same)) -lt "$sft" ] || fail "$same of $sft answers of the SFT model are the policy's too"

cp "$root/configs/tiny/prompts.jsonl" prompts.jsonl
generate() {
    exec "$rlhf" generate --model rounds/sft/model --prompts prompts.jsonl --out "$@" --set generate.samples=32 \
        --set generate.max_tokens=40 --set generate.slots=16 --set threads=1 --round 3
}
# attempt RUN SIGNAL: starts or resumes RUN and ends it once more answers are there; 1 if it was faster.
attempt() {
    before=$(cat "$1/answers.partial" 2>/dev/null | wc -c)
    (generate "$1" --resume) >"$1.log" 2>&1 &
    running=$!
    while [ "$(cat "$1/answers.partial" 2>/dev/null | wc -c)" -le $((before + 4000)) ]; do
        kill -0 $running 2>/dev/null || break
        sleep 0.01
    done
    kill -"$2" $running 2>/dev/null
    code=0
    wait $running 2>/dev/null || code=$?
    running=
    [ $code != 0 ]
}
# stopped CODE RUN SIGNAL: the same, ending with CODE; tried again from where it was as long as the run is faster.
stopped() {
    rm -rf kept
    [ ! -e "$2" ] || cp -R "$2" kept
    for try in 1 2 3 4 5 6 7 8; do
        if attempt "$2" "$3"; then
            [ $code = "$1" ] || fail "exit code $code after SIG$3: $(cat "$2.log")"
            return
        fi
        rm -rf "$2"
        [ ! -e kept ] || cp -R kept "$2"
    done
    fail "the run was faster than its signal in $try attempts"
}

must 0 generate whole
says 'answer [0-9]+/[0-9]+'
[ ! -e whole/answers.partial ] || fail "answers.partial was left in a finished run"
stopped 137 run KILL
must 2 generate run
says 'go on with --resume'
stopped 130 run TERM
grep -qE '[0-9]+ of [0-9]+ answers were there' run.log || fail "it began again after the kill: $(cat run.log)"
printf 'half of a rec' >>run/answers.partial
must 0 generate run --resume
says '[0-9]+ of [0-9]+ answers were there'
same_bytes whole run "generate, killed and stopped"
[ ! -e run/answers.partial ] || fail "answers.partial was left in a resumed run"

# Other prompts under the same name: nothing is taken over.
stopped 137 other KILL
tail -n 20 "$root/configs/tiny/prompts.jsonl" >prompts.jsonl
must 0 generate other --resume
grep -q 'were there' out && fail "answers to other prompts were taken over"
must 0 generate again
same_bytes again other "generate, with other prompts than before the kill"
echo "generate: goes on behind its answers; a quarter of the sets is the SFT model's"
