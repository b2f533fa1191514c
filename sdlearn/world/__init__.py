"""A small world of drawn images whose truth is known: scene → image, scene → words.

What the world holds is listed in `scene`. Each item has one place where it is drawn and one where
it is worded:

    subject         the function of its name in `subjects`; synonyms in `phrases`
    ground, time    `render`; `phrases`; so are the colours, the items of the sky and the weather
    drawing style   the function of its name in `styles`; `phrases`

`parse` finds the words of `phrases` again in a prompt. A new word of any kind makes the judge and
the U-Net out of date: see `sdlearn train`.
"""

from .caption import caption, full_caption
from .parse import parse_prompt
from .render import IMAGE_SIZE, render
from .scene import (
    COLOURS,
    SUBJECTS,
    VOCABULARY,
    Scene,
    Thing,
    is_held_out,
    sample_scene,
    scene_at,
    scenes,
)

__all__ = [
    "COLOURS",
    "IMAGE_SIZE",
    "SUBJECTS",
    "VOCABULARY",
    "Scene",
    "Thing",
    "caption",
    "full_caption",
    "is_held_out",
    "parse_prompt",
    "render",
    "sample_scene",
    "scene_at",
    "scenes",
]
