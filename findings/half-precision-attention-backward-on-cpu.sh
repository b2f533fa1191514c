#!/usr/bin/env bash
# torch 2.13.0 on a CPU: backwards through fused attention, half precision takes several times as long as float32.
#
# `scaled_dot_product_attention` is what diffusers and transformers use by default. Its forward pass in bfloat16 is as quick
# as in float32 or quicker. Its backward pass is 2 to 8 times slower, most where keys are few and heads are thin, as
# 77 text tokens and heads of 16 or 40 numbers are; float16 is the same. Plain attention (two matrix products and a
# softmax) in bfloat16 is 3 to 10 times quicker backwards than the fused one there. So autocast to bfloat16, which makes
# convolutions four times as quick on processors that have AMX, makes the training of a U-Net or a CLIP as a whole
# slower, and one concludes that bfloat16 is no good on CPUs. There is no message; a profiler shows it.
#
# A good engineer's guess: fused attention is never slower than plain attention, and half precision is never much
# slower than float32 on a processor that has instructions for it.
#
# Seen on one thread of a processor with AMX, milliseconds of the backward pass (batch 32, 8 heads of 16 numbers, 64 queries, 77 keys):
#     fused: float32 14.9, bfloat16 103.0, float16 110.9;   plain: float32 15.3, bfloat16 9.5
# A whole training step of a U-Net of 11 million numbers on 16x16 latents, batch 32: 1.1 s in float32 and 1.2 s in
# bfloat16 as it comes; 0.6 s in bfloat16 with plain attention.
# Way round: train with `unet.set_attn_processor(AttnProcessor())`, `model.set_attn_implementation("eager")` in transformers.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cd "$dir"
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PYTHON'
import time

import torch
from torch.nn.functional import scaled_dot_product_attention as fused


def plain(q, k, v):
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


def milliseconds_backwards(attention, dtype):
    q, k, v = (torch.randn(32, 8, n, 16, dtype=dtype, requires_grad=True) for n in (64, 77, 77))
    times = []
    for _ in range(8):
        out = attention(q, k, v)
        start = time.perf_counter()
        out.backward(torch.ones_like(out))
        times.append(time.perf_counter() - start)
    return min(times) * 1000


torch.set_num_threads(1)
found = {
    (attention.__name__, dtype): milliseconds_backwards(attention, dtype)
    for attention in (fused, plain)
    for dtype in (torch.float32, torch.bfloat16, torch.float16)
}
for (name, dtype), ms in found.items():
    print(f"{name:28} {str(dtype):15} {ms:7.1f} ms")
whole = found[fused.__name__, torch.float32]
half = found[fused.__name__, torch.bfloat16]
assert half > 2 * whole, "bfloat16 is no longer much slower than float32"
assert half > 2 * found["plain", torch.bfloat16], "fused is no longer much slower than plain"
PYTHON
echo "as described"
