"""Adapters as PEFT writes them, over a model as transformers writes it, and what both compute: tests/golden/adapters/ for
tests/model/test_model_adapters.c. Needs torch, transformers and peft; run from anywhere: python adapters.py"""
import json
import os
import shutil

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, LlamaConfig, LlamaForCausalLM

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "adapters")
shutil.rmtree(here, ignore_errors=True)
os.makedirs(here)
os.chdir(here)
torch.set_num_threads(1)
torch.manual_seed(7)

shape = LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, head_dim=4, max_position_embeddings=48, tie_word_embeddings=False,
                    initializer_range=0.3, bos_token_id=0, eos_token_id=1)
LlamaForCausalLM(shape).save_pretrained("base")

token = [[int(x) for x in torch.randint(2, 64, (n,))] for n in (17, 5, 30)]
weight = [[round(float(x), 4) for x in torch.randn(n - 1)] for n in (17, 5, 30)]


def adapt(model, **how):
    """An adapter that changes something: B is not zero."""
    model = get_peft_model(model, LoraConfig(r=3, lora_alpha=6, **how))
    for name, p in model.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(p, std=0.3)
    return model.eval()


def save(model, directory):
    model.save_pretrained(directory)
    os.remove(directory + "/README.md")


policy = adapt(LlamaForCausalLM.from_pretrained("base", dtype=torch.float32), task_type="CAUSAL_LM",
               target_modules=["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"])
save(policy, "policy")
out = {"token": token, "weight": weight, "logprob": [], "gradient": {}}
loss = 0
for ids, w in zip(token, weight):
    z = policy(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    p = z[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    out["logprob"].append(p.tolist())
    loss = loss + (p * torch.tensor(w)).sum()
loss.backward()
for name, p in policy.named_parameters():
    if p.requires_grad:
        out["gradient"][name.replace(".default", "")] = p.grad.double().norm().item()

judge = adapt(AutoModelForSequenceClassification.from_pretrained("base", num_labels=1, dtype=torch.float32),
              task_type="SEQ_CLS", target_modules=["k_proj", "gate_proj"])
judge.config.pad_token_id = None
save(judge, "judge")
out["score"] = [judge(torch.tensor([ids])).logits.item() for ids in token]

with open("expected.json", "w") as f:
    json.dump(out, f)
