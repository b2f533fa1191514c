"""Faster calls of the two networks that take most of the time: the U-Net and the VAE's decoder.

On a GPU, torch.compile generates new code. It is much faster, but takes a minute or more for the
first image of each size and number, and rounds differently: an image may differ by a grey level.
Code that watches or changes layers (`sdlearn.inside`) runs the plain model (`as_written`).

On the CPU, the operations of a call are recorded and replayed (`playback`). That gives the same
bits, takes a second for the first image and needs no C++ compiler. The tiny model becomes a quarter
faster; a large model gains little, because Python takes only a small part of its time.

Where the time of an image goes, in ms: tiny model, 20 steps, guidance 3, fp32, two CPU cores,
measured by `python -m benchmarks --profile`, with and without `--compile`:

    stage                     plain   compiled
    text encoder                  4          4
    U-Net, 20 calls             397        291   of a call's 20: convolutions 9, linear layers 3,
    guidance and scheduler        5          6   attention 1, norms 1; Python and torch around
    VAE decoder                  15         14   them 5, which compiling takes away, and keys and
    the rest                      2          2   values of the text 0.5, which it keeps
    together                    423        317

What remains is the work of torch's kernels, at a quarter of what the cores can do. We tried
channels_last and packing the convolutions' weights for oneDNN in advance, without gain. Inductor's
packing makes them a third faster, but rounds differently.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .playback import Playback

__all__ = ["as_written", "check_compile", "compile_parts"]


def check_compile(wanted: bool) -> None:
    """Raise `TypeError` for a `compile` that is neither True nor False."""
    if not isinstance(wanted, bool):
        raise TypeError(f"compile must be True or False; got {wanted!r}")


def compile_parts(unet: Any, vae: Any, device: torch.device, offload: str) -> None:
    """Make both faster in place; the compiling happens at the first call.

    Raises `ValueError` when weights are moved to the device and back (`MemoryPlan.offload`), as
    compiled code needs them to stay in place.
    """
    if offload != "none":
        raise ValueError(
            "compile=True needs all parts on the device, and the memory is too little for that; "
            "give more memory, or leave compile out"
        )
    if device.type == "cpu":
        unet.forward = Playback(unet, steady="encoder_hidden_states")
        vae.decoder.forward = Playback(vae.decoder)
    else:
        unet.compile()
        vae.decoder.compile()


_eager_lock = threading.Lock()
_eager_blocks = 0


@contextmanager
def as_written() -> Iterator[None]:
    """While any of these blocks is open, what torch.compile made runs eagerly, with all hooks.

    The stance of torch.compile is one for the whole process, so the blocks are counted: they may
    be closed in any order.
    """
    global _eager_blocks
    with _eager_lock:
        _eager_blocks += 1
        torch.compiler.set_stance("force_eager")
    try:
        yield
    finally:
        with _eager_lock:
            _eager_blocks -= 1
            if not _eager_blocks:
                torch.compiler.set_stance("default")
