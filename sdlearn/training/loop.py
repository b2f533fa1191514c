"""The one training loop that all models share: `fit`, a generator of small records.

A model to train is a module whose `forward(**batch)` returns a dict of losses with the entry
"loss"; the data is a function from a `torch.Generator` to a batch. Whatever is random in a step
(rows, timesteps, noise) is drawn from a generator seeded with the step's number, so a run that
resumes, or that is spread over processes, sees exactly the batches of one that does neither.
Runs on whatever `accelerate` finds: CPU or CUDA, one process or many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn

from . import checkpoint as checkpoints

__all__ = ["Batch", "TrainingConfig", "Record", "fit", "learning_rate"]

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train."""

    steps: int
    batch_size: int
    lr: float  # the highest rate
    warmup: int = 200  # steps from 0 to `lr`
    decay: float = 0.4  # the last share of the steps, in which the rate falls to 0
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-2
    clip: float = 1.0  # largest norm of the gradient
    ema: float = 0.998  # decay of the weights' moving average
    save_every: int = 250  # steps between checkpoints
    seed: int = 0


@dataclass(frozen=True)
class Record:
    """What one optimizer step did; `parts` are the single losses by name."""

    step: int  # 1 after the first step
    loss: float
    lr: float
    parts: dict[str, float]


def learning_rate(step: int, recipe: TrainingConfig) -> float:
    """Warm-up, a plateau, then a straight fall to zero over the last `decay` of the steps."""
    rise = (step + 1) / max(1, recipe.warmup)
    fall = (recipe.steps - step) / max(1.0, recipe.decay * recipe.steps)
    return recipe.lr * min(1.0, rise, fall)


def fit(
    model: nn.Module,
    draw: Callable[[torch.Generator], Batch],
    recipe: TrainingConfig,
    checkpoint: Path | None = None,
) -> Iterator[Record]:
    """Train `model` in place, one record a step; at the end it holds the averaged weights.

    `draw` makes one whole batch on the CPU; with several processes each takes its rows.
    With `checkpoint`, progress is saved there and a later call goes on from it.
    """
    accelerator = Accelerator()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    model.to(accelerator.device)
    ema = EMAModel(trained, decay=recipe.ema)
    start = checkpoints.restore(checkpoint, model, ema, optimizer) if checkpoint else 0
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    wrapped.train()
    for step in range(start, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, recipe)
        batch = draw(torch.Generator().manual_seed(recipe.seed * 1_000_003 + step))
        losses = wrapped(**_share(batch, accelerator))
        accelerator.backward(losses["loss"])
        accelerator.clip_grad_norm_(trained, recipe.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ema.step(trained)
        done = step + 1
        if checkpoint and accelerator.is_main_process and _is_due(done, recipe):
            checkpoints.save(checkpoint, done, model, ema, optimizer)
        parts = {name: float(value.detach()) for name, value in losses.items()}
        yield Record(done, parts.pop("loss"), learning_rate(step, recipe), parts)
    ema.copy_to(trained)
    model.eval()


def _is_due(done: int, recipe: TrainingConfig) -> bool:
    return done % recipe.save_every == 0 or done == recipe.steps


def _share(batch: Batch, accelerator: Accelerator) -> Batch:
    """This process's rows of the batch, on its device."""
    rank, ranks = accelerator.process_index, accelerator.num_processes
    return {k: v[rank::ranks].to(accelerator.device) for k, v in batch.items()}
