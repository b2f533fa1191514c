"""What the tests of all explorers share."""

import threading

from PIL import Image, ImageChops

from sdlearn.widgets.base import LiveExplorer

__all__ = ["NEARLY", "at_work", "done", "same"]

LAST_BITS = 2  # levels of 255
NEARLY = {"rtol": 1e-4, "atol": 1e-5}  # tensors: the explorers' model is ONNX Runtime's


def done(explorer: LiveExplorer, seconds: float = 30) -> dict:
    """The facts, once the panels are up to date."""
    assert explorer.wait(seconds)
    return explorer.facts


def same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two images are equal, but for the last bits.

    An explorer draws with one thread less, or with ONNX Runtime, and that makes a level more or
    less here and there.
    """
    return max(high for _, high in ImageChops.difference(one, other).getextrema()) <= LAST_BITS


def at_work() -> list[threading.Thread]:
    """The threads in which explorers draw."""
    return [thread for thread in threading.enumerate() if thread.name == "explorer"]
