#!/bin/sh
# docs/by-hand.md, run as it stands: the commands of its ```sh blocks in order, what is typed in its ```console block
# given to `label rank` through a pseudo-terminal. Every line of its ```text blocks must have been printed, numbers,
# hashes and ids apart, up to its "..." if it has one. RLHF_WRITE_DOCS=1 writes what the document shows again instead.
. "$(dirname "$0")/lib.sh"
doc=$root/docs/by-hand.md
script -qec true /dev/null </dev/null >/dev/null 2>&1 || {
    echo "by hand: skipped, no pseudo-terminal can be opened (/dev/pts)"
    exit 77
}

# blocks WORD: the lines of the document's ```WORD blocks.
blocks() { awk -v fence="^\`\`\`$1\$" '/^```/ { on = $0 ~ fence; next } on' "$doc"; }

# What does not depend on figures, names of places and spacing.
words() {
    tr -d '\r' | sed -E "s#$work#ROOT#g; s/[0-9a-f-]{8,}/H/g; s/[0-9][0-9.,:]*/N/g; s/[[:space:]]+/ /g; s/ \$//"
}

cp -R "$root/configs" configs
ln -s "$root/datasets" datasets
blocks console | sed -n 's/^ranks of A to .* > //p' >typed
[ -s typed ] || fail "$doc: nothing is typed in a console block"
{
    cat <<'END'
set -eu
rlhf() {
    case "$1 $2" in
    "label rank") SHELL=/bin/sh script -qec "rlhf $*" /dev/null <typed ;;
    *) command rlhf "$@" ;;
    esac
}
set -x
END
    awk '/^```/ { on = $0 == "```sh"; if (on) print "echo \"=== " ++n "\""; next } on' "$doc"
} >commands.sh
PATH=$bin:$PATH
export PATH

started=$(now_ms)
must 0 sh commands.sh
seconds=$((($(now_ms) - started) / 1000))

if [ -n "${RLHF_WRITE_DOCS:-}" ]; then
    python3 "$root/tests/system/by_hand.py" "$doc" out
    exit
fi
words <out >printed
blocks text | words >wanted
while IFS= read -r line; do
    line=${line%%...*}
    grep -qF -e "$line" printed || fail "docs/by-hand.md shows what was not printed: $line"
done <wanted
[ "$(sed -n 's/^A wins \([0-9]*\).*/\1/p' out | sort -n | head -n 1)" -gt 50 ] || fail "a policy lost against SFT"
echo "by hand: $(grep -c '^rlhf ' commands.sh) commands, twice round in $seconds s"
