#!/bin/sh
# Every C file is as clang-format would write it. make format makes it so.
set -eu
cd "$(dirname "$0")/../.."
find core datasets configs sft reward ppo rlhf tests bench -name '*.[ch]' -print0 |
    xargs -0 -n 40 -P 2 clang-format --dry-run -Werror && echo "format: as clang-format writes it"
