"""Golden numbers of rlhf eval choices and rlhf eval perplexity:
python3 tests/golden/choices.py > tests/golden/choices.json

A Llama of one block in NumPy, float64, whose weights follow from their names, over the 256 bytes and an end-of-text;
and Newcombe's paired interval, with a bootstrap beside it that must agree."""
import numpy as np

from golden import write

D, HEADS, HEAD, FF, VOCAB, CONTEXT, EPS, THETA = 8, 2, 4, 16, 257, 64, 1e-5, 10000.0
SHAPES = {
    "model.embed_tokens.weight": (VOCAB, D), "lm_head.weight": (VOCAB, D), "model.norm.weight": (D,),
    "model.layers.0.input_layernorm.weight": (D,), "model.layers.0.post_attention_layernorm.weight": (D,),
    "model.layers.0.self_attn.q_proj.weight": (D, D), "model.layers.0.self_attn.k_proj.weight": (HEAD, D),
    "model.layers.0.self_attn.v_proj.weight": (HEAD, D), "model.layers.0.self_attn.o_proj.weight": (D, D),
    "model.layers.0.mlp.gate_proj.weight": (FF, D), "model.layers.0.mlp.up_proj.weight": (FF, D),
    "model.layers.0.mlp.down_proj.weight": (D, FF)}


def weight(name, shape):
    """Element j is sin(j + 1 + (sum of the name's bytes))."""
    j = np.arange(np.prod(shape)) + 1 + sum(name.encode())
    return np.sin(j).astype(np.float32).astype(np.float64).reshape(shape)


W = {name: weight(name, shape) for name, shape in SHAPES.items()}
# GPT-2's order of the bytes: those that print come first. Id 0 is the end-of-text.
PRINTED = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
ID = {b: 1 + i for i, b in enumerate(PRINTED + [b for b in range(256) if b not in PRINTED])}


def norm(x, name):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * W["model." + name + ".weight"]


def rotate(x):
    """[T, heads, HEAD], pairs (i, i + HEAD / 2)."""
    half = HEAD // 2
    angle = np.arange(len(x))[:, None, None] * THETA ** (-np.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)


def logprobs(ids):
    """log p(ids[i] | ids[:i]) for i >= 1."""
    x, t = W["model.embed_tokens.weight"][ids], len(ids)
    y = norm(x, "layers.0.input_layernorm")
    q, k, v = ((y @ W[f"model.layers.0.self_attn.{p}_proj.weight"].T).reshape(t, -1, HEAD) for p in "qkv")
    q, k = rotate(q), rotate(k)
    out = np.zeros((t, HEADS, HEAD))
    for h in range(HEADS):
        scores = q[:, h] @ k[:, 0].T / np.sqrt(HEAD)
        scores[np.triu_indices(t, 1)] = -np.inf
        p = np.exp(scores - scores.max(-1, keepdims=True))
        out[:, h] = p / p.sum(-1, keepdims=True) @ v[:, 0]
    x = x + out.reshape(t, -1) @ W["model.layers.0.self_attn.o_proj.weight"].T
    y = norm(x, "layers.0.post_attention_layernorm")
    gate, up = (y @ W[f"model.layers.0.mlp.{p}_proj.weight"].T for p in ("gate", "up"))
    x = x + (gate / (1 + np.exp(-gate)) * up) @ W["model.layers.0.mlp.down_proj.weight"].T
    logits = norm(x, "norm") @ W["lm_head.weight"].T
    m = logits.max(-1, keepdims=True)
    logp = logits - m - np.log(np.exp(logits - m).sum(-1, keepdims=True))
    return logp[np.arange(t - 1), ids[1:]]


def encode(text):
    return [ID[b] for b in text.encode()]


# ---- choices ----
QUESTIONS = [dict(subject="high_art", context="Red is a", choices=["colour", "kind of fish", "day"], label=0),
             dict(subject="high_art", context="A cat", choices=["flies", "mews", "a"], label=1)]
FORMS = [dict(form="{context} {choice}", between="\n\n", preamble="", shots=0),
         dict(form="{context} {choice}", between="\n", preamble="", shots=1),
         dict(form="Q: {context}\nA: {choice}", between="\n\n", preamble="On {subject}.\n", shots=0),
         dict(form="{context}\n{choices}\n= {letter}", between="#", preamble="", shots=0),
         dict(form="{choice}", between="", preamble="", shots=0),
         dict(form="{context}\n{choices}\nAnswer: {letter}", between="\n\n", preamble="", shots=1)]


def letter(i):
    return "ABC"[i]


def fill(form, q, last):
    listed = "\n".join(f"{letter(i)}. {c}" for i, c in enumerate(q["choices"]))
    text = form.replace("{context}", q["context"]).replace("{subject}", q["subject"].replace("_", " "))
    return text.replace("{choices}", listed).replace("{choice}", last).replace("{letter}", last)


def scored(form, q, i):
    return letter(i) if form["form"].endswith("{letter}") else q["choices"][i]


def score(form, q, other):
    before = fill(form["preamble"], q, "")
    if form["shots"]:
        before += fill(form["form"], other, scored(form, other, other["label"])) + form["between"]
    before += fill(form["form"], q, "")
    out = []
    for i in range(len(q["choices"])):
        behind = before[len(before.rstrip()):] + scored(form, q, i)
        context, choice = encode(before.rstrip()) or [0], encode(behind)
        longest = max(len(encode(before[len(before.rstrip()):] + scored(form, q, j)))
                      for j in range(len(q["choices"])))
        context = context[-(CONTEXT + 1 - longest):]
        out.append(logprobs(context + choice)[len(context) - 1:].sum())
    return out


choices = [dict(f, logprob=[x for i in (0, 1) for x in score(f, QUESTIONS[i], QUESTIONS[1 - i])]) for f in FORMS]

# ---- perplexity: a document of 100 bytes ----
TEXT = "".join(chr(97 + i * i % 26) + (" " if i % 5 == 4 else "") for i in range(84))[:100]


def nats(window, stride, start):
    ids, first, total = ([0] if start else []) + encode(TEXT), 1, 0.0
    end = min(window, len(ids))
    while True:
        begin = max(0, end - window)
        total -= logprobs(ids[begin:end])[first - begin - 1:].sum()
        if end == len(ids):
            return total
        first, end = end, min(end + stride, len(ids))


perplexity = [dict(text=TEXT, window=w, stride=s, start=start, nats=nats(w, s, start))
              for w, s, start in ((64, 32, 1), (64, 63, 1), (20, 5, 0), (2, 1, 1))]

# ---- the paired interval ----
Z = 1.959963984540054


def wilson(k, n):
    p = k / n
    half = Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return (p + Z * Z / (2 * n) - half) / (1 + Z * Z / n), (p + Z * Z / (2 * n) + half) / (1 + Z * Z / n)


def newcombe(e, f, g, h):
    n = e + f + g + h
    (l1, u1), (l2, u2), p1, p2 = wilson(e + f, n), wilson(e + g, n), (e + f) / n, (e + g) / n
    margins, c = (e + f) * (g + h) * (e + g) * (f + h), e * h - f * g
    c = c - n / 2 if c > n / 2 else min(c, 0)
    phi = c / np.sqrt(margins) if margins else 0
    low = np.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    high = np.sqrt((p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2)
    return p1 - p2 - low, p1 - p2 + high


rng = np.random.default_rng(1)
pairs = []
for table in ((36, 12, 2, 0), (100, 40, 20, 140), (0, 0, 0, 9), (5, 0, 0, 0), (1, 7, 3, 1), (300, 55, 60, 85)):
    low, high = newcombe(*table)
    n = sum(table)
    pairs.append(dict(table=table, difference=(table[1] - table[2]) / n, low=low, high=high))
    if n >= 300:
        drawn = rng.multinomial(n, np.array(table) / n, 100000)
        a, b = np.quantile((drawn[:, 1] - drawn[:, 2]) / n, [0.025, 0.975])
        assert abs(a - low) < 0.008 and abs(b - high) < 0.008, (table, a, low, b, high)
write(dict(questions=QUESTIONS, choices=choices, perplexity=perplexity, pairs=pairs))
