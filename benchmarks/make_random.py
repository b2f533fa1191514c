"""A model with the shapes of a real one and random weights: a folder to test with. It draws noise.

For tests of loading, speed and memory at full size without a download; never to be shown as a
result. The weights are normal with a standard deviation of 1/sqrt(fan-in), norms are 1 and biases
0, so that activations keep about their size from layer to layer and stay finite in half precision
(LeCun et al. 1998, "Efficient BackProp", section 4.6). Left out: SD 1.5's own tokenizer, whose
49,408 pieces of words are not shipped with sdlearn; the tiny model's takes its place. There is no
safety checker either.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from os.path import ismount
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Generator, nn

from benchmarks.script import Parser, run_script
from sdlearn.diffusion.seeds import check_seeds
from sdlearn.inside.anatomy import bytes_text
from sdlearn.inside.architecture import ARCHITECTURES, PARTS, Architecture
from sdlearn.models.loading import TINY, quiet_libraries
from sdlearn.util.files import copy_mode_to_weights, partial_path
from sdlearn.util.progress import Progress, no_progress, progress_bar

DESCRIPTION = """\
Write a Stable Diffusion 1.5 that was never trained: all its shapes, random weights.

What it draws is noise. It is for tests of loading, speed and memory where the real weights cannot
be downloaded; never show its images as a result.
"""
EPILOG = """\
sizes:
  sd15          2.1 GB, 4.3 GB with --dtype fp32
  sd15-narrow   29 MB, 57 MB with --dtype fp32: as deep, a tenth as wide

examples:
  python -m benchmarks.make_random sd15 sd15-noise
  sdlearn generate "a red house" --model sd15-noise --steps 2   two steps; noise
  python -m benchmarks.make_random sd15-narrow narrow-noise --seed 1
"""
DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
VARIANTS = {torch.float16: "fp16", torch.float32: None}  # dtype → what weight files are marked with
INDEX = {  # model_index.json: which class reads which folder
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": diffusers.__version__,
    "feature_extractor": (None, None),
    "image_encoder": (None, None),
    "requires_safety_checker": False,  # noise holds nothing to check for
    "safety_checker": (None, None),
    "scheduler": ("diffusers", "PNDMScheduler"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
}
SCHEDULER = {  # SD 1.5's own, where it differs from the defaults of PNDMScheduler
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "steps_offset": 1,
}
README = """\
# Noise in the shape of {name}

This model was never trained: its {parameters:,} weights are random numbers (seed {seed}). What it
draws is noise. It is for tests of loading, speed and memory, which depend on shapes alone. Never
show its images as a result of Stable Diffusion.

Layout, configs and file names are those of Stable Diffusion 1.5, and so is the scheduler. The
tokenizer is not: it is that of sdlearn's tiny model, and knows the words of a small storybook world
alone. Its ids are all below 49,408, the size of the vocabulary. There is no safety checker.

Written by `python -m benchmarks.make_random {name}`.
"""


def write_random(
    architecture: Architecture,
    folder: str | Path,
    *,
    dtype: torch.dtype = torch.float16,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> None:
    """Write `folder` in Stable Diffusion's layout, with the shapes of `architecture`.

    float16 gets the names of the hub's fp16 variant, float32 the plain ones. The same seed gives
    the same numbers, in half precision rounded ones; on another `device`, which draws them, it
    gives others (a GPU takes a second). One part at a time is in memory. The folder appears when it
    is complete; after an error or Ctrl-C there is none.
    Raises `ValueError` or `TypeError` for a dtype, seed or place that is none, `FileExistsError`
    for a folder that is not empty, and `OSError` when the disk is full.
    """
    if dtype not in VARIANTS:
        raise ValueError(f"dtype must be torch.float16 or torch.float32; got {dtype!r}")
    [checked] = check_seeds([seed])
    generator = Generator(device).manual_seed(checked)
    path = Path(folder).expanduser().resolve()
    _check_place(path)
    models = {part: architecture.build(part) for part in PARTS}
    parameters = sum(p.numel() for model in models.values() for p in model.parameters())
    _check_room(path.parent, parameters * dtype.itemsize)
    card = README.format(name=architecture.name, parameters=parameters, seed=seed)
    with _write_folder_atomically(path) as partial:
        _write_rest(partial, card)
        for part, model in models.items():
            _write_part(partial / part, model, dtype, generator, progress)


@contextmanager
def _write_folder_atomically(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path`, or is deleted after an error.

    `path` must be an empty folder or not exist.
    """
    partial = partial_path(path)
    partial.mkdir()
    try:
        yield partial
        if path.is_dir():
            path.rmdir()
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_place(path: Path) -> None:
    """Raise unless a new folder can take the name `path`."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"folder must be new or empty; there is something in {path}")
    if path == Path.cwd() or ismount(path):  # neither can be swapped for another folder
        raise ValueError(f"folder must not be where you are, nor a whole disk; got {path}")
    if not path.parent.is_dir():
        raise ValueError(f"folder's own folder must exist; there is no folder {str(path.parent)!r}")


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"the weights need {bytes_text(needed)} of disk, and {bytes_text(free)} are free in "
            f"{folder}; free some, or choose another disk"
        )


def _write_rest(folder: Path, card: str) -> None:
    """All but the weights and what belongs to them."""
    text = json.dumps(INDEX, indent=2) + "\n"
    (folder / "model_index.json").write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")
    shutil.copytree(TINY / "tokenizer", folder / "tokenizer")
    diffusers.PNDMScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")


def _write_part(
    folder: Path, model: Any, dtype: torch.dtype, generator: Generator, progress: Progress
) -> None:
    """Give a model on the meta device its weights, write them, and take them away again."""
    total = len(list(model.parameters()))
    for _ in progress(fill(model, dtype, generator), folder.name, total):
        pass
    with quiet_libraries():
        model.save_pretrained(folder, variant=VARIANTS[dtype])
    copy_mode_to_weights(folder, folder / "config.json")
    model.to("meta")


def fill(model: nn.Module, dtype: torch.dtype, generator: Generator) -> Iterator[nn.Parameter]:
    """Give a module its parameters one by one: numbers in float32, then rounded."""
    device = generator.device
    for module in model.modules():
        is_norm = isinstance(module, (nn.GroupNorm, nn.LayerNorm))
        for name, empty in list(module.named_parameters(recurse=False)):
            if name == "bias":
                values = torch.zeros(empty.shape, device=device)
            elif is_norm:
                values = torch.ones(empty.shape, device=device)
            else:
                spread = prod(empty.shape[1:]) ** -0.5  # (out, in, ...): 1 / sqrt(fan-in)
                values = torch.randn(empty.shape, generator=generator, device=device) * spread
            parameter = nn.Parameter(values.to(dtype), requires_grad=False)
            setattr(module, name, parameter)
            yield parameter


def main(argv: Sequence[str] | None = None) -> int:
    """The command: write the folder with a progress bar, and say where it is."""
    parser = Parser("benchmarks.make_random", DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("architecture", choices=tuple(ARCHITECTURES), help="which shapes")
    add("folder", type=Path, metavar="FOLDER", help="to write; new or empty")
    help_dtype = "half precision, named as the hub's fp16 variant, or full (default: fp16)"
    add("--dtype", choices=tuple(DTYPES), default="fp16", help=help_dtype)
    add("--seed", type=int, default=0, help="of the weights (default: 0)")
    return run_script(parser, _run, argv)


def _run(args: argparse.Namespace) -> int:
    architecture, dtype = ARCHITECTURES[args.architecture], DTYPES[args.dtype]
    write_random(architecture, args.folder, dtype=dtype, seed=args.seed, progress=progress_bar)
    print(args.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
