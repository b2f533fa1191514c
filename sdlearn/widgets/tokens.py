"""What does the model read, and where does it look? The explorer of the words of a prompt.

The prompt is cut into words and tokens; for a word one sees the nearest words in the token table,
its text states, and the heat-map of its cross-attention. Byte-pair encoding is Sennrich et al.
2016, arXiv 1508.07909.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
import traitlets
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .. import viz
from ..inside.attention import AttentionMap, record_attention, word_maps
from ..pipeline import StableDiffusion, Step
from ..viz.images import laid_over, peak_region
from . import controls, shared
from . import page as layout
from .base import LiveExplorer, PanelUpdate, Settings
from .shared import Generation, image_html
from .words import Reading, Word, WordTable, main_word, read

__all__ = ["TokenExplorer"]

HEAT = colormaps["inferno"]  # as in `viz.heatmap`
GENERATIONS_KEPT = 2  # with their maps; one of SD 1.5 at 512x512 takes 170 MB
STATES_WIDTH, IMAGE_WIDTH = 384, 256  # pixels of the screen
OWN_ROW, PADDING_ROW = 1.3, 0.2  # heights in letters
MOST_LOST = 40  # tokens that are shown of those that were cut off

BOX = "display: inline-flex; margin: 2px 3px; border-radius: 5px"
PIECE = "padding: 1px 6px; text-align: center; line-height: 1.4; white-space: pre"
DIVIDED = "; border-left: 1px dotted currentColor"
COLUMN = "margin: 4px; line-height: 1.4; width: 20em; max-width: 100%"


class TokenExplorer(LiveExplorer):
    """The words of a prompt: tokens, ids, states, nearest words, and where the U-Net looks.

    Settings: `prompt`; `word`, one of `facts["words"]`, which may be chosen by a click; `step`,
    from 1 to `num_steps`, or 0 for the mean over all steps; `seed` (from 0); without a control
    `num_steps` (1..50) and `guidance_scale` (1..20). `facts`: "words", name → `Word`; "lost", the
    tokens that were cut off; "states" (77, D); "nearest", word → cosine similarity; "image", a
    PIL image; "attention", the share of the word for each place (h, w); "title".
    """

    PANELS = ("tokens", "attention", "nearest", "states")
    QUESTION = (
        "The U-Net spreads its attention over 77 places. Which of these get the most of it, over "
        "all steps?"
    )
    CHOICES = ("the words of the prompt", "the begin mark", "the end mark and the padding")

    prompt = controls.text("prompt", shared.PROMPT)
    word = traitlets.Unicode("house").tag(control=lambda: word_buttons())
    step = controls.whole("step (0: all)", 0, live=True)
    seed = controls.seed(7)
    num_steps = controls.hidden(traitlets.Int(1, min=1, max=50))
    guidance_scale = controls.hidden(traitlets.Float(1.0, min=1.0, max=20.0))

    def prepare(self) -> None:
        self._table = WordTable(self.sd.tokenizer, token_table(self.sd))
        self._generation = lru_cache(maxsize=GENERATIONS_KEPT)(self._start)
        self._following = False
        self.controls["word"].options = list(read(self.sd.tokenizer, self.prompt).named)

    def buttons(self) -> list[widgets.Widget]:
        return [controls.another_seed(self)]

    def page(self) -> list[widgets.Widget]:
        tokens, attention, nearest, states = self.panels.values()
        return [attention, layout.wide(tokens), nearest, states]

    @traitlets.observe("num_steps")
    def _count_steps(self, change: Any) -> None:
        self.controls["step"].max = change["new"]

    @traitlets.observe("prompt", "word")
    def _follow_prompt(self, _change: Any) -> None:
        """Offer the prompt's words; the chosen one stays if it can.

        A prompt without words leaves those of the last one; `updates` says what is missing.
        """
        reading = read(self.sd.tokenizer, self.prompt)
        offered = self.controls["word"]
        if not reading.named or offered.options == tuple(reading.named):
            return
        wanted = self.word if self.word in reading.named else main_word(reading)
        self._following = True
        try:
            offered.options = list(reading.named)  # for a moment the first is chosen
            self.word = wanted
        finally:
            self._following = False

    @traitlets.validate("word")
    def _check_word(self, proposal: Any) -> str:
        word = proposal["value"].strip().lower()
        named = read(self.sd.tokenizer, self.prompt).named or self.controls["word"].options
        if word not in named:
            raise traitlets.TraitError(f"word must be one of {', '.join(named)}; got {word!r}")
        return word

    def refresh(self) -> None:
        if not self._following:  # otherwise the word changes once more, and refreshes then
            super().refresh()

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        states, _ = shared.encode(self.sd, settings.prompt)
        reading = read(self.sd.tokenizer, settings.prompt)
        if settings.word not in reading.named:  # another thread is changing prompt and word
            settings.word = main_word(reading)
        if settings.step > settings.num_steps:
            raise ValueError(f"step must lie in 0..{settings.num_steps}; got {settings.step}")
        read_word = self._read_word(settings, reading, states[0])
        yield replace(read_word, facts={})  # they follow with the image, all at once
        generation = self._generation(shared.without(settings, "word", "step"))
        try:
            yield from generation.finish(lambda step: {"attention": generation.preview_html(step)})
        except Exception:
            self._generation.cache_clear()  # it cannot be resumed
            raise
        positions = reading.places(reading.named[settings.word])
        looked = self._look(settings, positions, generation)
        yield PanelUpdate(looked.panels, read_word.status, read_word.facts | looked.facts)

    def reveal(self, settings: Settings) -> Iterator[PanelUpdate]:
        """Add up the attention that words, begin mark and the rest get."""
        yield from self.updates(settings)
        tokenizer = self.sd.tokenizer
        kept, places = read(tokenizer, settings.prompt).kept, tokenizer.model_max_length
        groups = ([*range(1, kept + 1)], [0], [*range(kept + 1, places)])
        maps = self._generation(shared.without(settings, "word", "step")).maps_of(0)
        side = self.sd.image_size // self.sd.vae_scale_factor
        shares = [float(word_maps(maps, group, size=side).mean()) for group in groups]
        named = dict(zip(self.CHOICES, shares, strict=True))
        told = ", ".join(f"{name} {100 * share:.1f} %" for name, share in named.items())
        right = max(named, key=lambda name: named[name])
        yield PanelUpdate(facts={"right": (right,), "told": f"Of all attention: {told}."})

    def figure(self) -> Figure:
        titles = [self.facts["title"]]
        return viz.heatmap(self.facts["attention"], self.facts["image"], titles, size=256)

    def _read_word(self, settings: Settings, reading: Reading, states: Tensor) -> PanelUpdate:
        """What needs no image."""
        word = reading.named[settings.word]
        near = self._table.nearest(word.ids[0]) if len(word.ids) == 1 else {}
        panels = {
            "tokens": tokens_html(reading, word, self.sd.tokenizer),
            "nearest": nearest_html(word, near, self._table.by_chance),
            "states": states_html(reading, word, states),
        }
        facts = {"words": reading.named, "lost": reading.lost, "states": states, "nearest": near}
        return PanelUpdate(panels, note_on(reading), facts)

    def _look(
        self, settings: Settings, positions: list[int], generation: RecordedGeneration
    ) -> PanelUpdate:
        """Where the U-Net looks for the tokens at these positions."""
        step, count = settings.step, len(generation.steps)
        maps, size = generation.maps_of(step), self.sd.image_size // self.sd.vae_scale_factor
        share, image = word_maps(maps, positions, size=size), generation.image_at(step)
        title = f"“{settings.word}”, " + (f"step {step} of {count}" if step else "all steps")
        behind = f"what is in mind at step {step}" if step else "the image"
        panels = {"attention": attention_html(image, share, title, behind)}
        return PanelUpdate(panels, facts={"image": image, "attention": share, "title": title})

    def _start(self, items: tuple[tuple[str, Any], ...]) -> RecordedGeneration:
        plain = shared.start_generation(self.sd, Settings(**dict(items)))
        return RecordedGeneration(**vars(plain))


@dataclass
class RecordedGeneration(Generation):
    """A generation, and the attention maps of each of its steps."""

    maps: list[list[AttentionMap]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.remaining = self._recorded(self.remaining)

    def _recorded(self, steps: Iterator[Step]) -> Iterator[Step]:
        """The same steps. Attention is recorded during each of them, never between two."""
        while True:
            with record_attention(self.sd.unet) as maps:
                step = next(steps, None)
            if step is None:
                return
            # With guidance, the last image of the batch is the one with the text.
            self.maps.append(
                [replace(one, probabilities=one.probabilities[-1:].clone()) for one in maps]
            )
            yield step

    def maps_of(self, step: int) -> list[AttentionMap]:
        """The maps of one step, counted from 1, or of all for 0."""
        return self.maps[step - 1] if step else [one for maps in self.maps for one in maps]

    def image_at(self, step: int) -> Image.Image:
        """pred_x0 of one step, counted from 1, decoded; the finished image for 0."""
        latents = self.steps[step - 1].pred_x0 if step else self.steps[-1].next_latents
        return self.cached(step, lambda: shared.first_image(self.sd, latents))


def token_table(sd: StableDiffusion) -> Tensor:
    """The text encoder's table of tokens, (V, D), one row for each id."""
    layer = sd.text_encoder.get_input_embeddings()
    rows: Tensor = layer.weight
    if not rows.is_meta:
        return rows
    with torch.no_grad():  # its weights are only there while it is called (`sdlearn.models.memory`)
        return layer(torch.arange(len(rows), device=sd.device))


def word_buttons() -> widgets.ToggleButtons:
    """A button for each word, one of which is chosen."""
    style = {**controls.LABEL, "button_width": "auto"}
    return widgets.ToggleButtons(description="word", style=style, layout={"width": "100%"})


def note_on(reading: Reading) -> str:
    """A sentence when the prompt is too long."""
    if not reading.lost:
        return ""
    return (
        f"the prompt has {reading.pieces + 2} tokens, begin and end included, and "
        f"{reading.room + 2} fit; the last {len(reading.lost)} are cut off"
    )


# Panels


def tokens_html(reading: Reading, chosen: Word, tokenizer: Any) -> str:
    """All pieces with their ids; those of one word in one box, the chosen word's box thick."""
    begin, end = (
        _box([name], [number], "dashed")
        for name, number in (("begin", tokenizer.bos_token_id), ("end", tokenizer.eos_token_id))
    )
    kept = []
    for word in reading.words:
        if count := len(reading.places(word)):  # how many of its pieces are not cut off
            kept.append(_box(word.pieces[:count], word.ids[:count], is_chosen=word == chosen))
    spare = reading.room - reading.kept
    padding = _box([f"padding, {spare} times"], [tokenizer.pad_token_id], "dashed")
    boxes = "".join([begin, *kept, end, padding if spare else ""])
    used = f"{reading.kept + 2} of {reading.room + 2} places are taken, begin and end included."
    body = f"<div>Tokens and their ids. {used}</div><div>{boxes}</div>{_lost(reading.lost)}"
    return f'<div style="margin: 4px; line-height: 1.5">{body}</div>'


def _box(
    pieces: Iterable[str], ids: Iterable[int], line: str = "solid", is_chosen: bool = False
) -> str:
    cells = [
        f'<span style="{PIECE}{DIVIDED if i else ""}">{html.escape(piece)}<br>{number}</span>'
        for i, (piece, number) in enumerate(zip(pieces, ids, strict=True))
    ]
    mark, weight, width = (' aria-current="true"', "bold", 3) if is_chosen else ("", "normal", 1)
    style = f"{BOX}; border: {width}px {line} currentColor; font-weight: {weight}"
    return f'<span{mark} style="{style}">{"".join(cells)}</span>'


def _lost(pieces: list[str]) -> str:
    if not pieces:
        return ""
    shown = html.escape(" ".join(pieces[:MOST_LOST]))
    more = f" and {len(pieces) - MOST_LOST:,} more" if len(pieces) > MOST_LOST else ""
    return f"<div>Cut off, without any say in the image: <s>{shown}</s>{more}</div>"


def nearest_html(word: Word, near: Mapping[str, float], by_chance: float) -> str:
    """The nearest words with their cosine similarities, as numbers and as bars."""
    name = html.escape(word.text)
    if not near:
        pieces = html.escape(" · ".join(word.pieces))
        said = f"“{name}” has no row of its own in the token table, so it has no neighbours there. "
        return f'<div style="{COLUMN}">{said}It is read as {pieces}.</div>'
    bar = (
        '<div style="background: currentColor; opacity: 0.5; height: 0.7em; width: {:.2f}em"></div>'
    )
    rows = [(html.escape(w), f"{c:.2f}", bar.format(6 * max(c, 0))) for w, c in near.items()]
    head = f"Nearest to “{name}” in the token table, by cosine similarity"
    foot = f"Among rows drawn by chance, the nearest would reach about {by_chance:.2f}."
    return f'<div style="{COLUMN}">{head}:{shared.table_html(rows, head)}{foot}</div>'


def states_html(reading: Reading, chosen: Word, states: Tensor) -> str:
    """The text states (77, D), one row a token; the rows of the padding are low."""
    own = reading.kept + 2
    values = states.float().cpu().numpy()
    parts = [_strip(values[:own], OWN_ROW, "the states of the prompt's tokens")]
    if own < len(values):
        parts.append(_strip(values[own:], PADDING_ROW, "the states of the padding"))
    labels = [
        f"<strong>▸ {html.escape(piece)}</strong>" if word == chosen else html.escape(piece)
        for word in reading.words
        for piece in word.pieces[: len(reading.places(word))]
    ]
    labels = ["begin", *labels, "end", *(["padding"] if own < len(values) else [])]
    lines = "".join(f'<div style="height: {OWN_ROW}em">{label}</div>' for label in labels)
    columns = f"display: grid; grid-template-columns: max-content {STATES_WIDTH}px; column-gap: 8px"
    scroll = f"max-height: 38em; overflow: auto; line-height: {OWN_ROW}em"
    limit = f"{shared.SIGNED_LIMIT:g}"
    told = (
        f"Text states, {len(values)} x {values.shape[1]}: one row a token. White is 0, orange is "
        f"below and purple above; the colours end at −{limit} and {limit}."
    )
    grid = f'<div style="{columns}"><div>{lines}</div><div>{"".join(parts)}</div></div>'
    box = f'<div role="region" aria-label="text states" tabindex="0" style="{scroll}">{grid}</div>'
    return f'<div style="margin: 4px; line-height: 1.4; max-width: 36em">{told}{box}</div>'


def _strip(values: np.ndarray, height: float, alt: str) -> str:
    """Rows of numbers as rows of colours, each `height` letters high."""
    tall = f"width: {STATES_WIDTH}px; height: {height * len(values):.2f}em"
    style = f"display: block; image-rendering: pixelated; {tall}"
    source = f"data:image/png;base64,{shared.png_of(shared.signed_image(values))}"
    return f'<img src="{source}" alt="{alt}, as colours" style="{style}">'


def attention_html(image: Image.Image, share: Tensor, title: str, behind: str) -> str:
    """The image, beside it the map laid over it, and the scale of the map's colours."""
    large = image_html(map_over_image(share, image), title, IMAGE_WIDTH)
    small = image_html(image, behind, IMAGE_WIDTH)
    shown = '<div style="display: flex; flex-wrap: wrap; align-items: flex-start">'
    shown += f'<div class="sdlearn-main">{large}</div><div class="sdlearn-side">{small}</div></div>'
    percent, peak = 100 * float(share.mean()), peak_region(share.cpu().numpy())
    told = f"The word gets {percent:.1f} % of all attention, the most in the {peak}."
    highest = f"{100 * float(share.max()):.1f} %"
    scale = shared.colour_bar_html(HEAT, "0 %", highest, "of a place's attention")
    return f'{shown}<div style="margin: 4px; line-height: 1.4">{told}</div>{scale}'


def map_over_image(share: Tensor, image: Image.Image) -> Image.Image:
    """A map (h, w) laid over the image in grey; its highest number is the lightest."""
    values = share.float().cpu().numpy()
    norm = Normalize(0, max(float(values.max()), 1e-12), clip=True)
    return Image.fromarray(laid_over(values, np.asarray(image.convert("RGB")), norm))
