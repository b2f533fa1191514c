"""How hard do the words pull? The explorer of classifier-free guidance and of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ipywidgets as widgets
from PIL import Image

from .. import viz
from ..evaluation.judge import find_judge
from ..pipeline import StableDiffusion, Step
from ..world import parse_prompt
from . import controls, shared
from .base import PanelUpdate, Settings
from .shared import image_html

__all__ = ["CfgExplorer"]

STRIP_SCALES = (0.0, 1.0, 2.0, 3.0, 5.0, 7.5, 12.0, 20.0)
GRID_SCALES, GRID_STEPS = (1.0, 3.0, 7.5, 15.0), (3, 8, 20)


class CfgExplorer(shared.SheetExplorer):
    """An image that follows prompt, seed, guidance scale, steps and scheduler.

    While a slider moves it has five steps, and all of them when the slider rests.
    Beside it stand the verdict of the model's judge on each attribute that the prompt names (models
    of other worlds have no judge) and the size of eps_cond - eps_uncond over the steps.

    Settings: `prompt`, `negative_prompt`, `guidance_scale` (0..20), `num_steps` (1..50),
    `scheduler` (a name in `diffusion.SCHEDULERS`, or "the model's own"), `seed` (from 0).
    `facts`: "image", a PIL image; "title"; "verdict", attribute → whether it is right; "gap", the
    root mean square of the difference for each step, empty at scales 0 and 1, where only one of
    the two predictions is computed.
    """

    PANELS = ("image", "verdict", "pinned", "gap", "sheet")

    prompt = controls.text("prompt", shared.PROMPT)
    negative_prompt = controls.text("negative prompt", hint="what to steer away from")
    guidance_scale = controls.decimal("guidance scale", 0, 20, 0.5, live=True)
    num_steps = controls.whole("steps", 1, 50, live=True)
    scheduler = controls.choice("scheduler", shared.SCHEDULER_CHOICES)
    seed = controls.seed(7)

    def buttons(self) -> list[widgets.Widget]:
        return [
            controls.another_seed(self),
            controls.button("pin", "Keep this image beside the next ones", self.pin),
            controls.button("strip", "One image for each of eight guidance scales", self.strip),
            controls.button("grid", "Guidance against steps", self.grid),
        ]

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        generation = self.start(settings)
        yield from generation.finish(lambda step: {"image": generation.preview_html(step)})
        image, title, note = generation.image(), self.title_of(settings), generation.note
        asked, seen = parse_prompt(settings.prompt), judge_reading(self.sd, image)
        verdict = {name: seen[name] == word for name, word in asked.items() if seen}
        panels = {"image": image_html(image, title), "verdict": verdict_html(asked, seen)}
        yield PanelUpdate(panels, note, {"image": image, "title": title, "verdict": verdict})
        yield from self.resting()
        gap = [size for step in generation.steps if (size := gap_of(step)) is not None]
        yield PanelUpdate({"gap": gap_html(gap)}, note, {"gap": gap})

    def title_of(self, settings: Settings) -> str:
        parts = [f"guidance {settings.guidance_scale:g}", f"{settings.num_steps} steps"]
        parts += [f"seed {settings.seed}"]
        parts += [settings.scheduler] if settings.scheduler != shared.OWN else []
        without = f"without “{settings.negative_prompt}”"
        return ", ".join(parts + ([without] if settings.negative_prompt else []))

    def pin(self) -> None:
        """Keep the image as it is now beside those that follow."""
        if self.facts:
            pinned = image_html(self.facts["image"], f"pinned: {self.facts['title']}")
            self.panels["pinned"].value = pinned

    def strip(self) -> None:
        """Fill a row with one image for each of eight guidance scales."""
        variants = {f"scale {scale:g}": {"guidance_scale": scale} for scale in STRIP_SCALES}
        self.run_job(self.sheet("sheet", len(STRIP_SCALES), variants))

    def grid(self) -> None:
        """Fill a table: guidance scales from left to right, numbers of steps from top to bottom."""
        variants = {
            f"scale {scale:g}, steps {num_steps}": {
                "guidance_scale": scale,
                "num_steps": num_steps,
            }
            for num_steps in GRID_STEPS
            for scale in GRID_SCALES
        }
        self.run_job(self.sheet("sheet", len(GRID_SCALES), variants))

    def remark(self, settings: Settings, image: Image.Image) -> str:
        asked, seen = parse_prompt(settings.prompt), judge_reading(self.sd, image)
        right = sum(seen.get(name) == word for name, word in asked.items())
        return f": {right} of {len(asked)} right" if seen and asked else ""


def judge_reading(sd: StableDiffusion, image: Image.Image) -> dict[str, str]:
    """What the model's judge sees in an image, attribute → word; nothing if it has none."""
    judge = find_judge(sd)
    return judge.read(viz.to_tensor(image))[0].words if judge else {}


def verdict_html(asked: dict[str, str], seen: dict[str, str]) -> str:
    """What the prompt asks for beside what the judge sees, as a table.

    Nothing when the prompt asks for nothing, or nobody looked.
    """
    if not asked or not seen:
        return ""
    signs = {True: "✓ right", False: "✗ wrong"}
    rows = [
        (name.replace("_", " "), word, seen[name], signs[seen[name] == word])
        for name, word in asked.items()
    ]
    return shared.table_html([("", "asked", "seen", ""), *rows], "the judge's verdict")


def gap_of(step: Step) -> float | None:
    """Root mean square of eps_cond - eps_uncond, if both were computed."""
    if step.eps_cond is None or step.eps_uncond is None:
        return None
    return float((step.eps_cond - step.eps_uncond).float().pow(2).mean().sqrt())


def gap_html(gap: Sequence[float]) -> str:
    """The difference of the two predictions over the steps; nothing where it is not known."""
    if not gap:
        return ""
    figure = viz.curves(
        range(1, len(gap) + 1),
        {"difference": gap},
        xlabel="step",
        ylabel="rms of eps_cond − eps_uncond",
        limits=(0, 1.05 * max(gap)),
        size=(400, 260),
    )
    return shared.figure_html(figure)
