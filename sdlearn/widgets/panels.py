"""What stands in the panels of an explorer: pictures, figures and tables as HTML.

Text keeps the colours of the page, so that it can be read in light and in dark themes. Left out:
everything that is drawn by hand; pictures come from the pipeline and figures from `sdlearn.viz`.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["figure_html", "image_tag", "picture_html", "png_of", "row_html", "verdict_html"]

PICTURE_WIDTH = 384  # pixels of the screen: three for each of the tiny model's
SIGNS = {True: "✓ right", False: "✗ wrong"}


def png_of(picture: Image.Image) -> str:
    """A picture as a PNG in base64, made quickly rather than small."""
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()


def image_tag(png: str, alt: str, width: int) -> str:
    """An `<img>` for a PNG in base64, put in place of the last one without a flash."""
    return (
        f'<img src="data:image/png;base64,{png}" alt="{html.escape(alt)}" width="{width}" '
        'decoding="sync" style="image-rendering: pixelated; max-width: 100%">'
    )


def picture_html(picture: Image.Image, title: str, width: int = PICTURE_WIDTH) -> str:
    """A picture under its title."""
    tag = image_tag(png_of(picture), title, width)
    caption = f'<figcaption style="max-width: {width}px">{html.escape(title)}</figcaption>'
    return f'<figure style="margin: 4px">{caption}{tag}</figure>'


def figure_html(figure: Any) -> str:
    """A figure of `sdlearn.viz`, with its alternative text."""
    data, metadata = figure._repr_mimebundle_()
    width = metadata["image/png"]["width"]
    return image_tag(data["image/png"], data["text/plain"], width)


def row_html(pictures: Iterable[str], columns: int, width: int) -> str:
    """Pictures, as `picture_html` makes them, in rows of `columns`, smaller on a narrow page."""
    shrinking = f"repeat({columns}, minmax(0, {width + 12}px))"
    grid = f"display: grid; grid-template-columns: {shrinking}; line-height: 1.4"
    return f'<div style="{grid}">{"".join(pictures)}</div>'


def verdict_html(asked: Mapping[str, str], seen: Mapping[str, str]) -> str:
    """What a prompt asked for beside what the judge sees: a table with a word for each verdict.

    Nothing when nothing was asked for, or nobody looked.
    """
    if not asked or not seen:
        return ""
    cells = [
        (name.replace("_", " "), word, seen[name], SIGNS[seen[name] == word])
        for name, word in asked.items()
    ]
    head = ("", "asked", "seen", "")
    rows = "".join(
        "<tr>" + "".join(f'<td style="padding: 1px 8px">{html.escape(c)}</td>' for c in row)
        for row in [head, *cells]
    )
    return f'<table style="margin: 4px" aria-label="the judge\'s verdict">{rows}</table>'
