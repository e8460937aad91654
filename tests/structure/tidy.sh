#!/bin/sh
# tidy.sh BUILD: clang-tidy (.clang-tidy) over the C files that BUILD, a build directory by clang, compiles.
set -eu
cd "$(dirname "$0")/../.."
database=${1:?usage: tidy.sh BUILD}
find core datasets configs sft reward ppo rlhf -name '*.c' | LC_ALL=C sort |
    xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$database" && echo "tidy: nothing to say"
