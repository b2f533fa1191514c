"""How long a picture of 20 steps takes, beside diffusers' own pipeline on the same weights.

Run `pytest tests/test_speed.py -s` on an idle machine to see the numbers.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from sdlearn import load
from sdlearn.loading import TINY

PROMPT = "a large red house on the left, on green grass, at sunset, under a rainbow"
PLAIN_SCRIPT = f"""
import sys, torch
from diffusers import StableDiffusionPipeline
pipe = StableDiffusionPipeline.from_pretrained(
    {str(TINY)!r}, safety_checker=None, dtype=torch.float32
)
pipe.set_progress_bar_config(disable=True)
images = pipe({PROMPT!r}, num_inference_steps=20, guidance_scale=3.0,
              generator=torch.Generator().manual_seed(7)).images
images[0].save(sys.argv[1])
"""

pytestmark = pytest.mark.slow


def interleaved(repeats: int, *actions: Callable[[], object]) -> list[float]:
    """Median seconds of each action, run in turns so that a busy moment hits them all."""
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in range(repeats):
        for action, taken in zip(actions, seconds, strict=True):
            start = time.perf_counter()
            action()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def test_from_the_shell_sdlearn_is_faster_than_a_plain_diffusers_script(tmp_path: Path):
    ours, theirs = tmp_path / "ours.png", tmp_path / "theirs.png"
    words = ["generate", PROMPT, "--seed", "7", "--quiet", "--force", "-o", str(ours)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}

    def run(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, *arguments], check=True, capture_output=True, env=environment
        )

    cold, plain = interleaved(
        3,
        lambda: run("-m", "sdlearn", *words),
        lambda: run("-c", PLAIN_SCRIPT, str(theirs)),
    )
    print(f"\ncold, shell to PNG: sdlearn {cold:.2f} s, plain diffusers script {plain:.2f} s")
    assert np.array_equal(np.asarray(Image.open(ours)), np.asarray(Image.open(theirs)))
    assert cold < plain


def test_a_warm_picture_takes_no_longer_than_diffusers():
    sd = load("tiny", device="cpu")
    pipe = StableDiffusionPipeline.from_pretrained(TINY, safety_checker=None, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)

    def theirs() -> None:
        pipe(PROMPT, num_inference_steps=20, guidance_scale=3.0)

    def ours() -> None:
        sd.generate(PROMPT, seeds=[7], num_steps=20, guidance_scale=3.0)

    ours(), theirs()  # the first of each is slower
    warm, plain = interleaved(5, ours, theirs)
    threads = torch.get_num_threads()
    print(f"\nwarm, {threads} threads: sdlearn {warm:.2f} s, diffusers' pipeline {plain:.2f} s")
    assert warm < 1.15 * plain  # the same network calls; the rest is noise of the machine
