"""Golden numbers of tests/sft: python3 tests/golden/sft.py > tests/golden/sft.json"""
import numpy as np

from golden import f32, write

rng = np.random.default_rng(1)
cases = []
for n in (1, 3, 64):
    logprob = f32(-rng.exponential(2.0, n))
    p = np.exp(logprob)
    loss = -np.mean(np.log(p))
    cases.append(dict(logprob=logprob, loss=loss, perplexity=np.prod(p ** (-1.0 / n)), dlogprob=-1.0 / n))
write({"loss": cases})
