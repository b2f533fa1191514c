"""Interpolation between two tensors: on the straight line, or on the arc that keeps their length.

Noise of many dimensions has nearly the same length for every seed; a straight line between two such
tensors passes through shorter ones, which a model has never seen.

Source: Shoemake 1985, "Animating rotation with quaternion curves".
"""

from __future__ import annotations

import torch
from torch import Tensor


def lerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """The point on the straight line from `a` (share 0) to `b` (share 1)."""
    return (1 - share) * a + share * b


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """The point on the arc from `a` (share 0) to `b` (share 1), at that share of the angle.

    sin((1 - s)θ) / sin θ · a + sin(sθ) / sin θ · b, θ the angle between the two (Shoemake 1985).
    Where they point the same way, the arc is the straight line. Raises `ValueError` when they
    point in opposite ways: then there are many arcs, and none is the shortest.

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 0.5)
    tensor([0.7071, 0.7071])
    """
    theta = angle(a, b)
    if torch.sin(theta) < 1e-4:
        if theta > 1:
            raise ValueError(
                "a and b must not point in opposite directions, where no arc is the shortest"
            )
        return lerp(a, b, share)
    return (
        torch.sin((1 - share) * theta) / torch.sin(theta) * a
        + torch.sin(share * theta) / torch.sin(theta) * b
    )


def angle(a: Tensor, b: Tensor) -> Tensor:
    """The angle between two tensors as vectors, in radians, 0..pi."""
    x, y = a.flatten(), b.flatten()
    return torch.arccos((x @ y / (x.norm() * y.norm())).clamp(-1, 1))
