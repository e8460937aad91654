"""What the scripts here share: inputs that f32 holds exactly, and JSON with one case a line."""
import json
import sys

import numpy as np


def f32(x):
    """Rounds to float32 and computes on in float64, so that C and NumPy start from the same numbers."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, np.ndarray):
        return plain(x.tolist())
    if isinstance(x, (bool, np.bool_)):
        return int(x)
    if isinstance(x, np.integer):
        return int(x)
    if isinstance(x, np.floating):
        return float(x)
    return x


def write(groups):
    """groups: {name: [case, ...]} to stdout."""
    out = []
    for name, cases in groups.items():
        lines = ",\n  ".join(json.dumps(plain(c), allow_nan=False) for c in cases)
        out.append(f' "{name}": [\n  {lines}\n ]')
    sys.stdout.write("{\n" + ",\n".join(out) + "\n}\n")
