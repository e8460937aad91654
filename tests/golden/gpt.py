"""GPT-2 and Llama in PyTorch, float64, from Hugging Face directories: a forward written from the papers and
nothing of the C code, for trace.py. safetensors and tokenizer.json are read by hand."""
import json
import math
import os

import numpy as np
import torch

DTYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}


def read_safetensors(path):
    """{name: array}. An 8-byte length, a JSON header with dtype, shape and offsets, the bytes."""
    with open(path, "rb") as f:
        data = f.read()
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        out[name] = np.frombuffer(body[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return out


def count_ids(directory):
    """Ids up to the largest of tokenizer.json: what the softmax runs over. None without the file."""
    path = os.path.join(directory, "tokenizer.json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as f:
        tokenizer = json.load(f)
    ids = list(tokenizer["model"]["vocab"].values()) + [t["id"] for t in tokenizer.get("added_tokens", [])]
    return max(ids) + 1


class Model:
    def __init__(self, directory):
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as f:
            self.config = json.load(f)
        arrays = read_safetensors(os.path.join(directory, "model.safetensors"))
        self.parameters = {name: torch.tensor(a, dtype=torch.float64, requires_grad=True)
                           for name, a in arrays.items()}
        c = self.config
        self.kind = c["model_type"]
        if self.kind not in ("gpt2", "llama"):
            raise SystemExit(f"{directory}: model_type {self.kind} is not known here; gpt2 and llama are")
        self.prefix = {"gpt2": "transformer.", "llama": "model."}[self.kind]
        self.table = self["wte.weight" if self.kind == "gpt2" else "embed_tokens.weight"]
        self.head = self.parameters.get("lm_head.weight", self.table)
        self.n_vocab = min(count_ids(directory) or self.table.shape[0], self.table.shape[0])

    def __getitem__(self, name):
        return self.parameters[self.prefix + name]

    def linear(self, x, name):
        """Llama's matrices are [out, in], GPT-2's (Conv1D) [in, out]; biases where there are any."""
        w, b = self[name + ".weight"], self.parameters.get(self.prefix + name + ".bias")
        y = x @ (w if self.kind == "gpt2" else w.T)
        return y if b is None else y + b

    def attend(self, q, k, v, n_head, n_kv_head):
        """Causal attention of one sequence; q, k, v: [T, heads x head_dim]."""
        t = q.shape[0]
        q, k, v = (x.view(t, n, -1).transpose(0, 1) for x, n in ((q, n_head), (k, n_kv_head), (v, n_kv_head)))
        if self.kind == "llama":
            q, k = self.rotate(q), self.rotate(k)
        k, v = (x.repeat_interleave(n_head // n_kv_head, 0) for x in (k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), -math.inf)
        return (torch.softmax(scores, -1) @ v).transpose(0, 1).reshape(t, -1)

    def rotate(self, x):
        """Rotary positions (Su et al. 2021) with the pairs (i, i + head_dim / 2)."""
        t, half = x.shape[1], x.shape[2] // 2
        theta = self.config.get("rope_theta") or 10000.0
        step = theta ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(t, dtype=torch.float64)[:, None] * step
        cos, sin, a, b = torch.cos(angle), torch.sin(angle), x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def hidden_gpt2(self, tokens):
        c, eps = self.config, self.config.get("layer_norm_epsilon", 1e-5)
        norm = lambda x, name: torch.nn.functional.layer_norm(
            x, x.shape[-1:], self[name + ".weight"], self[name + ".bias"], eps)
        x = self.table[tokens] + self["wpe.weight"][:len(tokens)]
        for i in range(c["n_layer"]):
            h = f"h.{i}."
            q, k, v = self.linear(norm(x, h + "ln_1"), h + "attn.c_attn").chunk(3, -1)
            x = x + self.linear(self.attend(q, k, v, c["n_head"], c["n_head"]), h + "attn.c_proj")
            u = self.linear(norm(x, h + "ln_2"), h + "mlp.c_fc")
            u = 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u ** 3)))
            x = x + self.linear(u, h + "mlp.c_proj")
        return norm(x, "ln_f")

    def hidden_llama(self, tokens):
        c, eps = self.config, self.config.get("rms_norm_eps", 1e-6)
        norm = lambda x, name: x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * self[name + ".weight"]
        n_head = c["num_attention_heads"]
        x = self.table[tokens]
        for i in range(c["num_hidden_layers"]):
            h = f"layers.{i}."
            y = norm(x, h + "input_layernorm")
            q, k, v = (self.linear(y, f"{h}self_attn.{p}_proj") for p in "qkv")
            y = self.attend(q, k, v, n_head, c.get("num_key_value_heads") or n_head)
            x = x + self.linear(y, h + "self_attn.o_proj")
            y = norm(x, h + "post_attention_layernorm")
            gate = torch.nn.functional.silu(self.linear(y, h + "mlp.gate_proj"))
            x = x + self.linear(gate * self.linear(y, h + "mlp.up_proj"), h + "mlp.down_proj")
        return norm(x, "norm")

    def hidden(self, tokens):
        """Final-normed states [T, d] of one sequence, from position 0."""
        tokens = torch.as_tensor(np.asarray(tokens, dtype=np.int64))
        return self.hidden_gpt2(tokens) if self.kind == "gpt2" else self.hidden_llama(tokens)

    def logprob(self, tokens, prompt_len, temperature):
        """Of each answer token: read at the position before it, over the tokenizer's ids, logits / temperature."""
        states = self.hidden(tokens)[prompt_len - 1:-1]
        logits = states @ self.head[:self.n_vocab].T / temperature
        answer = torch.as_tensor(np.asarray(tokens[prompt_len:], dtype=np.int64))
        return torch.log_softmax(logits, -1)[torch.arange(len(answer)), answer]

    def value(self, tokens, prompt_len):
        """Of each answer token: read where the token was chosen."""
        states = self.hidden(tokens)[prompt_len - 1:-1]
        raw = states @ self.parameters["score.weight"][0]
        if "score.bias" in self.parameters:
            raw = raw + self.parameters["score.bias"]
        return (raw - self.config.get("reward_mean", 0.0)) / self.config.get("reward_std", 1.0)
