"""The one training loop that all models share: `train_model`, a generator of small records.

A model to train is a module whose `forward(**batch)` returns a dict of losses with the entry
"loss"; the data is a function from a `torch.Generator` to a batch. Whatever is random in a step
(rows, timesteps, noise) comes from a generator seeded with the step's number, so a run that
resumes, or that is spread over processes, sees exactly the batches of one that does neither.
Runs on whatever `accelerate` finds: CPU or CUDA, one process or many.

A checkpoint is one file, written completely or not at all. It holds the model, its moving average
and the state of the optimizer, and nothing random.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from ..util.files import write_atomically
from .muon import Muon

Batch = dict[str, Tensor]
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adamw": AdamW, "muon": Muon}


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train."""

    steps: int
    batch_size: int
    lr: float  # the highest rate
    minutes: float | None = None  # a round that ends after so long, whatever `steps` says
    warmup: int = 200  # steps from 0 to `lr`
    decay: float = 0.4  # the last share of the steps, in which the rate falls to 0
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-2
    clip: float = 1.0  # largest norm of the gradient
    ema: float = 0.998  # decay of the weights' moving average
    save_every: int = 250  # steps between checkpoints
    seed: int = 0
    optimizer: str = "adamw"  # one of `OPTIMIZERS`


@dataclass(frozen=True)
class Record:
    """What one optimizer step did; `parts` are the single losses by name."""

    step: int  # 1 after the first step
    loss: float
    lr: float
    parts: dict[str, float]
    is_last: bool = False


class Clock:
    """How much of a training is over: by its minutes where it has some, else by its steps."""

    def __init__(self, config: TrainingConfig, seconds_before: float) -> None:
        self._config = config
        self._start = time.monotonic() - seconds_before

    def seconds(self) -> float:
        """How long the training has run, earlier pieces included."""
        return time.monotonic() - self._start

    def share_done(self, step: int) -> float:
        """0 at the start, 1 at the end, after `step` steps."""
        by_steps = step / self._config.steps
        if self._config.minutes is None:
            return by_steps
        return max(by_steps * (by_steps >= 1), self.seconds() / (60 * self._config.minutes))


def learning_rate(step: int, config: TrainingConfig, share_done: float | None = None) -> float:
    """Warm-up, a plateau, then a straight fall to zero over the last `decay` of the training.

    `share_done` (0..1) is how much of it is over, by default as the steps tell.
    """
    share_done = step / config.steps if share_done is None else share_done
    rise = (step + 1) / max(1, config.warmup)
    fall = (1 - share_done) / max(1 / config.steps, config.decay)
    return config.lr * max(0.0, min(1.0, rise, fall))


def train_model(
    model: nn.Module,
    make_batch: Callable[[torch.Generator], Batch],
    config: TrainingConfig,
    checkpoint: Path | None = None,
) -> Iterator[Record]:
    """Train `model` in place, one record a step; at the end it holds the averaged weights.

    `make_batch` makes one whole batch on the CPU; with several processes each takes its rows.
    With `checkpoint`, progress is saved there and a later call continues from it.
    """
    accelerator = Accelerator()
    trained = [p for p in model.parameters() if p.requires_grad]
    kind = OPTIMIZERS[config.optimizer]
    optimizer: Optimizer = kind(
        trained, config.lr, betas=config.betas, weight_decay=config.weight_decay
    )
    model.to(accelerator.device)
    ema = EMAModel(trained, decay=config.ema)
    start, seconds = 0, 0.0
    if checkpoint and checkpoint.exists():
        start, seconds = _load_checkpoint(checkpoint, model, ema, optimizer)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    wrapped.train()
    clock = Clock(config, seconds)
    for step in range(start, config.steps):
        rate = learning_rate(step, config, clock.share_done(step))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = make_batch(torch.Generator().manual_seed(config.seed * 1_000_003 + step))
        losses = wrapped(**_own_rows(batch, accelerator))
        accelerator.backward(losses["loss"])
        accelerator.clip_grad_norm_(trained, config.clip)
        with accelerator.autocast():  # Muon multiplies matrices
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ema.step(trained)
        done = step + 1
        is_last = clock.share_done(done) >= 1
        is_due = done % config.save_every == 0 or is_last
        if checkpoint and is_due and accelerator.is_main_process:
            _save_checkpoint(checkpoint, done, clock.seconds(), model, ema, optimizer)
        parts = {name: float(value.detach()) for name, value in losses.items()}
        yield Record(done, parts.pop("loss"), rate, parts, is_last)
        if is_last:
            break
    ema.copy_to(trained)
    model.eval()


def _own_rows(batch: Batch, accelerator: Accelerator) -> Batch:
    """This process's rows of the batch, on its device."""
    rank, ranks = accelerator.process_index, accelerator.num_processes
    return {k: v[rank::ranks].to(accelerator.device) for k, v in batch.items()}


def _save_checkpoint(
    path: Path,
    step: int,
    seconds: float,
    model: nn.Module,
    ema: EMAModel,
    optimizer: Optimizer,
) -> None:
    """Write everything needed to continue after `step` steps."""
    found = {
        "step": step,
        "seconds": seconds,
        "model": model.state_dict(),
        "average": ema.shadow_params,
        "average_steps": ema.optimization_step,
        "optimizer": optimizer.state_dict()["state"],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as partial:
        torch.save(found, partial)


def _load_checkpoint(
    path: Path, model: nn.Module, ema: EMAModel, optimizer: Optimizer
) -> tuple[int, float]:
    """Load what `_save_checkpoint` wrote and return its step and the seconds until then.

    Raises `ValueError` when the file belongs to a model of another shape.
    """
    device = next(model.parameters()).device
    found = torch.load(path, map_location=device, weights_only=True)  # tensors only, no code
    try:
        model.load_state_dict(found["model"])
    except RuntimeError as error:
        message = f"checkpoint {path} belongs to another model; delete it to start anew"
        raise ValueError(message) from error
    ema.shadow_params, ema.optimization_step = found["average"], found["average_steps"]
    optimizer.load_state_dict({**optimizer.state_dict(), "state": found["optimizer"]})
    return int(found["step"]), float(found.get("seconds", 0.0))


def load_average(path: Path, model: nn.Module) -> None:
    """Load a checkpoint's averaged weights into `model`, the same module as was trained."""
    averages = torch.load(path, map_location="cpu", weights_only=True)["average"]
    with torch.no_grad():
        for parameter, average in zip(model.parameters(), averages, strict=True):
            parameter.copy_(average)
