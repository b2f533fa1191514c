"""The best guess that there is, for data that are all known: no network, only the data themselves.

The error of a guess is squared in training, so the best guess of x_0 is the mean of all x_0 that
x_t may have come from, each as much as it is likely. Where the data are a list, this mean is a sum
that can be written down (Karras et al. 2022, arXiv 2206.00364, appendix B.3). So it can be compared
with what a network has learned. It cannot draw anything new: without noise in x_t it is one of the
data, however the run went on before.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .equations import pred_eps

__all__ = ["ideal_eps", "ideal_x0"]


def ideal_x0(x_t: Tensor, data: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """The mean of all that x_t may have come from, if it was one of `data`, each as often.

    `x_t` (B, ...) and `data` (N, ...) have the same shape beside their first axis; `alpha_bar` is
    one value in 0..1. The result has the shape of `x_t`.

    >>> data = torch.tensor([[-1.0], [1.0]])
    >>> ideal_x0(torch.tensor([[0.0], [9.0]]), data, 0.5)  # undecided; sure
    tensor([[0.],
            [1.]])
    """
    alpha_bar = torch.as_tensor(alpha_bar, dtype=torch.float64)
    far = torch.cdist(  # exact: the quick way multiplies matrices and loses what is small
        x_t.flatten(1).double(),
        alpha_bar.sqrt() * data.flatten(1).double(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    share = (-far.square() / (2 * (1 - alpha_bar))).softmax(dim=1)  # (B, N), adds up to 1
    return (share @ data.flatten(1).double()).view(x_t.shape).to(x_t.dtype)


def ideal_eps(x_t: Tensor, data: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """The noise that `ideal_x0` implies: no guess from x_t has a smaller squared error."""
    return pred_eps(x_t, ideal_x0(x_t, data, alpha_bar), alpha_bar)
