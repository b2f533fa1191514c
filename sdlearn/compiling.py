"""torch.compile for the two parts where the time goes: the U-Net and the VAE's decoder.

The first picture of each batch size takes a minute or more to compile, the next ones are faster.
The compiled code rounds differently, so a picture may differ by a grey level from the plain one.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import torch

__all__ = ["check_compile", "compile_parts"]

COMPILERS = ("g++", "clang++", "c++", "cl")


def check_compile(wanted: bool, device: torch.device) -> None:
    """Raise unless `wanted` is a bool, and what it asks for can be done here.

    `ValueError` on the CPU without a C++ compiler: torch writes C++ there.
    """
    if not isinstance(wanted, bool):
        raise TypeError(f"compile must be True or False; got {wanted!r}")
    if wanted and device.type == "cpu" and not _has_compiler():
        raise ValueError(
            "compile=True needs a C++ compiler on the CPU, such as g++ or clang++, and none was "
            "found; install one, or leave compile out"
        )


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), *COMPILERS) if name)


def compile_parts(unet: Any, vae: Any, offload: str) -> None:
    """Compile in place; it happens at the first call.

    Raises `ValueError` when weights come and go (`MemoryPlan.offload`): compiled code wants them
    where they are.
    """
    if offload != "none":
        raise ValueError(
            "compile=True needs all parts on the device, and the memory is too little for that; "
            "give more memory, or leave compile out"
        )
    unet.compile()
    vae.decoder.compile()
