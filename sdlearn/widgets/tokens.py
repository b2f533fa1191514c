"""What does the model read, and where does it look? The explorer of the words of a prompt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import ipywidgets as widgets
import torch
import traitlets
from PIL import Image
from torch import Tensor

from .. import viz
from ..inside.attention import AttentionMap, record_attention, word_maps
from ..pipeline import StableDiffusion, Step
from . import controls
from .drawing import Model, encode, picture_of, previews, the_model
from .live import LiveExplorer, PanelUpdate, Settings
from .token_panels import attention_html, nearest_html, states_html, tokens_html
from .words import Reading, WordTable, main_word, read

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TokenExplorer"]

PROMPT = "a large red house on the left, on green grass, at sunset, under a rainbow"
Shown: TypeAlias = "tuple[dict[str, str], dict[str, Any]]"  # panels, and what they tell code

NUM_STEPS, GUIDANCE_SCALE = 20, 3.0
GENERATIONS_KEPT = 2  # with their maps; one of SD 1.5 at 512x512 takes 170 MB


@dataclass
class Generation:
    """A picture on its way: each step, and where it looked."""

    sd: StableDiffusion
    steps: list[Step] = field(default_factory=list)
    maps: list[list[AttentionMap]] = field(default_factory=list)
    pictures: dict[int, Image.Image] = field(default_factory=dict)  # as far as they were asked for

    def looked(self, step: int) -> list[AttentionMap]:
        """The maps of one step, counted from 1, or of all for 0."""
        return self.maps[step - 1] if step else [one for maps in self.maps for one in maps]

    def picture(self, step: int) -> Image.Image:
        """What is in mind at a step, or what came of it all for 0."""
        if step not in self.pictures:
            latents = self.steps[step - 1].pred_x0 if step else self.steps[-1].next_latents
            self.pictures[step] = picture_of(self.sd, latents)
        return self.pictures[step]


class TokenExplorer(LiveExplorer):
    """The words of a prompt: pieces, ids, states, nearest words, and where the U-Net looks.

    `word` is one of `facts["words"]` and may be chosen by a click; `step` 0 is the mean over all
    steps. `facts`: "words", name → `Word`; "lost", the pieces that were cut off; "states"
    (77, D); "nearest", word → cosine similarity; "picture", a PIL image; "attention", the share
    of the word for each place (h, w); "title".
    """

    PANELS = ("tokens", "attention", "nearest", "states")

    prompt = traitlets.Unicode(PROMPT)
    word = traitlets.Unicode("house")
    step = traitlets.Int(0, min=0, max=NUM_STEPS)
    seed = traitlets.Int(7, min=0, max=controls.HIGHEST_SEED)

    def __init__(self, model: Model = "tiny", **settings: Any) -> None:
        self.sd = the_model(model)
        self._table = WordTable(self.sd.tokenizer, table_of(self.sd))
        self._generations: OrderedDict[tuple[str, int], Generation] = OrderedDict()
        self._following = False
        self._words = word_buttons(list(read(self.sd.tokenizer, self.prompt).named))
        seed = controls.seed_box()
        rows = {
            "prompt": controls.prompt_box(),
            "word": self._words,
            "step": controls.whole_slider("step (0: all)", 0, NUM_STEPS, live=True),
            "seed": seed,
        }
        prompt_first = dict(sorted(settings.items(), key=lambda item: item[0] != "prompt"))
        super().__init__(rows, [controls.dice(seed)], prompt_first)
        self.panels["tokens"].layout.width = "100%"
        self.begin()

    @traitlets.observe("prompt", "word")
    def _follow_prompt(self, _change: Any) -> None:
        """Offer the prompt's words; the chosen one stays if it can.

        A prompt without words leaves those of the last one; `draw` tells what is missing.
        """
        reading = read(self.sd.tokenizer, self.prompt)
        if not reading.named or self._words.options == tuple(reading.named):
            return
        wanted = self.word if self.word in reading.named else main_word(reading)
        self._following = True
        try:
            self._words.options = list(reading.named)  # for a moment the first is chosen
            self.word = wanted
        finally:
            self._following = False

    @traitlets.validate("word")
    def _check_word(self, proposal: Any) -> str:
        word = proposal["value"].strip().lower()
        named = read(self.sd.tokenizer, self.prompt).named or self._words.options
        if word not in named:
            raise traitlets.TraitError(f"word must be one of {', '.join(named)}; got {word!r}")
        return word

    def refresh(self) -> None:
        if not self._following:  # else the new prompt is not all settled, and will call again
            super().refresh()

    def draw(self, at: Settings) -> Iterator[PanelUpdate]:
        states, _ = encode(self.sd, at.prompt)
        reading = read(self.sd.tokenizer, at.prompt)
        note = note_on(reading)
        panels, facts = self._read(at, reading, states)
        yield PanelUpdate(panels, note)  # facts come with the picture, all of one view
        made = self._generations.get((at.prompt, at.seed))
        if made is None:
            made = Generation(self.sd)
            steps = self._recorded(self._steps(at, states), made.maps)
            yield from previews(self.sd, steps, made.steps, NUM_STEPS, "attention")
            self._keep(at, made)
        panels, also = self._looked(at, reading, made)
        yield PanelUpdate(panels, note, facts | also)

    def still(self) -> Figure:
        shown = [self.facts["title"]]
        return viz.heatmap(self.facts["attention"], self.facts["picture"], shown, size=256)

    def _read(self, at: Settings, reading: Reading, states: Tensor) -> Shown:
        """What needs no picture."""
        word, tokenizer = reading.named[at.word], self.sd.tokenizer
        near = self._table.nearest(word.ids[0]) if len(word.ids) == 1 else {}
        panels = {
            "tokens": tokens_html(reading, word, tokenizer),
            "nearest": nearest_html(word, near, self._table.by_chance),
            "states": states_html(reading, word, states[0]),
        }
        facts = {"words": reading.named, "lost": reading.lost, "states": states[0]}
        return panels, facts | {"nearest": near}

    def _looked(self, at: Settings, reading: Reading, made: Generation) -> Shown:
        places = reading.places(reading.named[at.word])
        share = word_maps(made.looked(at.step), places, size=self.sd.unet.config.sample_size)
        picture, count = made.picture(at.step), len(made.steps)
        title = f"“{at.word}”, " + (f"step {at.step} of {count}" if at.step else "all steps")
        behind = f"what is in mind at step {at.step}" if at.step else "the picture"
        panel = attention_html(picture, share, title, behind)
        return {"attention": panel}, {"picture": picture, "attention": share, "title": title}

    def _steps(self, at: Settings, states: Tensor) -> Iterator[Step]:
        return self.sd.denoise(
            self.sd.init_latents([at.seed]),
            states,
            self.sd.encode_text(""),
            num_steps=NUM_STEPS,
            guidance_scale=GUIDANCE_SCALE,
            seeds=[at.seed],
        )

    def _recorded(self, steps: Iterator[Step], kept: list[list[AttentionMap]]) -> Iterator[Step]:
        """The same steps; `kept` gets the maps of each. Between two steps nothing is patched."""
        while True:
            with record_attention(self.sd.unet) as maps:
                step = next(steps, None)
            if step is None:
                return
            kept.append([with_text(one) for one in maps])
            yield step

    def _keep(self, at: Settings, made: Generation) -> None:
        self._generations[at.prompt, at.seed] = made
        while len(self._generations) > GENERATIONS_KEPT:
            self._generations.popitem(last=False)


def table_of(sd: StableDiffusion) -> Tensor:
    """The text encoder's table of tokens, (V, D), one row for each id."""
    layer = sd.text_encoder.get_input_embeddings()
    rows: Tensor = layer.weight
    if not rows.is_meta:
        return rows
    with torch.no_grad():  # its weights are only there while it is called (`sdlearn.models.memory`)
        return layer(torch.arange(len(rows), device=sd.device))


def word_buttons(names: Sequence[str]) -> widgets.ToggleButtons:
    """A button for each word, one of which is chosen."""
    return widgets.ToggleButtons(
        options=names,
        description="word",
        style={**controls.LABEL, "button_width": "auto"},
        layout=widgets.Layout(width="100%"),
    )


def with_text(one: AttentionMap) -> AttentionMap:
    """Of a map that was recorded with guidance, the half that had the text."""
    return replace(one, probabilities=one.probabilities[-1:].clone())


def note_on(reading: Reading) -> str:
    """A sentence when the prompt is too long."""
    if not reading.lost:
        return ""
    return (
        f"the prompt has {reading.pieces + 2} tokens, begin and end included, and "
        f"{reading.room + 2} fit; the last {len(reading.lost)} are cut off"
    )
