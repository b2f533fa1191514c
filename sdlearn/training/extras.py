"""What lesson 09 finds trained: adapters of the finished model, and models of icons.

Each stage trains one thing after the other and writes a file for each into `output`. These take
minutes, so there is no checkpoint: a run that is cut off begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from ..pipeline import StableDiffusion, load
from ..world.icons import ICON_SETS
from .adapters import TAUGHT, add_lora_to, examples, save_lora, save_word, train_lora, train_word
from .icons import IconUNet, save_icon_model, train_icons, training_set
from .loop import Record
from .run import StageProgress, TrainingRun

EXAMPLES = 512  # scenes that an adapter learns from


def lora_stage(run: TrainingRun, output: Path, only: str | None = None) -> Iterator[StageProgress]:
    """A LoRA for each thing that is held back, or for `only` one."""
    config = run.config.parts["lora"]
    for name in [only] if only else TAUGHT:
        them = examples(name, _count(run))
        torch.manual_seed(0)
        sd = _model(run)
        add_lora_to(sd.unet)
        for record in train_lora(sd, them, config):
            yield _progress(f"lora {name}", record, config.steps)
        save_lora(sd.unet, output / f"{name}-lora.safetensors")


def word_stage(run: TrainingRun, output: Path, only: str | None = None) -> Iterator[StageProgress]:
    """A learnt word for each thing that is held back, or for `only` one."""
    config = run.config.parts["textual-inversion"]
    for name in [only] if only else TAUGHT:
        torch.manual_seed(0)
        learned = torch.empty(0)
        for record, rows in train_word(_model(run), name, _count(run), config):
            learned = rows
            yield _progress(f"word {name}", record, config.steps)
        save_word(f"<{name}>", learned, output / f"{name}-word.safetensors")


def icons_stage(run: TrainingRun, output: Path, only: str | None = None) -> Iterator[StageProgress]:
    """A model for each set of icons, or for `only` one; all begin with the same weights."""
    config = replace(run.config.parts["icons"], seed=run.config.round)
    for name in [only] if only else ICON_SETS:
        images, words = training_set(name)
        torch.manual_seed(0)
        network = IconUNet()
        for record in train_icons(network, images, words, config):
            yield _progress(f"icons {name}", record, config.steps)
        save_icon_model(network, output / f"{name}.safetensors")


def _count(run: TrainingRun) -> int:
    return min(EXAMPLES, run.config.images)


def _model(run: TrainingRun) -> StableDiffusion:
    """The model that is taught, in full precision; each time a new one, which may be changed."""
    return load(run.start or "tiny", dtype=torch.float32)


def _progress(stage: str, record: Record, steps: int) -> StageProgress:
    return StageProgress(stage, record.step, steps, {"loss": record.loss}, record.is_last)


EXTRAS: dict[str, Callable[[TrainingRun, Path, str | None], Iterator[StageProgress]]] = {
    "lora": lora_stage,
    "textual-inversion": word_stage,
    "icons": icons_stage,
}
