"""What is in a latent? An image's channels to paint on, and what the decoder makes of them.

The brush is a square. It is moved with sliders, or with a mouse or a finger over the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .. import viz
from ..world import Scene, Thing
from . import controls, shared
from . import page as layout
from .base import PanelUpdate, Settings
from .pointer import Place, PointerPad
from .shared import first_image, image_html

__all__ = ["LatentPainter", "Stroke", "paint"]

VISIBLE = 2 / 255  # a change of colours that is nowhere larger is not seen
MOSTLY = 0.9  # this share of a change, or more, is all of it
CHANNEL_WIDTH = 144  # pixels of the screen
SHADE = 110  # of 255: how dark a path is laid over a channel
FRAME = (  # seen on any colour: black between two lines of white
    "position: absolute; box-sizing: border-box; border: 2px solid #000; "
    "box-shadow: 0 0 0 1px #fff, inset 0 0 0 1px #fff"
)


@dataclass(frozen=True)
class Stroke:
    """`amount` is added to a channel, everywhere or in a square of `size` times `size` cells.

    Channels, rows and columns count from 1, as on the page. `row` and `column` are those of the
    square's upper left cell; the part of it that lies outside does nothing. `size` 0 is everywhere.
    `path` holds further places of the square, (row, column), where it was dragged along; where
    they overlap, `amount` is added once.
    """

    channel: int
    amount: float
    row: int = 1
    column: int = 1
    size: int = 0
    path: tuple[Place, ...] = ()

    def __str__(self) -> str:
        place = f"{self.size} x {self.size} cells from row {self.row}, column {self.column}"
        place += f" and in {len(self.path)} more places" if self.path else ""
        sign = "+" if self.amount >= 0 else "−"
        where = f"in {place}" if self.size else "everywhere"
        return f"channel {self.channel}, {sign}{abs(self.amount):g} {where}"

    def area(self, margin: int = 0) -> tuple[slice, slice]:
        """The rows and the columns that it changes, and `margin` cells around them."""
        if not self.size:
            return slice(None), slice(None)
        starts = (self.row - 1, self.column - 1)
        rows, columns = (slice(max(0, s - margin), s + self.size + margin) for s in starts)
        return rows, columns

    def mask(self, shape: tuple[int, ...], margin: int = 0) -> np.ndarray:
        """Which cells of a channel, (h, w), it changes, and `margin` cells around them."""
        mask = np.zeros(shape, dtype=bool)
        for row, column in ((self.row, self.column), *self.path):
            mask[replace(self, row=row, column=column).area(margin)] = True
        return mask


def paint(latents: Tensor, stroke: Stroke) -> Tensor:
    """A copy of `latents`, (B, C, h, w), with the stroke added.

    Raises `ValueError` for a stroke that lies outside.
    """
    limits = {"channel": (1, latents.shape[1]), "row": (1, latents.shape[2])}
    limits |= {"column": (1, latents.shape[3]), "size": (0, max(latents.shape[2:]))}
    for place in (stroke, *(replace(stroke, row=r, column=c) for r, c in stroke.path)):
        for name, (low, high) in limits.items():
            if not low <= getattr(place, name) <= high:
                raise ValueError(f"{name} must lie in {low}..{high}; got {getattr(place, name)}")
    painted = latents.clone()
    mask = torch.from_numpy(stroke.mask(latents.shape[2:])).to(latents.device)
    painted[:, stroke.channel - 1][:, mask] += stroke.amount
    return painted


def share_nearby(
    before: Image.Image, after: Image.Image, stroke: Stroke, cell: int, margin: int = 1
) -> float | None:
    """Which share of the change lies in the stroke's cells and `margin` cells around them, 0..1.

    `cell` is the side of a cell in pixels. None where no change can be seen.
    """
    one, other = (np.asarray(image, dtype=np.float32) / 255 for image in (before, after))
    change = np.abs(one - other).mean(axis=2)  # (H, W)
    if change.max() < VISIBLE:
        return None
    cells = change.reshape(change.shape[0] // cell, cell, -1, cell).sum(axis=(1, 3))  # (h, w)
    return float(cells[stroke.mask(cells.shape, margin)].sum() / cells.sum())


class LatentPainter(shared.ImageExplorer):
    """The latent channels of an image: add to one of them, and see what the decoder makes of it.

    Settings: the present stroke (see `Stroke`) with `channel` (from 1), `amount` (-4..4; the
    numbers of a latent have a spread of about 1), `row`, `column` (from 1) and `size` (from 0);
    without a control `path`, more places of the brush, `strokes`, those that were kept before, and
    `image`, any PIL image, of which the middle is used. Whoever drags over the image paints: the
    last stroke is kept, and a new one of the same amount begins. `facts`: "latents",
    (1, C, h, w), painted; "image", decoded from them; "before", the same without the present
    stroke; "strokes", all of them, so that painting them one by one leads to "latents"; "nearby",
    see `share_nearby`; "title".
    """

    PANELS = ("before", "after", "channels", "strokes")
    SCENE = Scene(
        (Thing("castle", "red", position="left"),), ground="snow", time="night", sky="moon"
    )
    QUESTION = (
        "A single number of the latent is raised by 2, at the present channel, row and column. "
        "Where does the image change?"
    )
    CHOICES = ("only in its own patch", "there and in the patches around", "also further away")

    channel = controls.whole("channel", 1, value=2, live=True)
    amount = controls.decimal("add to it", -4, 4, 0.1, value=2.0, live=True)
    row = controls.whole("row", 1, value=6, live=True)
    column = controls.whole("column", 1, value=3, live=True)
    size = controls.whole("cells, 0 for all", 0, value=6, live=True)
    path = controls.hidden(traitlets.Tuple())
    strokes = controls.hidden(traitlets.Tuple())

    def prepare(self) -> None:
        super().prepare()
        self._drag, self._brush, self._is_dragged = "", self.amount, False
        self._kept = lru_cache(maxsize=4)(self._paint_kept)
        self.controls["channel"].max = self.sd.vae.config.latent_channels
        side = self.sd.image_size // self.sd.vae_scale_factor
        for name in ("row", "column", "size"):
            self.controls[name].max = side
        self.pad = PointerPad(side, side, self._on_drag, "drag to paint on the latent")

    @traitlets.validate("strokes")
    def _as_strokes(self, proposal: Any) -> tuple[Stroke, ...]:
        """Strokes may be given as tuples, as the line of `code` has them."""
        return tuple(one if isinstance(one, Stroke) else Stroke(*one) for one in proposal["value"])

    def buttons(self) -> list[widgets.Widget]:
        return [
            self.upload,
            controls.button("keep", "Make this change permanent and begin another", self.keep),
            controls.button("undo", "Take the last change back", self.undo),
            controls.button("reset", "Take all changes back", self.reset),
        ]

    def page(self) -> list[widgets.Widget]:
        before, after, channels, strokes = self.panels.values()
        channels.add_class("sdlearn-small")
        beside = layout.side(before, channels, strokes)
        return [layout.main(self.pad.over(after)), beside]

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        stroke = stroke_of(settings)
        start, before, before_html = self._kept(settings.image, settings.strokes)
        latents = paint(start, stroke)
        panels = {"before": before_html, "channels": channels_html(latents[0], stroke)}
        panels["strokes"] = strokes_html(settings.strokes)
        yield PanelUpdate(panels, None)  # a blank line between two sentences would flicker
        image = first_image(self.sd, latents)
        title = f"after: {stroke}" if stroke.amount else "after: nothing is added"
        near = share_nearby(before, image, stroke, self.sd.vae_scale_factor)
        strokes = (*settings.strokes, stroke) if stroke.amount else settings.strokes
        facts = {"latents": latents, "image": image, "before": before, "strokes": strokes}
        facts |= {"title": title, "nearby": near}
        yield PanelUpdate({"after": image_html(image, title)}, sentence(stroke, near), facts)

    def figure(self) -> Figure:
        images = [self.facts["before"], self.facts["image"]]
        return viz.show(images, ["before", self.facts["title"]], size=256)

    def reveal(self, settings: Settings) -> Iterator[PanelUpdate]:
        """Raise one number, and measure where the image changes."""
        stroke = Stroke(settings.channel, 2.0, settings.row, settings.column, 1)
        start, before, _ = self._kept(settings.image, settings.strokes)
        after = first_image(self.sd, paint(start, stroke))
        yield PanelUpdate({"after": image_html(after, f"after: {stroke}")}, "")
        cell = self.sd.vae_scale_factor
        near = [share_nearby(before, after, stroke, cell, margin) for margin in (0, 1)]
        if near[0] is None or near[1] is None:
            raise ValueError("no change can be seen; choose another channel or place")
        right = self.CHOICES[sum(share < MOSTLY for share in (near[0], near[1]))]
        told = (
            f"{100 * near[0]:.0f} % of the change lies in its own patch of {cell} x {cell} pixels, "
            f"{100 * near[1]:.0f} % there and in the patches around. {100 * MOSTLY:.0f} % and more "
            "counts as all of it."
        )
        yield PanelUpdate(facts={"right": (right,), "told": told})

    def _on_drag(self, number: str, cells: tuple[Place, ...]) -> None:
        """Follow the pointer: a new stroke for each drag, with the brush's middle at each cell."""
        size = self.size or 1
        corners = ((row - (size - 1) // 2, column - (size - 1) // 2) for row, column in cells)
        first, *path = dict.fromkeys((max(1, row), max(1, column)) for row, column in corners)
        changes: dict[str, Any] = {"size": size, "row": first[0], "column": first[1]}
        changes["path"] = tuple(path)
        if number != self._drag:
            self._drag = number
            if self.amount:
                changes["strokes"] = (*self.strokes, stroke_of(self.current_settings()))
            changes["amount"] = self._brush
        self._is_dragged = True
        try:
            with self.hold_trait_notifications():
                for name, value in changes.items():
                    setattr(self, name, value)
        finally:
            self._is_dragged = False

    @traitlets.observe("row", "column")
    def _leave_path(self, _change: Any) -> None:
        """A slider moves a plain square."""
        if not self._is_dragged:
            self.path = ()

    @traitlets.observe("amount")
    def _take_brush(self, change: Any) -> None:
        """The amount of the next drag is the last that was not 0."""
        self._brush = change["new"] or self._brush

    def keep(self) -> None:
        """Make the present stroke permanent and begin another."""
        if self.amount:
            self._begin_stroke(strokes=(*self.strokes, stroke_of(self.current_settings())))

    def undo(self) -> None:
        """Take the present stroke back, or where there is none the last that was kept."""
        self._begin_stroke(strokes=self.strokes if self.amount else self.strokes[:-1])

    def reset(self) -> None:
        """Take all strokes back."""
        self._begin_stroke(strokes=())

    def _receive(self, image: Image.Image, _name: str) -> None:
        self._begin_stroke(image=image, strokes=())

    def _begin_stroke(self, **settings: Any) -> None:
        """Change settings and take the present stroke back, as one change."""
        with self.hold_trait_notifications():
            self.amount, self.path = 0.0, ()
            for name, value in settings.items():
                setattr(self, name, value)

    def _paint_kept(
        self, pixels: bytes, strokes: tuple[Stroke, ...]
    ) -> tuple[Tensor, Image.Image, str]:
        """The latents with all strokes that are kept, decoded, and as HTML."""
        latents = reduce(paint, strokes, self.encoded(pixels)[1])
        image = first_image(self.sd, latents)
        title = "before: with the changes kept" if strokes else "before: there and back"
        return latents, image, image_html(image, title)


def stroke_of(settings: Settings) -> Stroke:
    """The stroke that the settings stand for."""
    names = ("channel", "amount", "row", "column", "size", "path")
    return Stroke(*(getattr(settings, name) for name in names))


def sentence(stroke: Stroke, near: float | None) -> str:
    """What there is to say about a change."""
    if not stroke.amount:
        return "Nothing is added yet: move “add to it”."
    if near is None:
        return "No change that can be seen."
    if not stroke.size:
        return "The channel changes everywhere, and so does the image."
    return f"{100 * near:.0f} % of the change lies within one cell of the square."


def strokes_html(strokes: tuple[Stroke, ...]) -> str:
    """The strokes that are kept, as a list; nothing when there are none."""
    items = "".join(f"<li>{stroke}</li>" for stroke in strokes)
    listed = f'<div style="margin: 4px">kept:<ol style="margin: 0">{items}</ol></div>'
    return listed if items else ""


def channels_html(latents: Tensor, stroke: Stroke) -> str:
    """The channels of a latent, (C, h, w), as colours with their ranges; the stroke is marked."""
    cells = []
    for number, values in enumerate(latents.float().cpu().numpy(), 1):
        marked = stroke.amount and number == stroke.channel
        limits = f"{values.min():.1f} to {values.max():.1f}".replace("-", "−")
        alt = f"channel {number}, {limits}" + (f"; marked: {stroke}" if marked else "")
        tag = shared.image_tag(shared.png_of(shared.signed_image(values)), alt, CHANNEL_WIDTH)
        tag += frame_html(stroke, values.shape) if marked else ""
        box = f"position: relative; width: {CHANNEL_WIDTH}px; max-width: 100%; line-height: 0"
        shown = f'channel {number}<div style="{box}">{tag}</div>{limits}'
        cells.append(f'<figure style="margin: 4px">{shown}</figure>')
    limit = f"{shared.SIGNED_LIMIT:g}"
    legend = shared.colour_bar_html(shared.SIGNED, f"−{limit}", f"+{limit}")
    return shared.row_html(cells, -(-len(cells) // 2), CHANNEL_WIDTH) + legend


def frame_html(stroke: Stroke, shape: tuple[int, ...]) -> str:
    """A frame around the cells of a stroke, over an image of cells, (h, w); a shade for a path."""
    if stroke.path:
        shade = np.zeros((*shape, 4), dtype=np.uint8)
        shade[stroke.mask(shape), 3] = SHADE
        source = f"data:image/png;base64,{shared.png_of(Image.fromarray(shade))}"
        place = "position: absolute; inset: 0; width: 100%; image-rendering: pixelated"
        return f'<img src="{source}" alt="" style="{place}">'
    sides = []
    names = (("top", "height"), ("left", "width"))
    for part, length, (start_name, size_name) in zip(stroke.area(), shape, names, strict=True):
        start, stop, _ = part.indices(length)
        sides.append(f"{start_name}: {100 * start / length:g}%")
        sides.append(f"{size_name}: {100 * (stop - start) / length:g}%")
    return f'<div style="{FRAME}; {"; ".join(sides)}"></div>'
