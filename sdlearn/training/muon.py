"""Muon (Jordan et al. 2024): steps of equal length in all directions, for kernels and matrices.

The moving average of a kernel's gradients is turned into the nearest matrix whose singular values
are all 1. Directions with small gradients, in which AdamW hardly moves, are learned as fast as the
others. `torch.optim.Muon` takes matrices alone; here a convolution's kernel counts as one, with a
row for each output channel. Steps are as long as AdamW's (Liu et al. 2025, arXiv 2502.16982), so
that one learning rate does for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # of one step of the iteration
STEPS = 5
LENGTH = 0.2  # root mean square of AdamW's usual update


class Muon(AdamW):
    """Muon for parameters of two dimensions and more, AdamW for the rest."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        momentum: float = 0.95,
    ) -> None:
        params = list(params)
        vectors, kernels = (
            [p for p in params if (p.dim() > 1) is is_kernel] for is_kernel in (False, True)
        )
        groups: list[dict[str, Any]] = [{"params": vectors}, {"params": kernels}]
        super().__init__(groups, lr, betas, weight_decay=weight_decay)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step along the gradients."""
        _, kernels = self.param_groups
        for parameter in kernels["params"]:
            if parameter.grad is not None:
                self._step_kernel(parameter, kernels["lr"], kernels["weight_decay"])
                parameter.grad = None  # AdamW leaves alone what has none
        return super().step(closure)

    def _step_kernel(self, parameter: Tensor, lr: float, weight_decay: float) -> None:
        grad, state = parameter.grad, self.state[parameter]
        assert grad is not None
        state.setdefault("step", torch.tensor(0.0))  # AdamW asks for it when a state is loaded
        average = state.setdefault("average", torch.zeros_like(grad))
        average.lerp_(grad, 1 - self.momentum)
        matrix = grad.lerp(average, self.momentum).flatten(1)
        length = LENGTH * max(matrix.shape) ** 0.5
        parameter.mul_(1 - lr * weight_decay)
        parameter.add_(orthogonal(matrix).view_as(parameter), alpha=-lr * length)


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly the nearest matrix (N, M) with singular values of 1, by Newton and Schulz.

    Computed in the precision of autocast where that is on: "nearly" leaves room for its rounding.
    """
    a, b, c = NEWTON_SCHULZ
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if is_tall else matrix) / (matrix.norm() + 1e-7)
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    for _ in range(STEPS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if is_tall else x
