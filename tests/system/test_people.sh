#!/bin/sh
# Rounds with people: they wait for rankings (75) and say what to do, also when people could judge nothing, and go on
# when rankings are there.
. "$(dirname "$0")/lib.sh"

rounds() {
    "$rlhf" rounds "$root/configs/tiny.yaml" --set run=run --set rounds.collect=people --set rounds.count=1 \
        --set rounds.rankings=8 --set pretrain.steps=2 --set sft.steps=2 --set ppo.iterations=1 "$@"
}
# rank LINE...: everything that is typed in one session
rank() { printf '%s\n' "$@" | "$rlhf" label rank --db run/store.db --labeller ann; }
repeat() { yes "$2" | head -n "$1"; }

must 75 rounds
says 'round 1 waits for rankings: 0 of [0-9]+ are there'
says 'rlhf label rank --db run/store.db --labeller NAME'
tasks=$(sed -n 's/.*waits for rankings: 0 of \([0-9]*\) .*/\1/p' out)
must 0 "$rlhf" label add-labeller --db run/store.db ann

must 0 rank "$(repeat "$tasks" c)"
says "^$tasks recorded"
must 75 rounds
says 'round 1: all tasks are done, but no ranking is there to train on'
[ ! -e run/round-01/snapshot.jsonl ] || fail "a snapshot of nothing was left"

# All taken back, then ranked. A task may have fewer than four different answers: lines that do not fit are refused.
# Who freezes by hand in between what is there, under the name of the round, takes nothing from it.
must 0 rank "$(repeat "$tasks" u)" '1 2 3 4' '1 2 3' '1 2'
says "$tasks undone"
must 0 "$rlhf" label snapshot --db run/store.db --round 1 look.jsonl
must 0 rank "$(repeat $((6 * tasks)) '1 2 3 4
1 2 3
1 2')"
# One is taken back and waited for again; when the round is closed by hand, the others are enough.
must 0 rank u
says '1 undone'
must 75 rounds
says "round 1 waits for rankings: $((tasks - 1)) of $tasks are there"
must 0 "$rlhf" label tasks --db run/store.db --round 1 --close
must 0 rounds
[ "$(wc -l <run/round-01/snapshot.jsonl)" = $((tasks - 1)) ] || fail "the snapshot has not the $((tasks - 1)) rankings"
echo "people: $tasks tasks; waited for, judged by nobody, taken back, ranked, trained on"
