"""Golden numbers of tests/files/test_gguf_dequantize: python3 tests/golden/gguf_blocks.py > tests/golden/gguf_blocks.json
Random blocks of each format, read by the package gguf (llama.cpp's own, in NumPy). Values are given as the bits of
their f32: nothing is rounded on the way."""
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from golden import write

NAMES = "F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K".split()
# Where the f16 scales of a block lie: they must be finite.
SCALES = dict(F16=[0], Q4_0=[0], Q4_1=[0, 2], Q5_0=[0], Q5_1=[0, 2], Q8_0=[0], Q4_K=[0, 2], Q5_K=[0, 2], Q6_K=[208])
USUAL = [0.0123, -0.37, 6e-6, 1.0, -2.5e-4, 900.0]


def main():
    rng = np.random.default_rng(4)
    cases = []
    for name in NAMES:
        kind = GGMLQuantizationType[name]
        elements, size = GGML_QUANT_SIZES[kind]
        n = 64 if elements == 1 else 6 if elements == 32 else 2
        data = rng.integers(0, 256, (n, size), dtype=np.uint8)
        for i, block in enumerate(data):
            for k, at in enumerate(SCALES.get(name, [])):
                block[at:at + 2] = np.array([USUAL[(i + k) % len(USUAL)]], np.float16).view(np.uint8)
        values = dequantize(data.reshape(1, -1), kind).astype(np.float32)
        cases.append(dict(type=name, blocks=data.ravel(), bits=values.view(np.int32).ravel()))
    write({"formats": cases})


main()
