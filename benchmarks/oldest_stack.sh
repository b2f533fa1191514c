#!/usr/bin/env bash
# The shipped folder drawn by older libraries that are still common, and by ours: the same image, or exit 1.
#
#     bash benchmarks/oldest_stack.sh        in a checkout, with the environment of CONTRIBUTING.md active
#
# Makes an environment of its own in a temporary folder; torch, which decides about bits, is that of the active one.
# Not in CI, as it downloads torch and two libraries. PYTHON names another interpreter than `python3`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
torch=$("$python" -c 'import torch; print(torch.__version__.partition("+")[0])')
"$python" -m venv "$dir/venv"
"$dir/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==$torch" diffusers==0.35.2 transformers==4.57.6 numpy
cat > "$dir/old.py" <<'PYTHON'
import sys

import diffusers
import torch
import transformers

print(f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
pipe = diffusers.StableDiffusionPipeline.from_pretrained("sdlearn/weights/tiny")
pipe.set_progress_bar_config(disable=True)
how = {"num_inference_steps": 20, "guidance_scale": 3, "generator": torch.Generator().manual_seed(7)}
pipe("a large red house on the left, on green grass, at sunset", **how).images[0].save(sys.argv[1])
PYTHON
cat > "$dir/ours.py" <<'PYTHON'
import sys

import numpy as np
from PIL import Image

from sdlearn import load

[ours] = load(device="cpu").generate("a large red house on the left, on green grass, at sunset", seeds=[7])
levels = np.abs(np.asarray(ours, dtype=int) - np.asarray(Image.open(sys.argv[1]), dtype=int)).max()
print(f"levels of 255 by which the images differ at most: {levels}")
sys.exit(bool(levels))
PYTHON
export HF_HUB_OFFLINE=1 PYTHONPATH=
"$dir/venv/bin/python" "$dir/old.py" "$dir/old.png"
PYTHONPATH=$PWD "$python" "$dir/ours.py" "$dir/old.png"
