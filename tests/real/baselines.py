"""How far one gets with a file of rankings without a language model: the longer answer wins, and a bag of words.

    python baselines.py TRAIN.jsonl [VALID.jsonl]

Pairs of the rankings that are not tied, held-out ones as docs/formats.md splits them, or those of VALID.jsonl. The bag of
words is a logistic regression on differences of log(1 + count), with weight decay chosen on a tenth of the training pairs.
Prints each accuracy with its 95 % interval (Wilson). Needs NumPy.
"""
import hashlib
import itertools
import json
import re
import sys

import numpy as np

WORDS = 5000


def opening(line):
    if "prompt" in line:
        prompt = line["prompt"]
        return prompt if isinstance(prompt, str) else next(m["content"] for m in prompt if m["role"] == "user")
    if "messages" in line:
        return next(m["content"] for m in line["messages"] if m["role"] == "user")
    turns = re.split(r"\n\n(Human|Assistant): ?", line["chosen"])
    return turns[2]


def split(line):
    if "split" in line:
        return line["split"]
    digit = hashlib.sha256(opening(line).encode()).hexdigest()[0]
    return "valid" if digit in "01" else "test" if digit == "2" else "train"


def pairs(line):
    """(better, worse) texts."""
    if "chosen" in line:
        return [(line["chosen"], line["rejected"])]
    ranked = list(zip(line["ranks"], line["answers"]))
    return [(a, b) if i < j else (b, a) for (i, a), (j, b) in itertools.combinations(ranked, 2) if i != j]


def words(text):
    return re.findall(r"\w+|[^\w\s]", text.lower())


def features(some, index):
    x = np.zeros((len(some), len(index)))
    for row, pair in enumerate(some):
        for sign, text in zip((1, -1), pair):
            ids, counts = np.unique([index[w] for w in words(text) if w in index], return_counts=True)
            if len(ids):
                x[row, ids.astype(int)] += sign * np.log1p(counts)
    return x


def fit(x, decay):
    w = np.zeros(x.shape[1])
    rate = 1 / (0.25 * np.linalg.norm(x, 2) ** 2 / len(x) + decay)
    for _ in range(2000):
        w -= rate * (-(x.T @ (1 / (1 + np.exp(x @ w)))) / len(x) + decay * w)
    return w


def report(name, right, n):
    z, p = 1.96, right / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    print(f"{name}: {100 * p:.1f} % of {n} pairs ({100 * low:.1f} to {100 * high:.1f})")


def main():
    lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
    if len(sys.argv) > 2:
        train, held = lines, [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
    else:
        train, held = ([line for line in lines if split(line) == part] for part in ("train", "valid"))
    train, held = ([pair for line in part for pair in pairs(line)] for part in (train, held))
    report("longer wins", sum((len(a) > len(b)) + 0.5 * (len(a) == len(b)) for a, b in held), len(held))
    counts = {}
    for pair in train:
        for text in pair:
            for word in words(text):
                counts[word] = counts.get(word, 0) + 1
    index = {w: i for i, w in enumerate(sorted(counts, key=lambda w: (-counts[w], w))[:WORDS])}
    x, tenth = features(train, index), max(1, len(train) // 10)
    score = {d: np.mean(x[:tenth] @ fit(x[tenth:], d) > 0) for d in (1e-3, 1e-2, 1e-1, 1.0)}
    w = fit(x, max(score, key=score.get))
    report("bag of words", np.sum(features(held, index) @ w > 0), len(held))


main()
