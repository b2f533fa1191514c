"""A shorter start of `sdlearn generate`: most of it is importing torch and what stands on it.

Two things in it do nothing for a picture, half a second each on two CPU cores. The garbage
collector goes through all objects again and again while the modules come in, and finds nothing.
And transformers and diffusers import scipy where it is installed: for losses of object detectors,
and for a spacing of the steps ("beta sigmas") that no Stable Diffusion 1.x asks for.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quick_imports"]

WITHOUT_SCIPY = ("tiny", "sd15")  # models whose schedulers are known to do without


@contextmanager
def quick_imports(model: str) -> Iterator[None]:
    """Import in here what it takes to draw with `model`, a name for `sdlearn.load`.

    Libraries that are imported for the first time in here take scipy for missing until the
    process ends; scipy itself can be imported afterwards.
    """
    hide = model in WITHOUT_SCIPY and "scipy" not in sys.modules
    collecting = gc.isenabled()
    gc.disable()
    if hide:
        sys.modules["scipy"] = None  # type: ignore[assignment]  # "not installed", says Python
    try:
        yield
    finally:
        if hide:
            del sys.modules["scipy"]
        if collecting:
            gc.freeze()  # modules stay; the collector need not go through them ever again
            gc.enable()
