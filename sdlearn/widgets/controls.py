"""The controls that explorers share: each is labelled, keyed and wide enough for a projector.

Sliders and text report when they are let go of or entered, not while they move or are typed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from ..diffusion.schedulers import SCHEDULERS

__all__ = [
    "HIGHEST_SEED",
    "OWN",
    "OWN_OR_OTHERS",
    "button",
    "choice",
    "decimal_slider",
    "dice",
    "prompt_box",
    "scheduler_choice",
    "scheduler_of",
    "seed_box",
    "whole_slider",
]

HIGHEST_SEED = 2**31 - 1
OWN = "the model's own"  # a menu shows nothing at all for None
OWN_OR_OTHERS = (OWN, *SCHEDULERS)
WIDE = widgets.Layout(width="min(100%, 640px)")
LABEL = {"description_width": "130px"}


def prompt_box(label: str = "prompt", hint: str = "what to draw, then Enter") -> widgets.Text:
    """One line of text that counts when Enter is pressed or the box is left."""
    return widgets.Text(
        description=label,
        placeholder=hint,
        continuous_update=False,
        style=LABEL,
        layout=WIDE,
    )


def whole_slider(label: str, low: int, high: int, *, live: bool = False) -> widgets.IntSlider:
    """A slider over whole numbers; with `live` it reports while it moves."""
    return widgets.IntSlider(
        low, low, high, description=label, continuous_update=live, style=LABEL, layout=WIDE
    )


def decimal_slider(label: str, low: float, high: float, step: float) -> widgets.FloatSlider:
    """A slider over decimal numbers."""
    return widgets.FloatSlider(
        low, min=low, max=high, step=step, description=label, readout_format=".1f",
        continuous_update=False, style=LABEL, layout=WIDE,
    )  # fmt: skip


def seed_box(label: str = "seed") -> widgets.BoundedIntText:
    """A seed, a whole number from 0."""
    layout = widgets.Layout(width="260px")
    return widgets.BoundedIntText(0, 0, HIGHEST_SEED, description=label, style=LABEL, layout=layout)


def button(label: str, explained: str, action: Any) -> widgets.Button:
    """A button that calls `action` without arguments."""
    made = widgets.Button(description=label, tooltip=explained, layout=widgets.Layout(width="auto"))
    made.on_click(lambda _button: action())
    return made


def dice(seed: widgets.BoundedIntText) -> widgets.Button:
    """A button that puts another seed into a seed box."""

    def throw() -> None:
        seed.value = random.randrange(10_000)

    return button("another seed", "Draw with a seed chosen by chance", throw)


def choice(label: str, options: Sequence[Any]) -> widgets.Dropdown:
    """One of several things, from a menu."""
    return widgets.Dropdown(
        options=options, description=label, style=LABEL, layout=widgets.Layout(width="320px")
    )


def scheduler_choice() -> widgets.Dropdown:
    """A scheduler by its name, or `OWN`; `scheduler_of` makes it what the pipeline takes."""
    return choice("scheduler", OWN_OR_OTHERS)


def scheduler_of(chosen: str) -> str | None:
    """The pipeline's name for a choice: None for the model's own scheduler."""
    return None if chosen == OWN else chosen
