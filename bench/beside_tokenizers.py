#!/usr/bin/env python3
"""Encoding on one thread beside Hugging Face's tokenizers, both in processor time of the same run:
beside_tokenizers.py BENCH_TOKENIZER TOKENIZER.json TEXT. It needs the Python package tokenizers."""
import os
import re
import subprocess
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402


def rate(run, size):
    best = 0
    for _ in range(3):
        start = time.process_time()
        run()
        best = max(best, size / (time.process_time() - start) * 1e-6)
    return best


program, path, file = sys.argv[1:]
tokenizer = Tokenizer.from_file(path)
with open(file, encoding="utf-8") as f:
    text = f.read()
size, lines = len(text.encode()), text.splitlines(True)
printed = subprocess.run([program, path, file], check=True, capture_output=True, text=True).stdout
ours = {name: float(x) for name, x in re.findall(r"^encode, ([a-z ]+?) +([0-9.]+) MB/s", printed, re.M)}
theirs = {"as one text": rate(lambda: tokenizer.encode(text, add_special_tokens=False), size),
          "line by line": rate(lambda: tokenizer.encode_batch_fast(lines, add_special_tokens=False), size)}
print(f"{'encode, MB/s':24} {'ours':>8} {'theirs':>8} {'ratio':>8}")
for name, x in ours.items():
    print(f"{name:24} {x:8.1f} {theirs[name]:8.2f} {x / theirs[name]:8.1f}")
