"""The U-Net as one drawing, with what its blocks hold in a real call.

Shapes, skip connections and cross-attentions are the model's own (`anatomy`); the stacks are some
of the channels that each block gave in this very call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..models.compiling import as_written
from ..pipeline import StableDiffusion
from .anatomy import CROSS_ATTENTION, Anatomy, anatomy, share_text
from .own_calls import own_calls

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..viz.diagram import Diagram, Place

WIDTH, TOP, PITCH = 840, 104, 112  # centre of the first level; from one level to the next
LEFT, RIGHT, INDENT = 210, 630, 54  # centres of its two blocks; how much further in the next are
STACK, SHEETS, OFFSET = 74, 4, 5  # pixels of a block with the size of the latents; its channels
SPREAD = 2.5  # standard deviations at which the colours of a channel end


def unet_figure(
    sd: StableDiffusion, latents: Tensor, t: float, cond: Tensor, *, dark: bool = False
) -> Figure:
    """What happens when the U-Net predicts the noise in `latents`, (1, C, h, w), at timestep t.

    `cond` are text states (1, 77, D). Raises `ValueError` as `predict_noise` does.

        unet_figure(sd, x_t, 500, sd.encode_text("a red house"))
    """
    from ..viz.diagram import Diagram

    a = anatomy(sd)
    names = dict(_blocks(a))
    with _watched(sd.unet, names.values()) as held:
        eps = sd.predict_noise(latents, t, cond)
    height = TOP + PITCH * len(a.levels) + 78
    page = Diagram(WIDTH, height, _describe(a, t), dark=dark)
    _draw_frame(page, a)
    _draw_ends(page, latents, eps, t, cond)
    _draw_blocks(page, a, {key: held[name][0].numpy() for key, name in names.items()})
    return page


def _blocks(a: Anatomy) -> Iterator[tuple[tuple[str, int], str]]:
    """(way, level) of every block, and the name of the last layer in it that keeps its size."""
    for i, level in enumerate(a.levels):
        for way, block in (("down", level.down), ("up", level.up)):
            kept = [part.name for part in block.children if "sampler" not in part.name]
            yield (way, i), f"{block.name}.{kept[-1]}"
    yield ("middle", len(a.levels)), "mid_block"


@contextmanager
def _watched(unet: Any, names: Any) -> Iterator[dict[str, Tensor]]:
    """While the block is open, what the named parts of `unet` gave in its last call here."""
    held: dict[str, Tensor] = {}
    with own_calls() as is_own_call, as_written(), ExitStack() as hooks:
        for name in names:

            def keep(_: Any, args: Any, output: Any, name: str = name) -> None:
                if is_own_call():
                    first = output[0] if isinstance(output, tuple) else output
                    held[name] = first.detach().float().cpu()

            hooks.callback(unet.get_submodule(name).register_forward_hook(keep).remove)
        yield held


def _draw_frame(page: Diagram, a: Anatomy) -> None:
    """The outline of the U-Net, its name, and what the marks mean."""
    from ..viz.diagram import Place

    unet, bottom = a.parts["unet"], page.height - 34
    page.box(Place(140, 10, 560, bottom - 10), "unet", ec="none", corner=12)
    page.write(156, 28, "U-Net", bold=True, size=11, colour=page.theme.edges["unet"], ha="left")
    share = share_text(unet.parameters / a.parameters)
    size = f"{unet.parameters:,} parameters, {share} of the model"
    page.note(684, 28, size, ha="right")
    y = bottom - 34
    page.diamonds(160, y, 1)
    page.note(170, y, f"{len(a.cross_attentions)} cross-attentions:", ha="left")
    page.note(170, y + 15, "here it reads the text", ha="left")
    page.note(684, y, f"{len(a.skips)} skip connections:", ha="right")
    page.note(684, y + 15, "fine detail goes straight across", ha="right")
    told = (
        "Each stack: four of the channels that the block gave in this call, each on its own scale."
    )
    page.note(420, page.height - 16, told)


def _draw_ends(page: Diagram, latents: Tensor, eps: Tensor, t: float, cond: Tensor) -> None:
    """What goes in on the left, and the predicted noise on the right."""
    from ..viz.diagram import Place

    for x, title, numbers in ((20, "noisy latents", latents), (730, "predicted noise", eps)):
        channels = numbers[0].float().cpu().numpy()
        page.write(x + 45, TOP - 58, title, bold=True)
        page.latents(channels, Place(x, TOP - 45, 90, 90))
        page.note(x + 45, TOP + 58, _times(channels))
    page.arrow((114, TOP), (LEFT - 50, TOP), part="unet", width=2)
    page.arrow((RIGHT + 50, TOP), (726, TOP), part="unet", width=2)
    page.box(Place(20, 200, 90, 42), "plain")
    page.write(65, 221, "timestep", f"t = {t:g}", bold=True)
    page.note(65, 253, "told to every block")
    page.arrow((113, 221), (140, 221))
    states = cond[0].float().cpu().numpy()
    page.write(65, 294, "text states", bold=True)
    page.numbers(states.T, Place(20, 306, 90, 42), limit=2)
    page.note(65, 360, "×".join(map(str, states.shape)))
    page.arrow((113, 327), (140, 327), part="text")
    page.diamonds(154, 327, 1)


def _draw_blocks(page: Diagram, a: Anatomy, held: dict[tuple[str, int], np.ndarray]) -> None:
    """The blocks, one below the other as a U, and the arrows between them."""
    largest = max(a.levels[0].size)
    places = {key: _place_of(key, held[key], largest, len(a.levels)) for key in held}
    for key, place in places.items():
        _draw_stack(page, held[key], place)
    for i, level in enumerate(a.levels):
        down, up = places["down", i], places["up", i]
        for way, place, count in zip((-1, 1), (down, up), level.cross_attentions, strict=True):
            x = place.centre[0] + way * 44
            page.diamonds(x, _label_y(place), count, pitch=12 * way)
        _draw_skips(page, down.right, up.x, down.centre[1], len(level.skips))
        below = i + 1 if i + 1 < len(a.levels) else None
        after = places["middle", len(a.levels)] if below is None else places["down", below]
        before = places["middle", len(a.levels)] if below is None else places["up", below]
        _draw_way(page, down, after, +1)
        _draw_way(page, up, before, -1)
    middle = a.parts["unet"]["mid_block"]
    place = places["middle", len(a.levels)]
    count = len(middle.of_kind(CROSS_ATTENTION))
    page.diamonds(place.centre[0] + 44, _label_y(place), count)


def _place_of(key: tuple[str, int], held: np.ndarray, largest: int, levels: int) -> Place:
    """Where a block stands: the smaller its maps, the further down and in, and the smaller."""
    from ..viz.diagram import Place

    way, level = key
    side = STACK * (max(held.shape[1:]) / largest) ** 0.5
    indent = level * min(INDENT, 3 * INDENT / max(1, levels - 1))
    x = {"down": LEFT + indent, "up": RIGHT - indent, "middle": (LEFT + RIGHT) / 2}[way]
    y = TOP + PITCH * level - (26 if way == "middle" else 0)
    return Place.around(x, y, side, side)


def _draw_stack(page: Diagram, held: np.ndarray, place: Place) -> None:
    """Some channels (C, h, w) of a block as sheets, the one that varies most in front."""
    spread = held.std(axis=(1, 2))
    order = np.argsort(-spread)[:: max(1, len(held) // SHEETS)][:SHEETS]
    for depth, channel in reversed(list(enumerate(order))):
        shift = OFFSET * (depth - (SHEETS - 1) / 2)
        at = place._replace(x=place.x + shift, y=place.y - shift)
        values = held[channel] - held[channel].mean()
        page.numbers(values, at, limit=SPREAD * max(float(spread[channel]), 1e-6))
    page.note(place.centre[0], _label_y(place), _times(held))


def _label_y(place: Place) -> float:
    """Where the shape of a block is written."""
    return place.bottom + OFFSET * SHEETS / 2 + 8


def _draw_skips(page: Diagram, left: float, right: float, y: float, count: int) -> None:
    """Lines from the way down to the way up."""
    for i in range(count):
        at = y + 8 * (i - (count - 1) / 2)
        page.arrow((left + 14, at), (right - 14, at), part="unet", width=1)


def _draw_way(page: Diagram, level: Place, other: Place, way: int) -> None:
    """An arrow from a block down to the next (`way` 1), or up to it from the one below (-1)."""
    above = level.centre[0], level.bottom + 30
    inward = 1 if other.centre[0] > level.centre[0] else -1
    side = other.x - 12 if inward > 0 else other.right + 12
    below = side, other.centre[1]
    turn = above[0], below[1]
    points = (above, turn, below) if way > 0 else (below, turn, above)
    page.arrow(*points, part="unet", width=2)


def _times(channels: np.ndarray) -> str:
    """(C, h, w) as people write it, "16×16×4"."""
    return "×".join(map(str, (*channels.shape[1:], channels.shape[0])))


def _describe(a: Anatomy, t: float) -> str:
    """Alternative text: what is where, with the shapes."""
    unet, crosses = a.parts["unet"], len(a.cross_attentions)
    levels = "; ".join(
        f"{level.size[0]}×{level.size[1]} with {level.channels} channels, "
        f"{len(level.skips)} skip connections, and {down} cross-attentions on the way down and "
        f"{up} on the way up"
        for level in a.levels
        for down, up in [level.cross_attentions]
    )
    middle = a.parts["unet"]["mid_block"].outputs[0]
    return (
        f"The U-Net of {a.name} ({unet.parameters:,} parameters) in one call. Noisy latents enter "
        f"on the left, timestep t = {t:g} goes to every block, the text states to {crosses} "
        f"cross-attentions, and the predicted noise leaves on the right. Levels from the top: "
        f"{levels}. At the bottom {middle[2]}×{middle[3]} with {middle[1]} channels. Skip "
        "connections lead straight across from the way down to the way up. Each block shows some "
        "of its channels."
    )
