"""One run of the training: how much of everything, and the folder that holds its results.

The folder lies outside the repository (`default_folder`), so that hours of work survive a fresh
clone, and everything in it can be made again by `sdlearn train all`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPModel

from ..util.files import cache_folder
from ..util.processes import this_process
from . import adapters, clip, icons, judge, unet, vae
from .data import RenderedImages
from .loop import Batch, TrainingConfig, train_model

LOG_EVERY = 20  # steps
PARTS = {"vae": vae.CONFIG, "decoder": vae.DECODER_CONFIG, "clip": clip.CONFIG}
PARTS |= {"judge": judge.CONFIG, "unet": unet.CONFIG, "icons": icons.CONFIG}
PARTS |= {"lora": adapters.LORA_CONFIG, "textual-inversion": adapters.WORD_CONFIG}


@dataclass(frozen=True)
class RunConfig:
    """How much of everything: numbers of images, and how long each part is trained."""

    images: int = 32_768  # rendered scenes that CLIP and the U-Net learn from
    judge_images: int = 16_384  # others, of all combinations: for the VAE and the judge
    probe_captions: int = 6_000
    round: int = 0  # each round draws other scenes, other words and other noise
    pass_mark: float = 0.95  # what the text probe must reach before the U-Net is trained
    parts: dict[str, TrainingConfig] = field(default_factory=PARTS.copy)


FULL = RunConfig()
SMOKE = RunConfig(  # the whole chain at toy length: proves that it runs, not that it learns
    images=64,
    judge_images=32,
    probe_captions=64,
    pass_mark=0.0,
    parts={
        name: replace(config, steps=4, batch_size=min(8, config.batch_size), warmup=1, save_every=2)
        for name, config in FULL.parts.items()
    },
)


@dataclass(frozen=True)
class StageProgress:
    """How far a stage is, and its losses by name."""

    stage: str
    done: int
    total: int
    numbers: dict[str, float] = field(default_factory=dict)
    is_last: bool = False


Part = TypeVar("Part", AutoencoderKL, CLIPModel, UNet2DConditionModel)


def _load(kind: type[Part], folder: Path) -> Part:
    return kind.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True).eval()


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/sdlearn/training`, by default under the home folder."""
    return cache_folder("training")


@dataclass(frozen=True)
class TrainingRun:
    """The folder of one run, its sizes, and where its sample sheets go (None: nowhere).

    `start` is a Stable Diffusion folder whose weights the parts begin with (None: at random).
    """

    folder: Path
    config: RunConfig = FULL
    samples: Path | None = None
    start: Path | None = None

    @property
    def first_scene(self) -> int:
        """The number of the scene that the first image of the "train" split shows."""
        return self.config.round * self.config.images

    @property
    def _suffix(self) -> str:
        """What the files of a later round are called besides."""
        return f"-{self.config.round}" if self.config.round else ""

    def images_path(self, split: str) -> Path:
        """The file of a split's rendered images."""
        suffix = self._suffix if split == "train" else ""
        return self.folder / "images" / f"{split}{suffix}.u8"

    def images(self, split: str) -> RenderedImages:
        """The rendered images of a split; `FileNotFoundError` saying which command makes them."""
        path = self.images_path(split)
        if not path.exists():
            raise FileNotFoundError(f"no images in {self.folder}; run 'sdlearn train world' first")
        return RenderedImages(path, self.first_scene if split == "train" else 0)

    def checkpoint(self, part: str) -> Path:
        """The checkpoint of a part in training."""
        return self.folder / "checkpoints" / f"{part}{self._suffix}.pt"

    def finished(self, part: str) -> Path:
        """The folder of a finished part, of this run or else of the model that it starts from.

        Raises `FileNotFoundError` saying which command makes it.
        """
        path = self.folder / "model" / part
        if path.exists():
            return path
        if self.start is not None and (self.start / part).exists():
            return self.start / part
        command = f"sdlearn train {part}"
        raise FileNotFoundError(f"no finished {part} in {self.folder}; run '{command}' first")

    def load(self, kind: type[Part], part: str) -> Part:
        """A finished part in full precision, whatever its file has."""
        return _load(kind, self.finished(part))

    def begin(self, kind: type[Part], part: str) -> Part | None:
        """What a part's training begins with, from the folder `start`; None for a new one."""
        return _load(kind, self.start / part) if self.start else None

    def save(self, part: str, write: Callable[[Path], object]) -> None:
        """Let the main process write a finished part; the others wait for it."""
        state = this_process()
        if state.is_main_process:
            write(self.folder / "model" / part)
        state.wait_for_everyone()

    def train(
        self, part: str, objective: nn.Module, make_batch: Callable[..., Batch]
    ) -> Iterator[StageProgress]:
        """Train a part, from its checkpoint if there is one; the log keeps every 20th step.

        `make_batch(batch_size, generator)` makes a batch of `objective`'s arguments.
        """
        config = replace(self.config.parts[part], seed=self.config.round)
        log = self.folder / "log" / f"{part}{self._suffix}.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        batches = partial(make_batch, config.batch_size)
        for record in train_model(objective, batches, config, self.checkpoint(part)):
            if record.step % LOG_EVERY == 0 and this_process().is_main_process:
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(record)) + "\n")
            numbers = {"loss": record.loss, **record.parts}
            yield StageProgress(part, record.step, config.steps, numbers, record.is_last)
