"""What does the model make of a drawing? One draws with the mouse, chooses a strength, presses go.

ipywidgets has no canvas, so the pad is HTML with a script of its own (`sketch.js`). It runs when
the image below the canvas has been loaded, and hands the drawing over through a text box that
nobody sees: both are plain parts of ipywidgets, so they work wherever these do. Where scripts are
not allowed an image may be uploaded or set: `explorer.image = ...`.
"""

from __future__ import annotations

import base64
import binascii
import html
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from .. import viz
from ..diffusion.equations import add_noise
from ..pipeline import to_pil
from . import controls, shared
from . import page as layout
from .base import PanelUpdate, Settings, changed
from .picker import read_image
from .shared import distance, image_html

__all__ = ["SketchExplorer"]

PROMPT = "a large red house on the left, on green grass, by day"
WIDTH = 256  # pixels of the screen, where `page.STYLE` does not say otherwise
TASK_STRENGTHS = (0.2, 0.4, 0.6, 0.8)
NEVER = "at none of them"
PNG = "data:image/png;base64,"
COLOURS = {  # those of the world, and some for what surrounds things
    "red": "#c8323c",
    "orange": "#f08228",
    "yellow": "#f5cd32",
    "green": "#4ba046",
    "blue": "#3264c8",
    "purple": "#8246aa",
    "pink": "#f08cb4",
    "white": "#ffffff",
    "brown": "#7d5032",
    "grass": "#9acd32",
    "sand": "#ebd28c",
    "day": "#87cefa",
    "night": "#141e46",
}
BRUSHES = {"thin": 3, "medium": 8, "thick": 18}  # pixels of an image of 128


class SketchExplorer(shared.QuickExplorer, shared.ImageExplorer):
    """A drawing, the noise that is put on it, and what the loop makes of both.

    Settings: `prompt`, `strength` (0..1), `num_steps` (1..50), `guidance_scale` (0..20), `seed`
    (from 0); without a control `image`, the drawing, any PIL image, of which the middle is used.
    `facts`: "image", a PIL image; "title"; "drawing"; "start", the noised drawing, decoded; "run",
    how many steps were run; "t", the timestep of the first of them, None where there was none.
    """

    PANELS = ("image", "start", "sheet")
    QUESTION = (
        "From which strength on is the image, pixel for pixel, nearer to what the model draws "
        "without the drawing than to the drawing?"
    )
    CHOICES = (*(f"from {strength:g} on" for strength in TASK_STRENGTHS), NEVER)

    prompt = controls.text("prompt", PROMPT)
    strength = controls.decimal("strength", 0, 1, 0.05, value=0.6, live=True)
    guidance_scale = controls.decimal("guidance scale", 0, 20, 0.5, live=True)
    num_steps = controls.whole("steps", 1, 50)
    seed = controls.seed(7)

    def prepare(self) -> None:
        self.pad = Pad(self.sd.image_size, self._take_drawing, self.set_status)
        super().prepare()

    def opening(self) -> Image.Image:
        return first_sketch(self.sd.image_size)

    def buttons(self) -> list[widgets.Widget]:
        return [controls.another_seed(self), self.upload]

    def page(self) -> list[widgets.Widget]:
        image, start, sheet = self.panels.values()
        return [self.pad, layout.main(image), layout.side(start), layout.wide(sheet)]

    @traitlets.observe("image")
    def _show_drawing(self, _change: Any) -> None:
        self.pad.show(self.image)

    def _take_drawing(self, image: Image.Image) -> None:
        self.image = image

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        drawing, _ = self.encoded(settings.image)
        generation = self.start(settings)
        yield from generation.finish(lambda step: {"image": generation.preview_html(step)})
        facts = facts_of(generation, drawing)
        facts["title"] = title_of(settings, facts["run"])
        panels = {
            "image": image_html(facts["image"], facts["title"]),
            "start": image_html(facts["start"], start_title(facts["t"]), WIDTH),
        }
        nothing = "No step is run at this strength, so the drawing stays as it is."
        yield PanelUpdate(panels, generation.note if facts["run"] else nothing, facts)

    def start(self, settings: Settings) -> shared.Generation:
        """Image to image of the drawing, of which no step has been taken yet."""
        _, latents = self.encoded(settings.image)
        return shared.start_generation(
            self.sd, settings, image_latents=latents, strength=settings.strength
        )

    def quick(self, settings: Settings) -> PanelUpdate | None:
        """The image of a short run."""
        if (run := self.quick_run(settings)) is None:
            return None
        title = f"strength {settings.strength:g}, guidance {settings.guidance_scale:g} (quick)"
        return PanelUpdate({"image": image_html(run.image(), title)}, status=None)

    def reveal(self, settings: Settings) -> Iterator[PanelUpdate]:
        """Draw the image of each strength, and one without the drawing, and measure distances."""
        drawing, _ = self.encoded(settings.image)
        runs = {"without it": shared.start_generation(self.sd, settings)}
        for strength in TASK_STRENGTHS:
            runs[f"{strength:g}"] = self.start(changed(settings, strength=strength))
        drawn: dict[str, Image.Image] = {}
        for name, run in runs.items():
            yield from run.finish(lambda _step: {})
            drawn[name] = run.image() if run.steps else drawing
            small = [image_html(image, name, shared.THUMBNAIL) for name, image in drawn.items()]
            yield PanelUpdate({"sheet": shared.row_html(small, len(small), shared.THUMBNAIL)})
        free = drawn.pop("without it")
        far = {name: (distance(one, drawing), distance(one, free)) for name, one in drawn.items()}
        nearer = [name for name, (to_drawing, to_free) in far.items() if to_free < to_drawing]
        right = f"from {nearer[0]} on" if nearer else NEVER
        told = "; ".join(f"{name}: {a:.2f} and {b:.2f}" for name, (a, b) in far.items())
        told = f"Distances from the drawing and from the image without it, by strength: {told}."
        yield PanelUpdate(status="", facts={"right": (right,), "told": told})

    def figure(self) -> Figure:
        images = [self.facts[name] for name in ("drawing", "start", "image")]
        titles = ["the drawing", start_title(self.facts["t"]), self.facts["title"]]
        return viz.show(images, titles, size=WIDTH)


def facts_of(generation: shared.Generation, drawing: Image.Image) -> dict[str, Any]:
    """What came of a drawing; without a step it is what it was."""
    if not generation.steps:
        return {"drawing": drawing, "start": drawing, "image": drawing, "run": 0, "t": None}
    first, last = generation.steps[0], generation.steps[-1]
    x_t = add_noise(first.pred_x0, first.eps, generation.levels[0])  # on the papers' scale
    start, image = to_pil(generation.sd.decode(torch.cat([x_t, last.next_latents])))
    made = {"start": start, "image": image, "run": len(generation.steps), "t": first.t}
    return {"drawing": drawing, **made}


class Pad(widgets.VBox):
    """An image of `size` x `size` pixels to draw on.

    `take` gets the drawing when "go" is pressed, `refuse` one sentence for what is no drawing.
    """

    def __init__(
        self,
        size: int,
        take: Callable[[Image.Image], None],
        refuse: Callable[[str], None],
    ) -> None:
        self._size, self._take, self._refuse = size, take, refuse
        self._shown: Image.Image | None = None
        self._canvas = widgets.HTML()
        self._sent = widgets.Textarea(continuous_update=False, layout={"display": "none"})
        super().__init__([self._canvas, self._sent])
        self.add_class("sdlearn-sketch")
        self._sent.observe(self._receive, "value")

    def show(self, image: Image.Image) -> None:
        """Lay `image` below the canvas, unless it is the drawing that came from there."""
        if image != self._shown:
            self._shown = image
            self._canvas.value = pad_html(image)

    def _receive(self, change: Any) -> None:
        if not change["new"]:  # emptied below, so that the same drawing may come again
            return
        try:
            image = read_drawing(change["new"], self._size)
        except ValueError as error:
            self._refuse(f"the drawing was not taken: {error}")
        else:
            self._shown = image
            self._take(image)
        self._sent.value = ""


def read_drawing(url: str, size: int) -> Image.Image:
    """The image in a data URL with a PNG, RGB, `size` x `size`; `ValueError` for anything else."""
    if not url.startswith(PNG):
        raise ValueError(f"a drawing must be a PNG in a data URL; got {url[:40]!r}")
    try:
        data = base64.b64decode(url.removeprefix(PNG), validate=True)
    except binascii.Error as error:
        raise ValueError("a drawing must be a PNG in base64; it is damaged") from error
    return read_image(data, size)


def first_sketch(size: int) -> Image.Image:
    """A house as a child draws it: the drawing at the beginning."""
    sketch = Image.new("RGB", (128, 128), COLOURS["day"])
    pen = ImageDraw.Draw(sketch)
    pen.rectangle((0, 84, 128, 128), fill=COLOURS["grass"])
    pen.rectangle((14, 50, 62, 96), fill=COLOURS["red"])
    pen.polygon([(8, 50), (38, 20), (68, 50)], fill=COLOURS["brown"])
    return sketch.resize((size, size), Image.Resampling.NEAREST)


def title_of(settings: Settings, run: int) -> str:
    """The settings in a line."""
    steps = f"{run} of {settings.num_steps} steps"
    parts = [f"strength {settings.strength:g}", steps, f"guidance {settings.guidance_scale:g}"]
    return ", ".join([*parts, f"seed {settings.seed}"])


def start_title(t: float | None) -> str:
    """What the loop begins with."""
    return "begun with: no noise" if t is None else f"begun with: the noise of t = {t:.0f}"


def pad_html(image: Image.Image) -> str:
    """An image with a canvas over it, and below it colours, brushes and buttons."""
    over = "position: absolute; inset: 0; width: 100%; height: 100%; touch-action: none"
    size = f'width="{image.width}" height="{image.height}"'
    alt = "the drawing; draw on it with the mouse, a finger or a pen"
    buttons = (
        _button("undo", "take the last stroke back"),
        _button("fill", "paint everything in this colour"),
        _button("go", "hand the drawing to the model"),
    )
    side = f"width: var(--sdlearn-pad, {WIDTH}px)"
    # The attribute keeps JupyterLab from taking the keys that belong to menus and buttons.
    return (
        f'<div data-lm-suppress-shortcuts="true" style="{side}; margin: 4px; line-height: 1.4">'
        f'draw here, then press go<div style="position: relative; {side}; aspect-ratio: 1">'
        f'<img src="{PNG}{shared.png_of(image)}" alt="{alt}" '
        'style="width: 100%; display: block; image-rendering: pixelated" '
        f'onload="{html.escape(script())}">'
        f'<canvas {size} style="{over}; cursor: crosshair; image-rendering: pixelated"></canvas>'
        f"</div>{_menu('colour', COLOURS)} {_menu('brush', BRUSHES)} {' '.join(buttons)}</div>"
    )


@lru_cache(maxsize=1)
def script() -> str:
    """What makes the canvas a pad."""
    return Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def _menu(name: str, choices: dict[str, Any]) -> str:
    options = "".join(f'<option value="{value}">{word}</option>' for word, value in choices.items())
    return f'<select name="{name}" aria-label="{name}">{options}</select>'


def _button(name: str, tooltip: str) -> str:
    return f'<button type="button" name="{name}" title="{tooltip}">{name}</button>'
