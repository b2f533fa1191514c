"""How long an image of 20 steps takes, beside diffusers' own pipeline on the same weights.

Run `pytest tests/test_speed.py -s` on an idle machine to see the numbers.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from benchmarks.contestants import PROMPT
from benchmarks.measuring import interleaved, plain_script
from benchmarks.records import Task
from sdlearn import load
from sdlearn.models.loading import TINY

pytestmark = pytest.mark.slow
FAR_OFF = 1.5  # other workers run beside this; python -m benchmarks measures


def test_from_the_shell_sdlearn_keeps_up_with_a_plain_diffusers_script(tmp_path: Path):
    ours, theirs = tmp_path / "ours.png", tmp_path / "theirs.png"
    words = ["generate", PROMPT, "--seed", "7", "--quiet", "--force", "-o", str(ours)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}

    def run(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, *arguments], check=True, capture_output=True, env=environment
        )

    timings = interleaved(
        3,
        lambda: run("-m", "sdlearn", *words),
        lambda: run("-c", plain_script(Task()), str(theirs)),
    )
    cold, plain = (timing.median for timing in timings)
    print(f"\ncold, shell to PNG: sdlearn {cold:.2f} s, plain diffusers script {plain:.2f} s")
    apart = np.asarray(Image.open(ours), dtype=int) - np.asarray(Image.open(theirs))
    assert abs(apart).max() <= 1  # ours is ONNX Runtime's
    assert cold < FAR_OFF * plain


def test_a_warm_image_keeps_up_with_diffusers():
    sd = load("tiny", device="cpu")
    pipe = StableDiffusionPipeline.from_pretrained(TINY, safety_checker=None, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)

    def theirs() -> None:
        pipe(PROMPT, num_inference_steps=20, guidance_scale=3.0)

    def ours() -> None:
        sd.generate(PROMPT, seeds=[7], num_steps=20, guidance_scale=3.0)

    ours(), theirs()  # the first of each is slower
    warm, plain = (timing.median for timing in interleaved(5, ours, theirs))
    threads = torch.get_num_threads()
    print(f"\nwarm, {threads} threads: sdlearn {warm:.2f} s, diffusers' pipeline {plain:.2f} s")
    assert warm < FAR_OFF * plain  # the same network calls
