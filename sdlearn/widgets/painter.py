"""What is in a latent? A picture's channels to paint on, and what the decoder makes of it.

The maths is in `sdlearn.widgets.strokes`. Left out: brushes of other shapes than a square, and
painting with the mouse, which would take JavaScript of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache, reduce
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
import traitlets
from matplotlib import colormaps
from matplotlib.colors import to_hex
from PIL import Image
from torch import Tensor

from .. import viz
from ..pipeline import StableDiffusion
from ..world import Scene, Thing, render
from . import controls
from .drawing import Model, picture_of, the_model
from .live import LiveExplorer, PanelUpdate, Settings
from .panels import image_tag, picture_html, png_of
from .picker import to_square, upload_button
from .strokes import Stroke, area, nearby, paint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LatentPainter", "Stroke", "paint"]

CASTLE = Scene((Thing("castle", "red", position="left"),), ground="snow", time="night", sky="moon")
MOST = 4.0  # of an amount; the numbers of a latent have a spread of about 1
COLOURS, LIMIT = colormaps["PuOr"], 3.0  # as in `viz.channels`: white is 0
SMALL = 144  # pixels of the screen, the side of a channel
MARK = (  # seen on any colour: black between two lines of white
    "position: absolute; box-sizing: border-box; border: 2px solid #000; "
    "box-shadow: 0 0 0 1px #fff, inset 0 0 0 1px #fff"
)


class Original:
    """A picture to paint on, and its latents, encoded when they are first asked for."""

    def __init__(self, sd: StableDiffusion, picture: Image.Image) -> None:
        self.sd, self.picture = sd, picture

    @cached_property
    def latents(self) -> Tensor:
        """(1, C, h, w)."""
        return self.sd.encode_image(viz.to_tensor(self.picture))


def kept(original: Original, strokes: tuple[Stroke, ...]) -> tuple[Tensor, Image.Image, str]:
    """The latents with all strokes that are kept, the picture that they make, and its HTML."""
    latents = reduce(paint, strokes, original.latents)
    picture = picture_of(original.sd, latents)
    title = "before: with the changes kept" if strokes else "before: there and back"
    return latents, picture, picture_html(picture, title)


class LatentPainter(LiveExplorer):
    """The latent channels of a picture: add to one of them, and see what the decoder makes of it.

    `channel`, `amount`, `row`, `column` and `size` are the present stroke (see `Stroke`);
    `strokes` are those that were kept before, `picture` is any PIL image. `facts`: "latents",
    (1, C, h, w), painted; "picture", decoded from them; "before", the same without the present
    stroke; "strokes", all of them, so that painting them one by one leads to "latents";
    "nearby", see `nearby`.
    """

    PANELS = ("before", "after", "channels", "strokes")

    channel = traitlets.Int(2)
    amount = traitlets.Float(2.0, min=-MOST, max=MOST)
    row = traitlets.Int(6)
    column = traitlets.Int(3)
    size = traitlets.Int(6)
    picture = traitlets.Any()
    strokes = traitlets.Tuple()

    def __init__(self, model: Model = "tiny", **settings: Any) -> None:
        self.sd = the_model(model)
        self._kept = lru_cache(maxsize=4)(kept)
        picture = settings.pop("picture", None)
        self.picture = render(CASTLE) if picture is None else picture
        side = self.sd.image_size // self.sd.vae_scale_factor
        rows = {
            "channel": controls.whole_slider("channel", 1, self.sd.vae.config.latent_channels),
            "amount": controls.decimal_slider("add to it", -MOST, MOST, 0.1),
            "row": controls.whole_slider("row", 1, side),
            "column": controls.whole_slider("column", 1, side),
            "size": controls.whole_slider("cells, 0 for all", 0, side),
        }
        for slider in rows.values():
            slider.continuous_update = True  # a view takes less time than a hand
        super().__init__(rows, self._buttons(), settings, more=("picture", "strokes"))
        self.begin()

    def _buttons(self) -> list[widgets.Widget]:
        return [
            upload_button("your picture", self.sd.image_size, self._receive, self.say),
            controls.button("keep", "Make this change permanent and begin another", self.keep),
            controls.button("undo", "Take the last change back", self.undo),
            controls.button("reset", "Take all changes back", self.reset),
        ]

    @traitlets.validate("picture")
    def _square(self, proposal: Any) -> Image.Image:
        picture = to_square(proposal["value"], self.sd.image_size)
        self._original = Original(self.sd, picture)
        return picture

    def _receive(self, picture: Image.Image, _name: str) -> None:
        self._begin_again(picture=picture, strokes=())

    def at(self) -> Settings:
        """The settings as they are now; the picture as an `Original`, which can be a key."""
        return Settings(**{**vars(super().at()), "picture": self._original})

    def draw(self, at: Settings) -> Iterator[PanelUpdate]:
        stroke = stroke_of(at)
        start, before, before_html = self._kept(at.picture, at.strokes)
        latents = paint(start, stroke)
        strokes = (*at.strokes, stroke) if stroke.amount else at.strokes
        yield PanelUpdate(
            {
                "before": before_html,
                "channels": channels_html(latents[0], stroke),
                "strokes": strokes_html(at.strokes),
            },
            self.status,  # stays for a moment: a blank line between two sentences flickers
        )
        picture = picture_of(self.sd, latents)
        title = f"after: {stroke}" if stroke.amount else "after: nothing is added"
        near = nearby(before, picture, stroke, self.sd.vae_scale_factor)
        facts = {"latents": latents, "picture": picture, "before": before, "strokes": strokes}
        facts |= {"title": title, "nearby": near}
        yield PanelUpdate({"after": picture_html(picture, title)}, sentence(stroke, near), facts)

    def still(self) -> Figure:
        pictures = [self.facts["before"], self.facts["picture"]]
        return viz.show(pictures, ["before", self.facts["title"]], size=256)

    def keep(self) -> None:
        """Make the present stroke permanent and begin another."""
        if self.amount:
            self._begin_again(strokes=(*self.strokes, stroke_of(self.at())))

    def undo(self) -> None:
        """Take the present stroke back, or the last that was kept where there is none."""
        self._begin_again(strokes=self.strokes if self.amount else self.strokes[:-1])

    def reset(self) -> None:
        """Take all strokes back."""
        self._begin_again(strokes=())

    def _begin_again(self, **settings: Any) -> None:
        """Change settings and take the present stroke back, as one change."""
        with self.hold_trait_notifications():
            self.amount = 0.0
            for name, value in settings.items():
                setattr(self, name, value)


def stroke_of(at: Settings) -> Stroke:
    """The stroke that the settings stand for."""
    return Stroke(at.channel, at.amount, at.row, at.column, at.size)


def sentence(stroke: Stroke, near: float | None) -> str:
    """What there is to say about a change."""
    if not stroke.amount:
        return "Nothing is added yet: move “add to it”."
    if near is None:
        return "No change that can be seen."
    if not stroke.size:
        return "The channel changes everywhere, and so does the picture."
    return f"{100 * near:.0f} % of the change lies within one cell of the square."


def strokes_html(strokes: tuple[Stroke, ...]) -> str:
    """The strokes that are kept, as a list; nothing when there are none."""
    items = "".join(f"<li>{stroke}</li>" for stroke in strokes)
    return (
        f'<div style="margin: 4px">kept:<ol style="margin: 0">{items}</ol></div>' if items else ""
    )


def channels_html(latents: Tensor, stroke: Stroke) -> str:
    """The channels of a latent, (C, h, w), as colours with their ranges; the stroke is marked."""
    values = latents.detach().float().cpu().numpy()
    shown = [
        channel_html(one, number, stroke if number == stroke.channel and stroke.amount else None)
        for number, one in enumerate(values, 1)
    ]
    grid = f"display: grid; grid-template-columns: repeat({-(-len(shown) // 2)}, {SMALL + 12}px)"
    colours = ", ".join(to_hex(COLOURS(step / 8)) for step in range(9))
    bar = f"display: inline-block; width: 96px; height: 0.8em; border: 1px solid; background: \
linear-gradient(to right, {colours})"
    legend = f'−{LIMIT:g} <span style="{bar}"></span> +{LIMIT:g}'
    return f'<div style="{grid}">{"".join(shown)}</div><div style="margin: 4px">{legend}</div>'


def channel_html(values: np.ndarray, number: int, stroke: Stroke | None) -> str:
    """One channel, (h, w): a picture between its number and its range."""
    limits = f"{values.min():.1f} to {values.max():.1f}".replace("-", "−")
    alt = f"channel {number}, {limits}" + (f"; marked: {stroke}" if stroke else "")
    levels = (COLOURS(values / (2 * LIMIT) + 0.5)[..., :3] * 255).round().astype(np.uint8)
    tag = image_tag(png_of(Image.fromarray(levels)), alt, SMALL)
    mark = mark_html(stroke, values.shape) if stroke else ""
    box = f'<div style="position: relative; width: {SMALL}px; line-height: 0">{tag}{mark}</div>'
    return f'<figure style="margin: 4px">channel {number}{box}{limits}</figure>'


def mark_html(stroke: Stroke, shape: tuple[int, ...]) -> str:
    """A frame around the cells of a stroke, over a picture of cells, (h, w)."""
    sides = []
    for part, length, name, size in zip(
        area(stroke), shape, ("top", "left"), ("height", "width"), strict=True
    ):
        start, stop, _ = part.indices(length)
        sides.append(
            f"{name}: {100 * start / length:g}%; {size}: {100 * (stop - start) / length:g}%"
        )
    return f'<div style="{MARK}; {"; ".join(sides)}"></div>'
