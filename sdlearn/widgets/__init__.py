"""Widgets of the lessons: explorers, whose panels follow what a reader moves, and an image picker.

Each is also an image with a text, which is what a reader without a running kernel sees.
"""

from .base import Explorer
from .cfg import CfgExplorer
from .mixer import PromptMixer
from .noise import NoiseExplorer
from .painter import LatentPainter
from .picker import ImagePicker
from .sketch import SketchExplorer
from .theatre import DenoisingTheatre
from .tokens import TokenExplorer

# An explorer is used like a figure, so its class also has a function's name.
cfg_explorer = CfgExplorer
denoising_theatre = DenoisingTheatre
latent_painter = LatentPainter
noise_explorer = NoiseExplorer
prompt_mixer = PromptMixer
sketch_explorer = SketchExplorer
token_explorer = TokenExplorer

__all__ = [
    "CfgExplorer",
    "DenoisingTheatre",
    "Explorer",
    "ImagePicker",
    "LatentPainter",
    "NoiseExplorer",
    "PromptMixer",
    "SketchExplorer",
    "TokenExplorer",
    "cfg_explorer",
    "denoising_theatre",
    "latent_painter",
    "noise_explorer",
    "prompt_mixer",
    "sketch_explorer",
    "token_explorer",
]
