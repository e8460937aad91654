"""Small random models of every family, as transformers writes them, and what transformers makes of them in f32.

    python3 tests/golden/families.py tests/golden/families [NAME...]

writes DIRECTORY/NAME: config.json and model.safetensors (or shards) of the language model, gradients.safetensors
(of the mean negative log-probability of all tokens but the first of each sequence), score/ (the classifier of one
label: config.json, model.safetensors) and figures.json. Needs torch, transformers (4.56 or later) and safetensors.
tests/model/test_families.c reads them; families_check.py asks the opposite question.
"""
import json
import os
import pathlib
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from safetensors.torch import save_file

VOCAB, D, CONTEXT = 150, 32, 128
LENGTHS = [2, 9, 40, 75]  # 75: behind the first 64 keys, and behind the window
F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16

LLAMA = dict(hidden_size=D, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=CONTEXT, rms_norm_eps=1e-5)
ROPE_31 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
               original_max_position_embeddings=64)

# name: (stem of the classes, what the config says, type of the files, size of a shard)
FAMILIES = {
    "gpt2": ("GPT2", dict(n_embd=24, n_layer=2, n_head=3, n_positions=CONTEXT), F16, None),
    "llama-2": ("Llama", LLAMA | dict(num_key_value_heads=4), F16, None),
    "llama-3.1": ("Llama", LLAMA | dict(rope_theta=500000.0, rope_scaling=ROPE_31), BF16, None),
    "llama-biases": ("Llama", LLAMA | dict(attention_bias=True, mlp_bias=True, head_dim=12, num_key_value_heads=1,
                                           rope_scaling=dict(rope_type="linear", factor=2.5)), BF16, None),
    "smollm2": ("Llama", LLAMA | dict(tie_word_embeddings=True, rope_theta=100000.0), BF16, None),
    "mistral": ("Mistral", LLAMA | dict(sliding_window=20), BF16, "20KB"),
    "qwen2": ("Qwen2", LLAMA | dict(hidden_size=24, tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=1000000.0), F32, None),
    "qwen3": ("Qwen3", LLAMA | dict(tie_word_embeddings=True, head_dim=12, rms_norm_eps=1e-6), BF16, None),
    "gemma": ("Gemma", LLAMA | dict(num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-6), BF16, None),
}


def randomise(model, generator):
    """Every tensor matters: gains and biases too, and the logits differ."""
    for name, p in model.named_parameters():
        x = torch.randn(p.shape, generator=generator)
        if "norm" in name or "ln_" in name:
            if name.endswith("weight"):
                x = 0.2 * x + (0 if "Gemma" in type(model).__name__ else 1)
            else:
                x = 0.2 * x
        elif p.dim() == 1:
            x = 0.2 * x
        elif "wpe" in name:
            x = 0.3 * x
        elif "wte" in name or "embed" in name:
            x = 0.5 * x
        else:
            x = x * 1.3 / x.shape[-1] ** 0.5
        p.data.copy_(x)


def saved(model, directory, dtype, shard):
    """The files hold dtype; what comes back computes with those numbers in f32."""
    extra = {"max_shard_size": shard} if shard else {}
    model.to(dtype).save_pretrained(directory, **extra)
    for other in directory.glob("generation_config.json"):
        other.unlink()
    return type(model).from_pretrained(directory, dtype=F32, attn_implementation="eager").eval()


def logprobs(model, ids):
    z = model(torch.tensor([ids]), use_cache=False).logits[0]
    return torch.log_softmax(z, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]


def greedy(model, prompt, n):
    """n tokens, and by how much each beat the second."""
    ids, margins = list(prompt), []
    with torch.no_grad():
        for _ in range(n):
            top = model(torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
            ids.append(int(top.indices[0]))
            margins.append(float(top.values[0] - top.values[1]))
    return ids[len(prompt):], margins


def make(directory, stem, settings, dtype, shard, seed):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    ids = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    config = getattr(transformers, stem + "Config")(vocab_size=VOCAB, **settings, **ids)
    suffix = "LMHeadModel" if stem == "GPT2" else "ForCausalLM"
    model = getattr(transformers, stem + suffix)(config)
    randomise(model, generator)
    model = saved(model, directory, dtype, shard)
    texts = [torch.randint(3, VOCAB, (n,), generator=generator).tolist() for n in LENGTHS]
    lines = [logprobs(model, t) for t in texts]
    (-torch.cat(lines).mean()).backward()
    save_file({n: p.grad for n, p in model.named_parameters()}, directory / "gradients.safetensors")
    answer, margin = greedy(model, texts[1], 24)

    config.num_labels = 1
    classifier = getattr(transformers, stem + "ForSequenceClassification")(config)
    base = classifier.base_model_prefix
    getattr(classifier, base).load_state_dict(getattr(model, base).state_dict())
    classifier.score.weight.data.copy_(torch.randn(classifier.score.weight.shape, generator=generator) / 5)
    classifier = saved(classifier, directory / "score", dtype, None)
    with torch.no_grad():
        scores = [float(classifier(torch.tensor([t])).logits[0, 0]) for t in texts]
    figures = {"made_by": f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}",
               "texts": texts, "logprobs": [x.detach().tolist() for x in lines], "scores": scores,
               "prompt": texts[1], "greedy": answer, "margin": margin}
    text = ",\n".join(f' "{k}": {json.dumps(v)}' for k, v in figures.items())
    (directory / "figures.json").write_text("{\n" + text + "\n}\n")
    size = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
    spread = torch.cat(lines)
    print(f"{directory.name}: {size // 1000} kB, log-probabilities {spread.min():.2f} to {spread.max():.2f}, "
          f"scores {min(scores):.2f} to {max(scores):.2f}, least margin {min(margin):.3f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    wanted = sys.argv[2:]
    for i, (name, (stem, settings, dtype, shard)) in enumerate(FAMILIES.items()):
        if not wanted or name in wanted:
            make(pathlib.Path(sys.argv[1]) / name, stem, settings, dtype, shard, seed=i + 1)
