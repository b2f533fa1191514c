"""What can be taken away from an explorer: its settings as a line of code, images as a GIF."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, is_dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from PIL import Image, ImageDraw, ImageFont

__all__ = ["code_html", "code_line", "download_html", "gif", "query_of", "read_query"]

GIF_SIDE, GIF_CAPTION = 384, 32  # pixels: an image's longer side, and the bar below it
LAST_FRAME = 3  # how much longer the last frame is shown


def code_line(kind: str, model: str, values: Iterable[tuple[str, Any]]) -> str:
    """The call that makes an explorer again: its class, the model as code, and its settings."""
    written = [model] if model else []
    written += [f"{name}={_in_code(value)}" for name, value in values]
    return f"widgets.{kind}({', '.join(written)})"


def _in_code(value: Any) -> str:
    """A value as it can be typed; records become tuples, which their setting takes as well."""
    if not isinstance(value, tuple):
        return repr(value)
    return repr(tuple(_plain(one) for one in value))


def _plain(value: Any) -> Any:
    is_record = is_dataclass(value) and not isinstance(value, type)
    return astuple(value) if is_record else value


def query_of(values: Iterable[tuple[str, Any]]) -> str:
    """Settings as the end of an address, those that are texts or numbers: `?seed=3&t=700`."""
    plain = [(name, value) for name, value in values if isinstance(value, (str, int, float))]
    return f"?{urlencode(plain)}" if plain else ""


def read_query(query: str, usual: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in the end of an address; `usual` has a value of each, which tells its kind.

    What is none of them is left out: a page has more in its address, such as its theme.
    """
    given = {name: text for name, text in parse_qsl(query) if name in usual}
    return {
        name: type(usual[name])(text)
        for name, text in given.items()
        if isinstance(usual[name], (str, int, float))
    }


def code_html(line: str) -> str:
    """The line in a box from which it can be copied."""
    shown = html.escape(line)
    box = "user-select: all; white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px; "
    box += "font-family: monospace"
    return f'<pre tabindex="0" aria-label="the explorer as code" style="{box}">{shown}</pre>'


def gif(frames: Sequence[Image.Image], captions: Sequence[str], milliseconds: int = 400) -> bytes:
    """The images one after the other, for ever, each above its caption; the last stays longer.

    All have the size of the first, enlarged without blur. Raises `ValueError` without a frame, and
    where captions and frames differ in number.
    """
    if not frames:
        raise ValueError("frames must hold at least one image; got none")
    if len(frames) != len(captions):
        raise ValueError(f"each of {len(frames)} frames needs a caption; got {len(captions)}")
    factor = max(1, GIF_SIDE // max(frames[0].size))
    size = (frames[0].width * factor, frames[0].height * factor)
    pages = [_page(*pair, size) for pair in zip(frames, captions, strict=True)]
    shown = [milliseconds] * (len(pages) - 1) + [milliseconds * LAST_FRAME]
    file = io.BytesIO()
    first, *others = pages
    first.save(file, "GIF", save_all=True, append_images=others, duration=shown, loop=0)
    return file.getvalue()


def _page(image: Image.Image, caption: str, size: tuple[int, int]) -> Image.Image:
    page = Image.new("RGB", (size[0], size[1] + GIF_CAPTION), "white")
    page.paste(image.convert("RGB").resize(size, Image.Resampling.NEAREST))
    font = ImageFont.load_default(18)
    ImageDraw.Draw(page).text((8, size[1] + 5), caption, fill="black", font=font)
    return page


def download_html(data: bytes, name: str, label: str) -> str:
    """A link that stores `data`, a GIF, as the file `name`."""
    source = f"data:image/gif;base64,{base64.b64encode(data).decode()}"
    look = "margin: 4px; font-weight: bold; text-decoration: underline; color: inherit"
    return (
        f'<a download="{html.escape(name)}" href="{source}" style="{look}">{html.escape(label)}</a>'
    )
