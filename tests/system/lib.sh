# lib.sh: what the tests of whole programs share. Each is called test_NAME.sh DIRECTORY_OF_PROGRAMS, works in a
# fresh directory $work, removed at the end, and ends with 1 after a line that begins with FAIL.
# shellcheck shell=sh
set -u
bin=$(cd "${1:?usage: $0 DIRECTORY_OF_PROGRAMS}" && pwd) || exit 2
root=$(cd "$(dirname "$0")/../.." && pwd)
rlhf=$bin/rlhf
work=$(mktemp -d "${TMPDIR:-/tmp}/rlhf-system-XXXXXX")
running=
trap 'status=$?; [ -z "$running" ] || kill -KILL "$running" 2>/dev/null; rm -rf "$work"; exit $status' EXIT
trap 'exit 1' INT TERM HUP
cd "$work" || exit 1

fail() {
    echo "FAIL: $*"
    exit 1
}

# must CODE COMMAND...: COMMAND ends with exit code CODE; what it printed is in $work/out.
must() {
    wanted=$1
    shift
    code=0
    ("$@") >"$work/out" 2>&1 || code=$?
    [ "$code" = "$wanted" ] && return 0
    tail -n 20 "$work/out"
    fail "exit code $code, not $wanted: $*"
}

# says PATTERN: the last `must` printed a line that matches.
says() {
    grep -qE -e "$1" "$work/out" && return 0
    cat "$work/out"
    fail "no line says: $1"
}

# contents DIRECTORY: name and checksum of every file whose bytes do not depend on kills, threads or instruction set
# (docs/formats.md: "Same bytes"), and the rankings of each store without what clocks and chance decide.
contents() (
    cd "$1" || exit 1
    find . -type f ! -name timing.jsonl ! -name log.txt ! -name lineage.json ! -name config.yaml ! -name lock \
        ! -name 'store.db*' ! -name report.html | LC_ALL=C sort | xargs sha256sum
    [ ! -e store.db ] || {
        "$rlhf" label export --db store.db >"$work/export" || echo "label export failed"
        sed 's/"uuid":"[^"]*",//; s/,"seconds":[^,}]*//; s/,"received_ms":[^,}]*//' "$work/export" | sha256sum
    }
)

# same_bytes A B WHAT
same_bytes() {
    contents "$1" >"$work/contents.a"
    contents "$2" >"$work/contents.b"
    cmp -s "$work/contents.a" "$work/contents.b" && return 0
    diff "$work/contents.a" "$work/contents.b" | head -n 20
    keep=$(mktemp -d "${TMPDIR:-/tmp}/rlhf-differs-XXXXXX")
    cp -R "$1" "$keep/wanted" && cp -R "$2" "$keep/found"
    fail "$3: other bytes than an undisturbed run (both kept in $keep)"
}

no_temporaries() {
    found=$(find "$1" -name '*.tmp-rlhf*')
    [ -z "$found" ] || fail "left behind: $found"
}

now_ms() { date +%s%3N; }

# random LOW HIGH: $random, from $seed
random() {
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    random=$(($1 + seed / 8 % ($2 - $1 + 1)))
}

# pause MILLISECONDS
pause() { sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"; }

# stage NAME RUN [ARGUMENT...]: becomes the program of a stage of tiny.yaml, or rounds, with RUN as its run directory;
# inputs come from $finished, a finished rounds directory. Call it behind must, or in ( ).
stage() {
    stage=$1 run=$2
    shift 2
    case $stage in
    rounds) ;;
    sft) set -- --set tokenizer.path="$finished/tokenizer" --set sft.init="$finished/pretrain/model" \
        --set sft.dropout=0.1 --set sft.ema=0.9 --set sft.keep_checkpoints=2 "$@" ;;
    mixture) # of two files by weight, read from a cache that this run fills
        stage=sft
        set -- --set tokenizer.path="$finished/tokenizer" --set sft.init="$finished/pretrain/model" \
            --set sft.train="[$root/configs/tiny/demonstrations.jsonl, $root/configs/tiny/stories.txt]" \
            --set 'sft.weights=[1, 2]' --set data.cache="$run-cache" --set sft.dropout=0.1 "$@"
        ;;
    reward) set -- --set reward.init="$finished/sft/model" --set reward.keep=layer \
        --set reward.train="[$finished/round-01/snapshot.jsonl]" "$@" ;;
    ppo) set -- --set ppo.policy="$finished/sft/model" --set ppo.reward="$finished/round-01/reward/model" \
        --set ppo.prompts="[$root/configs/tiny/prompts.jsonl]" --set ppo.iterations=6 --set ppo.save_every=2 \
        --set ppo.kl_adaptive=true "$@" ;;
    generate) set -- --set generate.model="$finished/sft/model" --set generate.samples=16 \
        --set generate.prompts="[$root/configs/tiny/prompts.jsonl]" "$@" ;;
    esac
    exec "$rlhf" "$stage" "$root/configs/tiny.yaml" --set run="$run" "$@"
}

# resumed NAME RUN [ARGUMENT...]: the same; it goes on where RUN is.
resumed() {
    if [ "$1" = rounds ]; then stage "$@"; else stage "$@" --resume; fi
}
