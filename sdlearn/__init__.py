"""How Stable Diffusion works, shown with a real one that fits in a wheel.

    from sdlearn import load

    sd = load("tiny")
    [image] = sd.generate("a large red house on green grass", seeds=[7])

The names below are imported when they are first used (PEP 562), so that `import sdlearn` itself
takes no time and loads no heavy library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import course, diffusion, viz, widgets, world
    from .pipeline import StableDiffusion, Step, load
    from .world import Scene, Thing, caption, render

__all__ = [
    "Scene",
    "StableDiffusion",
    "Step",
    "Thing",
    "__version__",
    "caption",
    "course",
    "diffusion",
    "load",
    "render",
    "viz",
    "widgets",
    "world",
]

__version__ = "0.1.0"

_MODULES = ("course", "diffusion", "viz", "widgets", "world")
_HOMES = {
    "Scene": "world",
    "StableDiffusion": "pipeline",
    "Step": "pipeline",
    "Thing": "world",
    "caption": "world",
    "load": "pipeline",
    "render": "world",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value  # from now on found without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
