"""The map of the pipeline as a page: each part is a link to the explorer of that part."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import NamedTuple

from .. import viz
from ..inside.trace import trace
from ..viz.pipeline_map import AREAS, WIDTH, extent
from .base import Model, shared_model
from .shared import PROMPT, image_tag

__all__ = ["MapLink", "map_html"]

NARROW = 200  # pixels; a narrower part has its label above it, or at its foot if it is tall
STYLE = """
.sdlearn-map { position: relative; margin: 12px auto 0; line-height: 1.3;
  width: min(100%, calc((100vh - 170px) * RATIO)); min-width: min(100%, 640px); }
.sdlearn-map img { display: block; width: 100%; image-rendering: auto !important; }
.sdlearn-map .dark, [data-jp-theme-light="false"] .sdlearn-map .light { display: none; }
[data-jp-theme-light="false"] .sdlearn-map .dark { display: block; }
.sdlearn-map a { position: absolute; box-sizing: border-box; border-radius: 10px; }
.sdlearn-map a span { position: absolute; top: 4px; right: 5px; padding: 2px 10px;
  border-radius: 1em; background: #1f2328; color: #fff; font: 600 14px sans-serif;
  white-space: nowrap; }
.sdlearn-map a.narrow span { top: -15px; right: 50%; transform: translateX(50%); }
.sdlearn-map a.tall span { top: auto; bottom: 4px; }
.sdlearn-map a:hover, .sdlearn-map a:focus-visible { outline: 4px solid #b93a00; }
.sdlearn-map a:hover span, .sdlearn-map a:focus-visible span { background: #b93a00; }
[data-jp-theme-light="false"] .sdlearn-map a span { background: #e8ebef; color: #14171c; }
[data-jp-theme-light="false"] .sdlearn-map a:is(:hover, :focus-visible) { outline-color: #ff8a50; }
[data-jp-theme-light="false"] .sdlearn-map a:is(:hover, :focus-visible) span
  { background: #ff8a50; }
"""


class MapLink(NamedTuple):
    """A link over one of `viz.pipeline_map.AREAS`."""

    area: str
    address: str
    label: str  # what is seen
    question: str  # what is read out beside it


def map_html(links: Iterable[MapLink], model: Model = "tiny") -> str:
    """A map of a real generation with links over its parts, in light or dark as the page is.

    The links come in their order, so that a larger part comes before one that lies on it.
    """
    found = trace(shared_model(model), PROMPT)
    images = (
        _image(viz.pipeline_map(found, short=True, dark=dark), dark) for dark in (False, True)
    )
    top, bottom = extent(short=True)
    style = STYLE.replace("RATIO", f"{WIDTH / (bottom - top):.3f}")
    body = "".join([*images, *map(_link, links)])
    return f'<style>{style}</style><nav class="sdlearn-map" aria-label="map">{body}</nav>'


def _image(figure: viz.Sheet, dark: bool) -> str:
    data, metadata = figure._repr_mimebundle_()
    tag = image_tag(data["image/png"], data["text/plain"], metadata["image/png"]["width"])
    return f'<div class="{"dark" if dark else "light"}">{tag}</div>'


def _link(link: MapLink) -> str:
    """A link over its part of the map, placed in per cent of the page."""
    x, y, width, height = AREAS[link.area].place
    top, bottom = extent(short=True)
    sizes = (x / WIDTH, (y - top) / (bottom - top), width / WIDTH, height / (bottom - top))
    names = ("left", "top", "width", "height")
    style = "; ".join(f"{n}: {100 * s:.2f}%" for n, s in zip(names, sizes, strict=True))
    kind = f' class="narrow{" tall" if height > width else ""}"' if width < NARROW else ""
    said, shown = html.escape(f"{link.label}: {link.question}"), html.escape(link.label)
    return (
        f'<a href="{html.escape(link.address)}"{kind} style="{style}" aria-label="{said}" '
        f'title="{html.escape(link.question)}"><span>{shown}</span></a>'
    )
