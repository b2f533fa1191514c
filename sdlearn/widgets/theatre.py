"""What happens in a generation? A theatre: it is seen as it runs, then scrubbed through.

For each step stand side by side: x_t, the noisy latents that the U-Net gets, decoded; eps, the
noise that it sees in them; pred_x0, the clean picture which that would mean, decoded. Left out:
the two halves of guidance, which the explorer of guidance compares.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import matplotlib
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor

from .. import viz
from ..diffusion.equations import add_noise
from ..diffusion.schedulers import alpha_bars, fresh_scheduler
from ..pipeline import StableDiffusion, Step, to_pil
from . import controls
from .drawing import Model, encode, picture_of, the_model
from .live import LiveExplorer, PanelUpdate, Settings
from .noise import level_html
from .panels import picture_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DenoisingTheatre", "Performance", "channels_picture", "levels_of"]

PROMPT = "a large red house on the left, on green grass, at sunset, under a rainbow"
WIDTH = 256  # pixels of the screen; larger pictures of single steps are stored at this size
MOST_RUNS = 4  # generations kept with all their steps
PREVIEW_EVERY = 0.4  # seconds, and no sooner than
PATIENCE = 4  # times as long as a preview takes: most of the time is for the generation
LIMIT = 3  # where the colours of eps end, as in `viz.channels`
GAP_COLOUR = 128
SPEEDS = {"slow": 1000, "normal": 400, "fast": 150}  # milliseconds for a step


@dataclass(frozen=True)
class Performance:
    """A generation: the steps taken so far, and the views of those that were looked at."""

    sd: StableDiffusion
    steps: Iterator[Step]  # still to be taken
    levels: list[Tensor]  # alpha_bar of each step
    note: str  # about the prompt
    title: str
    kept: list[Step] = field(default_factory=list)
    views: dict[int, PanelUpdate] = field(default_factory=dict)
    final: list[PanelUpdate] = field(default_factory=list)  # one, when it is over

    def go_on(self) -> Iterator[int]:
        """Take the steps that are missing; the index of each."""
        while len(self.kept) < len(self.levels):
            self.kept.append(next(self.steps))
            yield len(self.kept) - 1

    def view(self, index: int) -> PanelUpdate:
        """One step: drawn when it is first asked for."""
        if index not in self.views:
            self.views[index] = view_of(self.sd, self.kept[index], self.levels)
        return self.views[index]

    def end(self) -> PanelUpdate:
        """The finished picture."""
        if not self.final:
            picture = picture_of(self.sd, self.kept[-1].next_latents)
            facts = {"picture": picture, "title": self.title}
            facts["steps"] = [step.t for step in self.kept]
            html = picture_html(picture, f"finished: {self.title}", WIDTH)
            self.final.append(PanelUpdate({"picture": html}, facts=facts))
        return self.final[0]


class DenoisingTheatre(LiveExplorer):
    """A generation step by step; `step` counts from 1 and chooses the one that is shown.

    Schedulers decide how many steps there are: most take `num_steps`, Heun's nearly twice as
    many. x_t is shown on the scale of the paper, for all schedulers. `facts`: "picture", the
    finished one; "steps", the timestep of each; of the step that is shown "t", "alpha_bar" and
    the pictures "x_t", "eps" and "pred_x0"; "title". `play` is the widget that moves `step`.
    """

    PANELS = ("x_t", "eps", "pred_x0", "picture", "numbers")

    prompt = traitlets.Unicode(PROMPT)
    seed = traitlets.Int(7, min=0, max=controls.HIGHEST_SEED)
    guidance_scale = traitlets.Float(3.0, min=0.0, max=20.0)
    num_steps = traitlets.Int(20, min=1, max=50)
    scheduler = traitlets.Enum(controls.OWN_OR_OTHERS, controls.OWN)
    step = traitlets.Int(8, min=1)

    def __init__(self, model: Model = "tiny", **settings: Any) -> None:
        self.sd = the_model(model)
        self._performance = lru_cache(maxsize=MOST_RUNS)(self._raise_curtain)
        self._slider = controls.whole_slider("step", 1, self.num_steps, live=True)
        self.play = widgets.Play(min=1, max=self.num_steps, layout=widgets.Layout(display="none"))
        self._count_steps()
        self.speed = controls.choice("speed", list(SPEEDS.items()))
        self.speed.value = SPEEDS["normal"]
        traitlets.link((self.speed, "value"), (self.play, "interval"))
        seed = controls.seed_box()
        rows = {
            "prompt": controls.prompt_box(),
            "guidance_scale": controls.decimal_slider("guidance scale", 0, 20, 0.5),
            "num_steps": controls.whole_slider("steps", 1, 50),
            "scheduler": controls.scheduler_choice(),
            "seed": seed,
            "step": self._slider,
        }
        buttons = [play_button(self.play), self.speed, controls.dice(seed), self.play]
        super().__init__(rows, buttons, settings)
        traitlets.link((self, "step"), (self.play, "value"))
        self.begin()

    @traitlets.observe("num_steps", "scheduler")
    def _count_steps(self, _change: Any = None) -> None:
        """Let slider and player end with the last step."""
        try:
            count = len(levels_of(self.sd, self.num_steps, controls.scheduler_of(self.scheduler)))
        except ValueError:
            return  # `draw` tells it
        self._slider.max = self.play.max = count
        self.step = min(self.step, count)

    def draw(self, at: Settings) -> Iterator[PanelUpdate]:
        scheduler = controls.scheduler_of(at.scheduler)
        run = self._performance(at.prompt, at.seed, at.guidance_scale, at.num_steps, scheduler)
        count = len(run.levels)
        if at.step > count:
            raise ValueError(f"step must lie in 1..{count}; got {at.step}")
        try:
            yield from watch(run)
        except Exception:
            self._performance.cache_clear()  # it cannot go on
            raise
        yield run.end()  # what one waits for, first
        yield run.view(at.step - 1)
        yield from prepare(run, at.step)

    def still(self) -> Figure:
        where = f"step {self.facts['index'] + 1} of {len(self.facts['steps'])}"
        titles = [f"pred_x0, decoded, {where}", self.facts["title"]]
        return viz.show([self.facts["pred_x0"], self.facts["picture"]], titles, size=128)

    def _raise_curtain(
        self, prompt: str, seed: int, guidance_scale: float, num_steps: int, scheduler: str | None
    ) -> Performance:
        cond, note = encode(self.sd, prompt)
        steps = self.sd.denoise(
            self.sd.init_latents([seed]),
            cond,
            self.sd.encode_text(""),
            num_steps=num_steps,
            guidance_scale=guidance_scale,
            scheduler=scheduler,
            seeds=[seed],
        )
        title = ", ".join(
            [f"guidance {guidance_scale:g}", f"seed {seed}", *([scheduler] if scheduler else [])]
        )
        return Performance(self.sd, steps, levels_of(self.sd, num_steps, scheduler), note, title)


def play_button(play: widgets.Play) -> widgets.ToggleButton:
    """Starts and stops the hidden `play`, whose own buttons have no names for screen readers."""
    button = widgets.ToggleButton(description="play", tooltip="Go through the steps, or pause")
    button.layout.width = "auto"
    button.observe(lambda c: setattr(button, "description", "pause" if c.new else "play"), "value")
    traitlets.link((button, "value"), (play, "playing"))
    return button


def watch(run: Performance) -> Iterator[PanelUpdate]:
    """Take the steps that are missing, and show now and then how far it is."""
    waiting = picture_html(Image.new("RGB", (1, 1), "grey"), "finished: not yet", WIDTH)
    due = time.monotonic() + PREVIEW_EVERY
    for index in run.go_on():
        panels = {}
        if (now := time.monotonic()) > due:
            panels = run.view(index).panels | {"picture": waiting}
            cost = time.monotonic() - now
            due = now + cost + max(PREVIEW_EVERY, PATIENCE * cost)
        yield PanelUpdate(panels, f"step {index + 1} of {len(run.levels)}")


def prepare(run: Performance, first: int) -> Iterator[PanelUpdate]:
    """Draw the steps that nobody has looked at yet, from `first` on and around."""
    count = len(run.levels)
    for index in [*range(first, count), *range(first)]:
        if index not in run.views:
            run.view(index)
            yield PanelUpdate(
                status=f"{len(run.views)} of {count} steps are ready to be scrubbed through"
            )
    yield PanelUpdate(status=run.note)


def levels_of(sd: StableDiffusion, num_steps: int, scheduler: str | None) -> list[Tensor]:
    """alpha_bar of each step of a run."""
    fresh = fresh_scheduler(scheduler, sd.scheduler, num_steps, sd.device)
    return list(alpha_bars(fresh))


def view_of(sd: StableDiffusion, step: Step, levels: list[Tensor]) -> PanelUpdate:
    """One step as pictures and numbers."""
    alpha_bar = levels[step.index]
    x_t = add_noise(step.pred_x0, step.eps, alpha_bar)  # what it was made of, on the paper's scale
    pictures = dict(
        zip(("x_t", "pred_x0"), to_pil(sd.decode(torch.cat([x_t, step.pred_x0]))), strict=True)
    )
    for picture in pictures.values():
        picture.thumbnail((WIDTH, WIDTH))
    pictures["eps"] = channels_picture(step.eps[0])
    titles = {
        "x_t": f"x_t, decoded: step {step.index + 1} of {len(levels)}",
        "eps": f"eps, the noise it sees: {len(step.eps[0])} channels",
        "pred_x0": "pred_x0, decoded: its guess of the end",
    }
    panels = {name: picture_html(pictures[name], titles[name], WIDTH) for name in titles}
    panels["numbers"] = level_html(step.t, float(alpha_bar))
    facts = {"t": step.t, "index": step.index, "alpha_bar": float(alpha_bar)}
    return PanelUpdate(panels, facts=facts | pictures)


def channels_picture(latents: Tensor) -> Image.Image:
    """The channels of one latent, (C, h, w), as colours, in rows: white is 0, orange is below
    and purple above, as in `viz.channels`.
    """
    columns = math.ceil(math.sqrt(len(latents)))
    rows = math.ceil(len(latents) / columns)
    _, height, width = latents.shape
    shape = (rows * (height + 1) - 1, columns * (width + 1) - 1, 3)
    sheet = np.full(shape, GAP_COLOUR, np.uint8)
    shares = (latents.detach().float().cpu().numpy() / LIMIT + 1) / 2  # 0.5 is white
    colours = matplotlib.colormaps["PuOr"](shares, bytes=True)[..., :3]  # (C, h, w, 3)
    for i, channel in enumerate(colours):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        sheet[top : top + height, left : left + width] = channel
    return Image.fromarray(sheet)
