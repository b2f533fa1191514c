"""What the tests of all explorers share."""

import threading

from ipywidgets import Widget
from PIL import Image, ImageChops

from sdlearn.widgets.base import LiveExplorer, _widgets_in

__all__ = ["NEARLY", "at_work", "buttons", "done", "same"]

LAST_BITS = 2  # levels of 255
NEARLY = {"rtol": 1e-4, "atol": 1e-5}  # tensors: the explorers' model is ONNX Runtime's


def done(explorer: LiveExplorer, seconds: float = 30) -> dict:
    """The facts, once the panels are up to date."""
    assert explorer.wait(seconds)
    return explorer.facts


def buttons(explorer: LiveExplorer) -> dict[str, Widget]:
    """Its buttons by what stands on them."""
    kinds = ("ButtonModel", "ToggleButtonModel", "FileUploadModel")
    parts = [part for part in _widgets_in(explorer) if part._model_name in kinds]
    return {part.description: part for part in parts}


def same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two images are equal, but for the last bits.

    An explorer draws with one thread less, or with ONNX Runtime, and that makes a level more or
    less here and there.
    """
    return max(high for _, high in ImageChops.difference(one, other).getextrema()) <= LAST_BITS


def at_work() -> list[threading.Thread]:
    """The threads in which explorers draw."""
    return [thread for thread in threading.enumerate() if thread.name == "explorer"]
