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

# An explorer is made like a figure, so its class also has the name of a function.
cfg_explorer = CfgExplorer
denoising_theatre = DenoisingTheatre
latent_painter = LatentPainter
noise_explorer = NoiseExplorer
prompt_mixer = PromptMixer
token_explorer = TokenExplorer

__all__ = [
    "CfgExplorer",
    "DenoisingTheatre",
    "Explorer",
    "LatentPainter",
    "NoiseExplorer",
    "PicturePicker",
    "PromptMixer",
    "TokenExplorer",
    "cfg_explorer",
    "denoising_theatre",
    "latent_painter",
    "noise_explorer",
    "prompt_mixer",
    "token_explorer",
]
