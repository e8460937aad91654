"""Golden numbers of tests/ppo: python3 tests/golden/ppo.py > tests/golden/ppo.json

Advantages are the direct double sum of Schulman et al. 2016, eq. 16, not the recurrence that the C code has;
gradients are those of the unclipped branch where it is the larger one, as an array expression."""
import itertools

import numpy as np

from golden import f32, write

rng = np.random.default_rng(3)

# --- score: end rule, then clip ---
scores = []
for rule, finished, clip, score in itertools.product(("replace", "subtract", "keep"), (0, 1), (0.0, 1.5),
                                                     (0.5, 3.0, -4.0)):
    amount = -1.0 if rule == "replace" else 1.0
    s = score
    if not finished:
        s = {"replace": amount, "subtract": score - amount, "keep": score}[rule]
    if clip:
        s = float(np.clip(s, -clip, clip))
    scores.append(dict(rule=rule, amount=amount, finished=finished, clip=clip, score=score, out=s))

# --- rewards and KL ---
rewards = []
for n in (1, 2, 7):
    old, ref = f32(-rng.exponential(2, n)), f32(-rng.exponential(2, n))
    k = old - ref
    r = -0.05 * k
    r[-1] += 0.75
    rewards.append(dict(logprob=old, logprob_ref=ref, score=0.75, kl_coef=0.05, reward=r, k1=np.sum(k),
                        k3=np.sum(np.exp(-k) - 1 + k)))

# --- advantages ---
advantages = []
for n, (gamma, lam) in itertools.product((1, 2, 6), ((1.0, 0.95), (1.0, 1.0), (0.9, 0.0), (0.75, 0.5))):
    gamma, lam = f32([gamma, lam])
    r, v = f32(rng.normal(0, 1, n)), f32(rng.normal(0, 1, n))
    delta = r + gamma * np.append(v[1:], 0.0) - v
    a = np.array([sum((gamma * lam) ** (s - t) * delta[s] for s in range(t, n)) for t in range(n)])
    advantages.append(dict(gamma=gamma, lam=lam, reward=r, value=v, advantage=a, value_target=a + v))

# --- whitening ---
whitened = []
for x in (f32(rng.normal(2, 3, 20)), f32(rng.normal(0, 1e-4, 5)), f32(np.full(4, 0.1)), f32([7.0])):
    w = (x - np.mean(x)) / np.sqrt(np.var(x) + 1e-8)
    whitened.append(dict(x=x, whitened=w, with_mean=w + np.mean(x)))

# --- objective ---
policy, value = [], []
for n, (low, high) in itertools.product((1, 40), ((0.2, 0.2), (0.1, 0.3))):
    old, a = f32(-rng.exponential(2, n)), f32(rng.normal(0, 1, n))
    new = f32(old + rng.normal(0, 0.25, n))
    ratio = np.exp(new - old)
    lo, hi = 1 - f32(low), 1 + f32(high)
    one, two = -a * ratio, -a * np.clip(ratio, lo, hi)
    policy.append(dict(clip_low=low, clip_high=high, logprob=new, logprob_old=old, advantage=a,
                       loss=np.mean(np.maximum(one, two)), dlogprob=np.where(one >= two, one, 0.0) / n,
                       ratio_mean=np.mean(ratio), ratio_max=np.max(ratio), clip_share=np.mean(two > one),
                       approx_kl=0.5 * np.mean((new - old) ** 2)))
for n, clip, coef in itertools.product((1, 40), (0.0, 0.2), (1.0, 0.1)):
    old, target = f32(rng.normal(0, 1, n)), f32(rng.normal(0, 1, n))
    new = f32(old + rng.normal(0, 0.25, n))
    vf, eps = f32(coef), f32(clip)
    one = (new - target) ** 2
    two = (np.clip(new, old - eps, old + eps) - target) ** 2 if clip else one
    value.append(dict(value_clip=clip, vf_coef=coef, value=new, value_old=old, value_target=target,
                      loss=vf * 0.5 * np.mean(np.maximum(one, two)),
                      dvalue=np.where(one >= two, vf * (new - target), 0.0) / n,
                      clip_share=np.mean(two > one)))
v, t = f32(rng.normal(0, 1, 30)), f32(rng.normal(0, 1, 30))
v = f32(0.5 * v + t)
explained = [dict(value=v, value_target=t, explained_variance=1 - np.var(t - v) / np.var(t))]

# --- controller ---
beta, trail = 0.15, []
kls = [0.0, 3.0, 6.0, 6.5, 20.0, 7.0, 5.0]
for kl in kls:
    beta *= 1 + np.clip(kl / 6.0 - 1, -0.2, 0.2) * 512 / 10000
    trail.append(beta)
controller = [dict(start=0.15, target=6.0, horizon=10000.0, n_episode=512, kl=kls, kl_coef=trail)]

write({"score": scores, "rewards": rewards, "advantages": advantages, "whiten": whitened, "policy": policy,
       "value": value, "explained_variance": explained, "controller": controller})
