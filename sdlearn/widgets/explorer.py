"""A figure that follows sliders: like `ipywidgets.interact`, but still a picture when stored.

`interact` prints into an output area: it flickers, and a stored notebook keeps nothing of it.
Here the figure's PNG is put in place of the last one. Left out: drawing, which is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from .still import StaticFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explorer"]


class Explorer(StaticFigure):
    """What `draw` makes of the values of `controls`, drawn again whenever one changes.

    For example `Explorer(noisy_figure, t=ipywidgets.IntSlider(250, 0, 999))`. `draw(**values)`
    returns a figure of `sdlearn.viz`. When it fails on a change, the last figure stays and the
    error is told below it. Raises `ValueError` for a control without a value and for a drawing
    that is no such figure; what `draw` raises at first is passed on.
    """

    def __init__(self, draw: Callable[..., Figure], **controls: widgets.Widget) -> None:
        for name, control in controls.items():
            if not (isinstance(control, widgets.Widget) and control.has_trait("value")):
                kind = type(control).__name__
                raise ValueError(f"{name} must be a widget with a value; got {kind}")
        super().__init__([*controls.values()])
        self._draw, self._controls = draw, controls
        self._update()
        for control in controls.values():
            control.observe(self._follow, "value")

    def _follow(self, _change: Any) -> None:
        try:
            self._update()
        except Exception as error:  # or it would be lost in the log of the kernel
            self.say(f"{type(error).__name__}: {error}")

    def _update(self) -> None:
        figure = self._draw(**{name: control.value for name, control in self._controls.items()})
        if not hasattr(figure, "_repr_mimebundle_"):
            kind = type(figure).__name__
            raise ValueError(f"draw must return a figure of sdlearn.viz; got {kind}")
        data, metadata = figure._repr_mimebundle_()
        self.show(data["image/png"], data["text/plain"], metadata["image/png"]["width"])
        self.say("")
