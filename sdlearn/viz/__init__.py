"""Pictures on a page: functions that take pictures and return a matplotlib `Figure`.

Pictures may be float tensors (3, H, W) or (B, 3, H, W) in [0, 1], uint8 arrays (H, W, 3) or
(B, H, W, 3), PIL images, and any iterable that mixes these. Enlarged pictures keep their pixels
visible. A page shows itself in a notebook as one PNG with alternative text for readers who cannot
see it. Nothing here calls pyplot or changes a setting, so no figure stays open.
"""

from .figures import filmstrip, grid, show
from .parts import channels, tokens
from .pictures import to_tensor
from .sheet import PALETTE, Sheet

__all__ = ["PALETTE", "Sheet", "channels", "filmstrip", "grid", "show", "to_tensor", "tokens"]
