"""Settings of explorers: traits, each with the control that a reader moves.

    class NoiseExplorer(LiveExplorer):
        seed = controls.seed(7)
        t = controls.whole("timestep t", 0, 999, value=300)

Every control has a label and can be used with the keyboard. Texts report when they are
entered, sliders when they are let go of, with `live` also while they move.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ipywidgets as widgets
import traitlets

__all__ = ["another_seed", "button", "choice", "decimal", "hidden", "seed", "text", "whole"]

Trait = TypeVar("Trait", bound="traitlets.TraitType[Any, Any]")

HIGHEST_SEED = 2**31 - 1
WIDTH = "auto"  # of the column of controls
LABEL = {"description_width": "8em"}  # in letters: a presenter's are larger
TEXT_LABEL = {"description_width": "9em"}
PROMPT_HINT = "such as: a cat in the rain, as a watercolour; then Enter"


def _setting(trait: Trait, kind: Any, label: str, **options: Any) -> Trait:
    """The trait, with a function that makes its control."""
    options = {"style": LABEL, "layout": {"width": WIDTH}, **options}
    return trait.tag(control=lambda: kind(description=label, **options))


def hidden(trait: Trait) -> Trait:
    """A setting without a control, which only code changes."""
    return trait.tag(control=None)


def text(
    label: str, value: str = "", *, hint: str = PROMPT_HINT
) -> traitlets.Unicode[str, str | bytes]:
    """A line of text, which counts when Enter is pressed or the box is left."""
    trait = traitlets.Unicode(value)
    options = {"placeholder": hint, "continuous_update": False, "style": TEXT_LABEL}
    return _setting(trait, widgets.Text, label, **options)


def whole(
    label: str, low: int, high: int | None = None, *, value: int | None = None, live: bool = False
) -> traitlets.Int[int, int]:
    """A slider over whole numbers, at first at `value` or `low`.

    Without `high` the model decides: the explorer sets the slider's `max` in `prepare`.
    """
    trait = traitlets.Int(low if value is None else value, min=low, max=high)
    top = low + 1 if high is None else high
    options = {"value": low, "min": low, "max": top, "continuous_update": live, "style": {}}
    return _setting(trait, widgets.IntSlider, label, **options)


def decimal(
    label: str, low: float, high: float, step: float, *, value: float = 0.0, live: bool = False
) -> traitlets.Float[float, float]:
    """A slider over decimal numbers."""
    options: dict[str, Any] = {"value": low, "min": low, "max": high, "step": step, "style": {}}
    options |= {"continuous_update": live, "readout_format": ".2f" if step < 0.1 else ".1f"}
    trait = traitlets.Float(value, min=low, max=high)
    return _setting(trait, widgets.FloatSlider, label, **options)


def choice(label: str, options: Sequence[str]) -> traitlets.Enum[str]:
    """One of several words, from a menu; the first one at the beginning."""
    trait = traitlets.Enum(options, options[0])
    return _setting(trait, widgets.Dropdown, label, options=options)


def seed(value: int, label: str = "seed") -> traitlets.Int[int, int]:
    """A box for a seed, a whole number from 0."""
    trait = traitlets.Int(value, min=0, max=HIGHEST_SEED)
    return _setting(trait, widgets.BoundedIntText, label, min=0, max=HIGHEST_SEED)


def button(label: str, tooltip: str, action: Callable[[], Any]) -> widgets.Button:
    """A button that calls `action` without arguments."""
    made = widgets.Button(description=label, tooltip=tooltip, layout={"width": "auto"})
    made.on_click(lambda _button: action())
    return made


def another_seed(explorer: Any) -> widgets.Button:
    """A button that puts another seed into an explorer."""

    def change() -> None:
        explorer.seed = random.randrange(10_000)

    return button("another seed", "Draw with a seed chosen by chance", change)
