"""Pictures and numbers on a page: functions that return a matplotlib `Figure`.

Pictures may be float tensors (3, H, W) or (B, 3, H, W) in [0, 1], uint8 arrays (H, W, 3) or
(B, H, W, 3), PIL images, and any iterable that mixes these. Enlarged pictures keep their pixels
visible. Numbers may be tensors, arrays and lists. A page shows itself in a notebook as one PNG
with alternative text for readers who cannot see it. Nothing here calls pyplot or changes a
setting, so no figure stays open.
"""

from ..util.images import to_tensor
from .bars import bars
from .curves import curves
from .figures import filmstrip, grid, show
from .heat import heatmap
from .matrix import matrix
from .parts import channels, tokens
from .sheet import PALETTE, Sheet

__all__ = [
    "PALETTE",
    "Sheet",
    "bars",
    "channels",
    "curves",
    "filmstrip",
    "grid",
    "heatmap",
    "matrix",
    "show",
    "to_tensor",
    "tokens",
]
