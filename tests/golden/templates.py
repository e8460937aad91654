#!/usr/bin/env python3
"""Chat templates as transformers renders them (5.24, tokenizers 0.23).

    templates.py DIRECTORY > templates.json   renders the published texts, DIRECTORY/NAME.jinja, of all names below
    templates.py check RLHF                   the Jinja texts that the program RLHF writes render the same

The texts come with the models: "chat_template" of tokenizer_config.json, or chat_template.jinja. They are not kept here;
templates.json has their SHA-256."""
import hashlib
import json
import os
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
IM = ["<|im_start|>", "<|im_end|>"]
HEADERS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
# our name: published texts that must render the same, the shape of tests/golden/shapes.json, control tokens, bos, eos
TEMPLATES = {
    "chatml": (["chatml", "qwen3"], "qwen", IM, None, "<|im_end|>"),
    "qwen2": (["qwen2"], "qwen", IM, None, "<|im_end|>"),
    "qwen2.5": (["qwen2.5"], "qwen", IM, None, "<|im_end|>"),
    "smollm2": (["smollm2"], "smollm", IM, None, "<|im_end|>"),
    "llama2": (["llama2"], "llama2", [], "<s>", "</s>"),
    "llama3": (["llama3"], "llama3", HEADERS, "<|begin_of_text|>", "<|eot_id|>"),
    "llama3.1": (["llama3.1", "llama3.2"], "llama3", HEADERS, "<|begin_of_text|>", "<|eot_id|>"),
    "mistral": (["mistral-v0.2"], "mistral", [], "<s>", "</s>"),
    "mistral-v3": (["mistral-v0.3"], "mistral", ["[INST]", "[/INST]"], "<s>", "</s>"),
    "zephyr": (["zephyr"], "llama2", [], "<s>", "</s>"),
    "gemma": (["gemma"], "gemma", ["<bos>", "<start_of_turn>", "<end_of_turn>"], "<bos>", "<end_of_turn>"),
}
S, U, A = "system", "user", "assistant"
CHATS = [
    [(U, "Where is the cat?")],
    [(S, "Be short."), (U, "Where is the cat?")],
    [(U, "the cat"), (A, "It walks to the bridge."), (U, "And the dog?\n\nAnd 12 boats?")],
    [(S, "Be short."), (U, "the cat"), (A, "has painted\ntwo houses"), (U, "x = f(y)"), (A, "Кошка 猫.")],
    [(U, "the river"), (A, "the bridge")],
    [(S, " Be short.\n"), (U, "\n the cat "), (A, " is counting \n"), (U, "\twho?\n")],
    [(U, "one"), (U, "two")],
]
NO_IDS = [5]  # white space at the seams: there an assistant's text is encoded by itself


def chat_of(chat):
    return [{"role": role, "content": content} for role, content in chat]


def tokenizer_of(shape, controls, bos, eos):
    with open(os.path.join(HERE, "shapes.json")) as f:
        golden = json.load(f)
    parts = next(t for t in golden["tokenizers"] if t["name"] == shape)
    model = {**golden["models"][parts["model"]], **parts["options"]}
    n = max(model["vocab"].values()) + 1
    added = parts["added_tokens"] + [
        {"id": n + i, "content": x, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True} for i, x in enumerate(controls)]
    whole = {"version": "1.0", "added_tokens": added, "normalizer": parts["normalizer"],
             "pre_tokenizer": parts["pre_tokenizer"], "post_processor": parts["post_processor"],
             "decoder": parts["decoder"], "model": model}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(whole)), bos_token=bos, eos_token=eos)


def render(tok, chat, **options):
    """The string, or None where the template raises an exception."""
    try:
        return tok.apply_chat_template(chat_of(chat), tokenize=False, add_generation_prompt=chat[-1][0] != A,
                                       date_string="26 Jul 2024", **options)
    except Exception as e:
        print(f"{chat}: {e}", file=sys.stderr)
        return None


def golden(directory):
    lines = []
    for name, (published, shape, controls, bos, eos) in TEMPLATES.items():
        tok = tokenizer_of(shape, controls, bos, eos)
        cases, hashes = [], {}
        for text in published:
            with open(os.path.join(directory, text + ".jinja"), encoding="utf-8") as f:
                jinja = f.read()
            hashes[text] = hashlib.sha256(jinja.encode()).hexdigest()
            tok.chat_template = jinja
            strings = [render(tok, chat) for chat in CHATS]
            if name == "mistral-v3":  # moves a system prompt to the last turn, and drops it before an answer: we refuse
                strings = [None if chat[0][0] == S else s for s, chat in zip(strings, CHATS)]
            if not cases:
                cases = [{"text": s} for s in strings]
            for case, s, chat in zip(cases, strings, CHATS):
                if text == "qwen3" and chat[-1][0] == A:
                    continue  # it puts an empty block of thoughts before the last answer
                assert case["text"] == s, (text, case["text"], s)
        for i, case in enumerate(cases):
            if case["text"] is not None and i not in NO_IDS:
                case["ids"] = tok(case["text"], add_special_tokens=False)["input_ids"]
        lines.append(json.dumps({"name": name, "published": hashes, "shape": shape, "controls": controls, "bos": bos,
                                 "eos": eos, "cases": cases}, separators=(",", ":")))
    chats = json.dumps([chat_of(c) for c in CHATS], separators=(",", ":"))
    print(f'{{"chats":{chats},\n"templates":[\n' + ",\n".join(lines) + "\n]}")


def check(program):
    with open(os.path.join(HERE, "templates.json")) as f:
        wanted = json.load(f)["templates"]
    with tempfile.TemporaryDirectory() as work:
        text = os.path.join(work, "text.txt")
        with open(text, "w") as f:
            f.write("the cat and the dog and the cat and the dog\n" * 9)
        for one in wanted:
            out = os.path.join(work, one["name"])
            subprocess.run([program, "tokenizer", text, "--vocab", "270", "--template", one["name"], out], check=True,
                           stdout=subprocess.DEVNULL)
            tok = AutoTokenizer.from_pretrained(out)
            for case, chat in zip(one["cases"], CHATS):
                s = render(tok, chat)
                if case["text"] is not None:
                    assert s == case["text"], (one["name"], s, case["text"])
            print(one["name"], "renders as published")


if len(sys.argv) == 3 and sys.argv[1] == "check":
    check(sys.argv[2])
elif len(sys.argv) == 2:
    golden(sys.argv[1])
else:
    sys.exit(__doc__)
