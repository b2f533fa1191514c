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
    from matplotlib.figure import Figure

    from ..viz.diagram import Diagram

WIDTH, HEIGHT = 840, 590
LEFT, MIDDLE, RIGHT = 86, 407, 760  # centres of the three columns
TOP, BOX = 126, 44  # centre of the U-Net's first level; height of a box
PARTS = "text", "unet", "vae"  # whose colours the bars have
STEPS = 20  # of the sum at the foot; each is two calls of the U-Net, with the words and without


def anatomy_figure(a: Anatomy, *, dark: bool = False) -> Figure:
    """The whole way from text and noise to an image, with shapes and shares."""
    from ..viz.diagram import Diagram

    page = Diagram(WIDTH, HEIGHT, _describe(a), dark=dark)
    page.write(12, 20, f"The anatomy of {a.name}", bold=True, size=13, ha="left")
    page.write(WIDTH - 12, 20, f"{a.parameters:,} parameters", size=11, ha="right")
    for draw in (_draw_text_encoder, _draw_unet, _draw_loop, _draw_decoder, _draw_shares):
        draw(page, a)
    return page


def _draw_text_encoder(page: Diagram, a: Anatomy) -> None:
    """From the prompt to its states, and from there to the diamonds."""
    part = a.parts["text_encoder"]
    share, (_, tokens, width) = share_text(part.parameters / a.parameters), part.outputs[0]
    page.write(LEFT, 222, "“a red house”", size=10)
    page.arrow((LEFT, 234), (LEFT, 252), part="text")
    _box(page, LEFT, 284, 148, 64, "text")
    page.write(LEFT, 284, "CLIP text encoder", f"{part.parameters:,}", share, bold=True)
    page.arrow((LEFT, 316), (LEFT, 352), part="text")
    stripes = np.random.default_rng(0).random((20, 16))
    _image(page, LEFT, 383, 68, 62, stripes, cmap="YlOrBr", vmin=-0.3, vmax=2)
    page.write(LEFT, 428, f"{tokens} states of width {width}")
    page.arrow((120, 383), (190, 383), part="text", width=2)
    page.diamonds(152, 383, 1)


def _draw_unet(page: Diagram, a: Anatomy) -> None:
    """The levels, one below the other as a U, and what the marks mean."""
    unet, pitch = a.parts["unet"], 318 / (len(a.levels) + 1)
    _box(page, MIDDLE, 259, 434, 386, "unet", fc="none")
    share = share_text(unet.parameters / a.parameters)
    page.write(MIDDLE, 84, f"U-Net · {unet.parameters:,} parameters · {share}", bold=True)
    for i, level in enumerate(a.levels):  # narrower and further in, the further down
        y, below, half = TOP + i * pitch, TOP + (i + 1) * pitch, 64 - 4 * i
        left, right = MIDDLE - 137 + 12 * i, MIDDLE + 137 - 12 * i
        for x, count in zip((left, right), level.cross_attentions, strict=True):
            _block(page, x, y, 2 * half, (1, level.channels, *level.size), count)
        for k in range(len(level.skips)):
            at = y + 10 * (k - (len(level.skips) - 1) / 2)
            page.arrow((left + half + 3, at), (right - half - 3, at), part="unet", width=1)
        if i + 1 < len(a.levels):
            page.arrow((left + 12, y + BOX / 2), (left + 12, below - BOX / 2), part="unet")
            page.arrow((right - 12, below - BOX / 2), (right - 12, y + BOX / 2), part="unet")
    block = unet["mid_block"]
    _block(page, MIDDLE, below, 112, block.outputs[0], len(block.of_kind(CROSS_ATTENTION)))
    page.arrow((left, y + BOX / 2), (left, below), (MIDDLE - 56, below), part="unet")
    page.arrow((MIDDLE + 56, below), (right, below), (right, y + BOX / 2), part="unet")
    page.diamonds(240, 438, 1)
    page.write(254, 438, f"cross-attention: {len(a.cross_attentions)}", ha="left")
    page.arrow((448, 438), (482, 438), part="unet", width=1)
    page.write(490, 438, f"skip connection: {len(a.skips)}", ha="left")


def _block(page: Diagram, x: float, y: float, width: float, shape: Shape, crosses: int) -> None:
    """A block of the U-Net with the shape that it works at and its cross-attentions."""
    _box(page, x, y, width, BOX, "unet")
    page.write(x, y - 9 if crosses else y, _times(shape))
    page.diamonds(x - 17 * (crosses - 1) / 2, y + 10, crosses, pitch=17)


def _draw_loop(page: Diagram, a: Anatomy) -> None:
    """Noisy latents in, predicted noise out, a step of the scheduler, and round again."""
    _channels(page, 83, 105, np.random.default_rng(0).standard_normal((4, 16, 16)))
    page.write(83, 166, f"latents {_times(a.parts['unet'].inputs[0])}", "at first pure noise")
    page.arrow((128, TOP), (206, TOP))
    page.arrow((608, TOP), (692, TOP))
    page.note(658, TOP - 18, "predicted", "noise", size=9)
    _box(page, RIGHT, TOP, 136, BOX, "plain")
    page.write(RIGHT, TOP, "scheduler", "takes a small step", bold=True)
    page.arrow((RIGHT, 104), (RIGHT, 50), (83, 50), (83, 72))
    page.note(MIDDLE, 40, "the same latents, a little less noisy", size=9)


def _draw_decoder(page: Diagram, a: Anatomy) -> None:
    """From the last latents through the decoder to the image."""
    part = a.parts["vae_decoder"]
    latents, image = part.inputs[0], part.outputs[0]
    house = render(Scene((Thing("house", "red", size="large"),)))
    coarse = np.asarray(house.resize((16, 16)), dtype=float).transpose(2, 0, 1) / 51 - 2.5
    page.arrow((RIGHT, 148), (RIGHT, 168))
    page.note(RIGHT + 8, 157, "at last", ha="left", size=9)
    _channels(page, RIGHT, 207, np.stack([*coarse, -coarse.mean(axis=0)]))
    page.write(RIGHT, 256, _times(latents), f"= {prod(latents):,} numbers")
    corners = [(RIGHT - 44, 278), (RIGHT + 44, 278), (RIGHT + 74, 334), (RIGHT - 74, 334)]
    page.shape(corners, "vae")
    share = share_text(part.parameters / a.parameters)
    page.write(RIGHT, 306, "VAE decoder", f"{part.parameters:,} · {share}", bold=True)
    page.arrow((RIGHT, 334), (RIGHT, 350), part="vae")
    _image(page, RIGHT, 400, 96, 96, np.asarray(house))
    page.write(RIGHT, 470, _times(image), f"= {prod(image):,} numbers")


def _draw_shares(page: Diagram, a: Anatomy) -> None:
    """Two bars at the foot: who has the parameters, and who does the work."""
    names = "text_encoder", "unet", "vae", "vae_decoder"
    text, unet, vae, decoder = (a.parts[name] for name in names)
    counts = [part.parameters for part in (text, unet, vae)]
    _bar(page, 512, counts, "both halves of the VAE", "parameters")
    work = [2 * text.flops, 2 * STEPS * unet.flops, decoder.flops]
    _bar(page, 556, work, "VAE decoder", f"work: {flops_text(sum(work))}", f"in {STEPS} steps")


def _bar(page: Diagram, y: float, counts: Sequence[int], last: str, *title: str) -> None:
    """Three shares of a whole as lengths, the labels below them from edge to edge."""
    page.write(12, y, *title, ha="left")
    left, widths = 150.0, [678 * count / sum(counts) for count in counts]
    labels = ("text encoder", "left", 0.0), ("U-Net", "center", 0.5), (last, "right", 1.0)
    for part, width, (label, ha, place) in zip(PARTS, widths, labels, strict=True):
        _box(page, left + width / 2, y, width, 20, part, corner=0)
        page.write(left + place * width, y + 20, f"{label} {share_text(width / 678)}", ha=ha)
        left += width


def _times(shape: Shape) -> str:
    """A shape as one speaks of images, (1, 4, 64, 64) → 64×64×4."""
    sizes = (*shape[2:], shape[1]) if len(shape) == 4 else shape[-2:]
    return "×".join(map(str, sizes))


def _box(
    page: Diagram, x: float, y: float, width: float, height: float, part: str, **style: Any
) -> None:
    """A box around a point in the colours of a part."""
    from ..viz.diagram import Place

    page.box(Place.around(x, y, width, height), part, **style)


def _image(
    page: Diagram, x: float, y: float, width: float, height: float, array: np.ndarray, **style: Any
) -> None:
    """An array as an image around a point."""
    from ..viz.diagram import Place

    page.image(array, Place.around(x, y, width, height), **style)


def _channels(page: Diagram, x: float, y: float, channels: np.ndarray) -> None:
    """Channels (C, h, w) as a stack of sheets, the first in front."""
    for i in reversed(range(len(channels))):
        at = x - 9 + 6 * i, y - 13 + 6 * i
        _image(page, *at, 48, 48, channels[i], cmap="PuOr", vmin=-2.5, vmax=2.5)


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
