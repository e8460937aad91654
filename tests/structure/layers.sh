#!/bin/sh
# layers.sh [ROOT]: each room may include only itself and the rooms above it in this list (the lowest stands
# first); sft, reward and ppo stand level and never see each other. configs uses core/base alone.
set -eu
cd "${1:-$(dirname "$0")/../..}"

find core datasets configs sft reward ppo rlhf -name '*.[ch]' | LC_ALL=C sort | xargs awk '
BEGIN {
    n = split("core/base core/files core/text core/ops core/dist core/model core/generate core/train configs " \
              "datasets/store datasets/demo datasets datasets/judge datasets/label sft reward ppo rlhf", room, " ")
    for (i = 1; i <= n; i++) rank[room[i]] = i
    rank["reward"] = rank["ppo"] = rank["sft"]
}
# The room that a file lies in: the longest listed folder above it.
function room_of(path) {
    while (sub(/\/[^\/]*$/, "", path))
        if (path in rank) return path
    return ""
}
function allowed(from, to) {
    if (from == to) return 1
    if (from == "configs") return to == "core/base"
    if (to == "configs" && from ~ /^datasets\/(store|demo)$/) return 0
    return rank[to] < rank[from]
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    target = $0
    sub(/^[^"]*"/, "", target)
    sub(/".*/, "", target)
    if (target !~ /\//) {
        folder = FILENAME
        sub(/[^\/]*$/, "", folder)
        target = folder target
    }
    from = room_of(FILENAME)
    to = room_of(target)
    arrows++
    if (to == "" || target ~ /\.\./)
        printf "%s:%d: includes \"%s\", which is in no room: write its path from the root\n", FILENAME, FNR, target
    else if (!allowed(from, to))
        printf "%s:%d: %s may not use %s (%s)\n", FILENAME, FNR, from, to, target
    else
        next
    bad++
}
END {
    if (!bad && arrows) printf "layers: %d includes, none goes up\n", arrows
    exit bad > 0 || !arrows
}'
