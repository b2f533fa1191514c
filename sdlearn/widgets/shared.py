"""What several explorers share: panels as HTML, generations that can be interrupted, and uploads.

HTML text and lines take the colours of the page, so that they can be read in light and in dark
themes.
"""

from __future__ import annotations

import base64
import html
import io
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import traitlets
from matplotlib import colormaps
from matplotlib.colors import Colormap, to_hex
from PIL import Image
from torch import Tensor

from .. import viz
from ..diffusion.editing import count_calls
from ..diffusion.schedulers import SCHEDULERS, alpha_bars, fresh_scheduler
from ..models.tokenizing import token_ids
from ..pipeline import StableDiffusion, Step, to_pil
from ..util.checks import check_not_blank
from ..world import Scene, render
from . import controls
from .base import LiveExplorer, PanelUpdate, Settings, changed
from .picker import to_square, upload_button
from .sharing import download_html, gif

__all__ = ["FilmExplorer", "Generation", "ImageExplorer", "QuickExplorer", "SheetExplorer"]

PROMPT = "a large red house on the left, on green grass, at sunset, under a rainbow"
OWN = "the model's own"  # scheduler or schedule; a menu shows nothing at all for None
SCHEDULER_CHOICES = (OWN, *SCHEDULERS)
IMAGE_WIDTH, THUMBNAIL = 384, 128  # pixels of the screen; the tiny model's images have 128
PREVIEW_EVERY = 0.5  # seconds; an image that is finished sooner needs no preview
PREVIEW_SHARE = 4  # a preview takes at most a fifth of the time
QUICK_STEPS, QUICK_SCHEDULER = 5, "ddim"  # of an image that follows a moving slider
QUICK_SECONDS, MOST_SLOW_RUNS = 0.5, 2  # a model that takes longer twice has no such images
STATUS_EVERY = 0.25  # seconds; every message takes time from the work
SIGNED, SIGNED_LIMIT = colormaps["PuOr"], 3.0  # as in `viz.channels`: white is 0


# Panels


def png_of(image: Image.Image) -> str:
    """An image as a PNG in base64, made quickly rather than small."""
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()


def image_tag(png: str, alt: str, width: int) -> str:
    """An `<img>` for a PNG in base64, which replaces the last one without a flash."""
    return (
        f'<img src="data:image/png;base64,{png}" alt="{html.escape(alt)}" width="{width}" '
        'decoding="sync" style="image-rendering: pixelated; max-width: 100%">'
    )


def image_html(image: Image.Image, title: str, width: int = IMAGE_WIDTH) -> str:
    """An image under its title."""
    tag = image_tag(png_of(image), title, width)
    caption = f'<figcaption style="max-width: {width}px">{html.escape(title)}</figcaption>'
    return f'<figure style="margin: 4px">{caption}{tag}</figure>'


def figure_html(figure: Any) -> str:
    """A figure of `sdlearn.viz`, with its alternative text; dark on a dark page."""
    data, metadata = figure._repr_mimebundle_()
    tag = image_tag(data["image/png"], data["text/plain"], metadata["image/png"]["width"])
    return f'<div class="sdlearn-chart">{tag}</div>'


def row_html(images: Iterable[str], columns: int, width: int) -> str:
    """Images, as `image_html` makes them, in rows of `columns`, smaller on a narrow page."""
    shrinking = f"repeat({columns}, minmax(0, {width + 12}px))"
    grid = f"display: grid; grid-template-columns: {shrinking}; line-height: 1.4"
    return f'<div style="{grid}">{"".join(images)}</div>'


def table_html(rows: Iterable[Sequence[str]], label: str) -> str:
    """Rows of cells, each of which is HTML."""
    lines = (
        "".join(f'<td style="padding: 1px 8px 1px 0">{cell}</td>' for cell in row) for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table style="margin: 4px" aria-label="{label}">{body}</table>'


def colour_bar_html(colours: Colormap, low: str, high: str, note: str = "") -> str:
    """A bar of colours between the numbers at its ends."""
    stops = ", ".join(to_hex(colours(step / 8)) for step in range(9))
    bar = f"width: 8em; height: 0.8em; background: linear-gradient(to right, {stops})"
    row = "display: flex; align-items: center; gap: 8px; margin: 4px; line-height: 1.4"
    ends = f'<span>{low}</span><span style="{bar}"></span><span>{high}</span>'
    return f'<div style="{row}">{ends}<span>{note}</span></div>'


def signed_image(values: np.ndarray) -> Image.Image:
    """Numbers (h, w) as colours: white is 0, orange is below and purple above."""
    shares = (values / SIGNED_LIMIT + 1) / 2  # -3..3 to 0..1; the colours end there
    return Image.fromarray(SIGNED(shares, bytes=True)[..., :3])


# Generations


_catching_warnings = threading.Lock()  # their filters are the same for all threads


def encode(sd: StableDiffusion, prompt: str, *, blank: bool = False) -> tuple[Tensor, str]:
    """The text states of a prompt, (1, 77, D), and a sentence when a part of it was cut off.

    Raises `ValueError` for a prompt without a word, unless it may be `blank`.
    """
    prompts = [prompt] if blank else check_not_blank([prompt])
    if len(token_ids(sd.tokenizer, prompt)) <= sd.tokenizer.model_max_length:
        return sd.encode_text(prompts), ""
    with _catching_warnings, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        states = sd.encode_text(prompts)
    return states, "; ".join(str(warning.message) for warning in caught)


def first_image(sd: StableDiffusion, latents: Tensor) -> Image.Image:
    """The first of `latents` (B, 4, h, w), decoded."""
    return to_pil(sd.decode(latents[:1]))[0]


def distance(one: Image.Image, other: Image.Image) -> float:
    """Root mean square difference of two images' pixels, 0..1."""
    if one.size != other.size:
        other = other.resize(one.size)
    return float((viz.to_tensor(one) - viz.to_tensor(other)).square().mean().sqrt())


def levels_of(
    sd: StableDiffusion, num_steps: int, scheduler: str, strength: float = 1.0
) -> list[Tensor]:
    """alpha_bar of each step of a run; some schedulers take more steps than `num_steps`.

    With a `strength` below 1, that of the last steps, which are those that are run.
    """
    name = None if scheduler == OWN else scheduler
    fresh = fresh_scheduler(name, sd.scheduler, num_steps, sd.device)
    count = count_calls(fresh, num_steps, strength)
    return list(alpha_bars(fresh))[len(fresh.timesteps) - count :]


@dataclass
class Generation:
    """A denoising run whose steps are kept, so that it can be interrupted and resumed."""

    sd: StableDiffusion
    remaining: Iterator[Step]
    levels: list[Tensor]  # alpha_bar of each step
    note: str  # about the prompts
    steps: list[Step] = field(default_factory=list)  # those taken so far
    cache: dict[int, Any] = field(default_factory=dict)  # what an explorer has drawn of a step

    def take(self) -> Iterator[Step]:
        """Take the remaining steps, one for each `next`."""
        for step in self.remaining:
            self.steps.append(step)
            yield step

    def finish(self, preview: Callable[[Step], dict[str, str]]) -> Iterator[PanelUpdate]:
        """Take the remaining steps as `take` does, and show now and then how far it is.

        On a slow machine or with a large model, the panels that `preview` makes of a step are
        shown as well.
        """
        said, due = time.monotonic(), time.monotonic() + PREVIEW_EVERY
        for step in self.take():
            panels, status, now = {}, None, time.monotonic()
            if now > due:
                panels = preview(step)
                cost = time.monotonic() - now
                due = now + cost + max(PREVIEW_EVERY, PREVIEW_SHARE * cost)
            if panels or now > said + STATUS_EVERY:
                said, status = now, f"step {step.index + 1} of {len(self.levels)}"
            yield PanelUpdate(panels, status)

    def preview_html(self, step: Step, width: int = IMAGE_WIDTH) -> str:
        """pred_x0 of a step, decoded."""
        title = f"step {step.index + 1} of {len(self.levels)}: a preview"
        return image_html(first_image(self.sd, step.pred_x0), title, width)

    def cached(self, key: int, make: Callable[[], Any]) -> Any:
        """What `make` returned the first time."""
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]

    @property
    def latents(self) -> Tensor:
        """The finished latents, (1, 4, h, w)."""
        return self.steps[-1].next_latents

    def image(self) -> Image.Image:
        """The finished image."""
        return first_image(self.sd, self.latents)


def start_generation(
    sd: StableDiffusion,
    settings: Settings,
    *,
    cond: Tensor | None = None,
    latents: Tensor | None = None,
    image_latents: Tensor | None = None,
    strength: float = 1.0,
) -> Generation:
    """A generation of which no step has been taken yet.

    The `settings` are `prompt`, `seed`, `num_steps`, `guidance_scale`, and where an explorer has
    them `negative_prompt` and `scheduler`. `cond` (1, 77, D) replaces the text states of the
    prompt, `latents` (1, 4, h, w) the noise of the seed. With `image_latents` (1, 4, h, w) it is
    image to image of that `strength`.
    """
    scheduler, notes = getattr(settings, "scheduler", OWN), ["", ""]
    if cond is None:
        cond, notes[0] = encode(sd, settings.prompt)
    uncond, notes[1] = encode(sd, getattr(settings, "negative_prompt", ""), blank=True)
    steps = sd.denoise(
        sd.init_latents([settings.seed]) if latents is None else latents,
        cond,
        uncond,
        num_steps=settings.num_steps,
        guidance_scale=settings.guidance_scale,
        scheduler=None if scheduler == OWN else scheduler,
        seeds=[settings.seed],
        image_latents=image_latents,
        strength=None if image_latents is None else strength,
    )
    levels = levels_of(sd, settings.num_steps, scheduler, strength)
    return Generation(sd, steps, levels, "; ".join(filter(None, notes)))


def without(settings: Settings, *names: str) -> tuple[tuple[str, Any], ...]:
    """The settings but those of these `names`, as a key for a cache."""
    return tuple(item for item in vars(settings).items() if item[0] not in names)


def short(settings: Settings) -> Settings:
    """The same settings for a short run."""
    return changed(settings, num_steps=QUICK_STEPS, scheduler=QUICK_SCHEDULER)


class QuickExplorer(LiveExplorer):
    """The base of explorers of a generation, which can show the image of a short run meanwhile."""

    _slow_runs = 0  # how many short runs in a row took too long

    def start(self, settings: Settings) -> Generation:
        """Begin a generation with these settings."""
        return start_generation(self.sd, settings)

    def quick_run(self, settings: Settings) -> Generation | None:
        """A short run; None where it has no step, or the model is slow."""
        if self._slow_runs >= MOST_SLOW_RUNS or settings.num_steps <= QUICK_STEPS:
            return None
        generation = self.start(short(settings))
        end: float | None = None
        for _step in generation.take():
            end = end or time.monotonic() + QUICK_SECONDS  # the first step may make an engine
            if time.monotonic() > end:
                self._slow_runs += 1
                return None
        self._slow_runs = 0
        return generation if generation.steps else None


class FilmExplorer(QuickExplorer):
    """The base of explorers with images that make a film: `film` holds (caption, image)."""

    FILM = "strip"  # what it is called on the page, and its file

    @property
    def film(self) -> Sequence[tuple[str, Image.Image]]:
        """The images in order, each with its caption; none before there are any."""
        raise NotImplementedError

    def gif(self) -> bytes:
        """The film as a GIF. Raises `ValueError` where there is none yet."""
        if not (film := list(self.film)):
            raise ValueError(f"there is no {self.FILM} yet: make one first")
        return gif([image for _, image in film], [caption for caption, _ in film])

    def show_gif(self) -> None:
        """Show a link that stores the GIF."""
        try:
            link = download_html(self.gif(), f"{self.FILM}.gif", f"store the {self.FILM} as a GIF")
        except ValueError as error:
            self.set_status(str(error))
        else:
            self.taken_away.value = link

    def gif_button(self) -> Any:
        """The button for `show_gif`."""
        return controls.button("GIF", f"The {self.FILM} as an animated image", self.show_gif)


class SheetExplorer(FilmExplorer):
    """The base of explorers of one image, which can fill a panel with images of other settings.

    While a slider moves, the image is that of a short run.
    """

    def title_of(self, settings: Settings) -> str:
        """The settings in a line."""
        raise NotImplementedError

    def quick(self, settings: Settings) -> PanelUpdate | None:
        """The image of a short run."""
        if (run := self.quick_run(settings)) is None:
            return None
        title = f"{self.title_of(short(settings))} (quick)"
        return PanelUpdate({"image": image_html(run.image(), title)}, status=None)

    _sheet: Sequence[tuple[str, Image.Image]] = ()  # the last one that was finished

    @property
    def film(self) -> Sequence[tuple[str, Image.Image]]:
        """The images of the last sheet."""
        return self._sheet

    def remark(self, settings: Settings, latents: Tensor, image: Image.Image) -> str:
        """What an image's caption says beside its settings."""
        return ""

    def sheet(
        self, panel: str, columns: int, variants: dict[str, dict[str, Any]]
    ) -> Iterator[PanelUpdate]:
        """A job that fills `panel` with small images: `variants` maps captions to settings."""
        present, images = self.current_settings(), []
        film: list[tuple[str, Image.Image]] = []
        for number, (caption, changes) in enumerate(variants.items(), 1):
            settings = changed(present, **changes)
            run = yield from self.drawn(settings, f"image {number} of {len(variants)}")
            image = run.image()
            caption += self.remark(settings, run.latents, image)
            images.append(image_html(image, caption, THUMBNAIL))
            film.append((caption, image))
            yield PanelUpdate({panel: row_html(images, columns, THUMBNAIL)})
        self._sheet = film
        yield from self._updates_or_seen()  # the image above may not be finished

    def drawn(
        self, settings: Settings, status: str | None = None
    ) -> Generator[PanelUpdate, None, Generation]:
        """Run another generation than that of the page, a step for each `next`; it is returned."""
        generation = self.start(settings)
        for _step in generation.take():
            yield PanelUpdate(status=status)
        return generation


# An image of the reader


class ImageExplorer(LiveExplorer):
    """The base of explorers of one image, which may be uploaded or set: `explorer.image = ...`.

    `image` takes any PIL image and holds its middle, RGB, at the model's size.
    """

    SCENE: Scene  # of the image at the beginning

    image = controls.hidden(traitlets.Any())

    def prepare(self) -> None:
        self.encoded = lru_cache(maxsize=4)(self._encode)
        self.image = self.opening()
        self.upload = upload_button(
            "your image", self.sd.image_size, self._receive, self.set_status
        )

    def opening(self) -> Image.Image:
        """The image at the beginning."""
        return render(self.SCENE)

    @traitlets.validate("image")
    def _to_square(self, proposal: Any) -> Image.Image:
        image = to_square(proposal["value"], self.sd.image_size)
        self._pixels = image.tobytes()
        return image

    def _receive(self, image: Image.Image, _name: str) -> None:
        self.image = image

    def current_settings(self) -> Settings:
        """The settings as they are now; the image as its bytes, for `encoded`."""
        return changed(super().current_settings(), image=self._pixels)

    def _encode(self, pixels: bytes) -> tuple[Image.Image, Tensor]:
        """The image with these bytes, and its latents (1, 4, h, w)."""
        image = Image.frombytes("RGB", (self.sd.image_size,) * 2, pixels)
        return image, self.sd.encode_image(viz.to_tensor(image))
