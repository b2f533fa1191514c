"""How hard do the words pull? The explorer of classifier-free guidance and of steps.

The judge counts words. An image may have all of them and be ruined, and a scale may draw nearly the
same image for every seed; so two more measures stand beside the judge. Damage says how far the
finished latents are from latents that an image has: encode the image that they decode to, and take
the root mean square of the difference. What the decoder was trained on comes back nearly as it was;
what too much guidance has pushed away from it does not. It overlooks all that is wrong within the
world of images, such as another colour. (The share of clipped pixels would be simpler, but for this
model it falls at scales at which images break.) Diversity is `evaluation.pixel_distance` over a
few seeds.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import ipywidgets as widgets
from PIL import Image
from torch import Tensor

from .. import viz
from ..evaluation.judge import find_judge
from ..evaluation.measures import pixel_distance
from ..pipeline import StableDiffusion, Step
from ..world import parse_prompt, render, scenes
from . import controls, shared
from . import page as layout
from .base import PanelUpdate, Settings, changed
from .shared import image_html

__all__ = ["CfgExplorer"]

# Two subjects in colours of their own: with such words a scale of 1 is often not enough, while a
# prompt with one subject may be right at every scale and show nothing.
PROMPT = "a white car left of a pink boat, on blue water, by day, under a cloud"
OTHER_SEEDS = 3  # besides the one on the page, for the diversity
TASK_SCALES = (1.0, 3.0, 7.5, 20.0)
SEED_WIDTH = 104  # pixels of the screen
WORLD_IMAGES = 4  # drawings of the world whose latents are measured
STRIP_SCALES = (0.0, 1.0, 2.0, 3.0, 5.0, 7.5, 12.0, 20.0)
GRID_SCALES, GRID_STEPS = (1.0, 3.0, 7.5, 15.0), (3, 8, 20)


class CfgExplorer(shared.SheetExplorer):
    """An image that follows prompt, seed, guidance scale, steps and scheduler.

    While a slider moves it has five steps, and all of them when the slider rests.
    Beside it stand the verdict of the model's judge on each attribute that the prompt names (models
    of other worlds have no judge), the damage, images of three more seeds with their diversity,
    and the size of eps_cond - eps_uncond over the steps.

    Settings: `prompt`, `negative_prompt`, `guidance_scale` (0..20), `num_steps` (1..50),
    `scheduler` (a name in `diffusion.SCHEDULERS`, or "the model's own"), `seed` (from 0).
    `facts`: "image", a PIL image; "title"; "verdict", attribute → whether it is right; "damage",
    see `damage_of`; "gap", the root mean square of the difference for each step, empty at scales 0
    and 1, where only one of the two predictions is computed; "diversity", the mean difference
    between images of four seeds, 0..1, and "others", those of the three more.
    """

    PANELS = ("image", "verdict", "damage", "seeds", "pinned", "gap", "sheet")
    QUESTION = (
        "At which of these guidance scales are most of the prompt's words right, over four seeds?"
    )
    CHOICES = tuple(f"scale {scale:g}" for scale in TASK_SCALES)

    prompt = controls.text("prompt", PROMPT)
    negative_prompt = controls.text("negative prompt", hint="what to steer away from")
    guidance_scale = controls.decimal("guidance scale", 0, 20, 0.5, live=True)
    num_steps = controls.whole("steps", 1, 50, live=True)
    scheduler = controls.choice("scheduler", shared.SCHEDULER_CHOICES)
    seed = controls.seed(7)

    def prepare(self) -> None:
        self._usual: float | None = None  # the damage of what the world draws

    def buttons(self) -> list[widgets.Widget]:
        return [
            controls.another_seed(self),
            controls.button("pin", "Keep this image beside the next ones", self.pin),
            controls.button("strip", "One image for each of eight guidance scales", self.strip),
            controls.button("grid", "Guidance against steps", self.grid),
            self.gif_button(),
        ]

    def page(self) -> list[widgets.Widget]:
        image, verdict, damage, seeds, pinned, gap, sheet = self.panels.values()
        measured = layout.aside(verdict, damage, seeds)
        return [layout.main(image), measured, layout.main(pinned), gap, layout.wide(sheet)]

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        generation = self.start(settings)
        yield from generation.finish(lambda step: {"image": generation.preview_html(step)})
        image, title, note = generation.image(), self.title_of(settings), generation.note
        panels, facts = self._measured(settings, generation.latents, image)
        panels["image"] = image_html(image, title)
        yield PanelUpdate(panels, note, {"image": image, "title": title, **facts})
        if self._usual is None and find_judge(self.sd):  # it draws our world
            self._usual = damage_in_world(self.sd)
            yield PanelUpdate({"damage": damage_html(facts["damage"], self._usual)}, note)
        yield from self.resting()
        gap = [size for step in generation.steps if (size := gap_of(step)) is not None]
        yield PanelUpdate({"gap": gap_html(gap)}, note, {"gap": gap})
        runs = yield from self._others(settings)
        others = [run.image() for run in runs]
        spread = diversity([image, *others])
        panels = {"seeds": seeds_html(others, spread, settings.guidance_scale)}
        yield PanelUpdate(panels, note, {"others": others, "diversity": spread})

    def quick(self, settings: Settings) -> PanelUpdate | None:
        """The image of a short run with what is measured of it."""
        if (run := self.quick_run(settings)) is None:
            return None
        image = run.image()
        shown = image_html(image, f"{self.title_of(shared.short(settings))} (quick)")
        self._apply(PanelUpdate({"image": shown}, status=None))  # before it is measured
        panels, _ = self._measured(settings, run.latents, image)
        return PanelUpdate({"image": shown, **panels}, status=None)

    def _measured(
        self, settings: Settings, latents: Tensor, image: Image.Image
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """The panels of the verdict and of the damage, and both as facts."""
        asked, seen = parse_prompt(settings.prompt), judge_reading(self.sd, image)
        verdict = {name: seen[name] == word for name, word in asked.items() if seen}
        damage = damage_of(self.sd, latents, image)
        panels = {"verdict": verdict_html(asked, seen)}
        panels["damage"] = damage_html(damage, self._usual)
        return panels, {"verdict": verdict, "damage": damage}

    def _others(self, settings: Settings) -> Generator[PanelUpdate, None, list[shared.Generation]]:
        """Runs of the next seeds."""
        runs = []
        for number in range(1, OTHER_SEEDS + 1):
            seed = (settings.seed + number) % (controls.HIGHEST_SEED + 1)
            run = yield from self.drawn(changed(settings, seed=seed))
            runs.append(run)
        return runs

    def reveal(self, settings: Settings) -> Iterator[PanelUpdate]:
        """Draw four seeds at each scale and compare what the judge and the two measures say."""
        asked = parse_prompt(settings.prompt)
        if not asked or find_judge(self.sd) is None:
            raise ValueError("the judge cannot read this prompt; name things of its world")
        rows, shown = [], []
        for scale in TASK_SCALES:
            at_scale = changed(settings, guidance_scale=scale)
            run = yield from self.drawn(at_scale, f"scale {scale:g}")
            runs = [run, *(yield from self._others(at_scale))]
            images = [run.image() for run in runs]
            rows.append(Row.of(self.sd, scale, asked, runs, images))
            shown += [image_html(one, f"scale {scale:g}", shared.THUMBNAIL) for one in images]
            sheet = shared.row_html(shown, len(images), shared.THUMBNAIL) + rows_html(rows)
            yield PanelUpdate({"sheet": sheet})
        most = max(row.right for row in rows)
        right = tuple(f"scale {row.scale:g}" for row in rows if row.right == most)
        yield PanelUpdate(status="", facts={"right": right, "told": told_of(rows)})

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

    def remark(self, settings: Settings, latents: Tensor, image: Image.Image) -> str:
        asked, seen = parse_prompt(settings.prompt), judge_reading(self.sd, image)
        right = sum(seen.get(name) == word for name, word in asked.items())
        counted = f"{right} of {len(asked)} right, " if seen and asked else ""
        return f": {counted}damage {damage_of(self.sd, latents, image):.2f}"


class Row(NamedTuple):
    """What is measured at one guidance scale over several seeds."""

    scale: float
    right: float  # share of the words that came true, 0..1
    damage: float  # see `damage_of`
    spread: float  # diversity, 0..1

    @classmethod
    def of(
        cls,
        sd: StableDiffusion,
        scale: float,
        asked: dict[str, str],
        runs: list[shared.Generation],
        images: list[Image.Image],
    ) -> Row:
        """Measure runs of one scale and their images."""
        seen = [judge_reading(sd, image) for image in images]
        right = fmean(words[name] == word for words in seen for name, word in asked.items())
        pairs = zip(runs, images, strict=True)
        damage = fmean(damage_of(sd, run.latents, image) for run, image in pairs)
        return cls(scale, right, damage, diversity(images))


def damage_of(sd: StableDiffusion, latents: Tensor, image: Image.Image) -> float:
    """How far latents, (1, 4, h, w), are from those of the image that they decode to, from 0."""
    again = sd.encode_image(viz.to_tensor(image))
    return float((again - latents).float().square().mean().sqrt())


def damage_in_world(sd: StableDiffusion) -> float:
    """The mean of the same for the latents of what the world draws."""
    images = (viz.to_tensor(render(scene)) for scene in scenes(WORLD_IMAGES, "test"))
    latents = [sd.encode_image(image) for image in images]
    return fmean(damage_of(sd, one, shared.first_image(sd, one)) for one in latents)


def diversity(images: Sequence[Image.Image]) -> float:
    """How far the images are from each other, 0..1 (see `evaluation.pixel_distance`)."""
    return pixel_distance(viz.to_tensor(images))


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


def damage_html(damage: float, usual: float | None) -> str:
    """The damage, beside that of the world's own drawings where the model draws our world."""
    also = "" if usual is None else f" (the world's own drawings: {usual:.2f})"
    told = f"damage: <strong>{damage:.2f}</strong>{also}"
    return f'<div style="margin: 4px">{told}</div>'


def seeds_html(others: Sequence[Image.Image], spread: float, scale: float) -> str:
    """Images of other seeds, and how different they are."""
    width = SEED_WIDTH
    small = [image_html(image, f"seed + {i}", width) for i, image in enumerate(others, 1)]
    told = f"diversity over {len(others) + 1} seeds at guidance {scale:g}: "
    told += f"<strong>{spread:.3f}</strong>"
    row = shared.row_html(small, len(small), width)
    return f'<div style="margin: 4px">{told}</div>{row}'


def rows_html(rows: Sequence[Row]) -> str:
    """What was measured at each scale, as a table."""
    cells = [
        (f"{r.scale:g}", f"{100 * r.right:.0f} %", f"{r.damage:.2f}", f"{r.spread:.3f}")
        for r in rows
    ]
    head = ("guidance scale", "right", "damage", "diversity")
    return shared.table_html([head, *cells], "four seeds at each scale")


def told_of(rows: Sequence[Row]) -> str:
    """The three measures of each scale in a sentence."""
    parts = (
        f"scale {r.scale:g}: {100 * r.right:.0f} % right, damage {r.damage:.2f}, "
        f"diversity {r.spread:.3f}"
        for r in rows
    )
    return "; ".join(parts) + "."


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
