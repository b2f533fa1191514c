"""An anatomy as one figure: text and noise on the left, the U-Net's levels, the VAE's image.

The shapes, the numbers, the marks for cross-attention and the lines for skip connections are the
model's own. The house and its latents only stand for what comes out. Lengths are pixels of the
screen, counted from the top left; what stands side by side has the same x or y.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..world import Scene, Thing, render
from .anatomy import CROSS_ATTENTION, Anatomy, Shape, flops_text, share_text

if TYPE_CHECKING:  # matplotlib is imported when a figure is drawn: the tables do without it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 840, 590
LEFT, MIDDLE, RIGHT = 86, 407, 760  # centres of the three columns
TOP, BOX = 126, 44  # centre of the U-Net's first level; height of a box
INK, FAINT = "#222222", "#6B6B6B"
EDGES = {"text": "#E69F00", "unet": "#0072B2", "vae": "#009E73", "plain": FAINT}  # Okabe and Ito
FACES = {"text": "#FBE3B5", "unet": "#CDE8F8", "vae": "#CBEBDD", "plain": "#F2F2F2"}
STEPS = 20  # of the sum at the foot; each is two calls of the U-Net, with the words and without


def anatomy_figure(a: Anatomy) -> Figure:
    """The whole way from text and noise to an image, with shapes and shares."""
    from ..viz import Sheet

    sheet = Sheet(WIDTH, HEIGHT, _describe(a))
    ax = sheet.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    ax.set_axis_off()
    _write(ax, 12, 20, f"The anatomy of {a.name}", bold=True, fontsize=13, ha="left")
    _write(ax, WIDTH - 12, 20, f"{a.parameters:,} parameters", fontsize=11, ha="right")
    for draw in (_draw_text_encoder, _draw_unet, _draw_loop, _draw_decoder, _draw_shares):
        draw(ax, a)
    return sheet


def _draw_text_encoder(ax: Axes, a: Anatomy) -> None:
    """From the prompt to its states, and from there to the diamonds."""
    part = a.parts["text_encoder"]
    share, (_, tokens, width) = share_text(part.parameters / a.parameters), part.outputs[0]
    _write(ax, LEFT, 222, "“a red house”", fontsize=10)
    _arrow(ax, (LEFT, 234), (LEFT, 252), part="text")
    _box(ax, LEFT, 284, 148, 64, "text")
    _write(ax, LEFT, 284, "CLIP text encoder", f"{part.parameters:,}", share, bold=True)
    _arrow(ax, (LEFT, 316), (LEFT, 352), part="text")
    stripes = np.random.default_rng(0).random((20, 16))
    _image(ax, LEFT, 383, 68, 62, stripes, cmap="YlOrBr", vmin=-0.3, vmax=2)
    _write(ax, LEFT, 428, f"{tokens} states of width {width}")
    _arrow(ax, (120, 383), (190, 383), part="text", width=2)
    _diamonds(ax, 152, 383, 1)


def _draw_unet(ax: Axes, a: Anatomy) -> None:
    """The levels, one below the other as a U, and what the marks mean."""
    unet, pitch = a.parts["unet"], 318 / (len(a.levels) + 1)
    _box(ax, MIDDLE, 259, 434, 386, "unet", facecolor="none")
    share = share_text(unet.parameters / a.parameters)
    _write(ax, MIDDLE, 84, f"U-Net · {unet.parameters:,} parameters · {share}", bold=True)
    for i, level in enumerate(a.levels):  # narrower and further in, the further down
        y, below, half = TOP + i * pitch, TOP + (i + 1) * pitch, 64 - 4 * i
        left, right = MIDDLE - 137 + 12 * i, MIDDLE + 137 - 12 * i
        for x, count in zip((left, right), level.cross_attentions, strict=True):
            _block(ax, x, y, 2 * half, (1, level.channels, *level.size), count)
        for k in range(len(level.skips)):
            at = y + 10 * (k - (len(level.skips) - 1) / 2)
            _arrow(ax, (left + half + 3, at), (right - half - 3, at), part="unet", width=1)
        if i + 1 < len(a.levels):
            _arrow(ax, (left + 12, y + BOX / 2), (left + 12, below - BOX / 2), part="unet")
            _arrow(ax, (right - 12, below - BOX / 2), (right - 12, y + BOX / 2), part="unet")
    block = unet["mid_block"]
    _block(ax, MIDDLE, below, 112, block.outputs[0], len(block.of_kind(CROSS_ATTENTION)))
    _arrow(ax, (left, y + BOX / 2), (left, below), (MIDDLE - 56, below), part="unet")
    _arrow(ax, (MIDDLE + 56, below), (right, below), (right, y + BOX / 2), part="unet")
    _diamonds(ax, 240, 438, 1)
    _write(ax, 254, 438, f"cross-attention: {len(a.cross_attentions)}", ha="left")
    _arrow(ax, (448, 438), (482, 438), part="unet", width=1)
    _write(ax, 490, 438, f"skip connection: {len(a.skips)}", ha="left")


def _block(ax: Axes, x: float, y: float, width: float, shape: Shape, crosses: int) -> None:
    """A block of the U-Net with the shape that it works at and its cross-attentions."""
    _box(ax, x, y, width, BOX, "unet")
    _write(ax, x, y - 9 if crosses else y, _times(shape))
    _diamonds(ax, x, y + 10, crosses)


def _draw_loop(ax: Axes, a: Anatomy) -> None:
    """Noisy latents in, predicted noise out, a step of the scheduler, and round again."""
    _channels(ax, 83, 105, np.random.default_rng(0).standard_normal((4, 16, 16)))
    _write(ax, 83, 166, f"latents {_times(a.parts['unet'].inputs[0])}", "at first pure noise")
    _arrow(ax, (128, TOP), (206, TOP))
    _arrow(ax, (608, TOP), (692, TOP))
    _write(ax, 658, TOP - 18, "predicted", "noise", color=FAINT)
    _box(ax, RIGHT, TOP, 136, BOX, "plain")
    _write(ax, RIGHT, TOP, "scheduler", "takes a small step", bold=True)
    _arrow(ax, (RIGHT, 104), (RIGHT, 50), (83, 50), (83, 72))
    _write(ax, MIDDLE, 40, "the same latents, a little less noisy", color=FAINT)


def _draw_decoder(ax: Axes, a: Anatomy) -> None:
    """From the last latents through the decoder to the image."""
    part = a.parts["vae_decoder"]
    latents, image = part.inputs[0], part.outputs[0]
    house = render(Scene((Thing("house", "red", size="large"),)))
    coarse = np.asarray(house.resize((16, 16)), dtype=float).transpose(2, 0, 1) / 51 - 2.5
    _arrow(ax, (RIGHT, 148), (RIGHT, 168))
    _write(ax, RIGHT + 8, 157, "at last", ha="left", color=FAINT)
    _channels(ax, RIGHT, 207, np.stack([*coarse, -coarse.mean(axis=0)]))
    _write(ax, RIGHT, 256, _times(latents), f"= {prod(latents):,} numbers")
    xs = [RIGHT - 44, RIGHT + 44, RIGHT + 74, RIGHT - 74]
    ax.fill(xs, [278, 278, 334, 334], fc=FACES["vae"], ec=EDGES["vae"], lw=1.2, joinstyle="round")
    share = share_text(part.parameters / a.parameters)
    _write(ax, RIGHT, 306, "VAE decoder", f"{part.parameters:,} · {share}", bold=True)
    _arrow(ax, (RIGHT, 334), (RIGHT, 350), part="vae")
    _image(ax, RIGHT, 400, 96, 96, np.asarray(house))
    _write(ax, RIGHT, 470, _times(image), f"= {prod(image):,} numbers")


def _draw_shares(ax: Axes, a: Anatomy) -> None:
    """Two bars at the foot: who has the parameters, and who does the work."""
    names = "text_encoder", "unet", "vae", "vae_decoder"
    text, unet, vae, decoder = (a.parts[name] for name in names)
    counts = [part.parameters for part in (text, unet, vae)]
    _bar(ax, 512, counts, "both halves of the VAE", "parameters")
    work = [2 * text.flops, 2 * STEPS * unet.flops, decoder.flops]
    _bar(ax, 556, work, "VAE decoder", f"work: {flops_text(sum(work))}", f"in {STEPS} steps")


def _bar(ax: Axes, y: float, counts: Sequence[int], last: str, *title: str) -> None:
    """Three shares of a whole as lengths, the labels below them from edge to edge."""
    _write(ax, 12, y, *title, ha="left")
    left, widths = 150.0, [678 * count / sum(counts) for count in counts]
    labels = ("text encoder", "left", 0.0), ("U-Net", "center", 0.5), (last, "right", 1.0)
    for part, width, (label, ha, place) in zip(EDGES, widths, labels, strict=False):
        ax.barh(y, width, 20, left, color=FACES[part], edgecolor=EDGES[part], linewidth=1.2)
        _write(ax, left + place * width, y + 20, f"{label} {share_text(width / 678)}", ha=ha)
        left += width


def _times(shape: Shape) -> str:
    """A shape as one speaks of images, (1, 4, 64, 64) → 64×64×4."""
    sizes = (*shape[2:], shape[1]) if len(shape) == 4 else shape[-2:]
    return "×".join(map(str, sizes))


def _box(
    ax: Axes, x: float, y: float, width: float, height: float, part: str, **style: Any
) -> None:
    """A rounded box around a point in the colours of a part."""
    from matplotlib.patches import FancyBboxPatch

    style = {"facecolor": FACES[part], "edgecolor": EDGES[part], "linewidth": 1.2, **style}
    corner, pad = (x - width / 2 + 4, y - height / 2 + 4), "round,pad=4,rounding_size=6"
    ax.add_patch(FancyBboxPatch(corner, width - 8, height - 8, boxstyle=pad, **style))


def _write(ax: Axes, x: float, y: float, *lines: str, bold: bool = False, **style: Any) -> None:
    """Lines of text around a point; `bold` is for the first line."""
    style = {"fontsize": 9, "color": INK, "ha": "center", "va": "center", **style}
    for i, line in enumerate(lines):
        weight = "bold" if bold and i == 0 else "normal"
        at = y + 15 * (i - (len(lines) - 1) / 2)
        ax.text(x, at, line, weight=weight, parse_math=False, **style)


def _arrow(ax: Axes, *points: tuple[float, float], part: str = "plain", width: float = 1.4) -> None:
    """A line through `points` with its head at the last of them."""
    style: dict[str, Any] = {"color": EDGES[part], "linewidth": width}
    ax.plot(*zip(*points[:-1], strict=True), solid_capstyle="round", **style)
    head = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, **style}
    ax.annotate("", points[-1], points[-2], arrowprops=head)


def _diamonds(ax: Axes, x: float, y: float, count: int) -> None:
    """`count` marks for cross-attention in a row, in the colour of the text."""
    xs = [x + 17 * (i - (count - 1) / 2) for i in range(count)]
    ax.plot(xs, [y] * count, "D", color=EDGES["text"], ms=7, mec=INK, mew=0.8)


def _image(
    ax: Axes, x: float, y: float, width: float, height: float, array: np.ndarray, **style: Any
) -> None:
    """An array as an image with a thin frame, in front of the images before it."""
    left, right, top, bottom = x - width / 2, x + width / 2, y - height / 2, y + height / 2
    style |= {"extent": (left, right, bottom, top), "aspect": "auto", "interpolation": "nearest"}
    depth = 2 + len(ax.images)
    ax.imshow(array, zorder=depth, **style)
    corners = [left, right, right, left], [top, top, bottom, bottom]
    ax.fill(*corners, facecolor="none", edgecolor=INK, linewidth=0.8, zorder=depth)


def _channels(ax: Axes, x: float, y: float, channels: np.ndarray) -> None:
    """Channels (C, h, w) as a stack of sheets, the first in front."""
    for i in reversed(range(len(channels))):
        at = x - 9 + 6 * i, y - 13 + 6 * i
        _image(ax, *at, 48, 48, channels[i], cmap="PuOr", vmin=-2.5, vmax=2.5)


def _describe(a: Anatomy) -> str:
    """Alternative text: what is where, with the numbers."""
    text, unet, decoder = (a.parts[name] for name in ("text_encoder", "unet", "vae_decoder"))
    levels = "; ".join(
        f"{_times((1, level.channels, *level.size))} with {down} and {up}"
        for level in a.levels
        for down, up in [level.cross_attentions]
    )
    return (
        f"The parts of {a.name}. Text goes through a text encoder with {text.parameters:,} "
        f"parameters and becomes {_times(text.outputs[0])} numbers. "
        f"Latents {_times(unet.inputs[0])} go through a U-Net with {unet.parameters:,} parameters, "
        "again and again; a scheduler takes the steps. Its levels, with the cross-attentions on "
        f"the way down and up: {levels}. In all {len(a.cross_attentions)} "
        f"cross-attentions and {len(a.skips)} skip connections. A VAE decoder with "
        f"{decoder.parameters:,} parameters makes an image {_times(decoder.outputs[0])}."
    )
