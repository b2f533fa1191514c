"""Maps of numbers as colours, alone or laid over pictures.

The colours are matplotlib's inferno: they grow evenly lighter, so that their order is seen by
readers with any form of colour blindness and in a grey print.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from PIL import Image

from ..util.images import Images, to_arrays
from .figures import checked_columns
from .sheet import FAINT, FONT, INK, PAGE_WIDTH, Sheet, Table, as_texts, cell_size, draw, text_band
from .values import check_limits, format_number, format_short, to_numbers

__all__ = ["BAR_ROOM", "COLOURS", "as_levels", "colour_bar", "heatmap", "laid_over", "peak_region"]

COLOURS = colormaps["inferno"]
BAR_GAP, BAR_WIDTH, BAR_ROOM = 12, 12, 84  # pixels; the last with the numbers beside the bar
COVER = (0.3, 0.75)  # of a picture, by the lowest and by the highest colour
MID_GREY = 128
SHAPE_TOLERANCE = 0.1  # by which the sides of map and picture may differ, relative


def heatmap(
    values: Any,
    pictures: Images | None = None,
    titles: Iterable[object] | None = None,
    *,
    columns: int | None = None,
    size: float | None = None,
    limits: tuple[float, float] | None = None,
    alt: str | None = None,
) -> Figure:
    """Maps of numbers, (h, w) or (N, h, w), side by side on one scale, with a colour bar.

    Alone, a map keeps its cells visible. Over `pictures`, one for all or one for each, it is
    enlarged smoothly, and the picture shows through in grey. `limits` are (low, high) of the
    colours, by default from 0, or the lowest number where that is below 0, to the highest.
    `columns` and `size` are those of `show`.

    Raises `ValueError` for numbers that are not finite, for maps, pictures and titles that differ
    in number, and for a picture whose sides have another ratio than the map's.
    """
    maps = to_numbers(values, "values", (2, 3))
    maps = maps.reshape(-1, *maps.shape[-2:])  # (N, h, w)
    texts = as_texts(titles, "titles", len(maps))
    low, high = _scale(maps) if limits is None else check_limits(limits)
    norm = Normalize(low, high, clip=True)
    shown = _drawn(maps, pictures, norm)
    columns = checked_columns(columns, len(maps))
    width, height = cell_size(shown, columns, size, PAGE_WIDTH - BAR_ROOM)
    band = max(10, text_band(texts, width))  # 10: half of a number beside the colour bar
    table = Table(len(maps), columns, width, height, right=BAR_ROOM, band=band, foot=10)
    sheet = Sheet(*table.page, alt or _describe(maps, texts, low, high))
    for i, (array, text) in enumerate(zip(shown, texts, strict=True)):
        draw(sheet.place(*table.cell(i)), array, text)
    left, top, width, height = table.cell(columns - 1)
    colours = COLOURS if pictures is None else _over_grey()
    colour_bar(sheet, (left + width, top, height), norm, colours)
    return sheet


def _scale(maps: np.ndarray) -> tuple[float, float]:
    low, high = min(0.0, float(maps.min())), float(maps.max())
    return low, high if high > low else low + 1


def _drawn(maps: np.ndarray, pictures: Images | None, norm: Normalize) -> list[np.ndarray]:
    """Each map as a picture, uint8 (H, W, 3)."""
    if pictures is None:
        return [as_levels(COLOURS(norm(one))) for one in maps]
    under = _each(pictures, len(maps))
    return [laid_over(one, picture, norm) for one, picture in zip(maps, under, strict=True)]


def as_levels(colours: np.ndarray) -> np.ndarray:
    """Colours (..., 3 or 4) in [0, 1] → uint8 (..., 3)."""
    return (colours[..., :3] * 255).round().astype(np.uint8)


def _each(pictures: Images, count: int) -> list[np.ndarray]:
    arrays = to_arrays(pictures)
    if len(arrays) not in (1, count):
        raise ValueError(f"pictures must be one or one for each of {count}; got {len(arrays)}")
    return arrays * count if len(arrays) == 1 else arrays


def laid_over(values: np.ndarray, picture: np.ndarray, norm: Normalize) -> np.ndarray:
    """A map (h, w) enlarged to a picture, uint8 (H, W, 3), and laid over its brightness.

    Raises `ValueError` for a picture whose sides have another ratio than the map's.
    """
    height, width = picture.shape[:2]
    ratio = values.shape[0] * width / (values.shape[1] * height)
    if abs(ratio - 1) > SHAPE_TOLERANCE:
        sides = f"a map of {values.shape} and a picture of {(height, width)}"
        raise ValueError(f"pictures must have the shape of their maps; got {sides}")
    small = Image.fromarray(values.astype(np.float32))
    large = norm(np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)))
    return _blend(large, np.asarray(Image.fromarray(picture).convert("L")))


def _blend(share: np.ndarray, grey: Any) -> np.ndarray:
    """Colours for `share`, 0..1, over levels of grey, 0..255; the higher, the less shows through.

    The grey is lifted a little, so that a night is not lost in the dark colours.
    """
    cover = (COVER[0] + (COVER[1] - COVER[0]) * np.asarray(share))[..., None]
    lifted = 0.16 + 0.8 / 255 * np.asarray(grey, dtype=float)[..., None]
    return as_levels(cover * COLOURS(share)[..., :3] + (1 - cover) * lifted)


def _over_grey() -> Colormap:
    """The colours as they look over a grey picture, for the colour bar."""
    return ListedColormap(_blend(np.linspace(0, 1, 256), MID_GREY) / 255)


def colour_bar(
    sheet: Sheet, place: tuple[float, float, float], norm: Normalize, colours: Colormap
) -> None:
    """A bar of the colours with three numbers, in the `BAR_ROOM` right of what they colour.

    `place` is the right edge of that, its top and its height, in pixels.
    """
    right, top, height = place
    bar = sheet.place(right + BAR_GAP, top, BAR_WIDTH, height)
    bar.set_axis_on()
    low, high = float(norm.vmin or 0), float(norm.vmax or 0)
    ticks = [low, (low + high) / 2, high]
    shown = sheet.colorbar(ScalarMappable(norm, colours), cax=bar)
    shown.set_ticks(ticks, labels=[format_short(tick) for tick in ticks])
    bar.tick_params(labelsize=FONT, color=FAINT, labelcolor=INK, length=3)
    for spine in bar.spines.values():
        spine.set_visible(False)


def _describe(maps: np.ndarray, texts: list[str], low: float, high: float) -> str:
    """Alternative text: the scale, and where in each map the highest number is."""
    count = "one heat-map" if len(maps) == 1 else f"{len(maps)} heat-maps"
    names = texts if any(texts) else [str(i + 1) for i in range(len(maps))]
    peaks = "; ".join(
        f"{name}: up to {format_number(values.max())}, highest in the {peak_region(values)}"
        for name, values in zip(names, maps, strict=True)
    )
    return f"{count} on a scale from {format_number(low)} to {format_number(high)}. {peaks}."


def peak_region(values: np.ndarray) -> str:
    """The third of the map, in words, that holds its highest number."""
    row, column = np.unravel_index(values.argmax(), values.shape)
    up = ("top", "middle", "bottom")[3 * int(row) // values.shape[0]]
    across = ("left", "centre", "right")[3 * int(column) // values.shape[1]]
    return f"{up} {across}"
