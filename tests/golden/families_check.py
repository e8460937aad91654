"""What this project saves, read by transformers: no key missing or unexpected, and the same figures.

    RLHF_SAVE_FAMILIES=/tmp/saved build/bin/test_families
    python3 tests/golden/families_check.py tests/golden/families /tmp/saved

Needs torch and transformers (4.51 or later).
"""
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification


def load(auto, directory):
    model, told = auto.from_pretrained(directory, attn_implementation="eager", output_loading_info=True)
    wrong = {k: v for k, v in told.items() if v}
    if wrong:
        raise SystemExit(f"{directory}: {wrong}")
    return model.eval()


def check(golden, saved):
    figures = json.loads((golden / "figures.json").read_text())
    model = load(AutoModelForCausalLM, saved)
    classifier = load(AutoModelForSequenceClassification, saved / "score")
    worst = worst_score = 0
    with torch.no_grad():
        for text, want, score in zip(figures["texts"], figures["logprobs"], figures["scores"]):
            z = torch.log_softmax(model(torch.tensor([text]), use_cache=False).logits[0], -1)
            got = z[torch.arange(len(text) - 1), torch.tensor(text[1:])]
            worst = max(worst, float((got - torch.tensor(want)).abs().max()))
            worst_score = max(worst_score, abs(float(classifier(torch.tensor([text])).logits[0, 0]) - score))
        # Together, filled up: the padding must not be what is read.
        longest, pad = max(map(len, figures["texts"])), classifier.config.pad_token_id
        rows = [t + [pad] * (longest - len(t)) for t in figures["texts"]]
        mask = [[1] * len(t) + [0] * (longest - len(t)) for t in figures["texts"]]
        scores = classifier(torch.tensor(rows), attention_mask=torch.tensor(mask)).logits[:, 0]
        worst_batch = float((scores - torch.tensor(figures["scores"])).abs().max())
    files = len(list(saved.glob("*.safetensors")))
    print(f"{saved.name}: {files} file(s); log-probabilities differ by {worst:.1e}, scores by {worst_score:.1e}, "
          f"scores of a padded batch by {worst_batch:.1e}")
    if max(worst, worst_score, worst_batch) > 1e-4:
        raise SystemExit(1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        check(name, pathlib.Path(sys.argv[2]) / name.name)
