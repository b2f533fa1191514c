"""Where training keeps its things: one folder with pictures, checkpoints and finished parts.

The folder lies outside the repository (`default_folder`), so that hours of work survive a fresh
clone, and everything in it can be made again by `sdlearn train all`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from accelerate import PartialState

from . import clip, judge, unet, vae
from .loop import Record, TrainingConfig

__all__ = ["FULL", "SMOKE", "Plan", "Progress", "TrainingRun", "default_folder"]


@dataclass(frozen=True)
class Plan:
    """How much of everything: the sizes and recipes of one whole training."""

    pictures: int = 32_768  # rendered scenes that the VAE, CLIP and the U-Net learn from
    judge_images: int = 16_384
    probe_captions: int = 6_000
    pass_mark: float = 0.95  # what the text probe must reach before the U-Net is trained
    recipes: dict[str, TrainingConfig] = field(
        default_factory=lambda: {
            "vae": vae.RECIPE,
            "clip": clip.RECIPE,
            "unet": unet.RECIPE,
            "judge": judge.RECIPE,
        }
    )


FULL = Plan()
SMOKE = Plan(  # the whole chain at toy length: proves that it runs, not that it learns
    pictures=64,
    judge_images=32,
    probe_captions=64,
    pass_mark=0.0,
    recipes={
        name: replace(recipe, steps=4, batch_size=min(8, recipe.batch_size), warmup=1, save_every=2)
        for name, recipe in FULL.recipes.items()
    },
)


@dataclass(frozen=True)
class Progress:
    """How far a stage is, and what there is to say about it."""

    stage: str
    done: int
    total: int
    numbers: dict[str, float]


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/sdlearn/training`, by default under the home folder."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sdlearn" / "training"


@dataclass(frozen=True)
class TrainingRun:
    """The folder of one training, its plan, and where its diary of sample sheets goes."""

    folder: Path
    plan: Plan = FULL
    diary: Path | None = None

    def pictures(self, split: str) -> Path:
        """The rendered pictures of a split."""
        return self.folder / "pictures" / f"{split}.u8"

    def checkpoint(self, part: str) -> Path:
        """The checkpoint of a part in training."""
        return self.folder / "checkpoints" / f"{part}.safetensors"

    def finished(self, part: str) -> Path:
        """The folder that a finished part is saved in."""
        return self.folder / "model" / part

    def need(self, part: str) -> Path:
        """The folder of a finished part; `FileNotFoundError` saying which command makes it."""
        path = self.finished(part)
        if not path.exists():
            raise FileNotFoundError(
                f"no finished {part} in {self.folder}; run 'sdlearn train {part}' first"
            )
        return path

    def save(self, part: str, write: Callable[[Path], object]) -> None:
        """Let the main process write a finished part; the others wait for it."""
        state = PartialState()
        if state.is_main_process:
            write(self.finished(part))
        state.wait_for_everyone()

    def log(self, stage: str, records: Iterator[Record], every: int = 20) -> Iterator[Progress]:
        """Pass records on as progress, and keep every 20th in `log/<stage>.jsonl`."""
        path = self.folder / "log" / f"{stage}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        for record in records:
            if record.step % every == 0 and PartialState().is_main_process:
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(record)) + "\n")
            numbers = {"loss": record.loss, **record.parts}
            yield Progress(stage, record.step, self.plan.recipes[stage].steps, numbers)
