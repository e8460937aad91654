#!/bin/sh
# The structure tests notice what they are there for: in a copy of the sources one fault at a time is planted, and
# each must be refused by the name of its file.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
copy=$(mktemp -d "${TMPDIR:-/tmp}/rlhf-planted-XXXXXX")
trap 'rm -rf "$copy"' EXIT INT TERM
cd "$root"
cp -R core datasets configs sft reward ppo rlhf "$copy"
cd "$copy"

failed=0
# planted TEST FILE LINE: with LINE at the end of FILE, TEST fails and names FILE; without it, it passes again.
planted() {
    test=$1 file=$2 line=$3
    if [ -e "$file" ]; then cp "$file" kept; else rm -f kept; fi
    printf '%s\n' "$line" >>"$file"
    if sh "$here/$test" "$copy" >out 2>&1 || ! grep -q "$file:" out; then
        echo "$test: did not notice in $file: $line"
        failed=1
    fi
    rm -f out "$file"
    [ ! -e kept ] || mv kept "$file"
}

planted layers.sh core/base/error.c '#include "core/model/model.h"'
planted layers.sh core/files/planted.h '  #  include "core/text/utf8.h"'
planted layers.sh core/ops/cpu/planted.c '#include "core/model/config.h"'
planted layers.sh core/ops/far/planted.c '#include "core/dist/dist.h"'
planted layers.sh core/model/planted.c '#include "configs/schema.h"'
planted layers.sh core/train/planted.c '#include "datasets/pack.h"'
planted layers.sh configs/planted.c '#include "core/text/tokenizer.h"'
planted layers.sh datasets/store/planted.c '#include "datasets/prompts.h"'
planted layers.sh datasets/store/planted.c '#include "configs/schema.h"'
planted layers.sh datasets/planted.c '#include "datasets/judge/judge.h"'
planted layers.sh datasets/judge/planted.c '#include "datasets/label/label.h"'
planted layers.sh ppo/planted.c '#include "sft/loss.h"'
planted layers.sh sft/planted.c '#include "reward/loss.h"'
planted layers.sh reward/planted.c '#include "rlhf/commands.h"'
planted layers.sh ppo/planted.c '#include "../sft/loss.h"'
planted words.sh core/base/planted.c 'void f(void) { exit(1); }'
planted words.sh datasets/label/planted.c '    if (!p) abort();'
planted words.sh ppo/planted.c "/* TO""DO: the other half */"
planted words.sh configs/planted.yaml "train: /wo""rk/shared/data"
planted words.sh planted.sh "curl https://registry.np""mjs.org/x"
planted words.sh planted.cmake 'add_compile_options(-ffast-''math)'
planted words.sh rlhf/planted.c "$(yes '/* long */' | head -n 701)"

sh "$here/layers.sh" "$copy"
sh "$here/words.sh" "$copy"
[ $failed = 0 ] && echo "planted: every fault was noticed"
exit $failed
