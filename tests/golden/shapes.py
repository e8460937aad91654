#!/usr/bin/env python3
"""Writes shapes.json: small tokenizers of the shapes that models are published with, trained here on text made up
here, and what Hugging Face's tokenizers (0.23) does with some texts. shapes.py > shapes.json; it needs
the package tokenizers."""
import itertools
import json
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

# ---- text to train on ----
WHO = "the cat|a small dog|our teacher|the old miller|my sister's friend|nobody|Dr. Brown|the river".split("|")
DOES = "walks to|looks at|doesn't like|is counting|can't find|has painted|will remember".split("|")
WHAT = "the bridge|1234 stones|a boat's sail|the café|two houses|tomorrow's bread|x = f(y)".split("|")
TEXT = [f"{w} {d} {o}.\n" for w, d, o in itertools.product(WHO, DOES, WHAT)]
TEXT += ["Die Straße führt über die Brücke.\n", "Кошка сидит у реки.\n", "猫は川のそばに座る。\n", "for (int i = 0; i < n; i++) {\n"] * 20

CONTROL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def level_model():
    """Bytes, then merges within GPT-2's words; id 0 is the end of text."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<|endoftext|>"], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False))
    return json.loads(t.to_str())["model"]


def mark_model():
    """Characters with a mark for spaces, and the 256 bytes for what is missing."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator([x.replace("\n", "") for x in TEXT], trainers.BpeTrainer(
        vocab_size=520, special_tokens=CONTROL + BYTES, show_progress=False))
    return json.loads(t.to_str())["model"]


def split(regex, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(regex), behavior, invert)


def level(**options):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, "trim_offsets": False, "use_regex": False, **options})


def bos(name, i):
    return {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {name: {"id": name, "ids": [i], "tokens": [name]}}}


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
DEEPSEEK = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"\s+$", "[一-龥ࠀ-一가-퟿]+"]
S = pre_tokenizers.Sequence
D = decoders
MARKS = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
FLAGS = [AddedToken("<l>", lstrip=True, normalized=False, special=True),
         AddedToken("<r>", rstrip=True, normalized=False, special=True),
         AddedToken("<w>", single_word=True, normalized=False, special=True),
         AddedToken("cat", single_word=True, normalized=False),
         AddedToken("<n>", normalized=True), AddedToken("  ", normalized=False), AddedToken("<l>x", normalized=False)]

# name: model, normalizer, pre_tokenizer, decoder, post_processor, further added tokens, options of the model
SHAPES = {
    "gpt2": ("level", None, level(use_regex=True), D.ByteLevel(), None, [], {}),
    "prefix": ("level", None, level(use_regex=True, add_prefix_space=True), D.ByteLevel(), None, [], {}),
    "smollm": ("level", None, S([pre_tokenizers.Digits(True), level(use_regex=True)]), D.ByteLevel(), None, [], {}),
    "llama3": ("level", None, S([split(LLAMA3), level()]), D.ByteLevel(), bos("<|endoftext|>", 0), [],
               {"ignore_merges": True}),
    "qwen": ("level", normalizers.NFC(), S([split(QWEN2), level()]), D.ByteLevel(), None, [], {}),
    "deepseek": ("level", None, S([split(x) for x in DEEPSEEK] + [pre_tokenizers.Digits(True), level()]),
                 D.ByteLevel(), None, [], {}),
    "removed": ("level", normalizers.Lowercase(), S([split(LLAMA3, "removed", True), level()]), D.ByteLevel(), None,
                [], {}),
    "next": ("level", normalizers.Replace(Regex(" {2,}"), "_"), S([split("[0-9]+", "contiguous"),
             split(r"\s", "merged_with_next"), split(r"[a-z]{4}", "merged_with_previous"), level()]), D.ByteLevel(),
             None, [], {}),
    "flags": ("level", None, level(use_regex=True), D.ByteLevel(), None, FLAGS, {}),
    "llama2": ("marks", normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None, MARKS,
               bos("<s>", 1), [], {}),
    "llama2_flags": ("marks", normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
                     MARKS, None, FLAGS, {}),
    "unknown": ("marks", normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None, MARKS,
                None, [], {"byte_fallback": False}),
    "mistral": ("marks", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), MARKS, None, [], {}),
    "metaspace": ("marks", None, pre_tokenizers.Metaspace(), D.Metaspace(), None, [], {}),
    "gemma": ("marks", normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
              D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse()]), None, [], {}),
}

TEXTS = [
    "", " ", "the cat", " the  cat ", "The cat can't find x = f(y).\n\n  It'S 12345 stones!\n", "\n\n\n\tif (a<b) {\r\n}  \r\n",
    "e\u0301 \u00e9 \u212b Cafe\u0301", "ΣΑΣ Straße İ ǅ", "猫は川。。 Кошка 한국어 ٣٤٥ ½ Ⅷ", "🦙👍🏽 a\u00a0b\u3000c\u200b",
    "<0x0A> ▁the▁cat ▁ _", "<s>the cat</s> <unk> <|endoftext|>x", "'ſ 'LL don't", "zzqq  qqzz\x00\x7f",
    "<l>a <l> b  <r>  c<r>\n<w>d <w> <w>", "cat cats the cat<l>x <n> a<n>  <r> ",
]


def assemble(model, normalizer, pre, decoder, post, added, options):
    t = Tokenizer(models.BPE())
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer or normalizers.Sequence([]), pre, decoder
    parts = json.loads(t.to_str())
    n = max(MODELS[model]["vocab"].values()) + 1
    names = CONTROL if model == "marks" else ["<|endoftext|>"]
    special = [AddedToken(x, normalized=False, special=True) for x in names]
    ids = [MODELS[model]["vocab"][x] for x in names]
    for token in added:
        ids.append(MODELS[model]["vocab"].get(token.content, n))
        n = max(n, ids[-1] + 1)
    flags = [{"id": i, "content": x.content, "single_word": x.single_word, "lstrip": x.lstrip, "rstrip": x.rstrip,
              "normalized": x.normalized, "special": x.special} for i, x in zip(ids, special + added)]
    return {"added_tokens": flags, "normalizer": normalizer and parts["normalizer"],
            "pre_tokenizer": parts["pre_tokenizer"], "post_processor": post, "decoder": parts["decoder"],
            "options": options}


def byte_offsets(text, offsets):
    at = [len(text[:i].encode()) for i in range(len(text) + 1)]
    return [at[x] for pair in offsets for x in pair]


def cases(name, parts, model):
    whole = {"version": "1.0", **parts, "model": {**MODELS[model], **parts["options"]}}
    del whole["options"]
    t = Tokenizer.from_str(json.dumps(whole))
    out = []
    for text in TEXTS:
        found = t.encode(text, add_special_tokens=False)
        shown, plain = t.decode(found.ids, skip_special_tokens=False), t.decode(found.ids)
        one = {"ids": found.ids}
        if shown != text:
            one["shown"] = shown
        if plain != shown:
            one["plain"] = plain
        if name in ("gpt2", "flags", "llama2", "llama2_flags"):
            one["spans"] = byte_offsets(text, found.offsets)
        out.append(one)
    return out


MODELS = {"level": level_model(), "marks": mark_model()}
MODELS["level"]["merges"] = [" ".join(m) for m in MODELS["level"]["merges"]]  # the older way to write them
result = []
for name, shape in SHAPES.items():
    parts = assemble(*shape)
    result.append({"name": name, "model": shape[0], **parts, "cases": cases(name, parts, shape[0])})

lines = [f'"texts":{json.dumps(TEXTS, separators=(",", ":"))}', f'"models":{json.dumps(MODELS, separators=(",", ":"))}', '"tokenizers":[\n' + ",\n".join(
    json.dumps(one, separators=(",", ":")) for one in result) + "\n]"]
sys.stdout.write("{" + ",\n".join(lines) + "}\n")
