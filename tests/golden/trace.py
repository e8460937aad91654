#!/usr/bin/env python3
"""Recomputes PPO iterations from a trace, in PyTorch and float64, with nothing of the C code.

A run with --trace DIR leaves DIR/iteration-000001.safetensors and the directories
DIR/iteration-000001/{before,after}/{policy,value} (docs: formats). From these this script works out again
  logprob_old, logprob_ref, value_old   by its own GPT-2 / Llama forward (gpt.py)
  reward, advantage, return             from the traced log-probabilities, values and scores
  m.logprob, m.value, m.policy_loss, m.value_loss, m.grad_norm of each minibatch, its own updates in between
  after/policy, after/value             after its own AdamW updates
prints the largest difference of each field, and ends with 1 when one is beyond the tolerance, relative to
max(1, |number|). Settings come from RUN/config.yaml, learning rates and the KL coefficient from
RUN/metrics.jsonl.

Adam's moments are not in the trace: they are carried from iteration 1 on. Where an iteration's predecessor is
not there, or a pre-training loss is mixed in (ppo.ptx_coef), what follows the first update is not checked, and
said so. Adam divides by the gradient's own size, so an entry whose gradient is rounding noise may move either
way; the weights' tolerance is wider by what a gradient off by --noise x its norm / sqrt(count) can change."""
import argparse
import glob
import json
import math
import os
import sys

import numpy as np
import torch

from gpt import Model, read_safetensors

f32 = lambda x: float(np.float32(x))


class Table:
    """Largest differences by field."""

    def __init__(self, tolerance):
        self.tolerance, self.rows, self.failed = tolerance, {}, False

    def add(self, field, got, want, slack=0.0, scale=None, tolerance=None):
        """got: the trace's numbers; want: ours. The difference is relative to scale, or else to max(1, |want|);
        slack is taken off it before it is held against the tolerance."""
        got, want = np.asarray(got, np.float64).ravel(), np.asarray(want, np.float64).ravel()
        if got.shape != want.shape:
            raise SystemExit(f"{field}: {got.size} numbers in the trace, {want.size} expected")
        if got.size == 0:
            return
        excess = np.abs(got - want) / (np.maximum(1, np.abs(want)) if scale is None else scale) - slack
        excess[~np.isfinite(excess)] = np.inf
        i = int(np.argmax(excess))
        row = self.rows.setdefault(field, [0, tolerance or self.tolerance, -np.inf, 0.0, 0.0])
        row[0] += got.size
        if excess[i] > row[2]:
            row[2:] = [excess[i], got[i], want[i]]

    def fail(self, field, why):
        print(f"  {field}: {why}")
        self.failed = True

    def print(self):
        print(f"  {'field':<18}{'numbers':>9}{'largest difference':>20}{'allowed':>10}{'trace':>16}{'here':>16}")
        for field, (n, tolerance, excess, got, want) in self.rows.items():
            bad = not excess <= tolerance
            self.failed |= bad
            print(f"  {field:<18}{n:>9}{max(excess, 0):>20.2e}{tolerance:>10.0e}{got:>16.7g}{want:>16.7g}"
                  + ("  BEYOND" if bad else ""))


class AdamW:
    """Both places of epsilon; decay of matrices and embeddings only; clipping by the global norm."""

    def __init__(self, model, s, noise):
        self.parameters, self.s, self.noise, self.step = model.parameters, s, noise, 0
        self.m = {n: torch.zeros_like(p) for n, p in self.parameters.items()}
        self.v = {n: torch.zeros_like(p) for n, p in self.parameters.items()}
        self.attach(model)

    def attach(self, model):
        """To the same parameters as they were written down before an iteration."""
        self.parameters, self.moved, self.steps_here = model.parameters, 0.0, 0
        self.slack = {n: torch.zeros_like(p) for n, p in self.parameters.items()}

    def norm(self):
        return math.sqrt(sum(float(p.grad.square().sum()) for p in self.parameters.values() if p.grad is not None))

    @torch.no_grad()
    def update(self, lr):
        s, norm = self.s, self.norm()
        self.step, self.steps_here, self.moved = self.step + 1, self.steps_here + 1, self.moved + lr
        clip = f32(s["clip"])
        scale = clip / norm if clip > 0 and norm > clip else 1.0
        b1, b2, eps, decay, lr = (f32(x) for x in (s["beta1"], s["beta2"], s["eps"], s["weight_decay"], lr))
        c1, c2 = 1 - b1 ** self.step, 1 - b2 ** self.step
        noise = self.noise * norm * scale / math.sqrt(sum(p.numel() for p in self.parameters.values()))
        for name, p in self.parameters.items():
            g = torch.zeros_like(p) if p.grad is None else p.grad * scale
            m, v = self.m[name], self.v[name]
            m.mul_(b1).add_(g, alpha=1 - b1)
            v.mul_(b2).addcmul_(g, g, value=1 - b2)
            if p.dim() > 1:
                p.mul_(1 - lr * decay)
            if s["adam_eps"] == "tf1":
                rate, below = lr * math.sqrt(c2) / c1, v.sqrt() + eps
                p.sub_(rate * m / below)
            else:
                rate, below = lr / c1, (v / c2).sqrt() + eps
                p.sub_(rate * m / below)
            self.slack[name] += torch.clamp(rate * noise / below, max=2 * lr)
            p.grad = None
        return norm


def whiten(x, keep_mean):
    return (x - np.mean(x)) / np.sqrt(np.var(x) + 1e-8) + (np.mean(x) if keep_mean else 0.0)


def rewards(t, answers, s, kl_coef):
    """Answer by answer: -beta k on each token, the score on the last; then whitening over all."""
    r = -kl_coef * (t["logprob_old"].astype(np.float64) - t["logprob_ref"])
    for i, (a, b) in enumerate(answers):
        r[b - 1] += t["score"][i]
    return whiten(r, True) if s["whiten_rewards"] else r


def advantages(reward, value, answers, s):
    """GAE by its recurrence in float64; returns from the advantages before their whitening."""
    gamma, lam, adv = f32(s["gamma"]), f32(s["lambda"]), np.zeros(len(reward))
    for a, b in answers:
        following = 0.0
        for i in reversed(range(a, b)):
            delta = reward[i] + gamma * (value[i + 1] if i + 1 < b else 0.0) - value[i]
            adv[i] = following = delta + gamma * lam * following
    returns = adv + value
    return (whiten(adv, False) if s["whiten_advantages"] else adv), returns


def policy_loss(logprob, old, advantage, s):
    ratio = torch.exp(logprob - old)
    held = torch.clamp(ratio, 1 - f32(s["clip_low"]), 1 + f32(s["clip_high"]))
    return torch.maximum(-advantage * ratio, -advantage * held).mean()


def value_loss(value, old, target, s):
    clip, loss = f32(s["value_clip"]), (value - target).square()
    if clip > 0:
        held = torch.minimum(torch.maximum(value, old - clip), old + clip)
        loss = torch.maximum(loss, (held - target).square())
    return f32(s["vf_coef"]) * 0.5 * loss.mean()


class Iteration:
    """One traced iteration and where its answers lie."""

    def __init__(self, path, number):
        self.t = read_safetensors(path)
        self.number, self.directory = number, path[:-len(".safetensors")]
        start, prompt = self.t["seq_start"], self.t["prompt_len"]
        self.sequences = [(self.t["tokens"][start[i]:start[i + 1]], int(prompt[i])) for i in range(len(prompt))]
        ends = np.cumsum([len(tokens) - n for tokens, n in self.sequences])
        self.answers = [(int(b - (len(tokens) - n)), int(b)) for b, (tokens, n) in zip(ends, self.sequences)]

    def model(self, when, which):
        return Model(os.path.join(self.directory, when, which))

    def minibatches(self):
        m = 0
        while f"{m}.index" in self.t:
            yield m, self.t[f"{m}.index"]
            m += 1

    def of(self, index, x):
        """The answer tokens of some answers, in their order."""
        return np.concatenate([x[a:b] for a, b in (self.answers[i] for i in index)])


def check_rollout(it, policy, value, reference, s, kl_coef, table):
    t, temperature = it.t, f32(s["temperature"])
    with torch.no_grad():
        each = lambda f: np.concatenate([f(tokens, n).numpy() for tokens, n in it.sequences])
        table.add("logprob_old", t["logprob_old"], each(lambda x, n: policy.logprob(x, n, temperature)))
        table.add("logprob_ref", t["logprob_ref"], each(lambda x, n: reference.logprob(x, n, temperature)))
        table.add("value_old", t["value_old"], each(value.value))
    table.add("reward", t["reward"], rewards(t, it.answers, s, kl_coef))
    advantage, returns = advantages(t["reward"].astype(np.float64), t["value_old"].astype(np.float64), it.answers, s)
    table.add("advantage", t["advantage"], advantage)
    table.add("return", t["return"], returns)


def check_minibatches(it, policy, value, optimizers, rates, s, known, table):
    """known: whether the (policy's, value's) updates can be followed."""
    t, temperature = it.t, f32(s["temperature"])
    tensor = lambda index, name: torch.tensor(it.of(index, t[name]), dtype=torch.float64)
    for m, index in it.minibatches():
        if m == 0 and not (np.array_equal(t["0.logprob"], it.of(index, t["logprob_old"]))
                           and np.array_equal(t["0.value"], it.of(index, t["value_old"]))):
            table.fail("0.logprob, 0.value", "not bit for bit the old ones: sampling and training disagree")
        if m == 0 or known[0]:  # one graph for the answers of a minibatch: tiny models only
            logprob = torch.cat([policy.logprob(*it.sequences[i], temperature) for i in index])
            loss = policy_loss(logprob, tensor(index, "logprob_old"), tensor(index, "advantage"), s)
            table.add("m.logprob", t[f"{m}.logprob"], logprob.detach())
            table.add("m.policy_loss", t[f"{m}.policy_loss"], loss.detach())
            if known[0]:
                loss.backward()
                norm = optimizers[0].update(rates[0])
                table.add("m.grad_norm", t[f"{m}.grad_norm"], norm, scale=norm)
        if m == 0 or known[1]:
            v = torch.cat([value.value(*it.sequences[i]) for i in index])
            loss = value_loss(v, tensor(index, "value_old"), tensor(index, "return"), s)
            table.add("m.value", t[f"{m}.value"], v.detach())
            table.add("m.value_loss", t[f"{m}.value_loss"], loss.detach())
            if known[1]:
                loss.backward()
                optimizers[1].update(rates[1])


def check_order(it, s, table):
    """Every epoch's minibatches hold every answer once."""
    order = [index for _, index in it.minibatches()]
    n, per_epoch = len(it.sequences), int(s["minibatches"])
    if len(order) != per_epoch * int(s["epochs"]):
        print(f"  {len(order)} minibatches, {per_epoch * int(s['epochs'])} configured (an early stop?)")
    for e in range(0, len(order) - per_epoch + 1, per_epoch):
        if sorted(np.concatenate(order[e:e + per_epoch]).tolist()) != list(range(n)):
            table.fail("m.index", f"epoch {e // per_epoch} is no permutation of the {n} answers")


def check_weights(it, which, model, optimizer, table):
    """Where the weights are, and, what says more, how far they moved, in units of the sum of the learning rates."""
    before, after = it.model("before", which).parameters, it.model("after", which).parameters
    if set(after) != set(model.parameters):
        table.fail(f"after/{which}", f"other tensors: {sorted(set(after) ^ set(model.parameters))}")
        return
    for name, p in model.parameters.items():
        a, b, p = (x.detach().numpy().ravel() for x in (after[name], before[name], p))
        slack = optimizer.slack[name].numpy().ravel()
        table.add(f"after/{which}", a, p, slack)
        if optimizer.moved > 0:  # each step rounds the weight to f32
            rounding = optimizer.steps_here * 2.0 ** -24 * np.abs(p)
            table.add(f"moved/{which}", (a - b) / optimizer.moved, (p - b) / optimizer.moved,
                      (slack + rounding) / optimizer.moved, 1.0, 1e-3)


def read_settings(run, overrides):
    import yaml
    with open(os.path.join(run, "config.yaml"), encoding="utf-8") as f:
        s = yaml.safe_load(f)["ppo"]
    for item in overrides:
        key, _, text = item.partition("=")
        s[key.removeprefix("ppo.")] = yaml.safe_load(text)
    for key in ("clip", "beta1", "beta2", "eps", "weight_decay", "gamma", "lambda", "temperature", "clip_low",
                "clip_high", "value_clip", "vf_coef", "ptx_coef"):
        s[key] = float(s[key])  # YAML 1.1 reads 1e-5 as text
    if s["aggregate"] != "token-mean":
        raise SystemExit(f"ppo.aggregate {s['aggregate']}: only token-mean is recomputed here")
    return s


def read_metrics(run):
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    return {line["iteration"]: line for line in lines if "split" not in line}


def find_reference(args, s, first):
    named = s.get("reference") or s.get("policy")
    for directory in (args.reference, named and os.path.join(args.run, named)):
        if directory and os.path.exists(os.path.join(directory, "config.json")):
            return Model(directory)
    if first.number != 1:
        raise SystemExit("the reference's directory is not found: name it with --reference")
    print("reference: the policy before iteration 1 (no --reference, and ppo.reference is not found)")
    return first.model("before", "policy")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", metavar="DIR", help="what --trace wrote")
    parser.add_argument("--run", required=True, help="the run directory: config.yaml and metrics.jsonl")
    parser.add_argument("--reference", help="the reference's directory (else ppo.reference or ppo.policy of the config)")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of every field (1e-5)")
    parser.add_argument("--noise", type=float, default=1e-5,
                        help="rounding of a gradient's entries, relative to their rms (1e-5)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="override a setting of section ppo")
    args = parser.parse_args()
    s, metrics = read_settings(args.run, args.set), read_metrics(args.run)
    paths = sorted(glob.glob(os.path.join(args.trace, "iteration-*.safetensors")))
    if not paths:
        raise SystemExit(f"{args.trace}: no iteration-*.safetensors")
    failed, optimizers, previous, reference = False, None, 0, None
    for path in paths:
        it = Iteration(path, int(os.path.basename(path)[len("iteration-"):-len(".safetensors")]))
        print(f"iteration {it.number}: {len(it.sequences)} answers, {len(it.t['logprob_old'])} tokens")
        reference = reference or find_reference(args, s, it)
        policy, value = it.model("before", "policy"), it.model("before", "value")
        table, line = Table(args.tolerance), metrics[it.number]
        if it.number == 1:
            optimizers = [AdamW(m, s, args.noise) for m in (policy, value)]
        following = optimizers is not None and it.number == previous + 1
        known = (following and s["ptx_coef"] == 0, following)
        if following:
            for optimizer, model in zip(optimizers, (policy, value)):
                optimizer.attach(model)
        for ok, which in zip(known, ("policy", "value")):
            if not ok:
                print(f"  not checked: the updates of the {which}")
        check_rollout(it, policy, value, reference, s, float(line["kl_coef"]), table)
        check_order(it, s, table)
        check_minibatches(it, policy, value, optimizers, (line["lr"], line["value_lr"]), s, known, table)
        for ok, which, model, i in zip(known, ("policy", "value"), (policy, value), (0, 1)):
            if ok:
                check_weights(it, which, model, optimizers[i], table)
        table.print()
        failed |= table.failed
        if following:
            previous = it.number
        else:
            optimizers = None
    print("beyond the tolerance" if failed else f"all within {args.tolerance:g}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
