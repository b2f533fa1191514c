"""What lies between two prompts, and between two noises? The explorer of mixtures.

Texts are mixed on a straight line. Noises need an arc: in so many dimensions two of them are
nearly at right angles, and all have about the same length. A straight line between them passes
nearer to 0, where the U-Net was never trained. Sources: Shoemake 1985 (quaternion curves),
doi 10.1145/325165.325242; White 2016, arXiv 1609.04468.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache

import ipywidgets as widgets
import traitlets
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .. import viz
from ..diffusion.interpolation import angle, lerp, slerp
from . import controls, shared
from . import page as layout
from .base import PanelUpdate, Settings, changed
from .shared import Generation, image_html

__all__ = ["PromptMixer"]

PROMPT = "a large red house on the left, on green grass, by day"
OTHER_PROMPT = "a large blue boat on the right, on blue water, at night"
STRIP = 7  # images
ENDS_KEPT = 8  # images of a single prompt
ONE_STEP = 1 / 3  # the share of the way that is "most": twice what each of six equal steps has
SHARES = [i / 40 for i in range(41)]  # of the curves
WAYS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"spherical": slerp, "linear": lerp}


class PromptMixer(shared.SheetExplorer):
    """An image between two prompts and two seeds, and why noise is mixed on an arc.

    Settings: `prompt`, `other_prompt`; `mix` of their texts, from 0, the first, to 1, the other;
    `seed`, `other_seed` (from 0); `mix_noise` of their noises (0..1); `way` of the noise,
    "spherical" or "linear" (texts are always mixed on a straight line); without a control
    `num_steps` (1..50) and `guidance_scale` (0..20). `facts`: "image", a PIL image; "first" and
    "other", those of the two prompts from the same noise; "title"; "spread", the standard
    deviation of the noise that the image began with; "angle" between the two noises, in degrees.
    While a slider moves the image has five steps.
    """

    PANELS = ("image", "first", "other", "why", "spread", "strip")
    QUESTION = (
        "The mix of texts goes from 0 to 1 in six equal steps. How does the image go from the "
        "first to the other?"
    )
    CHOICES = ("evenly", "mostly in one of the steps")

    prompt = controls.text("prompt", PROMPT)
    other_prompt = controls.text("other prompt", OTHER_PROMPT)
    mix = controls.decimal("mix of texts", 0, 1, 0.05, value=0.5, live=True)
    seed = controls.seed(7)
    other_seed = controls.seed(8, "other seed")
    mix_noise = controls.decimal("mix of noises", 0, 1, 0.05, live=True)
    way = controls.choice("way of noise", list(WAYS))
    num_steps = controls.hidden(traitlets.Int(1, min=1, max=50))
    guidance_scale = controls.hidden(traitlets.Float(0.0, min=0.0, max=20.0))

    def buttons(self) -> list[widgets.Widget]:
        row = f"{STRIP} images from the first to the other"
        return [
            controls.button("strip of texts", f"{row} prompt", self.strip),
            controls.button("strip of noises", f"{row} noise", self.strip_noise),
            self.gif_button(),
        ]

    def prepare(self) -> None:
        self._ends: OrderedDict[tuple, Image.Image] = OrderedDict()

    def page(self) -> list[widgets.Widget]:
        image, first, other, why, spread, strip = self.panels.values()
        ends = layout.side(first, other)
        return [layout.main(image), ends, layout.wide(strip), why, spread]

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        generation, noise = self.start(settings), self._noise(settings)
        one, other = self._both_noises(settings)
        spread, degrees = float(noise.std()), math.degrees(angle(one, other))
        yield PanelUpdate({"why": why_html(spread, degrees)}, generation.note)
        yield from generation.finish(lambda step: {"image": generation.preview_html(step)})
        image, title = generation.image(), self.title_of(settings)
        facts = {"image": image, "title": title, "spread": spread, "angle": degrees}
        yield PanelUpdate({"image": image_html(image, title)}, generation.note, facts)
        yield from self.resting()
        yield from self._both_ends(settings, generation.note)
        curves = tuple((name, spreads(one, other, name)) for name in WAYS)
        yield PanelUpdate({"spread": spread_html(curves, settings.mix_noise)}, generation.note)

    def _both_ends(self, settings: Settings, note: str) -> Iterator[PanelUpdate]:
        """The images of the two prompts, which stay the same while their texts are mixed."""
        for name, mix in (("first", 0.0), ("other", 1.0)):
            at_end = changed(settings, mix=mix)
            key = tuple(vars(at_end).values())
            if key not in self._ends:
                run = yield from self.drawn(at_end)
                self._ends[key] = run.image()
            image = self._ends[key]
            while len(self._ends) > ENDS_KEPT:
                self._ends.popitem(last=False)
            panels = {name: image_html(image, f"the {name} prompt, mix {mix:g}")}
            yield PanelUpdate(panels, note, {name: image})

    def figure(self) -> Figure:
        """The first prompt's image, the mixture, the other prompt's."""
        shown = {"the first prompt": "first", self.facts["title"]: "image", "the other": "other"}
        there = {title: self.facts[name] for title, name in shown.items() if name in self.facts}
        return viz.show(list(there.values()), list(there), size=256)

    def reveal(self, settings: Settings) -> Iterator[PanelUpdate]:
        """Draw the strip of texts and measure how far each of its steps goes."""
        yield from self._strip_job("mix", "text")
        images = [image for _, image in self.film]
        steps = viz.to_tensor(images).diff(dim=0).square().flatten(1).mean(dim=1).sqrt()  # (6,)
        shares = steps / steps.sum().clamp(min=1e-9)
        most, number = float(shares.max()), int(shares.argmax()) + 1
        told = (
            f"The longest step is number {number}, with {100 * most:.0f} % of the whole way of the "
            f"pixels; if all were equal, each would have {100 / len(steps):.0f} %. More than "
            f"{100 * ONE_STEP:.0f} % counts as one step."
        )
        right = self.CHOICES[most > ONE_STEP]
        yield PanelUpdate(status="", facts={"right": (right,), "told": told})

    def start(self, settings: Settings) -> Generation:
        first, note = shared.encode(self.sd, settings.prompt)
        other, also = shared.encode(self.sd, settings.other_prompt)
        cond = lerp(first, other, settings.mix)
        latents = self._noise(settings).to(self.sd.dtype)
        generation = shared.start_generation(self.sd, settings, cond=cond, latents=latents)
        generation.note = "; ".join(filter(None, [note, also]))
        return generation

    def title_of(self, settings: Settings) -> str:
        text = f"text {settings.mix:.2f}"
        noise = f"noise {settings.mix_noise:.2f} ({settings.way})"
        return f"{text}, {noise}, seeds {settings.seed} and {settings.other_seed}"

    def strip(self) -> None:
        """Fill a row from the first prompt to the other, the noise as it is."""
        self._fill_strip("mix", "text")

    def strip_noise(self) -> None:
        """Fill a row from the first noise to the other, the text as it is."""
        self._fill_strip("mix_noise", "noise")

    def _fill_strip(self, setting: str, name: str) -> None:
        self.run_job(self._strip_job(setting, name))

    def _strip_job(self, setting: str, name: str) -> Iterator[PanelUpdate]:
        shares = [i / (STRIP - 1) for i in range(STRIP)]
        variants = {f"{name} {share:.2f}": {setting: share} for share in shares}
        return self.sheet("strip", STRIP, variants)

    def _both_noises(self, settings: Settings) -> Tensor:
        """The noises of the two seeds, (2, 1, 4, h, w), in float32, which angles need."""
        return self.sd.init_latents([settings.seed, settings.other_seed]).float()[:, None]

    def _noise(self, settings: Settings) -> Tensor:
        """The mixed noise, (1, 4, h, w)."""
        one, other = self._both_noises(settings)
        return WAYS[settings.way](one, other, settings.mix_noise)


def spreads(one: Tensor, other: Tensor, way: str) -> tuple[float, ...]:
    """The standard deviation of the mixture all along the way."""
    return tuple(float(WAYS[way](one, other, share).std()) for share in SHARES)


def why_html(spread: float, degrees: float) -> str:
    """The spread of the noise now, and what a straight line does to it."""
    halfway = math.cos(math.radians(degrees / 2))  # for two vectors of the same length
    now = (
        f"The mixed noise has a spread of <strong>{spread:.2f}</strong>. The U-Net was trained on "
        f"noise of spread 1."
    )
    line = (
        f"The two noises stand at {degrees:.0f}° to each other. So halfway along a straight line "
        f"the spread is cos({degrees / 2:.0f}°) = {halfway:.2f} times as large. An arc keeps it."
    )
    if degrees < 1:
        line = "Both seeds are the same, so there is only one noise."
    paragraphs = "".join(f'<p style="margin: 0 0 6px">{sentence}</p>' for sentence in (now, line))
    return f'<div style="margin: 4px; max-width: 26em; line-height: 1.4">{paragraphs}</div>'


@lru_cache(maxsize=8)
def spread_html(curves: tuple[tuple[str, tuple[float, ...]], ...], now: float) -> str:
    """The spreads as a figure; kept, as it stays the same while the texts are mixed."""
    figure = viz.curves(
        SHARES,
        dict(curves),
        xlabel="mix of noises",
        ylabel="spread of the mixed noise",
        marks={"now": now},
        limits=(0, 1.2),
        size=(420, 260),
    )
    return shared.figure_html(figure)
