"""Train the tiny model: world, vae, clip, judge, unet, or all of it; and what lesson 09 ships.

stages, in order:
  world   render the images (five minutes of one core)
  vae     the autoencoder, 128x128x3 -> 16x16x4 and back
  decoder its decoder alone, further, so that a U-Net trained on its latents goes on to fit
  clip    the tokenizer and both CLIP towers, then a probe of what the text tower knows
  judge   the classifier that reads images back into attributes
  unet    the noise predictor
  export  put the parts together as a Stable Diffusion folder

beside the model, minutes each, for lesson 09:
  lora    adapters that teach it the snowman and the stained glass
  textual-inversion
          words for the same two things
  icons   three small models of icons: of 16 of them, of all, and of a skewed world
not a part of all:
  graphs  what ONNX Runtime runs for load(..., compile=True), made anew in the folder OUTPUT;
          after each export of a model that is to ship; needs pip install "sdlearn[onnx]"

examples:
  sdlearn train all --smoke              the whole chain at toy length, under a minute
  sdlearn train all                      hours on two cores; stop and start again at will
  sdlearn train unet --steps 20000       continue from the checkpoint, for longer
  sdlearn train unet --from sdlearn/weights/tiny --round 3 --minutes 120
                                         a third round of two hours, from the shipped weights
  sdlearn train lora --output sdlearn/weights/adapters
  sdlearn train textual-inversion --only snowman --output sdlearn/weights/adapters
  sdlearn train icons --output sdlearn/weights/icons
  sdlearn train graphs --output sdlearn/weights/tiny
  accelerate launch --multi_gpu --num_processes 2 -m sdlearn train unet
                                         two GPUs; on CPUs, with ACCELERATE_USE_CPU=true before it
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..training.run import RunConfig, StageProgress


EXTRAS = ("lora", "textual-inversion", "icons")  # what is trained beside the model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    stages = ["world", "vae", "decoder", "clip", "judge", "unet", "export", "all", "graphs"]
    stages += EXTRAS
    add("stage", choices=stages, help="what to train")
    add("--smoke", action="store_true", help="toy length: does the chain run?")
    add("--steps", type=int, help="optimizer steps instead of the usual number")
    add("--minutes", type=float, help="end after so long, the rate falling to zero by then")
    add("--round", type=int, help="which round: each has its own scenes, words and noise")
    add(
        "--from",
        dest="start",
        type=Path,
        metavar="FOLDER",
        help="model to begin with",
    )
    add("--batch-size", type=int, help="instead of the usual one")
    add("--lr", type=float, help="highest learning rate instead of the usual one")
    add("--decay", type=float, help="last share of the steps with a falling rate")
    add("--optimizer", choices=("adamw", "muon"), help="what makes the steps (default: adamw)")
    add("--images", type=int, help="how many images to render and learn from")
    add("--only", metavar="NAME", help="of adapters or icon models only this one")
    add("--workdir", type=Path, help="images, checkpoints, parts (default: in ~/.cache/sdlearn)")
    add("--output", type=Path, help="folder for the exported model")
    add("--samples", type=Path, help="folder for sample sheets drawn on the way")


def run(args: argparse.Namespace) -> int:
    """Train what was asked for, with a progress bar for each stage."""
    from transformers import logging

    from ..util.processes import this_process

    logging.set_verbosity_error()  # or it advises to install torchvision, which is not needed
    from ..training.extras import EXTRAS as extra_stages
    from ..training.run import TrainingRun, default_folder
    from ..training.stages import STAGES, export_stage, train_all

    if args.stage == "graphs":
        return _export_graphs(args.output)
    folder = args.workdir or default_folder() / ("smoke" if args.smoke else "tiny")
    training = TrainingRun(folder, _config(args), args.samples, _start(args))
    output = args.output or folder / "export"
    if args.stage == "all":
        stages = train_all(training, output)
    elif args.stage == "export":
        stages = export_stage(training, output)
    elif args.stage in EXTRAS:
        output = args.output or folder / args.stage
        stages = extra_stages[args.stage](training, output, args.only)
    else:
        stages = STAGES[args.stage](training)
    _show(stages)
    state = this_process()
    if state.is_main_process:
        whole = args.stage in ("all", "export")
        where = output if args.stage in EXTRAS else folder
        print(f"model in {output}" if whole else f"done, in {where}")
    state.wait_for_everyone()  # gloo aborts a process whose partner is gone
    state.destroy_process_group()
    return 0


def _start(args: argparse.Namespace) -> Path | None:
    """The folder of the model to begin with; `FileNotFoundError` where there is none."""
    start: Path | None = args.start
    if start is not None and not start.is_dir():
        raise FileNotFoundError(f"from must be the folder of a model; there is no folder {start}")
    return start


def _export_graphs(folder: Path | None) -> int:
    from ..models.loading import find_folder
    from ..training.export import export_graphs

    if folder is None:
        raise ValueError("output must name the folder of a model for graphs; add --output FOLDER")
    export_graphs(find_folder(folder))
    print(f"graphs in {folder / 'graphs'}")
    return 0


def _config(args: argparse.Namespace) -> RunConfig:
    from ..training.run import FULL, SMOKE

    if args.round is not None and args.round < 0:
        raise ValueError(f"round must be a whole number from 0; got {args.round}")
    config = SMOKE if args.smoke else FULL
    changed = {
        name: value
        for name in ("steps", "minutes", "batch_size", "lr", "decay", "images")
        if (value := getattr(args, name)) is not None
    }
    for name, value in changed.items():
        if not 0 < value < math.inf:  # NaN is neither
            raise ValueError(f"{name} must be a finite number above 0; got {value}")
    images = changed.pop("images", config.images)
    if args.optimizer:
        changed["optimizer"] = args.optimizer
    parts = {name: replace(part, **changed) for name, part in config.parts.items()}
    return replace(config, parts=parts, images=images, round=args.round or 0)


def _show(stages: Iterator[StageProgress]) -> None:
    """One bar for each stage, on the main process only."""
    from tqdm import tqdm

    from ..util.processes import this_process

    hidden = not this_process().is_main_process
    for stage, steps in groupby(stages, lambda progress: progress.stage):
        first = next(steps)
        before = first.done - 1
        with tqdm(
            desc=stage, total=first.total, initial=before, disable=hidden, mininterval=1
        ) as bar:
            for progress in chain([first], steps):
                numbers = {k: f"{v:.4f}" for k, v in progress.numbers.items()}
                bar.set_postfix(numbers, refresh=False)
                bar.update(progress.done - bar.n)
