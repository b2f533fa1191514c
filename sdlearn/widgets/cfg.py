"""How hard do the words pull? The explorer of classifier-free guidance and of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import traitlets

from .. import viz
from ..pipeline import Step
from ..world import parse_prompt
from . import controls
from .drawing import Model, drawn, encode, judged, picture_of, previews, the_model
from .live import LiveExplorer, PanelUpdate, Settings
from .panels import figure_html, picture_html, row_html, verdict_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CfgExplorer"]

PROMPT = "a large red house on the left, on green grass, at sunset, under a rainbow"
STRIP_SCALES = (0.0, 1.0, 2.0, 3.0, 5.0, 7.5, 12.0, 20.0)
GRID_SCALES, GRID_STEPS = (1.0, 3.0, 7.5, 15.0), (3, 8, 20)
THUMBNAIL = 128  # pixels of the screen


class CfgExplorer(LiveExplorer):
    """A picture that follows prompt, seed, guidance scale, steps and scheduler.

    Beside it stand the judge's verdict on each attribute that the prompt names (the judge knows
    the tiny model's world only) and the size of eps_cond - eps_uncond over the steps. `facts`:
    "picture", a PIL image; "verdict", attribute → whether it is right; "gap", the root mean
    square of the difference for each step, empty at scales 0 and 1, which compute one half only.
    """

    PANELS = ("picture", "verdict", "pinned", "gap", "sheet")

    prompt = traitlets.Unicode(PROMPT)
    negative_prompt = traitlets.Unicode("")
    guidance_scale = traitlets.Float(3.0, min=0.0, max=20.0)
    num_steps = traitlets.Int(20, min=1, max=50)
    scheduler = traitlets.Enum(controls.OWN_OR_OTHERS, controls.OWN)
    seed = traitlets.Int(7, min=0, max=controls.HIGHEST_SEED)

    def __init__(self, model: Model = "tiny", **settings: Any) -> None:
        self.sd = the_model(model)
        seed = controls.seed_box()
        rows = {
            "prompt": controls.prompt_box(),
            "negative_prompt": controls.prompt_box("negative prompt", "what to steer away from"),
            "guidance_scale": controls.decimal_slider("guidance scale", 0, 20, 0.5),
            "num_steps": controls.whole_slider("steps", 1, 50),
            "scheduler": controls.scheduler_choice(),
            "seed": seed,
        }
        buttons = [
            controls.dice(seed),
            controls.button("pin", "Keep this picture beside the next ones", self.pin),
            controls.button("strip", "One picture for each of eight guidance scales", self.strip),
            controls.button("grid", "Guidance against steps", self.grid),
        ]
        super().__init__(rows, buttons, settings)
        self.begin()

    def draw(self, at: Settings) -> Iterator[PanelUpdate]:
        kept: list[Step] = []
        steps, note = self._steps(at)
        yield from previews(self.sd, steps, kept, at.num_steps, "picture")
        picture, title = picture_of(self.sd, kept[-1].next_latents), title_of(at)
        asked, seen = parse_prompt(at.prompt), judged(self.sd, picture)
        panels = {"picture": picture_html(picture, title), "verdict": verdict_html(asked, seen)}
        verdict = {name: seen[name] == word for name, word in asked.items() if seen}
        yield PanelUpdate(panels, note, {"picture": picture, "title": title, "verdict": verdict})
        gap = [size for step in kept if (size := gap_of(step)) is not None]
        yield PanelUpdate({"gap": figure_html(gap_figure(gap)) if gap else ""}, note, {"gap": gap})

    def still(self) -> Figure:
        return viz.show([self.facts["picture"]], [self.facts["title"]], size=256)

    def pin(self) -> None:
        """Keep the picture as it is now beside those that follow."""
        if self.facts:
            pinned = picture_html(self.facts["picture"], f"pinned: {self.facts['title']}")
            self.panels["pinned"].value = pinned

    def strip(self) -> None:
        """Fill a row with one picture for each of eight guidance scales."""
        self._fill([{"guidance_scale": scale} for scale in STRIP_SCALES], len(STRIP_SCALES))

    def grid(self) -> None:
        """Fill a table: guidance scales from left to right, numbers of steps from top to bottom."""
        cells = [
            {"guidance_scale": scale, "num_steps": num_steps}
            for num_steps in GRID_STEPS
            for scale in GRID_SCALES
        ]
        self._fill(cells, len(GRID_SCALES))

    def _fill(self, cells: Sequence[dict[str, Any]], columns: int) -> None:
        self.run(self._sheet(self.at(), cells, columns))

    def _sheet(
        self, at: Settings, cells: Sequence[dict[str, Any]], columns: int
    ) -> Iterator[PanelUpdate]:
        yield from self._job()  # the picture above may still be on its way
        done: list[str] = []
        for cell in cells:
            steps, _ = self._steps(Settings(**{**vars(at), **cell}))
            status = f"picture {len(done) + 1} of {len(cells)}"
            picture = yield from drawn(self.sd, steps, status)
            names = ", ".join(f"{name.split('_')[-1]} {value:g}" for name, value in cell.items())
            done.append(picture_html(picture, names + self._score(at.prompt, picture), THUMBNAIL))
            yield PanelUpdate({"sheet": row_html(done, columns, THUMBNAIL)})

    def _score(self, prompt: str, picture: Any) -> str:
        asked, seen = parse_prompt(prompt), judged(self.sd, picture)
        right = sum(seen.get(name) == word for name, word in asked.items())
        return f": {right} of {len(asked)} right" if seen and asked else ""

    def _steps(self, at: Settings) -> tuple[Iterator[Step], str]:
        cond, note = encode(self.sd, at.prompt)
        uncond, also = encode(self.sd, at.negative_prompt, blank=True)
        steps = self.sd.denoise(
            self.sd.init_latents([at.seed]),
            cond,
            uncond,
            num_steps=at.num_steps,
            guidance_scale=at.guidance_scale,
            scheduler=controls.scheduler_of(at.scheduler),
            seeds=[at.seed],
        )
        return steps, "; ".join(filter(None, [note, also]))


def title_of(at: Settings) -> str:
    """The settings in a line."""
    parts = [f"guidance {at.guidance_scale:g}", f"{at.num_steps} steps", f"seed {at.seed}"]
    parts += [at.scheduler] if at.scheduler != controls.OWN else []
    parts += [f"without “{at.negative_prompt}”"] if at.negative_prompt else []
    return ", ".join(parts)


def gap_of(step: Step) -> float | None:
    """Root mean square of eps_cond - eps_uncond, if both were computed."""
    if step.eps_cond is None or step.eps_uncond is None:
        return None
    return float((step.eps_cond - step.eps_uncond).float().pow(2).mean().sqrt())


def gap_figure(gap: Sequence[float]) -> Figure:
    """How far the two predictions lie apart, over the steps."""
    return viz.curves(
        range(1, len(gap) + 1),
        {"difference": gap},
        xlabel="step",
        ylabel="rms of eps_cond − eps_uncond",
        limits=(0, 1.05 * max(gap)),
        size=(400, 260),
    )
