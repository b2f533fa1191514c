"""An anatomy as one picture: text and noise on the left, the U-Net's levels, the VAE's picture.

The shapes, the numbers, the marks for cross-attention and the lines for skip connections are the
model's own. The drawn picture and its latents only stand for what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from ...world import Scene, Thing, render
from .drawing import CLEAR, COLOURS, FAINT, Box, Canvas
from .part import CROSS_ATTENTION, Level, Shape
from .table import flops_text, share_text

if TYPE_CHECKING:
    from .body import Anatomy

__all__ = ["draw_anatomy"]

WIDTH, HEIGHT = 840, 590
FRAME = Box(190, 66, 434, 386)  # around the U-Net
FIRST_ROW, BOX_HEIGHT = 104, 44
NOISE, STATES = Box(54, 76, 58, 58), Box(52, 352, 68, 62)
ENCODER, SCHEDULER = Box(12, 252, 148, 64), Box(692, 104, 136, 44)
LATENTS, PICTURE = Box(731, 178, 58, 58), Box(712, 352, 96, 96)
PLACES = ("left", "center", "right")
STEPS = 20  # of the sum at the foot; each is two calls of the U-Net, with the words and without


def draw_anatomy(anatomy: Anatomy) -> Figure:
    """The whole way from text and noise to a picture."""
    canvas = Canvas(WIDTH, HEIGHT, _describe(anatomy))
    canvas.text((12, 20), f"The anatomy of {anatomy.name}", bold=True, fontsize=13, ha="left")
    canvas.text((WIDTH - 12, 20), f"{anatomy.parameters:,} parameters", fontsize=11, ha="right")
    first, last = _draw_unet(canvas, anatomy)
    _draw_text(canvas, anatomy)
    _draw_loop(canvas, anatomy, first, last)
    _draw_decoder(canvas, anatomy)
    _draw_shares(canvas, anatomy)
    return canvas.sheet


def _times(shape: Shape) -> str:
    """A shape as pictures are spoken of, (1, 4, 64, 64) → 64×64×4."""
    sizes = (*shape[2:], shape[1]) if len(shape) == 4 else shape[-2:]
    return "×".join(map(str, sizes))


def _draw_unet(canvas: Canvas, anatomy: Anatomy) -> tuple[Box, Box]:
    """The levels, one below the other as a U; the boxes where the latents go in and come out."""
    unet = anatomy.parts["unet"]
    canvas.box(FRAME, "unet", face=CLEAR)
    count, share = f"{unet.parameters:,} parameters", unet.parameters / anatomy.parameters
    title = f"U-Net · {count} · {share_text(share)}"
    canvas.text((FRAME.centre[0], 84), title, bold=True)
    levels = anatomy.levels
    pitch = (FRAME[1] + FRAME[3] - 30 - FIRST_ROW) / (len(levels) + 1)
    rows = [_row(i, FIRST_ROW + i * pitch) for i in range(len(levels))]
    for level, (left, right) in zip(levels, rows, strict=True):
        _draw_level(canvas, level, left, right)
    for (left, right), (lower_left, lower_right) in zip(rows, rows[1:], strict=False):
        canvas.arrow((lower_left.centre[0], left.south[1]), lower_left.north, part="unet")
        canvas.arrow(lower_right.north, (lower_right.centre[0], right.south[1]), part="unet")
    _draw_middle(canvas, anatomy, *rows[-1], FIRST_ROW + len(levels) * pitch)
    crosses, skips = len(anatomy.cross_attentions), len(anatomy.skips)
    y = FRAME[1] + FRAME[3] - 14
    canvas.marks((FRAME[0] + 50, y), 1)
    canvas.text((FRAME[0] + 64, y), f"cross-attention: {crosses}", ha="left")
    canvas.arrow((FRAME[0] + 258, y), (FRAME[0] + 292, y), part="unet", width=1)
    canvas.text((FRAME[0] + 300, y), f"skip connection: {skips}", ha="left")
    return rows[0]


def _row(level: int, top: float) -> tuple[Box, Box]:
    """The two boxes of a level: narrower and further in, the further down."""
    width, inset = 128 - 8 * level, 16 + 16 * level
    left = Box(FRAME[0] + inset, top, width, BOX_HEIGHT)
    return left, Box(FRAME[0] + FRAME[2] - inset - width, top, width, BOX_HEIGHT)


def _draw_level(canvas: Canvas, level: Level, left: Box, right: Box) -> None:
    shape = (1, level.channels, *level.size)
    for box, count in zip((left, right), level.cross_attentions, strict=True):
        _draw_block(canvas, box, shape, count)
    for i in range(len(level.skips)):
        y = left.centre[1] + 10 * (i - (len(level.skips) - 1) / 2)
        canvas.arrow((left.east[0] + 3, y), (right.west[0] - 3, y), part="unet", width=1)


def _draw_block(canvas: Canvas, box: Box, shape: Shape, crosses: int) -> None:
    canvas.box(box, "unet")
    x, y = box.centre
    canvas.text((x, y - 9 if crosses else y), _times(shape))
    canvas.marks((x, y + 10), crosses)


def _draw_middle(canvas: Canvas, anatomy: Anatomy, left: Box, right: Box, top: float) -> None:
    middle = anatomy.parts["unet"]["mid_block"]
    box = Box(FRAME.centre[0] - 56, top, 112, BOX_HEIGHT)
    _draw_block(canvas, box, middle.outputs[0], len(middle.of_kind(CROSS_ATTENTION)))
    canvas.arrow(left.south, (left.south[0], box.west[1]), box.west, part="unet")
    canvas.arrow(box.east, (right.south[0], box.east[1]), right.south, part="unet")


def _draw_text(canvas: Canvas, anatomy: Anatomy) -> None:
    """From the prompt to its states, and from there to the diamonds."""
    part = anatomy.parts["text_encoder"]
    states = part.outputs[0]
    canvas.text((ENCODER.centre[0], 222), "“a red house”", fontsize=10)
    canvas.arrow((ENCODER.centre[0], 234), ENCODER.north, part="text")
    canvas.box(ENCODER, "text")
    share = share_text(part.parameters / anatomy.parameters)
    canvas.text(ENCODER.centre, "CLIP text encoder", f"{part.parameters:,}", share, bold=True)
    canvas.arrow(ENCODER.south, STATES.north, part="text")
    stripes = np.random.default_rng(0).random((20, 16))
    canvas.picture(STATES, stripes, cmap="YlOrBr", vmin=-0.3, vmax=2)
    words = f"{states[1]} states of width {states[2]}"
    canvas.text((STATES.centre[0], STATES.south[1] + 14), words)
    canvas.arrow(STATES.east, (FRAME[0], STATES.east[1]), part="text", width=2)
    canvas.marks((STATES.east[0] + 32, STATES.east[1]), 1)


def _draw_loop(canvas: Canvas, anatomy: Anatomy, first: Box, last: Box) -> None:
    """Noisy latents in, predicted noise out, a step of the scheduler, and round again."""
    latents = anatomy.parts["unet"].inputs[0]
    noise = np.random.default_rng(0).standard_normal((4, 16, 16))
    _draw_channels(canvas, NOISE, noise)
    under = (NOISE.centre[0], NOISE.south[1] + 32)
    canvas.text(under, f"latents {_times(latents)}", "at first pure noise")
    canvas.arrow((NOISE.east[0] + 16, first.west[1]), first.west)
    canvas.box(SCHEDULER, "plain")
    canvas.text(SCHEDULER.centre, "scheduler", "takes a small step", bold=True)
    canvas.arrow(last.east, SCHEDULER.west)
    between = ((FRAME.east[0] + SCHEDULER.west[0]) / 2, SCHEDULER.centre[1])
    canvas.text((between[0], between[1] - 18), "predicted", "noise", color=FAINT)
    x, y = SCHEDULER.north[0], 50
    canvas.arrow((x, SCHEDULER[1]), (x, y), (NOISE.centre[0], y), (NOISE.centre[0], NOISE[1] - 4))
    canvas.text((FRAME.centre[0], y - 10), "the same latents, a little less noisy", color=FAINT)


def _draw_channels(canvas: Canvas, box: Box, channels: np.ndarray) -> None:
    """Channels (C, h, w) as a stack of sheets, the first in front."""
    left, top, width, height = box
    for i in reversed(range(len(channels))):
        sheet = Box(left + 6 * i - 4, top - 4 + 6 * i - 4, width - 10, height - 10)
        canvas.picture(sheet, channels[i], cmap="PuOr", vmin=-2.5, vmax=2.5)


def _draw_decoder(canvas: Canvas, anatomy: Anatomy) -> None:
    """From the last latents through the decoder to the picture."""
    part = anatomy.parts["vae_decoder"]
    shown = render(Scene((Thing("house", "red", size="large"),)))
    array = np.asarray(shown)
    x = LATENTS.centre[0]
    canvas.arrow(SCHEDULER.south, (x, LATENTS[1] - 10))
    canvas.text((x + 8, LATENTS[1] - 21), "at last", ha="left", color=FAINT)
    coarse = np.asarray(shown.resize((16, 16)), dtype=float).transpose(2, 0, 1) / 51 - 2.5
    _draw_channels(canvas, LATENTS, np.stack([*coarse, -coarse.mean(axis=0)]))
    latents, picture = part.inputs[0], part.outputs[0]
    under = (x, LATENTS.south[1] + 20)
    canvas.text(under, _times(latents), f"= {prod(latents):,} numbers")
    top, bottom = LATENTS.south[1] + 42, PICTURE[1] - 18
    canvas.shape([(x - 44, top), (x + 44, top), (x + 74, bottom), (x - 74, bottom)], "vae")
    share = f"{part.parameters:,} · {share_text(part.parameters / anatomy.parameters)}"
    canvas.text((x, (top + bottom) / 2), "VAE decoder", share, bold=True)
    canvas.arrow((x, bottom), (x, PICTURE[1] - 2), part="vae")
    canvas.picture(PICTURE, array)
    under = (x, PICTURE.south[1] + 22)
    canvas.text(under, _times(picture), f"= {prod(picture):,} numbers")


def _draw_shares(canvas: Canvas, anatomy: Anatomy) -> None:
    """Two bars at the foot: who has the parameters, and who does the work."""
    parts = anatomy.parts
    text, unet, vae = (parts[name] for name in ("text_encoder", "unet", "vae"))
    labels = ("text encoder", "U-Net", "both halves of the VAE")
    _draw_bar(canvas, 502, ("parameters",), labels, [p.parameters for p in (text, unet, vae)])
    work = [2 * text.flops, 2 * STEPS * unet.flops, parts["vae_decoder"].flops]
    total = flops_text(sum(work))
    labels = ("text encoder", "U-Net", "VAE decoder")
    _draw_bar(canvas, 546, (f"work: {total}", f"in {STEPS} steps"), labels, work)


def _draw_bar(
    canvas: Canvas, top: float, title: Sequence[str], labels: Sequence[str], counts: Sequence[int]
) -> None:
    """Three shares of a whole as lengths, the labels below them from edge to edge."""
    left, width = 150.0, WIDTH - 162
    canvas.text((12, top + 10), *title, ha="left")
    for part, place, label, count in zip(COLOURS, PLACES, labels, counts, strict=False):
        share = count / sum(counts)
        right = left + share * width
        canvas.shape([(left, top), (right, top), (right, top + 20), (left, top + 20)], part)
        x = {"left": left, "center": (left + right) / 2, "right": right}[place]
        canvas.text((x, top + 30), f"{label} {share_text(share)}", ha=place)
        left = right


def _describe(anatomy: Anatomy) -> str:
    """Alternative text: what is where, with the numbers."""
    parts = anatomy.parts
    levels = "; ".join(
        f"{_times((1, level.channels, *level.size))} with {down} and {up}"
        for level in anatomy.levels
        for down, up in [level.cross_attentions]
    )
    text, unet, decoder = (parts[n] for n in ("text_encoder", "unet", "vae_decoder"))
    return (
        f"The parts of {anatomy.name}. Text goes through a text encoder with "
        f"{text.parameters:,} parameters and becomes {_times(text.outputs[0])} numbers. "
        f"Latents {_times(unet.inputs[0])} go through a U-Net with {unet.parameters:,} parameters, "
        "again and again; a scheduler takes the steps. Its levels, with the cross-attentions on "
        f"the way down and up: {levels}. In all {len(anatomy.cross_attentions)} cross-attentions "
        f"and {len(anatomy.skips)} skip connections. A VAE decoder with "
        f"{decoder.parameters:,} parameters makes a picture {_times(decoder.outputs[0])}."
    )
