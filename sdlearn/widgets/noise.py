"""How much of a picture is left at timestep t? The explorer of the noise that training adds.

One picture in two ways, with `diffusion.add_noise`: noise on its pixels, and noise on its latents,
decoded. Two curves say where t lies. Left out: taking noise away, which is the theatre's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
import traitlets
from PIL import Image
from torch import Tensor

from .. import viz
from ..diffusion.equations import SCHEDULES, add_noise, alphas_cumprod, betas, snr
from ..diffusion.seeds import randn
from ..pipeline import to_pil
from ..world import Scene, Thing, render
from . import controls
from .controls import OWN
from .drawing import Model, picture_of, the_model
from .live import LiveExplorer, PanelUpdate, Settings
from .panels import image_tag, picture_html
from .picker import to_square, upload_button

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Chart", "NoiseExplorer", "chart_of", "level_html", "schedules_of"]

SCENE = Scene((Thing("cat", "white", position="right"),), time="sunset", sky="rainbow")
WIDTH = 256  # pixels of the screen for a picture
CHART_SIZE = (400, 260)
SNR_LIMITS = (1e-4, 1e5)  # the cosine ends at 1e-9, where there is nothing to see


class NoiseExplorer(LiveExplorer):
    """A picture under the noise of timestep t, on its pixels and on its latents.

    `picture` takes any PIL image and holds its middle, at the model's size. `facts`: "picture",
    "noised_pixels" and "noised_latents", PIL images; "alpha_bar" and "snr"; "title". Views are
    shown also while the slider moves.
    """

    PANELS = ("pixels", "latents", "numbers", "alpha_bar", "snr")

    picture = traitlets.Any()
    t = traitlets.Int(300, min=0)
    seed = traitlets.Int(7, min=0, max=controls.HIGHEST_SEED)
    schedule = traitlets.Enum((OWN, *SCHEDULES), OWN)

    def __init__(
        self,
        model: Model = "tiny",
        *,
        picture: Image.Image | None = None,
        **settings: Any,
    ) -> None:
        self.sd = the_model(model)
        self._schedules = schedules_of(self.sd.scheduler.alphas_cumprod.float().cpu())
        self._charts: dict[str, Chart] = {}
        self._encoded = lru_cache(maxsize=4)(self._encode)
        self.picture = render(SCENE) if picture is None else picture
        size = self.sd.image_size
        self._upload = upload_button("your picture", size, self._receive, self.say)
        seed = controls.seed_box()
        rows = {
            "t": controls.whole_slider("timestep t", 0, len(self._schedules[OWN]) - 1, live=True),
            "seed": seed,
            "schedule": controls.choice("schedule", (OWN, *SCHEDULES)),
        }
        super().__init__(rows, [self._upload, controls.dice(seed)], settings, more=("picture",))
        self.begin()

    @traitlets.validate("picture")
    def _square(self, proposal: Any) -> Image.Image:
        return to_square(proposal["value"], self.sd.image_size)

    @traitlets.observe("picture")
    def _note_pixels(self, change: Any) -> None:
        self._pixels: bytes = change["new"].tobytes()

    def at(self) -> Settings:
        """The settings as they are now, the picture as its bytes."""
        return Settings(**{**vars(super().at()), "picture": self._pixels})

    def draw(self, at: Settings) -> Iterator[PanelUpdate]:
        levels = self._schedules[at.schedule]
        if at.t >= len(levels):
            raise ValueError(f"t must lie in 0..{len(levels) - 1}; got {at.t}")
        alpha_bar = levels[at.t]
        # Delivered at once: a slider that moves overtakes all that `LatestJob` would deliver.
        self._deliver(pixels := self._on_pixels(at, alpha_bar))
        self._deliver(latents := self._on_latents(at, alpha_bar))
        yield PanelUpdate(pixels.panels | latents.panels, facts=pixels.facts | latents.facts)
        for panel in ("alpha_bar", "snr"):
            if panel not in self._charts:  # for the first view only
                self._charts[panel] = chart_of(panel, tuple(self._schedules[OWN].tolist()))
                yield PanelUpdate(self._marked(at, alpha_bar))

    def still(self) -> Figure:
        names = ("picture", "noised_pixels", "noised_latents")
        titles = [self.facts["title"], "noise on pixels", "noise on latents, decoded"]
        return viz.show([self.facts[name] for name in names], titles, size=256)

    def _on_pixels(self, at: Settings, alpha_bar: Tensor) -> PanelUpdate:
        """What is quick: the noised pixels, the numbers, and the charts once they are drawn."""
        _, x0, _ = self._encoded(at.picture)
        x_t = add_noise(x0, randn(x0.shape[1:], [at.seed]), alpha_bar)
        [noised] = to_pil((x_t / 2 + 0.5).clamp(0, 1))  # beyond black and white is cut off
        panels = {
            "pixels": picture_html(noised, f"noise on pixels, t = {at.t}", WIDTH),
            "numbers": level_html(at.t, float(alpha_bar)),
        }
        return PanelUpdate(panels | self._marked(at, alpha_bar), facts={"noised_pixels": noised})

    def _on_latents(self, at: Settings, alpha_bar: Tensor) -> PanelUpdate:
        """The noised latents, decoded, and all facts but one."""
        picture, _, latents = self._encoded(at.picture)
        noise = randn(latents.shape[1:], [at.seed], self.sd.device, self.sd.dtype)
        noised = picture_of(self.sd, add_noise(latents, noise, alpha_bar))
        html = picture_html(noised, f"noise on latents, decoded, t = {at.t}", WIDTH)
        facts: dict[str, Any] = {"picture": picture, "noised_latents": noised}
        facts |= {"alpha_bar": float(alpha_bar), "snr": float(snr(alpha_bar))}
        facts["title"] = f"t = {at.t}, schedule: {at.schedule}, seed {at.seed}"
        return PanelUpdate({"latents": html}, facts=facts)

    def _marked(self, at: Settings, alpha_bar: Tensor) -> dict[str, str]:
        values = {"alpha_bar": float(alpha_bar), "snr": float(snr(alpha_bar))}
        return {name: chart.marked(at.t, values[name]) for name, chart in self._charts.items()}

    def _encode(self, pixels: bytes) -> tuple[Image.Image, Tensor, Tensor]:
        """A picture, its pixels in -1..1, (1, 3, H, W), on the CPU, and its latents."""
        picture = Image.frombytes("RGB", (self.sd.image_size,) * 2, pixels)
        images = viz.to_tensor(picture)
        return picture, images * 2 - 1, self.sd.encode_image(images)

    def _receive(self, picture: Image.Image, _name: str) -> None:
        self.picture = picture


@dataclass(frozen=True)
class Chart:
    """A chart that was drawn once; markers are laid over it."""

    figure: Figure
    png: str  # base64
    alt: str
    name: str  # of the value on the y axis

    def place(self, t: float, value: float) -> tuple[float, float]:
        """Per cent from the left and the top; what lies beyond the axes stands at their edge."""
        [ax] = self.figure.axes
        low, high = ax.get_ylim()
        point = ax.transData.transform((t, min(max(value, low), high)))
        across, up = point / self.figure.bbox.size
        return 100 * float(across), 100 * (1 - float(up))

    def marked(self, t: int, value: float) -> str:
        """The chart as HTML with a dashed line at t and a ring around the value."""
        left, top = self.place(t, value)
        _, ceiling = self.place(t, math.inf)
        _, floor = self.place(t, -math.inf)
        width = CHART_SIZE[0]
        alt = f"{self.alt} Marked: {self.name} {value:.3g} at t = {t}."
        box = f"position: relative; line-height: 0; width: {width}px; max-width: 100%; margin: 4px"
        line = f"top: {ceiling:.2f}%; height: {floor - ceiling:.2f}%; border-left: 1px dashed #222"
        ring = f"top: {top:.2f}%; width: 12px; height: 12px; margin: -8px 0 0 -8px; "
        ring += "border: 2px solid #222; border-radius: 50%; background: #F0E44299"
        marks = "".join(
            f'<div style="position: absolute; box-sizing: content-box; left: {left:.2f}%; {mark}">'
            "</div>"
            for mark in (line, ring)
        )
        return f'<div style="{box}">{image_tag(self.png, alt, width)}{marks}</div>'


@lru_cache(maxsize=4)
def chart_of(panel: str, own: tuple[float, ...]) -> Chart:
    """The curves of all schedules: "alpha_bar", or "snr" on a logarithmic axis.

    `own` is the model's alphas_cumprod; a named schedule that equals it is not drawn again.
    """
    values = {OWN: torch.tensor(own)}
    for name, levels in schedules_of(values[OWN]).items():
        if name != OWN and not torch.allclose(levels, values[OWN], atol=1e-6):
            values[name] = levels
    name, log, limits = "alpha_bar", "", (0.0, 1.0)
    if panel == "snr":
        values = {label: snr(levels) for label, levels in values.items()}
        name, log, limits = "SNR", "y", SNR_LIMITS
    shown = {label: (v > limits[0]) & (v < limits[1]) for label, v in values.items()}
    figure = viz.curves(
        {label: mask.nonzero().flatten() for label, mask in shown.items()},
        {label: v[shown[label]].tolist() for label, v in values.items()},
        xlabel="timestep t",
        ylabel=name,
        log=log,
        limits=limits,
        size=CHART_SIZE,
    )
    data, _ = figure._repr_mimebundle_()  # type: ignore[attr-defined]
    return Chart(figure, data["image/png"], data["text/plain"], name)


def schedules_of(own: Tensor) -> dict[str, Tensor]:
    """alphas_cumprod (T,) of each schedule, the model's own first."""
    return {OWN: own, **{name: alphas_cumprod(betas(name, len(own))) for name in SCHEDULES}}


def level_html(t: float, alpha_bar: float) -> str:
    """What alpha_bar means at t: the numbers as a table, the shares as a bar."""
    rows = {
        "timestep t": f"{t:.4g}",
        "alpha_bar": f"{alpha_bar:.4f}",
        "SNR": f"{alpha_bar / (1 - alpha_bar):.3g}" if alpha_bar < 1 else "no noise",
        "factor of the picture": f"√alpha_bar = {math.sqrt(alpha_bar):.3f}",
        "factor of the noise": f"√(1 − alpha_bar) = {math.sqrt(1 - alpha_bar):.3f}",
    }
    cells = "".join(
        f'<tr><td style="padding: 1px 8px 1px 0">{name}</td><td>{value}</td></tr>'
        for name, value in rows.items()
    )
    share = f"{100 * alpha_bar:.1f}"
    bar = "height: 1em; margin-top: 8px; border: 1px solid currentColor"
    filled = f"height: 100%; width: {share}%; background: currentColor; opacity: 0.6"
    return (
        f'<div style="margin: 4px"><table aria-label="noise level">{cells}</table>'
        f'<div aria-hidden="true" style="{bar}"><div style="{filled}"></div></div>'
        f"of the variance {share} % are picture, {100 * (1 - alpha_bar):.1f} % noise</div>"
    )
