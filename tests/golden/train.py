"""Golden numbers of tests/train: python3 tests/golden/train.py > tests/golden/train.json"""
import itertools
import math

import numpy as np

from golden import f32, write

rng = np.random.default_rng(4)


# --- schedules ---
def factor(kind, total, warmup, start, flat, final, step):
    if step < warmup:
        return np.linspace(start or 1 / warmup, 1.0, warmup)[step]
    begin = max(warmup, flat * total)
    p = min(max((step - begin) / (total - begin), 0.0), 1.0) if total > begin else float(step >= total)
    if kind == "constant" or step < begin:
        return 1.0
    if kind == "linear":
        return (1 - p) + final * p
    return final + (1 - final) * math.cos(0.5 * math.pi * p) ** 2


schedules = []
for kind, (total, warmup, start, flat, final) in itertools.product(("constant", "linear", "cosine"), (
        (10, 0, 0.0, 0.0, 0.0), (10, 0, 0.0, 0.0, 0.1), (20, 5, 0.1, 0.0, 0.1), (20, 2, 0.0, 0.5, 0.0),
        (4, 4, 0.5, 0.0, 0.0), (4, 1, 0.5, 0.0, 0.0), (1, 0, 0.0, 0.0, 0.0))):
    schedules.append(dict(kind=kind, steps=total, warmup=warmup, warmup_from=start, flat=flat, final=final,
                          factor=[factor(kind, total, warmup, start, flat, final, s) for s in range(total + 2)]))

# --- AdamW, both forms of epsilon ---
sizes, decays = (6, 3, 5), (1, 0, 1)
adam = []
b1, b2, eps, ema = 0.9, 0.999, 1e-5, 0.75
for tf1, (decay, clip) in itertools.product((0, 1), ((0.0, 0.0), (0.1, 1.0))):
    p = [f32(rng.normal(0, 1, n)) for n in sizes]
    start = [x.copy() for x in p]
    m, v, average = [np.zeros(n) for n in sizes], [np.zeros(n) for n in sizes], [x.copy() for x in p]
    beta1, beta2, e, lam = f32([b1, b2, eps, decay])
    case = dict(tf1=tf1, weight_decay=decay, clip=clip, beta1=b1, beta2=b2, eps=eps, ema=ema, decays=decays,
                start=start, steps=[])
    for t in range(1, 6):
        lr = float(f32(0.01 / t))
        g = [f32(rng.normal(0, 10.0 ** (1 - t), n)) for n in sizes]
        norm = math.sqrt(sum(float(np.sum(x * x)) for x in g))
        scale = clip / norm if clip and norm > clip else 1.0
        for i, x in enumerate(g):
            x = x * scale
            m[i] = beta1 * m[i] + (1 - beta1) * x
            v[i] = beta2 * v[i] + (1 - beta2) * x * x
            if decays[i]:
                p[i] = p[i] - lr * lam * p[i]
            if tf1:
                p[i] = p[i] - lr * math.sqrt(1 - beta2 ** t) / (1 - beta1 ** t) * m[i] / (np.sqrt(v[i]) + e)
            else:
                p[i] = p[i] - lr * (m[i] / (1 - beta1 ** t)) / (np.sqrt(v[i] / (1 - beta2 ** t)) + e)
            average[i] = ema * average[i] + (1 - ema) * p[i]
        case["steps"].append(dict(lr=lr, grad=g, norm=norm, p=[x.copy() for x in p]))
    case.update(m=m, v=v, average=average)
    adam.append(case)

moments = []
for x in (f32([5.0]), f32(rng.normal(100, 1e-2, 30)), f32(np.full(1000, 0.1))):
    moments.append(dict(x=x, mean=np.mean(x), variance=np.mean((x - np.mean(x)) ** 2)))
moments[-1].update(mean=float(f32(0.1)), variance=0.0)
write({"schedule": schedules, "adamw": adam, "moments": moments})
