#!/bin/sh
# words.sh [ROOT]: what must not stand in a file of the project. exit and abort are for main alone (the child of a
# fork leaves by _exit); no file names a package registry or a place on the machine of whoever wrote it; no mark of
# unfinished work; nothing that lets the compiler reorder additions; no source file of more than 700 lines.
set -eu
cd "${1:-$(dirname "$0")/../..}"

bad=0
# refuse WHY PATTERN NAME...: prints the lines of files with such names that match, and why they are refused.
refuse() {
    why=$1 pattern=$2
    shift 2
    found=$(find . \( -name .git -o -path ./build -o -path './build-*' -o -path ./runs -o -path ./cache \) -prune -o \
        -type f \( -name "$1" $(shift; for name; do printf ' -o -name %s' "$name"; done) \) -print0 |
        xargs -0 grep -nIE "$pattern" /dev/null || true)
    found=$(printf '%s\n' "$found" | grep -v "${allowed:-^\$}" || true)
    [ -n "$found" ] || return 0
    printf '%s\n    %s\n' "$found" "$why"
    bad=1
}

set -f
allowed='^\./\(tests\|bench\)/\|^\./[a-z/]*main\.c:'
refuse "only main ends the program: return an error" '(^|[^_a-z])(exit|abort|quick_exit) *\(' '*.c' '*.h'
allowed=
refuse "no package registry in a file of the project" 'https?://[^ ]*(py[p]i|npm[j]s|debian\.org)' '*'
refuse "no path of the machine it was written on" '(^|[^a-z.])/(w[o]rk|f[a]rm|home/[a-z]+)/' '*'
refuse "finish it, or say in an issue what is left" '(^|[^A-Za-z])(TO[D]O|FIX[M]E|XX[X]|HA[C]K)([^A-Za-z]|$)' \
    '*.c' '*.h' '*.sh' '*.py' '*.cmake' '*.js' '*.sql' CMakeLists.txt Makefile
refuse "the order of additions is part of the product" '^[^#]*-f(fast-m[a]th|assoc[i]ative|fp-contract=fast|unsafe-m[a]th)' \
    '*.cmake' CMakeLists.txt Makefile CMakePresets.json
set +f

long=$(find . \( -name .git -o -path ./build -o -path './build-*' -o -path ./runs -o -path ./cache \) -prune -o \
    -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.js' -o -name '*.css' -o -name '*.sql' \
    -o -name '*.cmake' \) -print | while IFS= read -r file; do
    n=$(wc -l <"$file")
    [ "$n" -le 700 ] || echo "$file: $n lines; 700 are the most: one purpose a file"
done)
if [ -n "$long" ]; then
    printf '%s\n' "$long"
    bad=1
fi
[ $bad = 0 ] && echo "words: nothing forbidden, no file too long"
exit $bad
