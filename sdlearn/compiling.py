"""torch.compile for the two parts where the time goes: the U-Net and the VAE's decoder.

On a GPU torch's own compiler writes new code. It is much faster, takes a minute or more at the
first picture of each size and number, and rounds differently: a picture may differ by a grey level.

On the CPU the operations of one call are recorded and played back without Python in between
(TorchScript). They are the same operations in the same order, so pictures are the same, bit for
bit; it takes a few seconds, and no C++ compiler. The tiny model gains a fifth of its time by that,
a large one little, for there Python is a small part.

Where the time of a picture goes, in ms: tiny model, 20 steps, guidance 3, fp32, two CPU cores
(`sdlearn bench --profile` measures the first column again, `sdlearn bench --compile` the sum of
the second; no hook sees into a compiled U-Net, so its line is what remains):

    stage                     plain   compiled
    text encoder                  3          3
    U-Net, 20 calls             394        317   of a call's 20: convolutions 9, linear layers 3,
    guidance and scheduler        5          5   attention 1, norms 1; Python and torch around
    VAE decoder                  15         15   them 4, which compiling takes away
    the rest                      2          2
    together                    419        342

What is left is the work of torch's kernels, at a quarter of what the cores can do. The next lever
would be convolutions whose weights are packed beforehand: a third faster, but they round otherwise.

Whoever watches or changes layers (`sdlearn.attention`, `sdlearn.ablation`) needs the plain model:
`as_written`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

__all__ = ["as_written", "check_compile", "compile_parts"]


def check_compile(wanted: bool) -> None:
    """Raise `TypeError` for a `compile` that is neither True nor False."""
    if not isinstance(wanted, bool):
        raise TypeError(f"compile must be True or False; got {wanted!r}")


def compile_parts(unet: Any, vae: Any, device: torch.device, offload: str) -> None:
    """Compile in place; it happens at the first call.

    Raises `ValueError` when weights come and go (`MemoryPlan.offload`): compiled code wants them
    where they are.
    """
    if offload != "none":
        raise ValueError(
            "compile=True needs all parts on the device, and the memory is too little for that; "
            "give more memory, or leave compile out"
        )
    for part in (unet, vae.decoder):
        if device.type == "cpu":
            part.compile(backend=_played_back, dynamic=False)
        else:
            part.compile()


def as_written() -> AbstractContextManager[Any]:
    """While the context is open, compiled models run as they are written, with all their hooks."""
    return torch.compiler.set_stance("force_eager")


def _played_back(
    graph: torch.fx.GraphModule, inputs: Sequence[Tensor]
) -> Callable[..., Sequence[Tensor]]:
    """A backend for torch.compile: the graph's operations, one after the other, from C++."""
    with torch.no_grad(), warnings.catch_warnings():
        # TorchScript is deprecated; its heirs were no faster than plain Python here.
        warnings.simplefilter("ignore")
        recorded = torch.jit.trace(graph.eval(), tuple(inputs), check_trace=False, strict=False)
        recorded = torch.jit.freeze(recorded.eval())
    return lambda *args: recorded(*args)
