"""Golden numbers of tests/rlhf/test_choices_smollm2: log-probabilities that transformers gives to choices of questions
of the shared data, put as lm-evaluation-harness does, with SmolLM2-135M-Instruct as tests/real/fetch.sh left it:
RLHF_MODELS=... python3 tests/golden/choices_smollm2.py > tests/golden/choices_smollm2.json (from the project's root).
Questions are named by file and line; with one example in front, it is the other question of the case."""
import json
import os

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from golden import write

SHARED = os.environ.get("RLHF_SHARED", "../shared") + "/data/eval/"
MODEL = os.environ["RLHF_MODELS"] + "/SmolLM2-135M-Instruct"
CASES = [("hellaswag.jsonl", [1, 200, 700, 1500], "continue", 0), ("hellaswag.jsonl", [30, 31], "continue", 1),
         ("mmlu.jsonl", [3, 500, 900], "letters", 0), ("cmmlu.jsonl", [4, 600], "question", 0),
         ("mmlu.jsonl", [20, 21], "letters", 1)]


def prompt(form, q):
    if form == "continue":
        return q["context"] + " "
    if form == "question":
        return f"Question: {q['context']}\nAnswer: "
    listed = "\n".join(f"{'ABCD'[i]}. {c}" for i, c in enumerate(q["choices"]))
    return f"{q['context']}\n{listed}\nAnswer: "


def scored(form, q, i):
    return "ABCD"[i] if form == "letters" else q["choices"][i]


def main():
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    cases = []
    for name, lines, form, shots in CASES:
        all_lines = open(SHARED + name, encoding="utf-8").read().split("\n")
        asked = [json.loads(all_lines[i - 1]) for i in lines]
        values, counts = [], []
        for k, q in enumerate(asked):
            other = asked[1 - k] if shots else None
            text = prompt(form, other) + scored(form, other, other["label"]) + "\n\n" if shots else ""
            text += prompt(form, q)
            context = tokenizer.encode(text.rstrip())
            for i in range(len(q["choices"])):
                choice = tokenizer.encode(text + scored(form, q, i))[len(context):]
                with torch.no_grad():
                    logits = model(torch.tensor([context + choice[:-1]])).logits[0, len(context) - 1:]
                logprob = logits.double().log_softmax(-1)
                values.append(round(sum(logprob[j, t].item() for j, t in enumerate(choice)), 6))
                counts.append(len(choice))
        cases.append(dict(file=name, lines=lines, form=form, shots=shots, logprob=values, tokens=counts))
    write({"cases": cases})


main()
