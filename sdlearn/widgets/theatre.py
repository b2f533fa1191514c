"""What happens in a generation? It is watched while it runs, then one moves through its steps.

For each step stand side by side: x_t, the noisy latents that the U-Net gets, decoded; eps, the
noise that it predicts in them; pred_x0, the clean image that would follow, decoded. (The two
predictions of guidance are compared by the explorer of guidance.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .. import viz
from ..diffusion.equations import add_noise
from ..pipeline import Step, to_pil
from . import controls, shared
from . import page as layout
from .base import PanelUpdate, Settings
from .noise import level_html
from .shared import Generation, distance, image_html

__all__ = ["DenoisingTheatre"]

WIDTH = 256  # pixels of the screen; larger images of single steps are stored at this size
GENERATIONS_KEPT = 4  # with all their steps
FINISHED = -1  # beside the steps in `Generation.cache`
SPEEDS = {"slow": 1000, "normal": 400, "fast": 150}  # milliseconds for a step


class DenoisingTheatre(shared.FilmExplorer):
    """A generation step by step.

    Settings: `prompt`; `guidance_scale` (0..20); `num_steps` (1..50); `scheduler` (a name in
    `diffusion.SCHEDULERS`, or "the model's own"); `seed` (from 0); `step`, the one that is shown,
    from 1 to the last (most schedulers take `num_steps`, Heun's nearly twice as many). `play` is
    the widget that moves `step`. x_t is shown on the scale of the papers, for all schedulers.
    `facts`: "image", the finished one; "steps", the timestep of each; of the step that is shown
    "index" (from 0), "t", "alpha_bar" and the images "x_t", "eps" and "pred_x0"; "title".
    """

    PANELS = ("x_t", "eps", "pred_x0", "image", "numbers")
    FILM = "film"
    QUESTION = (
        "pred_x0 is the image that the model expects at the end. In which part of the steps has it "
        "come more than half of the way to the image that comes out?"
    )
    CHOICES = ("the first quarter", "the second", "the third", "the last")

    prompt = controls.text("prompt", shared.PROMPT)
    guidance_scale = controls.decimal("guidance scale", 0, 20, 0.5, live=True)
    num_steps = controls.whole("steps", 1, 50)
    scheduler = controls.choice("scheduler", shared.SCHEDULER_CHOICES)
    seed = controls.seed(7)
    step = controls.whole("step", 1, value=8, live=True)

    def prepare(self) -> None:
        self._generation = lru_cache(maxsize=GENERATIONS_KEPT)(self._start)
        self._shown: tuple | None = None  # settings of the last run
        self._quick: tuple | None = None  # and of the last quick image
        self.play = widgets.Play(min=1, layout={"display": "none"})
        self.speed = widgets.Dropdown(
            description="speed",
            options=SPEEDS,
            value=SPEEDS["normal"],
            style={"description_width": "auto"},
            layout={"width": "auto"},
        )
        traitlets.link((self.speed, "value"), (self.play, "interval"))
        self.num_steps = self.sd.defaults.num_steps
        self._count_steps()

    def buttons(self) -> list[widgets.Widget]:
        traitlets.link((self, "step"), (self.play, "value"))
        another = controls.another_seed(self)
        return [play_button(self.play), self.speed, another, self.gif_button(), self.play]

    def page(self) -> list[widgets.Widget]:
        x_t, eps, pred_x0, image, numbers = self.panels.values()
        return [layout.main(x_t), layout.side(pred_x0, image), layout.side(eps), numbers]

    @property
    def film(self) -> list[tuple[str, Image.Image]]:
        """x_t of all steps that are drawn, decoded."""
        generation = self._generation(shared.without(self.current_settings(), "step"))
        drawn = range(len(generation.steps))
        return [
            (f"step {i + 1} of {len(drawn)}", generation.cache[i].facts["x_t"])
            for i in drawn
            if i in generation.cache
        ]

    @traitlets.observe("num_steps", "scheduler")
    def _count_steps(self, _change: Any = None) -> None:
        """Let slider and player end with the last step."""
        try:
            count = len(shared.levels_of(self.sd, self.num_steps, self.scheduler))
        except ValueError:
            return  # `updates` shows the sentence
        self.controls["step"].max = self.play.max = count
        self.step = min(self.step, count)

    def quick(self, settings: Settings) -> PanelUpdate | None:
        """The finished image of a short run, unless only `step` has changed."""
        key = shared.without(settings, "step")
        if key == self._shown or (run := self.quick_run(settings)) is None:
            return None
        self._quick = key
        title = f"finished: {title_of(settings)} (quick)"
        return PanelUpdate({"image": image_html(run.image(), title, WIDTH)}, status=None)

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        key = self._shown = shared.without(settings, "step")
        generation = self._generation(key)
        count = len(generation.levels)
        if settings.step > count:
            raise ValueError(f"step must lie in 1..{count}; got {settings.step}")
        waiting = {}
        if key != self._quick:  # otherwise the quick image stands there
            grey = Image.new("RGB", (1, 1), "grey")
            waiting["image"] = image_html(grey, "finished: not yet", WIDTH)
        try:
            yield from generation.finish(
                lambda step: step_update(generation, step.index).panels | waiting
            )
        except Exception:
            self._generation.cache_clear()  # it cannot be resumed
            raise
        yield finished_update(generation, title_of(settings))
        yield step_update(generation, settings.step - 1)
        yield from draw_all(generation, settings.step)

    def reveal(self, settings: Settings) -> Iterator[PanelUpdate]:
        """Draw all steps and measure how far each pred_x0 is from the finished image."""
        yield from self.updates(settings)
        generation = self._generation(shared.without(settings, "step"))
        count, end = len(generation.steps), generation.cache[FINISHED]
        far = [distance(step_update(generation, i).facts["pred_x0"], end) for i in range(count)]
        half = next((i for i, gap in enumerate(far) if gap < far[0] / 2), count - 1)
        told = (
            f"From step {half + 1} of {count} on, its pixels are less than half as far from the "
            f"finished image as at step 1: {far[half]:.3f} against {far[0]:.3f}, root mean square."
        )
        yield PanelUpdate(facts={"right": (self.CHOICES[4 * half // count],), "told": told})

    def figure(self) -> Figure:
        where = f"step {self.facts['index'] + 1} of {len(self.facts['steps'])}"
        titles = [f"pred_x0, decoded, {where}", self.facts["title"]]
        return viz.show([self.facts["pred_x0"], self.facts["image"]], titles, size=128)

    def _start(self, items: tuple[tuple[str, Any], ...]) -> Generation:
        return self.start(Settings(**dict(items)))


def play_button(play: widgets.Play) -> widgets.ToggleButton:
    """Starts and stops the hidden `play`, whose own buttons have no names for screen readers."""
    button = widgets.ToggleButton(description="play", tooltip="Go through the steps, or pause")
    button.layout.width = "auto"
    button.observe(lambda c: setattr(button, "description", "pause" if c.new else "play"), "value")
    traitlets.link((button, "value"), (play, "playing"))
    return button


def title_of(settings: Settings) -> str:
    """The settings in a line."""
    parts = [f"guidance {settings.guidance_scale:g}", f"seed {settings.seed}"]
    return ", ".join(parts + ([settings.scheduler] if settings.scheduler != shared.OWN else []))


def draw_all(generation: Generation, first: int) -> Iterator[PanelUpdate]:
    """Draw the steps that have not been shown yet, beginning with index `first`."""
    count = len(generation.levels)
    for index in [*range(first, count), *range(first)]:
        if index not in generation.cache:
            step_update(generation, index)
            ready = sum(i in generation.cache for i in range(count))
            yield PanelUpdate(status=f"{ready} of {count} steps are ready to be scrubbed through")
    yield PanelUpdate(status=generation.note)


def finished_update(generation: Generation, title: str) -> PanelUpdate:
    """The finished image."""
    image = generation.cached(FINISHED, generation.image)
    facts = {"image": image, "title": title, "steps": [step.t for step in generation.steps]}
    return PanelUpdate({"image": image_html(image, f"finished: {title}", WIDTH)}, facts=facts)


def step_update(generation: Generation, index: int) -> PanelUpdate:
    """One step as images and numbers, drawn when it is first asked for."""
    return generation.cached(index, lambda: draw_step(generation, generation.steps[index]))


def draw_step(generation: Generation, step: Step) -> PanelUpdate:
    """One step as images and numbers."""
    alpha_bar = generation.levels[step.index]
    x_t = add_noise(step.pred_x0, step.eps, alpha_bar)  # (1, 4, h, w), on the papers' scale
    shown_x_t, shown_x0 = to_pil(generation.sd.decode(torch.cat([x_t, step.pred_x0])))
    for image in (shown_x_t, shown_x0):
        image.thumbnail((WIDTH, WIDTH))
    images = {"x_t": shown_x_t, "eps": channels_image(step.eps[0]), "pred_x0": shown_x0}
    titles = (
        f"x_t, decoded: step {step.index + 1} of {len(generation.levels)}",
        f"eps, the noise it sees: {len(step.eps[0])} channels",
        "pred_x0, decoded: its guess of the end",
    )
    named = zip(images.items(), titles, strict=True)
    panels = {name: image_html(image, title, WIDTH) for (name, image), title in named}
    panels["numbers"] = level_html(step.t, float(alpha_bar))
    facts = {"t": step.t, "index": step.index, "alpha_bar": float(alpha_bar)}
    return PanelUpdate(panels, facts=facts | images)


def channels_image(latents: Tensor) -> Image.Image:
    """The channels of one latent, (C, h, w), as colours side by side (see `signed_image`)."""
    count, height, width = latents.shape
    columns = math.ceil(math.sqrt(count))
    size = columns * (width + 1) - 1, math.ceil(count / columns) * (height + 1) - 1
    sheet = Image.new("RGB", size, "grey")
    for i, channel in enumerate(latents.float().cpu().numpy()):
        place = i % columns * (width + 1), i // columns * (height + 1)
        sheet.paste(shared.signed_image(channel), place)
    return sheet
