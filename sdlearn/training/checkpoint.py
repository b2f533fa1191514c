"""Training checkpoints: one safetensors file, written whole or not at all.

Holds the model, its moving average and the state of the optimizer. Nothing random is stored:
every training step draws from a generator seeded with the step's number (see `loop`).
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

__all__ = ["load_average", "restore", "save"]


def save(
    path: Path, step: int, model: nn.Module, ema: EMAModel, optimizer: torch.optim.Optimizer
) -> None:
    """Write everything needed to go on after `step` steps; the old file stays until then."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"ema.{i}": value for i, value in enumerate(ema.shadow_params)}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": value for name, value in state.items()}
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(whole, partial, metadata={"step": str(step), "ema_step": str(ema.optimization_step)})
    os.replace(partial, path)


def restore(path: Path, model: nn.Module, ema: EMAModel, optimizer: torch.optim.Optimizer) -> int:
    """Load what `save` wrote and return its step; 0 when there is no file.

    Raises `ValueError` when the file belongs to a model of another shape.
    """
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    try:
        model.load_state_dict(_under(tensors, "model."))
    except RuntimeError as error:
        raise ValueError(
            f"checkpoint {path} belongs to another model; delete it to start anew"
        ) from error
    averages = _under(tensors, "ema.")
    for i, shadow in enumerate(ema.shadow_params):
        shadow.copy_(averages[str(i)])
    ema.optimization_step = int(metadata["ema_step"])
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _under(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        states.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    return int(metadata["step"])


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def load_average(path: Path, model: nn.Module) -> None:
    """Load a checkpoint's averaged weights into `model`, the same module as was trained."""
    with safe_open(path, framework="pt") as file, torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(file.get_tensor(f"ema.{i}"))
