"""A small world of storybook pictures whose truth is known: scene → picture, scene → words."""

from .caption import caption, full_caption
from .dataset import scene_at, scenes
from .parse import parse_prompt
from .render import IMAGE_SIZE, render
from .scene import Scene, Thing, is_held_out, sample_held_out_scene, sample_scene

__all__ = [
    "IMAGE_SIZE",
    "Scene",
    "Thing",
    "caption",
    "full_caption",
    "is_held_out",
    "render",
    "sample_held_out_scene",
    "sample_scene",
    "scene_at",
    "scenes",
    "parse_prompt",
]
