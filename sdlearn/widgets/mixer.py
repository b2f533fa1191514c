"""What lies between two prompts, and between two noises? The explorer of mixtures.

Texts are mixed on a straight line. Noises need an arc: in so many dimensions two of them stand
nearly at right angles, and all lie at about one distance from 0. A straight line between them
passes nearer to 0, where the U-Net has never been. Sources: Shoemake 1985 (quaternion curves),
doi 10.1145/325165.325242; White 2016, arXiv 1609.04468. Left out: other paths, and more than two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import traitlets
from torch import Tensor

from .. import viz
from ..diffusion.interpolation import angle, lerp, slerp
from ..pipeline import Step
from . import controls
from .drawing import Model, drawn, encode, picture_of, previews, the_model
from .live import LiveExplorer, PanelUpdate, Settings
from .panels import figure_html, picture_html, row_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PromptMixer"]

PROMPT = "a large red house on the left, on green grass, by day"
OTHER_PROMPT = "a large blue boat on the right, on blue water, at night"
NUM_STEPS, GUIDANCE_SCALE = 20, 3.0
STRIP = 7  # pictures
THUMBNAIL = 128  # pixels of the screen
SHARES = [i / 40 for i in range(41)]  # of the curves


WAYS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"spherical": slerp, "linear": lerp}


class PromptMixer(LiveExplorer):
    """A picture between two prompts and two seeds, and why noise is mixed on an arc.

    `mix` and `mix_noise` go from 0, the first, to 1, the other one. `way` is that of the noise;
    texts are always mixed on a straight line. `facts`: "picture", a PIL image; "title"; "spread",
    the standard deviation of the noise that the picture began with; "angle" between the two
    noises, in degrees.
    """

    PANELS = ("picture", "why", "spread", "strip")

    prompt = traitlets.Unicode(PROMPT)
    other_prompt = traitlets.Unicode(OTHER_PROMPT)
    mix = traitlets.Float(0.5, min=0.0, max=1.0)
    seed = traitlets.Int(7, min=0, max=controls.HIGHEST_SEED)
    other_seed = traitlets.Int(8, min=0, max=controls.HIGHEST_SEED)
    mix_noise = traitlets.Float(0.0, min=0.0, max=1.0)
    way = traitlets.Enum(list(WAYS), default_value="spherical")

    def __init__(self, model: Model = "tiny", **settings: Any) -> None:
        self.sd = the_model(model)
        rows = {
            "prompt": controls.prompt_box(),
            "other_prompt": controls.prompt_box("other prompt"),
            "mix": share_slider("mix of texts"),
            "seed": controls.seed_box(),
            "other_seed": controls.seed_box("other seed"),
            "mix_noise": share_slider("mix of noises"),
            "way": controls.choice("way of the noise", list(WAYS)),
        }
        row = f"{STRIP} pictures from the first to the other"
        buttons = [
            controls.button("strip of texts", f"{row} prompt", self.strip),
            controls.button("strip of noises", f"{row} noise", self.strip_noise),
        ]
        super().__init__(rows, buttons, settings)
        reasons = widgets.VBox([self.panels["why"], self.panels["spread"]])
        page = self.children[-1]
        self.panels["strip"].layout.width = "100%"
        page.children = [self.panels["picture"], reasons, self.panels["strip"]]
        self.begin()

    def draw(self, at: Settings) -> Iterator[PanelUpdate]:
        cond, note = self._text(at)
        one, other = self._ends(at)
        noise = WAYS[at.way](one, other, at.mix_noise)
        spread, degrees = float(noise.std()), math.degrees(angle(one, other))
        yield PanelUpdate({"why": why_html(spread, degrees)}, note)
        kept: list[Step] = []
        yield from previews(self.sd, self._steps(at, cond), kept, NUM_STEPS, "picture")
        picture, title = picture_of(self.sd, kept[-1].next_latents), title_of(at)
        facts = {"picture": picture, "title": title, "spread": spread, "angle": degrees}
        yield PanelUpdate({"picture": picture_html(picture, title)}, note, facts)
        curves = tuple((name, spreads(one, other, name)) for name in WAYS)
        yield PanelUpdate({"spread": spread_html(curves, at.mix_noise)}, note)

    def still(self) -> Figure:
        return viz.show([self.facts["picture"]], [self.facts["title"]], size=256)

    def strip(self) -> None:
        """Fill a row from the first prompt to the other, the noise as it is."""
        self.run(self._strip(self.at(), "mix", "text"))

    def strip_noise(self) -> None:
        """Fill a row from the first noise to the other, the text as it is."""
        self.run(self._strip(self.at(), "mix_noise", "noise"))

    def _strip(self, at: Settings, setting: str, name: str) -> Iterator[PanelUpdate]:
        yield from self._job()  # the picture above first, should it not be there yet
        done: list[str] = []
        for i in range(STRIP):
            share = i / (STRIP - 1)
            here = Settings(**{**vars(at), setting: share})
            steps = self._steps(here, self._text(here)[0])
            picture = yield from drawn(self.sd, steps, f"picture {i + 1} of {STRIP}")
            done.append(picture_html(picture, f"{name} {share:.2f}", THUMBNAIL))
            yield PanelUpdate({"strip": row_html(done, STRIP, THUMBNAIL)})

    def _text(self, at: Settings) -> tuple[Tensor, str]:
        """The mixed text states (1, 77, D), and a sentence when a prompt was cut off."""
        first, note = encode(self.sd, at.prompt)
        other, also = encode(self.sd, at.other_prompt)
        return lerp(first, other, at.mix), "; ".join(filter(None, [note, also]))

    def _ends(self, at: Settings) -> tuple[Tensor, Tensor]:
        """The two noises, each (1, 4, h, w); float32, as angles ask for."""
        both = self.sd.init_latents([at.seed, at.other_seed]).float()
        return both[:1], both[1:]

    def _steps(self, at: Settings, cond: Tensor) -> Iterator[Step]:
        noise = WAYS[at.way](*self._ends(at), at.mix_noise).to(self.sd.dtype)
        return self.sd.denoise(
            noise,
            cond,
            self.sd.encode_text(""),
            num_steps=NUM_STEPS,
            guidance_scale=GUIDANCE_SCALE,
            seeds=[at.seed],
        )


def share_slider(label: str) -> widgets.FloatSlider:
    """A slider from the first (0) to the other (1)."""
    slider = controls.decimal_slider(label, 0, 1, 0.05)
    slider.readout_format = ".2f"
    return slider


def title_of(at: Settings) -> str:
    """The settings in a line."""
    text, noise = f"text {at.mix:.2f}", f"noise {at.mix_noise:.2f} ({at.way})"
    return f"{text}, {noise}, seeds {at.seed} and {at.other_seed}"


def spreads(one: Tensor, other: Tensor, way: str) -> tuple[float, ...]:
    """The standard deviation of the mixture all along the way."""
    return tuple(float(WAYS[way](one, other, share).std()) for share in SHARES)


def why_html(spread: float, degrees: float) -> str:
    """The spread of the noise now, and what a straight line does to it."""
    halfway = math.cos(math.radians(degrees / 2))  # of two vectors of one length
    told = [
        f"The mixed noise has a spread of <strong>{spread:.2f}</strong>. The U-Net was trained on "
        f"noise of spread 1.",
        f"The two noises stand at {degrees:.0f}° to each other. So halfway along a straight line "
        f"the spread is cos({degrees / 2:.0f}°) = {halfway:.2f} times as large. An arc keeps it.",
    ]
    if degrees < 1:
        told[1] = "Both seeds are the same, so there is only one noise."
    paragraphs = "".join(f'<p style="margin: 0 0 6px">{sentence}</p>' for sentence in told)
    return f'<div style="margin: 4px; max-width: 26em; line-height: 1.4">{paragraphs}</div>'


@lru_cache(maxsize=8)
def spread_html(curves: tuple[tuple[str, tuple[float, ...]], ...], now: float) -> str:
    """The spreads as a figure; kept, since it stays the same while the texts are mixed."""
    figure = viz.curves(
        SHARES,
        dict(curves),
        xlabel="mix of noises",
        ylabel="spread of the mixed noise",
        marks={"now": now},
        limits=(0, 1.2),
        size=(420, 260),
    )
    return figure_html(figure)
