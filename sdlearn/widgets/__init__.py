"""Widgets of the lessons: thin shells, one a file, over functions that know of no widget.

Each is also a picture with a text, which is what a reader without a running kernel sees.
"""

from .cfg import CfgExplorer
from .explorer import Explorer
from .mixer import PromptMixer
from .noise import NoiseExplorer
from .painter import LatentPainter
from .picker import PicturePicker
from .theatre import DenoisingTheatre
from .tokens import TokenExplorer

__all__ = [
    "CfgExplorer",
    "DenoisingTheatre",
    "Explorer",
    "LatentPainter",
    "NoiseExplorer",
    "PicturePicker",
    "PromptMixer",
    "TokenExplorer",
]
