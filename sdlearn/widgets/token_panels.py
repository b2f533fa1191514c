"""The panels of the token explorer: words as boxes, states and attention as colours, as HTML.

Text and lines take the page's own colours; pictures take colours that grow evenly lighter or that
are told apart by all. Left out: what the words are (`sdlearn.widgets.words`) and the maps
(`sdlearn.inside.attention`).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from PIL import Image
from torch import Tensor

from ..viz.heat import COLOURS, as_levels, laid_over, peak_region
from .panels import picture_html, png_of, row_html
from .words import Reading, Word

__all__ = ["attention_html", "glowing", "nearest_html", "states_html", "tokens_html"]

SIGNED = colormaps["PuOr"]
STATE_LIMIT = 3  # states leave a layer norm, and have a spread of about 1
STATES_WIDTH, PICTURE_WIDTH = 384, 256  # pixels of the screen
OWN_ROW, PADDING_ROW = 1.3, 0.2  # heights in letters
MOST_LOST = 40  # pieces that are shown of those that were cut off

BOX = "display: inline-flex; margin: 2px 3px; border-radius: 5px; border: {border} currentColor"
PIECE = "padding: 1px 6px; text-align: center; line-height: 1.4; white-space: pre"
DIVIDED = "; border-left: 1px dotted currentColor"


def tokens_html(reading: Reading, chosen: Word, tokenizer: Any) -> str:
    """All pieces with their ids; those of one word in one box, the chosen word's box thick."""
    begin, end = (
        _box([name], [number], "1px dashed")
        for name, number in (("begin", tokenizer.bos_token_id), ("end", tokenizer.eos_token_id))
    )
    kept = [_word(word, reading, word == chosen) for word in reading.words if reading.places(word)]
    spare = reading.room - reading.kept
    padding = _box([f"padding, {spare} times"], [tokenizer.pad_token_id], "1px dashed")
    boxes = "".join([begin, *kept, end, padding if spare else ""])
    used = f"{reading.kept + 2} of {reading.room + 2} places are taken, begin and end included."
    body = f"<div>Tokens and their ids. {used}</div><div>{boxes}</div>{_lost(reading.lost)}"
    return f'<div style="margin: 4px; line-height: 1.5">{body}</div>'


def _word(word: Word, reading: Reading, is_chosen: bool) -> str:
    count = len(reading.places(word))
    border = "3px solid" if is_chosen else "1px solid"
    return _box(word.pieces[:count], word.ids[:count], border, is_chosen)


def _box(pieces: Iterable[str], ids: Iterable[int], border: str, is_chosen: bool = False) -> str:
    cells = [
        f'<span style="{PIECE}{DIVIDED if i else ""}">{html.escape(piece)}<br>{number}</span>'
        for i, (piece, number) in enumerate(zip(pieces, ids, strict=True))
    ]
    mark = ' aria-current="true"' if is_chosen else ""
    weight = "; font-weight: bold" if is_chosen else ""
    return f'<span{mark} style="{BOX.format(border=border)}{weight}">{"".join(cells)}</span>'


def _lost(pieces: list[str]) -> str:
    if not pieces:
        return ""
    shown = html.escape(" ".join(pieces[:MOST_LOST]))
    more = f" and {len(pieces) - MOST_LOST:,} more" if len(pieces) > MOST_LOST else ""
    return f"<div>Cut off, without any say in the picture: <s>{shown}</s>{more}</div>"


def nearest_html(word: Word, near: Mapping[str, float], by_chance: float) -> str:
    """The nearest words with their cosine similarities, as numbers and as bars."""
    name = html.escape(word.text)
    if not near:
        pieces = html.escape(" · ".join(word.pieces))
        said = f"“{name}” has no row of its own in the token table, so it has no neighbours there. "
        return f'<div style="{_column()}">{said}It is read as {pieces}.</div>'
    cell = '<td style="padding: 1px 8px">'
    rows = "".join(
        f"<tr>{cell}{html.escape(other)}</td>{cell}{alike:.2f}</td>{cell}{_bar(alike)}</td></tr>"
        for other, alike in near.items()
    )
    head = f"Nearest to “{name}” in the token table, by cosine similarity"
    foot = f"Among rows drawn by chance, the nearest would reach about {by_chance:.2f}."
    table = f'<table aria-label="{head}">{rows}</table>'
    return f'<div style="{_column()}">{head}:{table}{foot}</div>'


def _column() -> str:
    return "margin: 4px; line-height: 1.4; width: 20em; max-width: 100%"


def _bar(share: float) -> str:
    length = f"width: {6 * max(share, 0):.2f}em; height: 0.7em"
    return f'<div style="background: currentColor; opacity: 0.5; {length}"></div>'


def states_html(reading: Reading, chosen: Word, states: Tensor) -> str:
    """The text states (77, D), one row a token; the rows of the padding are low."""
    own = reading.kept + 2
    values = states.float().cpu().numpy()
    parts = [_strip(values[:own], OWN_ROW, "the states of the prompt's tokens")]
    if own < len(values):
        parts.append(_strip(values[own:], PADDING_ROW, "the states of the padding"))
    labels = _labels(reading, chosen) + (["padding"] if own < len(values) else [])
    lines = "".join(f'<div style="height: {OWN_ROW}em">{label}</div>' for label in labels)
    columns = f"display: grid; grid-template-columns: max-content {STATES_WIDTH}px; column-gap: 8px"
    scroll = f"max-height: 38em; overflow: auto; line-height: {OWN_ROW}em"
    told = (
        f"Text states, {len(values)} x {values.shape[1]}: one row a token. White is 0, orange is "
        f"below and purple above; the colours end at −{STATE_LIMIT} and {STATE_LIMIT}."
    )
    grid = f'<div style="{columns}"><div>{lines}</div><div>{"".join(parts)}</div></div>'
    box = f'<div role="region" aria-label="text states" tabindex="0" style="{scroll}">{grid}</div>'
    return f'<div style="margin: 4px; line-height: 1.4; max-width: 40em">{told}{box}</div>'


def _labels(reading: Reading, chosen: Word) -> list[str]:
    labels = ["begin"]
    for word in reading.words:
        for piece in word.pieces[: len(reading.places(word))]:
            text = html.escape(piece)
            labels.append(f"<strong>▸ {text}</strong>" if word == chosen else text)
    return [*labels, "end"]


def _strip(values: np.ndarray, height: float, alt: str) -> str:
    """Rows of numbers as rows of colours, each `height` letters high."""
    shares = (values / STATE_LIMIT + 1) / 2  # -3..3 to 0..1; the colours end there
    tall = f"width: {STATES_WIDTH}px; height: {height * len(values):.2f}em"
    style = f"display: block; image-rendering: pixelated; {tall}"
    source = f"data:image/png;base64,{png_of(Image.fromarray(as_levels(SIGNED(shares))))}"
    return f'<img src="{source}" alt="{alt}, as colours" style="{style}">'


def attention_html(picture: Image.Image, share: Tensor, title: str, behind: str) -> str:
    """The picture, beside it the map laid over it, and the scale of its colours."""
    pair = [(picture, behind), (glowing(share, picture), title)]
    shown = row_html([picture_html(*one, PICTURE_WIDTH) for one in pair], 2, PICTURE_WIDTH)
    percent = 100 * float(share.mean())
    peak = peak_region(share.cpu().numpy())
    told = f"The word gets {percent:.1f} % of all attention, the most in the {peak}."
    return f'{shown}<div style="margin: 4px; line-height: 1.4">{told}</div>{_scale(share)}'


def glowing(share: Tensor, picture: Image.Image) -> Image.Image:
    """A map (h, w) laid over the grey picture; its highest number is the lightest."""
    values = share.float().cpu().numpy()
    norm = Normalize(0, max(float(values.max()), 1e-12), clip=True)
    return Image.fromarray(laid_over(values, np.asarray(picture.convert("RGB")), norm))


def _scale(share: Tensor) -> str:
    """A bar of the colours between the numbers at its ends."""
    levels = as_levels(COLOURS(np.linspace(0, 1, 9))).tolist()
    stops = ", ".join(f"rgb({r}, {g}, {b})" for r, g, b in levels)
    bar = f"background: linear-gradient(to right, {stops}); width: 8em; height: 1em"
    row = "display: flex; align-items: center; gap: 8px; margin: 4px; line-height: 1.4"
    ends = (
        f'<span>0 %</span><span style="{bar}"></span><span>{100 * float(share.max()):.1f} %</span>'
    )
    return f'<div style="{row}">{ends}<span>of a place\'s attention</span></div>'
