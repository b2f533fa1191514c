"""Images side by side: in reading order, as a filmstrip, as a grid; and numbers as colours.

The colours of a heat-map are matplotlib's inferno: they grow evenly lighter, so that their order
is seen by readers with any form of colour blindness and in a grey print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from PIL import Image

from ..util.images import Images, to_arrays
from .figure import FAINT, INK, PAGE_WIDTH, TEXT, Sheet, as_texts, figure_of, wrap
from .values import Pair, check_limits, format_number, format_short, to_numbers

Titles = Iterable[object] | None

SIZES = (256, 192, 128, 96, 64, 32)  # widths at which 128 pixels are enlarged evenly, or nearly
LONGEST_ROW = 6  # images, unless `columns` says otherwise
LABEL_WIDTH = 104  # of a row, with its margin

COLOURS, SIGNED = colormaps["inferno"], colormaps["PuOr"]
BAR_WIDTH, BAR_ROOM = 12, 84  # the second with the numbers beside the bar
COVER = (0.3, 0.75)  # of an image, by the lowest and by the highest colour
MID_GREY = 128
SHAPE_TOLERANCE = 0.1  # by which the sides of map and image may differ, relative
LATENT_LIMIT = 3  # latents of a trained model are scaled to a spread of about 1


def show(
    images: Images,
    titles: Titles = None,
    *,
    columns: int | None = None,
    size: float | None = None,
    alt: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Images in reading order, each `size` pixels wide, under their `titles`.

    Without `columns` at most six stand in a row; without `alt` the titles are the alternative
    text. `ax` takes one image and draws it on an axes of your own, whose figure is returned.

    Raises `ValueError` when something is no image (see `to_arrays`), when titles and images
    differ in number, or when a length is out of range.
    """
    arrays = to_arrays(images)
    texts = as_texts(titles, "titles", len(arrays))
    if ax is not None:
        if len(arrays) != 1:
            raise ValueError(f"images must be one image when ax is given; got {len(arrays)}")
        _draw(ax, arrays[0], texts[0], ax.get_window_extent().width)
        return figure_of(ax)
    columns = _checked_columns(columns, len(arrays))
    cell = _cell_size(arrays, columns, size)
    sheet = _page(arrays, texts, columns, cell, alt or _describe(texts, arrays))
    return sheet.fit_cells(columns, *cell)


def filmstrip(
    images: Images, titles: Titles = None, *, size: float | None = None, alt: str | None = None
) -> Figure:
    """Images in one row, close together, above an arrow from the first to the last.

    Arguments and errors are those of `show`.
    """
    arrays = to_arrays(images)
    texts = as_texts(titles, "titles", len(arrays))
    cell = _cell_size(arrays, len(arrays), size)
    alt = alt or f"In order: {_describe(texts, arrays)}"
    sheet = _page(arrays, texts, len(arrays), cell, alt)
    sheet.supxlabel(" ", fontsize=9)  # room for the arrow
    sheet.fit_cells(len(arrays), *cell, gap=4)
    first, last = sheet.axes[0].get_position(), sheet.axes[-1].get_position()
    y, head, place = first.y0 / 2, {"arrowstyle": "->", "color": FAINT}, "figure fraction"
    sheet.axes[0].annotate("", (last.x1, y), (first.x0, y), place, place, arrowprops=head)
    return sheet


def grid(
    images: Images,
    *,
    rows: Sequence[object],
    columns: Sequence[object],
    size: float | None = None,
    alt: str | None = None,
) -> Figure:
    """Images row by row, with a label for each of the `rows` and `columns`.

    Raises `ValueError` as `show` does, and when there are not rows x columns images.
    """
    arrays = to_arrays(images)
    sides, heads = as_texts(rows, "rows", len(rows)), as_texts(columns, "columns", len(columns))
    if len(arrays) != len(sides) * len(heads):
        wanted = f"{len(sides)} rows x {len(heads)} columns"
        raise ValueError(f"images must be as many as {wanted}; got {len(arrays)}")
    names = f"Rows: {'; '.join(sides)}. Columns: {'; '.join(heads)}."
    alt = alt or f"A grid of {len(arrays)} images. {names}"
    cell = _cell_size(arrays, len(heads), size, PAGE_WIDTH - LABEL_WIDTH)
    texts = heads + [""] * (len(arrays) - len(heads))
    sheet = _page(arrays, texts, len(heads), cell, alt)
    beside: Any = {"xycoords": "axes fraction", "textcoords": "offset points"}
    for ax, text in zip(sheet.axes[:: len(heads)], sides, strict=True):
        label = wrap(text, LABEL_WIDTH - 16)
        ax.annotate(label, (0, 0.5), (-6, 0), ha="right", va="center", **beside, **TEXT)
    return sheet.fit_cells(len(heads), *cell)


def heatmap(
    values: Any,
    images: Images | None = None,
    titles: Titles = None,
    *,
    columns: int | None = None,
    size: float | None = None,
    limits: Pair | None = None,
    alt: str | None = None,
) -> Figure:
    """Maps of numbers, (h, w) or (N, h, w), side by side on one scale, with a colour bar.

    Alone, a map keeps its cells visible. Over `images`, one for all or one for each, it is
    enlarged smoothly, and the image shows through in grey. `limits` are (low, high) of the
    colours, by default from 0, or the lowest number where that is below 0, to the highest.
    `columns` and `size` are those of `show`.

    Raises `ValueError` for numbers that are not finite, for maps, images and titles that differ
    in number, and for an image whose sides have another ratio than the map's.
    """
    maps = to_numbers(values, "values", (2, 3))
    maps = maps.reshape(-1, *maps.shape[-2:])  # (N, h, w)
    texts = as_texts(titles, "titles", len(maps))
    low, high = _scale(maps) if limits is None else check_limits(limits)
    norm = Normalize(low, high, clip=True)
    shown = _coloured(maps, images, norm)
    columns = _checked_columns(columns, len(maps))
    cell = _cell_size(shown, columns, size, PAGE_WIDTH - BAR_ROOM)
    sheet = _page(shown, texts, columns, cell, alt or _describe_maps(maps, texts, low, high))
    colours = COLOURS if images is None else _over_grey()
    colour_bar(sheet.axes[columns - 1], cell[0], ScalarMappable(norm, colours))
    return sheet.fit_cells(columns, *cell)


def channels(
    latents: Any, titles: Titles = None, *, size: float | None = None, alt: str | None = None
) -> Figure:
    """The channels of one latent, (C, h, w) or (1, C, h, w), side by side as colours.

    White is 0, orange is below and purple above; the colours end at -3 and 3.
    Raises `ValueError` for another shape and for numbers that are not finite.
    """
    numbers = to_numbers(latents, "latents", (3, 4)).astype(np.float32)
    if numbers.ndim == 4 and len(numbers) != 1:
        raise ValueError(f"latents must have shape (C, h, w) or (1, C, h, w); got {numbers.shape}")
    values = list(numbers.reshape(-1, *numbers.shape[-2:]))  # C times (h, w)
    names = [f"channel {i + 1}" for i in range(len(values))]
    texts = as_texts(names if titles is None else titles, "titles", len(values))
    cell = _cell_size(values, len(values), 128 if size is None else size)
    alt = alt or f"{len(values)} channels of numbers as coloured cells"
    norm = Normalize(-LATENT_LIMIT, LATENT_LIMIT)
    sheet = _page(values, texts, len(values), cell, alt, cmap=SIGNED, norm=norm)
    colour_bar(sheet.axes[-1], cell[0], ScalarMappable(norm, SIGNED))
    return sheet.fit_cells(len(values), *cell)


def _checked_columns(columns: int | None, count: int) -> int:
    """`columns`, or those that spread `count` images evenly; no more than there are images."""
    if columns is None:
        return math.ceil(count / math.ceil(count / LONGEST_ROW))
    if columns < 1:
        raise ValueError(f"columns must be at least 1; got {columns}")
    return min(columns, count)


def _cell_size(
    arrays: list[np.ndarray], columns: int, size: float | None, room: float = PAGE_WIDTH
) -> Pair:
    """Width and height of the cells that hold `arrays`; without `size`, as large as fits `room`."""
    if size is not None and not 1 <= size <= 4096:
        raise ValueError(f"size must be a number of pixels from 1 to 4096; got {size}")
    fitting = (width for width in SIZES if columns * width <= room)
    width = next(fitting, SIZES[-1]) if size is None else size
    return width, round(width * max(array.shape[0] / array.shape[1] for array in arrays))


def _page(
    arrays: list[np.ndarray], texts: list[str], columns: int, cell: Pair, alt: str, **style: Any
) -> Sheet:
    """Arrays in rows of `columns` under their texts, still to be fitted to the size of a cell."""
    rows = -(-len(arrays) // columns)
    sheet = Sheet(columns * cell[0] + 200, rows * cell[1] + 200, alt)  # fitted faster if near
    aspect = "auto" if len({array.shape for array in arrays}) == 1 else "equal"
    grid = sheet.add_gridspec(rows, columns)
    for i, (array, text) in enumerate(zip(arrays, texts, strict=True)):
        _draw(sheet.add_subplot(grid[i]), array, text, 2 * cell[0], aspect=aspect, **style)
    return sheet


def _draw(ax: Axes, array: np.ndarray, text: str, stored: float, **style: Any) -> None:
    """One image on an axes `stored` pixels wide; its own stay visible when it is enlarged."""
    enlarged = stored >= 1.9 * array.shape[1]
    ax.imshow(array, interpolation="nearest" if enlarged else "antialiased", **style)
    ax.set_axis_off()
    ax.set_title(wrap(text, 96 * stored / figure_of(ax).dpi), pad=3, **TEXT)


def colour_bar(ax: Axes, width: float, shown: ScalarMappable) -> None:
    """A bar of the colours with three numbers, right of an axes of `width` pixels."""
    low, high = shown.get_clim()
    ticks = [low, (low + high) / 2, high]
    bar = ax.inset_axes((1 + BAR_WIDTH / width, 0, BAR_WIDTH / width, 1))
    figure_of(ax).colorbar(shown, cax=bar).set_ticks(ticks, labels=[format_short(t) for t in ticks])
    bar.tick_params(labelsize=9, color=FAINT, labelcolor=INK, length=3)
    bar.spines[:].set_visible(False)


def _scale(maps: np.ndarray) -> Pair:
    low, high = min(0.0, float(maps.min())), float(maps.max())
    return low, high if high > low else low + 1


def _coloured(maps: np.ndarray, images: Images | None, norm: Normalize) -> list[np.ndarray]:
    """Each map as an image, uint8 (H, W, 3)."""
    if images is None:
        return [as_levels(COLOURS(norm(one))) for one in maps]
    under = to_arrays(images)
    if len(under) not in (1, len(maps)):
        raise ValueError(f"images must be one or one for each of {len(maps)}; got {len(under)}")
    under = under * len(maps) if len(under) == 1 else under
    return [laid_over(one, image, norm) for one, image in zip(maps, under, strict=True)]


def as_levels(colours: np.ndarray) -> np.ndarray:
    """Colours (..., 3 or 4) in [0, 1] → uint8 (..., 3)."""
    return (colours[..., :3] * 255).round().astype(np.uint8)


def laid_over(values: np.ndarray, image: np.ndarray, norm: Normalize) -> np.ndarray:
    """A map (h, w) enlarged to an image, uint8 (H, W, 3), and laid over its brightness.

    Raises `ValueError` for an image whose sides have another ratio than the map's.
    """
    height, width = image.shape[:2]
    ratio = values.shape[0] * width / (values.shape[1] * height)
    if abs(ratio - 1) > SHAPE_TOLERANCE:
        sides = f"a map of {values.shape} and an image of {(height, width)}"
        raise ValueError(f"images must have the shape of their maps; got {sides}")
    small = Image.fromarray(values.astype(np.float32))
    large = norm(np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)))
    return _blend(large, np.asarray(Image.fromarray(image).convert("L")))


def _blend(share: np.ndarray, grey: Any) -> np.ndarray:
    """Colours for `share`, 0..1, over levels of grey, 0..255; the higher, the less shows through.

    The grey is lifted a little, so that a night is not lost in the dark colours.
    """
    cover = (COVER[0] + (COVER[1] - COVER[0]) * np.asarray(share))[..., None]
    lifted = 0.16 + 0.8 / 255 * np.asarray(grey, dtype=float)[..., None]
    return as_levels(cover * COLOURS(share)[..., :3] + (1 - cover) * lifted)


def _over_grey() -> Colormap:
    """The colours as they look over a grey image, for the colour bar."""
    return ListedColormap(_blend(np.linspace(0, 1, 256), MID_GREY) / 255)


def peak_region(values: np.ndarray) -> str:
    """The third of the map, in words, that holds its highest number."""
    row, column = np.unravel_index(values.argmax(), values.shape)
    up = ("top", "middle", "bottom")[3 * int(row) // values.shape[0]]
    across = ("left", "centre", "right")[3 * int(column) // values.shape[1]]
    return f"{up} {across}"


def _describe(texts: list[str], arrays: list[np.ndarray]) -> str:
    """Alternative text: how many images, and their titles where they have any."""
    count = "one image" if len(arrays) == 1 else f"{len(arrays)} images"
    if any(texts):
        return f"{count}: {'; '.join(text or 'untitled' for text in texts)}"
    height, width = arrays[0].shape[:2]
    return f"{count} of {width} by {height} pixels"


def _describe_maps(maps: np.ndarray, texts: list[str], low: float, high: float) -> str:
    """Alternative text: the scale, and where in each map the highest number is."""
    count = "one heat-map" if len(maps) == 1 else f"{len(maps)} heat-maps"
    names = texts if any(texts) else [str(i + 1) for i in range(len(maps))]
    peaks = "; ".join(
        f"{name}: up to {format_number(values.max())}, highest in the {peak_region(values)}"
        for name, values in zip(names, maps, strict=True)
    )
    return f"{count} on a scale from {format_number(low)} to {format_number(high)}. {peaks}."
