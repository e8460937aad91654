"""Golden numbers of tests/rlhf/test_smollm2: what transformers makes of 64 texts of the shared data with SmolLM2-135M-
Instruct, as tests/real/fetch.sh left it: RLHF_MODELS=... python3 tests/golden/smollm2.py > tests/golden/smollm2.json
(from the project's root). Texts are named by file, line and field and by their SHA-256; they do not stand here."""
import hashlib
import json
import os

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from golden import write

SHARED = os.environ.get("RLHF_SHARED", "../shared") + "/data/"
MODEL = os.environ["RLHF_MODELS"] + "/SmolLM2-135M-Instruct"
# File, field, how many texts, the longest in bytes.
SOURCES = [("demonstrations/gsm8k_train.jsonl", "prompt", 14, 400), ("demonstrations/gsm8k_train.jsonl", "completion", 10, 300),
           ("demonstrations/seed_tasks.jsonl", "completion", 10, 400), ("eval/mmlu.jsonl", "context", 10, 400),
           ("eval/hellaswag.jsonl", "context", 10, 400), ("eval/cmmlu.jsonl", "context", 10, 150)]
PROMPTS = ["What is the capital of France?", "Name three colours.", "Why is the sky blue?", "Write one sentence about a cat."]
END, NEW = 0, 24


def texts():
    for name, field, n, most in SOURCES:
        lines = open(SHARED + name, encoding="utf-8").read().split("\n")
        fit = [(i, json.loads(x)[field]) for i, x in enumerate(lines, 1) if x]
        fit = [(i, x) for i, x in fit if 20 <= len(x.encode()) <= most]
        for i, text in fit[:: len(fit) // n][:n]:
            yield name, i, field, text


def main():
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    cases = []
    for name, line, field, text in texts():
        ids = tokenizer.encode(text, add_special_tokens=False) + [END]
        with torch.no_grad():
            logprob = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        picked = [round(logprob[i, t].item(), 6) for i, t in enumerate(ids[1:])]
        cases.append(dict(file=name, line=line, field=field, sha256=hashlib.sha256(text.encode()).hexdigest(),
                          tokens=hashlib.sha256(torch.tensor(ids, dtype=torch.int32).numpy().tobytes()).hexdigest(),
                          logprob=picked))
    answers = []
    for prompt in PROMPTS:
        chat = [{"role": "user", "content": prompt}]  # the model's own system prompt comes before it
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        out, gap = [], []
        for _ in range(NEW):
            with torch.no_grad():
                top = model(torch.tensor([ids + out])).logits[0, -1].topk(2)
            out.append(top.indices[0].item())
            gap.append(round((top.values[0] - top.values[1]).item(), 5))
            if out[-1] == tokenizer.eos_token_id:
                break
        answers.append(dict(prompt=prompt, tokens=out, gap=gap))
    write({"texts": cases, "answers": answers})


main()
