"""Looking inside a model: where it attends, what each part is for, and how it is built."""

from .ablation import with_fixed_timestep, without_skips
from .anatomy import Anatomy, Part, anatomy, pixel_unet
from .anatomy_figure import anatomy_figure
from .architecture import ARCHITECTURES, SD15
from .attention import AttentionMap, record_attention, token_positions, word_maps
from .attention_figure import attention_figure
from .trace import trace
from .unet_figure import unet_figure

__all__ = [
    "ARCHITECTURES",
    "SD15",
    "Part",
    "Anatomy",
    "AttentionMap",
    "anatomy",
    "anatomy_figure",
    "attention_figure",
    "pixel_unet",
    "record_attention",
    "token_positions",
    "trace",
    "unet_figure",
    "with_fixed_timestep",
    "without_skips",
    "word_maps",
]
