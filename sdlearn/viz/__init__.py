"""Images and numbers on a page: functions that return a matplotlib `Figure`.

Images may be float tensors (3, H, W) or (B, 3, H, W) in [0, 1], uint8 arrays (H, W, 3) or
(B, H, W, 3), PIL images, and any iterable that mixes these. Enlarged images keep their pixels
visible. Numbers may be tensors, arrays and lists. A page shows itself in a notebook as one PNG
with alternative text for readers who cannot see it. Nothing here calls pyplot or changes a
setting, so no figure stays open.
"""

from ..util.images import to_tensor
from .charts import bars, curves
from .figure import PALETTE, Sheet
from .images import channels, filmstrip, grid, heatmap, show
from .matrix import matrix
from .pipeline_map import Trace, pipeline_map
from .plane import Panel, plane
from .tokens import tokens

__all__ = [
    "PALETTE",
    "Panel",
    "Sheet",
    "Trace",
    "bars",
    "channels",
    "curves",
    "filmstrip",
    "grid",
    "heatmap",
    "matrix",
    "pipeline_map",
    "plane",
    "show",
    "to_tensor",
    "tokens",
]
