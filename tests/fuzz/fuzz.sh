#!/bin/sh
# fuzz.sh PROGRAM: runs a fuzz target for RLHF_FUZZ_SECONDS (20), from its seeds in corpus/NAME. An input that fails
# is kept beside the program as PROGRAM-crash-...; hand it to PROGRAM to see the fault again.
set -eu
program=$1
name=$(basename "$program")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/rlhf-fuzz-XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
seeds=$here/corpus/${name#fuzz_}
[ -d "$seeds" ] || seeds=
# shellcheck disable=SC2086
"$program" -max_total_time="${RLHF_FUZZ_SECONDS:-20}" -timeout=10 -rss_limit_mb=2048 -verbosity=1 \
    -artifact_prefix="$program-" "$work" $seeds >"$work.log" 2>&1 || {
    tail -n 60 "$work.log"
    rm -f "$work.log"
    exit 1
}
tail -n 2 "$work.log"
rm -f "$work.log"
