"""Widgets of the lessons: thin shells, one a file, over functions that know of no widget.

Each is also a picture with a text, which is what a reader without a running kernel sees.
"""

from .explorer import Explorer
from .picker import PicturePicker

__all__ = ["Explorer", "PicturePicker"]
