"""Golden numbers of tests/reward: python3 tests/golden/reward.py > tests/golden/reward.json

A step is a list of elements (scores, ranks, weight). Pairs are listed first, as (winner, loser, share of a
pair), then each is a term of its own: not the loop over answers that the C code has."""
import itertools

import numpy as np

from golden import f32, write

rng = np.random.default_rng(2)


def log_sigmoid(x):
    return -np.logaddexp(0.0, -x)


def sigmoid(x):
    return np.exp(log_sigmoid(x))


def pairs(ranks, ties):
    out = []
    for a, b in itertools.combinations(range(len(ranks)), 2):
        if ranks[a] == ranks[b]:
            if ties == "half":
                out += [(a, b, 0.5), (b, a, 0.5)]
        else:
            out.append((a, b, 1.0) if ranks[a] < ranks[b] else (b, a, 1.0))
    return out


def step_loss(elements, ties, weight, margin, centering):
    listed = [pairs(e["rank"], ties) for e in elements]
    count = [sum(share for *_, share in p) for p in listed]
    if weight == "prompt":
        total = sum(e["weight"] for e, c in zip(elements, count) if c > 0)
    else:
        total = sum(e["weight"] * c for e, c in zip(elements, count))
    loss, grads = 0.0, []
    for e, p, c in zip(elements, listed, count):
        r, g = np.array(e["score"]), np.zeros(len(e["score"]))
        for w, l, share in p:
            gap = e["rank"][l] - e["rank"][w]
            m = margin[min(gap, len(margin)) - 1] if margin and gap > 0 else 0.0
            each = e["weight"] * share / (total * c if weight == "prompt" else total)
            d = r[w] - r[l] - m
            loss += each * (-log_sigmoid(d) + centering * (r[w] + r[l]) ** 2)
            g[w] += each * (-sigmoid(-d) + 2 * centering * (r[w] + r[l]))
            g[l] += each * (sigmoid(-d) + 2 * centering * (r[w] + r[l]))
        grads.append(g)
    return loss, grads


steps = [
    [dict(score=[0.5, -0.25], rank=[1, 2], weight=1.0)],
    [dict(score=f32(rng.normal(0, 1, 4)), rank=[3, 1, 2, 4], weight=1.0),
     dict(score=f32(rng.normal(0, 2, 9)), rank=[1, 2, 2, 4, 5, 5, 5, 8, 9], weight=1.0),
     dict(score=f32(rng.normal(0, 1, 3)), rank=[1, 1, 1], weight=1.0),
     dict(score=f32(rng.normal(0, 1, 4)), rank=[2, 1, 4, 2], weight=0.5)],
    [dict(score=[1000.0, -1000.0, 30.0], rank=[3, 1, 2], weight=1.0)],
]
losses = []
for elements, ties, weight, (margin, centering) in itertools.product(
        steps, ("skip", "half"), ("prompt", "pair"), (([], 0.0), ([0.125, 0.5, 1.0], 0.03125))):
    loss, grads = step_loss(elements, ties, weight, margin, centering)
    losses.append(dict(ties=ties, weight=weight, margin=margin, centering=centering, loss=loss,
                       elements=[dict(e, dscore=g) for e, g in zip(elements, grads)]))

# Accuracy: pairs as above; calibration by np.histogram instead of running sums.
right, margins, gaps, chance, outcome = [], [], [], [], []
ranked = [e for s in steps[:2] for e in s] + [dict(score=[1.0, 1.0, 0.5], rank=[1, 2, 3], weight=1.0)]
for e in ranked:
    for w, l, _ in pairs(e["rank"], "skip"):
        d = e["score"][w] - e["score"][l]
        right.append(d > 0)
        margins.append(d)
        gaps.append(e["rank"][l] - e["rank"][w])
        chance.append(sigmoid(abs(d)))
        outcome.append(0.5 if d == 0 else float(d > 0))
right, gaps, chance, outcome = map(np.array, (right, gaps, chance, outcome))
edges = np.linspace(0.5, 1.0, 11)
which = np.clip(np.searchsorted(edges, chance, side="right") - 1, 0, 9)
error = sum(np.mean(which == b) * abs(np.mean(chance[which == b]) - np.mean(outcome[which == b]))
            for b in range(10) if np.any(which == b))
accuracy = dict(elements=ranked, accuracy=np.mean(right), margin=np.mean(margins), calibration_error=error,
                at_gap=[np.mean(right[gaps == g]) if np.any(gaps == g) else None for g in range(1, 8)])

scores = f32(rng.normal(3, 2, 50))
normalise = dict(score=scores, mean=np.mean(scores), std=np.std(scores))
write({"loss": losses, "accuracy": [accuracy], "normalise": [normalise]})
