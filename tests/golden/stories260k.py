#!/usr/bin/env python3
"""Turns llama2.c's stories260K (a .bin of weights and a .bin of tokens) into a Hugging Face directory.

    stories260k.py stories260K.bin tok512.bin OUT

OUT gets config.json, model.safetensors and tokenizer.json, which rlhf chat, generate and eval take. Token 1
(BOS) opens a story and ends it, so it is called <|endoftext|>. Python 3 alone is needed."""
import json
import os
import struct
import sys

BOS = 1
ROPE_THETA, NORM_EPS = 10000.0, 1e-5


def read_weights(path):
    """The header and {Hugging Face's name: (shape, floats)}. Layout: 7 ints; then every matrix of one kind,
    layer by layer; a table of rotations closes it."""
    with open(path, "rb") as f:
        data = f.read()
    names = ("dim", "hidden", "n_layer", "n_head", "n_kv_head", "vocab", "context")
    c = dict(zip(names, struct.unpack_from("<7i", data)))
    if min(c.values()) < 1:
        raise SystemExit(f"{path}: not a llama2.c file with a shared embedding: {c}")
    c["head"] = c["dim"] // c["n_head"]
    kv = c["n_kv_head"] * c["head"]
    layer = "model.layers.%d."
    plan = [("model.embed_tokens.weight", (c["vocab"], c["dim"])),
            (layer + "input_layernorm.weight", (c["dim"],)),
            (layer + "self_attn.q_proj.weight", (c["dim"], c["dim"])),
            (layer + "self_attn.k_proj.weight", (kv, c["dim"])),
            (layer + "self_attn.v_proj.weight", (kv, c["dim"])),
            (layer + "self_attn.o_proj.weight", (c["dim"], c["dim"])),
            (layer + "post_attention_layernorm.weight", (c["dim"],)),
            (layer + "mlp.gate_proj.weight", (c["hidden"], c["dim"])),
            (layer + "mlp.down_proj.weight", (c["dim"], c["hidden"])),
            (layer + "mlp.up_proj.weight", (c["hidden"], c["dim"])),
            ("model.norm.weight", (c["dim"],))]
    tensors, at = {}, 28
    for name, shape in plan:
        for number in range(c["n_layer"] if "%d" in name else 1):
            n = shape[0] * (shape[1] if len(shape) == 2 else 1)
            if at + 4 * n > len(data):
                raise SystemExit(f"{path}: ends inside {name}")
            values = data[at:at + 4 * n]
            at += 4 * n
            if "q_proj" in name or "k_proj" in name:
                values = halve(values, shape, c["head"])
            tensors[name % number if "%d" in name else name] = (shape, values)
    if len(data) != at + 4 * c["context"] * c["head"]:
        raise SystemExit(f"{path}: {len(data)} bytes, {at + 4 * c['context'] * c['head']} expected")
    return c, tensors


def halve(values, shape, head):
    """Rows of a head: pairs (2i, 2i + 1) that are rotated together become (i, i + head / 2)."""
    width = 4 * shape[1]
    rows = [values[r * width:(r + 1) * width] for r in range(shape[0])]
    order = [h * head + 2 * i + part
             for h in range(shape[0] // head) for part in range(2) for i in range(head // 2)]
    return b"".join(rows[r] for r in order)


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + len(values)]}
        at += len(values)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.writelines(values for _, values in tensors.values())


def write_config(path, c):
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": c["vocab"],
                   "hidden_act": "silu", "hidden_size": c["dim"], "intermediate_size": c["hidden"],
                   "max_position_embeddings": c["context"], "num_attention_heads": c["n_head"],
                   "num_hidden_layers": c["n_layer"], "num_key_value_heads": c["n_kv_head"],
                   "rms_norm_eps": NORM_EPS, "rope_theta": ROPE_THETA, "tie_word_embeddings": True,
                   "bos_token_id": BOS, "eos_token_id": BOS, "torch_dtype": "float32"}, f, indent=2)
        f.write("\n")


def read_tokens(path):
    """[(score, bytes)] by id. 4 bytes: the longest; then a float, a length and the bytes of each."""
    with open(path, "rb") as f:
        data = f.read()
    tokens, at = [], 4
    while at < len(data):
        score, n = struct.unpack_from("<fi", data, at)
        tokens.append((score, data[at + 8:at + 8 + n]))
        at += 8 + n
    return tokens


def byte_letters():
    """The letter that stands for each byte in GPT-2's vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in plain}
    for b in range(256):
        letters.setdefault(b, chr(256 + len(letters) - len(plain)))
    return letters


def write_tokenizer(path, tokens):
    """Three control tokens, 256 bytes <0xNN>, pieces with a score. A byte whose letter is a piece of its own is
    never made from text: it becomes an added token. A piece is merged from each two that make it, best score
    first, as SentencePiece does. (It also puts a space before a text; here one writes it.)"""
    letters = byte_letters()
    spell = lambda piece: "".join(letters[b] for b in piece)
    added = [(0, "<unk>", True), (BOS, "<|endoftext|>", True), (2, "</s>", True)]
    vocab = {spell(piece): number for number, (_, piece) in enumerate(tokens) if number >= 259}
    for b in range(256):
        if vocab.setdefault(letters[b], 3 + b) != 3 + b:
            added.append((3 + b, f"<0x{b:02X}>", False))
    merges = []
    for _, piece in sorted(tokens[259:], key=lambda token: -token[0]):
        word = spell(piece)
        merges += [[word[:i], word[i:]] for i in range(1, len(word))
                   if word[:i] in vocab and word[i:] in vocab]
    split = {"type": "Split", "pattern": {"Regex": " ?[^ ]+| "}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"version": "1.0", "truncation": None, "padding": None,
                   "added_tokens": [{"id": number, "content": text, "single_word": False, "lstrip": False,
                                     "rstrip": False, "normalized": False, "special": special}
                                    for number, text, special in sorted(added)],
                   "normalizer": None,
                   "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
                   "post_processor": None, "decoder": level,
                   "model": {"type": "BPE", "vocab": vocab, "merges": merges}}, f, ensure_ascii=False)


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    weights, tokens, out = sys.argv[1:]
    c, tensors = read_weights(weights)
    os.makedirs(out, exist_ok=True)
    write_safetensors(os.path.join(out, "model.safetensors"), tensors)
    write_config(os.path.join(out, "config.json"), c)
    write_tokenizer(os.path.join(out, "tokenizer.json"), read_tokens(tokens))


main()
