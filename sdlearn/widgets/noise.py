"""How much of an image is left at timestep t? The explorer of the noise that training adds.

One image in two ways, with `diffusion.add_noise`: noise on its pixels, and noise on its latents,
decoded. Two curves say where t lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .. import viz
from ..diffusion.equations import SCHEDULES, add_noise, alphas_cumprod, betas, snr
from ..diffusion.seeds import randn
from ..pipeline import to_pil
from ..world import Scene, Thing
from . import controls, shared
from . import page as layout
from .base import PanelUpdate, Settings, changed
from .shared import OWN, first_image, image_html

__all__ = ["NoiseExplorer"]

WIDTH = 256  # pixels of the screen for an image
HALFWAY_SHARES = (75, 50, 25, 5)  # per cent
CHART_SIZE = (400, 260)
SNR_LIMITS = (1e-4, 1e5)  # the cosine ends at 1e-9, where there is nothing to see


class NoiseExplorer(shared.ImageExplorer):
    """An image under the noise of timestep t, on its pixels and on its latents.

    Settings: `t` (from 0 to the model's last timestep, 999); `seed` (from 0); `schedule`, "the
    model's own" or a name in `diffusion.SCHEDULES`; without a control `image`, any PIL image, of
    which the middle is used. `facts`: "image", "noised_pixels" and "noised_latents", PIL images;
    "alpha_bar" and "snr"; "title". Panels are updated also while the slider moves.
    """

    PANELS = ("clean", "pixels", "latents", "numbers", "alpha_bar", "snr")
    SCENE = Scene((Thing("cat", "white", position="right"),), time="sunset", sky="rainbow")
    QUESTION = (
        "Half of the timesteps are over. About how much of the variance is then still image, with "
        "this schedule?"
    )
    CHOICES = tuple(f"{share} %" for share in HALFWAY_SHARES)

    t = controls.whole("timestep t", 0, value=300, live=True)
    seed = controls.seed(7)
    schedule = controls.choice("schedule", (OWN, *SCHEDULES))

    def prepare(self) -> None:
        super().prepare()
        self._schedules = schedules_of(self.sd.scheduler.alphas_cumprod.float().cpu())
        self._charts: dict[str, Chart] = {}
        self.controls["t"].max = len(self._schedules[OWN]) - 1

    def buttons(self) -> list[widgets.Widget]:
        return [self.upload, controls.another_seed(self)]

    def page(self) -> list[widgets.Widget]:
        clean, pixels, latents, numbers, alpha_bar, snr_chart = self.panels.values()
        return [layout.main(pixels), layout.side(clean, latents), numbers, alpha_bar, snr_chart]

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        levels = self._schedules[settings.schedule]
        if settings.t >= len(levels):
            raise ValueError(f"t must lie in 0..{len(levels) - 1}; got {settings.t}")
        alpha_bar = levels[settings.t]
        # Shown at once: while a slider moves, each job is cancelled before its first result.
        self._apply(pixels := self._on_pixels(settings, alpha_bar))
        self._apply(latents := self._on_latents(settings, alpha_bar))
        yield PanelUpdate(pixels.panels | latents.panels, facts=pixels.facts | latents.facts)
        for panel in ("alpha_bar", "snr"):
            if panel not in self._charts:  # at the first update only
                self._charts[panel] = chart_of(panel, tuple(self._schedules[OWN].tolist()))
                yield PanelUpdate(self._marked_charts(settings.t, alpha_bar))

    def figure(self) -> Figure:
        names = ("image", "noised_pixels", "noised_latents")
        now = self.facts["title"]
        titles = ["the clean image", f"noise on pixels, {now}", "noise on latents, decoded"]
        return viz.show([self.facts[name] for name in names], titles, size=256)

    def reveal(self, settings: Settings) -> Iterator[PanelUpdate]:
        """Look up how much is left halfway, and show the images of that timestep."""
        half = len(self._schedules[settings.schedule]) // 2
        yield from self.updates(changed(settings, t=half))
        left = 100 * float(self._schedules[settings.schedule][half])
        nearest = min(HALFWAY_SHARES, key=lambda share: abs(share - left))
        told = f"At t = {half}, alpha_bar is {left / 100:.3f}: "
        told += f"{left:.1f} % of the variance is image."
        yield PanelUpdate(facts={"right": (f"{nearest} %",), "told": told})

    def _on_pixels(self, settings: Settings, alpha_bar: Tensor) -> PanelUpdate:
        """What is quick: the noised pixels, the numbers, and the charts once they are drawn."""
        image, _ = self.encoded(settings.image)
        x0 = viz.to_tensor(image) * 2 - 1  # (1, 3, H, W) in [-1, 1]
        x_t = add_noise(x0, randn(x0.shape[1:], [settings.seed]), alpha_bar)
        [noised] = to_pil((x_t / 2 + 0.5).clamp(0, 1))  # what leaves the range is cut off
        panels = {
            "clean": image_html(image, "the clean image", WIDTH),
            "pixels": image_html(noised, f"noise on pixels, t = {settings.t}", WIDTH),
            "numbers": level_html(settings.t, float(alpha_bar)),
        }
        panels |= self._marked_charts(settings.t, alpha_bar)
        return PanelUpdate(panels, facts={"noised_pixels": noised})

    def _on_latents(self, settings: Settings, alpha_bar: Tensor) -> PanelUpdate:
        """The noised latents, decoded, and all other facts."""
        image, latents = self.encoded(settings.image)
        noise = randn(latents.shape[1:], [settings.seed], self.sd.device, self.sd.dtype)
        noised = first_image(self.sd, add_noise(latents, noise, alpha_bar))
        html = image_html(noised, f"noise on latents, decoded, t = {settings.t}", WIDTH)
        facts: dict[str, Any] = {"image": image, "noised_latents": noised}
        facts |= {"alpha_bar": float(alpha_bar), "snr": float(snr(alpha_bar))}
        facts["title"] = f"t = {settings.t}, schedule: {settings.schedule}, seed {settings.seed}"
        return PanelUpdate({"latents": html}, facts=facts)

    def _marked_charts(self, t: int, alpha_bar: Tensor) -> dict[str, str]:
        return {name: chart.marked(t, alpha_bar) for name, chart in self._charts.items()}


@dataclass(frozen=True)
class Chart:
    """A chart that is drawn once; marks are laid over it as HTML."""

    figure: Figure
    png: str  # base64
    alt: str
    name: str  # of the value on the y axis

    def place(self, t: float, value: float) -> tuple[float, float]:
        """Per cent from the left and the top; values beyond the axes are put at their edge."""
        [ax] = self.figure.axes
        low, high = ax.get_ylim()
        point = ax.transData.transform((t, min(max(value, low), high)))
        across, up = point / self.figure.bbox.size
        return 100 * float(across), 100 * (1 - float(up))

    def marked(self, t: int, alpha_bar: Tensor) -> str:
        """The chart as HTML with a dashed line at t and a ring around its value there."""
        value = float(snr(alpha_bar) if self.name == "SNR" else alpha_bar)
        (left, top), (_, ceiling), (_, floor) = (
            self.place(t, height) for height in (value, math.inf, -math.inf)
        )
        alt = f"{self.alt} Marked: {self.name} {value:.3g} at t = {t}."
        line = f"top: {ceiling:.2f}%; height: {floor - ceiling:.2f}%; border-left: 1px dashed #222"
        ring = f"top: {top:.2f}%; width: 12px; height: 12px; margin: -8px 0 0 -8px; "
        ring += "border: 2px solid #222; border-radius: 50%; background: #F0E44299"
        place = f"position: absolute; box-sizing: content-box; left: {left:.2f}%"
        marks = "".join(f'<div style="{place}; {mark}"></div>' for mark in (line, ring))
        width = CHART_SIZE[0]
        box = f"position: relative; line-height: 0; width: {width}px; max-width: 100%; margin: 4px"
        tag = shared.image_tag(self.png, alt, width)
        return f'<div class="sdlearn-chart" style="{box}">{tag}{marks}</div>'


@lru_cache(maxsize=4)
def chart_of(panel: str, own: tuple[float, ...]) -> Chart:
    """The curves of all schedules: "alpha_bar", or "snr" on a logarithmic axis.

    `own` is the model's alphas_cumprod; a named schedule that equals it is not drawn again.
    """
    values = schedules_of(torch.tensor(own))
    for name in SCHEDULES:
        if torch.allclose(values[name], values[OWN], atol=1e-6):
            del values[name]
    label, log, limits = "alpha_bar", "", (0.0, 1.0)
    if panel == "snr":
        values = {name: snr(levels) for name, levels in values.items()}
        label, log, limits = "SNR", "y", SNR_LIMITS
    inside = {name: (v > limits[0]) & (v < limits[1]) for name, v in values.items()}
    figure: Any = viz.curves(
        {name: mask.nonzero().flatten() for name, mask in inside.items()},
        {name: v[inside[name]].tolist() for name, v in values.items()},
        xlabel="timestep t",
        ylabel=label,
        log=log,
        limits=limits,
        size=CHART_SIZE,
    )
    data, _ = figure._repr_mimebundle_()
    return Chart(figure, data["image/png"], data["text/plain"], label)


def schedules_of(own: Tensor) -> dict[str, Tensor]:
    """alphas_cumprod (T,) of each schedule, the model's own first."""
    return {OWN: own, **{name: alphas_cumprod(betas(name, len(own))) for name in SCHEDULES}}


def level_html(t: float, alpha_bar: float) -> str:
    """What alpha_bar means at t: the numbers as a table, the shares as a bar."""
    rows = {
        "timestep t": f"{t:.4g}",
        "alpha_bar": f"{alpha_bar:.4f}",
        "SNR": f"{alpha_bar / (1 - alpha_bar):.3g}" if alpha_bar < 1 else "no noise",
        "factor of the image": f"√alpha_bar = {math.sqrt(alpha_bar):.3f}",
        "factor of the noise": f"√(1 − alpha_bar) = {math.sqrt(1 - alpha_bar):.3f}",
    }
    share = f"{100 * alpha_bar:.1f}"
    bar = "height: 1em; margin-top: 8px; border: 1px solid currentColor"
    filled = f"height: 100%; width: {share}%; background: currentColor; opacity: 0.6"
    return (
        f'<div style="margin: 4px">{shared.table_html(rows.items(), "noise level")}'
        f'<div aria-hidden="true" style="{bar}"><div style="{filled}"></div></div>'
        f"of the variance {share} % are image, {100 * (1 - alpha_bar):.1f} % noise</div>"
    )
