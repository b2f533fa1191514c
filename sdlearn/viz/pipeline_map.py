"""The map: a whole generation as one drawing, from the words to the image, with what was in it.

`inside.trace` follows a generation and keeps what the map shows, a `Trace`; `pipeline_map` draws
it. All thumbnails, shapes and counts are those of the trace. The numbers of Stable Diffusion 1.5
beside them are published ones (`SD15`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .diagram import Diagram, Place
from .figure import Sheet

WIDTH = 840
MARKS = {"<|startoftext|>": "begin", "<|endoftext|>": "end"}
HARDWARE = {"cpu": "CPU", "cuda": "GPU", "mps": "GPU"}
WHAT_IS_EXPECTED = "below: the image that the model expects at that moment (pred_x0)"
WHAT_IS_LEFT = "green: how much of it is still image; grey: noise"
WHAT_IS_LEARNT = (
    "Shown such latents, t and the words that belong to them,",
    "the U-Net learns to say which noise was added.",
)


@dataclass(frozen=True, eq=False)
class Moment:
    """One noise level of a process, as images, uint8 (H, W, 3)."""

    t: float  # timestep, larger is noisier
    signal: float  # alpha_bar, the share of the variance that is image
    image: np.ndarray  # x_t, decoded
    expected: np.ndarray | None = None  # pred_x0, decoded: what the model takes to be below it


@dataclass(frozen=True, eq=False)
class Trace:
    """What one generation went through, as arrays on the CPU."""

    model: str
    prompt: str
    seed: int
    num_steps: int  # of the loop; calls of the U-Net for some schedulers are more
    guidance_scale: float
    scheduler: str  # "DDIM"
    seconds: float  # from the words to the image
    device: str  # "cpu"
    pieces: tuple[str, ...]  # of the prompt, as the tokenizer cuts it, with its marks
    states: np.ndarray  # text states of the prompt (77, D)
    empty_states: np.ndarray  # of the empty text (77, D)
    noise: np.ndarray  # (C, h, w)
    step: int  # the one whose latents and predictions are shown, from 1
    t: float  # its timestep
    latents: np.ndarray  # x_t (C, h, w)
    eps_cond: np.ndarray | None  # predicted with the words; None at guidance 0
    eps_uncond: np.ndarray | None  # predicted without; None at guidance 1
    result: np.ndarray  # the finished latent (C, h, w)
    image: np.ndarray  # uint8 (H, W, 3)
    forward: tuple[Moment, ...]  # the finished image under more and more noise, from t = 0
    reverse: tuple[Moment, ...]  # the generation, from the noise on; the last is the image
    parameters: Mapping[str, int]  # "text_encoder", "unet", "vae"
    bytes_per_parameter: int


@dataclass(frozen=True)
class Published:
    """What is known of a model that is not at hand."""

    name: str
    states: tuple[int, int]
    image: tuple[int, int, int]  # (H, W, 3)
    latent: tuple[int, int, int]  # (h, w, C)
    parameters: int
    memory: str
    time: str
    sources: str


# Shapes: CompVis/stable-diffusion, configs/stable-diffusion/v1-inference.yaml. Parameters:
# `inside.anatomy("sd15")`. Memory: 2 bytes for each of them. Time, and memory at work: README of
# ONNX Runtime's Stable Diffusion demo (microsoft/onnxruntime), diffusers in float16 with PyTorch
# 2.0 on an RTX 3060 with 12 GB, 512x512, 50 steps, without the safety checker.
SD15 = Published(
    name="SD 1.5",
    states=(77, 768),
    image=(512, 512, 3),
    latent=(64, 64, 4),
    parameters=1_066_235_307,
    memory="2.13 GB",
    time="5.6 s, 50 steps, RTX 3060",
    sources="SD 1.5 in half precision: 4.05 GB of a graphics card at work. Its time and memory: "
    "README of ONNX Runtime’s demo; shapes: CompVis, v1-inference.yaml.",
)


def pipeline_map(
    trace: Trace, *, here: str | None = None, short: bool = False, dark: bool = False
) -> Sheet:
    """The whole pipeline, from the words to the image, with what `trace` found in it.

    `here`, one of `AREAS`, is marked as the reader's own place. A `short` map has no title, no
    table, and not what the model expects at each step. Raises `ValueError` for another `here`.
    """
    if here is not None and here not in AREAS:
        raise ValueError(f"here must be one of {', '.join(AREAS)}; got {here!r}")
    top, bottom = extent(short)
    alt = _describe_short(trace) if short else _describe(trace)
    alt = alt if here is None else f"You are here: {AREAS[here].title}. {alt}"
    page = Diagram(WIDTH, bottom - top, alt, dark=dark)
    page.plane.set_ylim(bottom, top)
    for draw in (_draw_text, _draw_loop, _draw_image):
        draw(page, trace)
    _draw_processes(page, trace, short)
    if short:
        page.colours = SHORT_COLOURS
    else:
        _draw_title(page, trace)
        _draw_table(page, trace)
    if here is not None:
        _draw_mark(page, AREAS[here].place)
    return page


# Where everything is


TEXT_LANE, LOOP_LANE = Place(10, 36, 820, 112), Place(10, 170, 556, 170)
IMAGE_LANE, PROCESSES = Place(576, 170, 254, 170), 350
WORDS, TOKENS = Place(22, 60, 162, 78), Place(208, 60, 218, 78)
ENCODER, STATES = Place(450, 60, 104, 78), Place(578, 60, 240, 78)
NOISE, X_T = Place(20, 216, 60, 60), Place(120, 216, 60, 60)
UNET, GUIDANCE = Place(206, 204, 100, 84), Place(386, 212, 70, 68)
SCHEDULER, LOOP = Place(476, 212, 74, 68), Place(106, 192, 454, 142)
PREDICTIONS = Place(328, 200, 38, 38), Place(328, 256, 38, 38)
LATENT, VAE, IMAGE = Place(586, 216, 60, 60), Place(664, 202, 24, 88), Place(706, 200, 112, 112)
AXIS = 246  # on which the boxes of the loop and of the image stand
THUMBNAIL, SHORT_THUMBNAIL = 56, 44
PROCESS_HEIGHT, SHORT_PROCESS_HEIGHT = 186, 90
SHORT_COLOURS = 160  # it has fewer images: room for finer ones in a file of 100 kB
TABLE_TOP = 556
TABLE = {  # title of each column, and where it begins
    "": 12,
    "text states": 74,
    "image": 154,
    "latent": 254,
    "fewer numbers": 334,
    "parameters": 440,
    "weights": 546,
    "one image takes": 622,
}


class Area(NamedTuple):
    """A part of the map, for a mark or a link. Areas of a whole lane begin at its title."""

    title: str
    place: Place


AREAS = {
    "map": Area("the whole way from words to an image", Place(5, 31, 830, 416)),
    "text": Area("text, from words to states", TEXT_LANE),
    "tokens": Area("words, tokens and the text encoder", Place(10, 36, 552, 112)),
    "states": Area("the text states", Place(566, 36, 264, 112)),
    "loop": Area("the loop", LOOP_LANE),
    "start": Area("what the loop begins with", Place(14, 192, 86, 142)),
    "unet": Area("the U-Net", UNET),
    "guidance": Area("guidance", GUIDANCE),
    "vae": Area("the latent, the VAE and the image", IMAGE_LANE),
    "forward": Area("the forward process", Place(10, PROCESSES, 405, SHORT_PROCESS_HEIGHT)),
    "reverse": Area("the reverse process", Place(425, PROCESSES, 405, SHORT_PROCESS_HEIGHT)),
}


def extent(short: bool) -> tuple[float, float]:
    """Where the page begins and ends, in pixels from the top of the whole map."""
    return (18, 452) if short else (0, 640)


# The parts of the drawing


def _draw_title(page: Diagram, trace: Trace) -> None:
    page.write(12, 18, "From words to an image", bold=True, size=13, ha="left")
    how = f"{trace.model} · seed {trace.seed} · {trace.num_steps} steps · guidance"
    page.note(828, 18, f"{how} {trace.guidance_scale:g}", ha="right", size=9)


def _draw_text(page: Diagram, trace: Trace) -> None:
    """Words → tokens → text encoder → states."""
    _lane(page, TEXT_LANE, "text", "TEXT", "the prompt becomes numbers, once")
    _card(page, WORDS, "text", "words")
    page.write(WORDS.centre[0], 108, *page.wrapped(f"“{trace.prompt}”", 152, 3, 8.5), size=8.5)
    _card(page, TOKENS, "text", f"{len(trace.states)} tokens")
    _draw_tokens(page, trace.pieces, TOKENS)
    page.box(ENCODER, "text")
    count = _millions(trace.parameters["text_encoder"])
    page.write(ENCODER.centre[0], 82, "text encoder", "of CLIP", bold=True)
    page.note(ENCODER.centre[0], 116, count, "parameters")
    _card(page, STATES, "text", f"states, {_times(trace.states.shape)}")
    shown = ("your words", trace.states), ("no words: “”", trace.empty_states)
    for i, (name, states) in enumerate(shown):
        left = STATES.x + 9 + 115 * i
        page.numbers(states.T, Place(left, 83, 107, 35), limit=2)
        page.note(left + 53, 128, name)
    for one, other in ((WORDS, TOKENS), (TOKENS, ENCODER), (ENCODER, STATES)):
        page.arrow((one.right + 3, 99), (other.x - 3, 99), part="text")


def _draw_tokens(page: Diagram, pieces: Sequence[str], card: Place) -> None:
    """The pieces as small boxes in three rows, as many as there is room for."""
    x, y, size, right = card.x + 8, card.y + 23, 7.5, card.right - 6
    for i, piece in enumerate(pieces):
        text = MARKS.get(piece, piece.removesuffix("</w>"))
        width, rest = page.width_of(text, size) + 9, f"+ {len(pieces) - i}, padding …"
        if x + width > right:
            x, y = card.x + 8, y + 18
        is_last_row = y + 2 * 18 > card.bottom
        if is_last_row and x + width + page.width_of(rest, size) + 8 > right:
            page.note(x + 2, y + 7, rest, ha="left", size=size)
            break
        page.box(Place(x, y, width, 15), "plain" if piece in MARKS else "text", corner=3, lw=0.7)
        page.write(x + width / 2, y + 7.5, text, size=size)
        x += width + 3


def _draw_loop(page: Diagram, trace: Trace) -> None:
    """Noise → U-Net → two predictions → guidance → scheduler, and round again."""
    _lane(page, LOOP_LANE, "unet", "LOOP", f"{trace.num_steps} times; shown: step {trace.step}")
    page.box(LOOP, "unet", fc="none", ls=(0, (4, 3)))
    page.write(NOISE.centre[0], 203, "noise", bold=True)
    page.latents(trace.noise, NOISE)
    page.note(NOISE.centre[0], 293, _latent_shape(trace.noise), f"seed {trace.seed}")
    page.write(X_T.centre[0], 204, "latents", bold=True)
    page.latents(trace.latents, X_T)
    page.note(X_T.centre[0], 285, f"t = {trace.t:.0f}")
    _draw_unet(page, trace.parameters["unet"])
    _draw_predictions(page, trace)
    page.box(SCHEDULER, "plain", fc=page.theme.paper)
    page.write(SCHEDULER.centre[0], 238, "scheduler", trace.scheduler, bold=True)
    page.note(SCHEDULER.centre[0], 268, "one step")
    page.arrow((NOISE.right + 4, AXIS), (X_T.x - 4, AXIS))
    page.arrow((X_T.right + 4, AXIS), (UNET.x - 4, AXIS), part="unet")
    page.arrow((GUIDANCE.right + 3, AXIS), (SCHEDULER.x - 3, AXIS), part="guidance")
    back = [(SCHEDULER.centre[0], 284), (SCHEDULER.centre[0], 322), (X_T.centre[0], 322)]
    page.arrow(*back, (X_T.centre[0], 295), width=2)
    told: dict[str, Any] = {"bbox": {"fc": page.theme.faces["unet"], "ec": "none", "pad": 3}}
    page.note(260, 322, "a little less noise, and again", **told)
    page.arrow(
        *((STATES.centre[0], STATES.bottom + 3), (STATES.centre[0], 159)),
        *((UNET.centre[0], 159), (UNET.centre[0], UNET.y - 3)),
        part="text",
        width=2,
    )
    page.note(UNET.centre[0] + 10, 181, "read at every step", ha="left")


def _draw_unet(page: Diagram, parameters: int) -> None:
    """The U-Net as bars that get shorter and longer again, with its skip connections."""
    page.box(UNET, "unet", fc=page.theme.paper, lw=1.6)
    page.write(UNET.centre[0], UNET.y + 12, "U-Net", bold=True)
    colour, floor = page.theme.edges["unet"], UNET.y + 60
    for i, height in enumerate((32, 22, 12, 22, 32)):
        left = UNET.x + 14 + 16 * i
        page.box(Place(left, floor - height, 8, height), "unet", fc=colour, lw=0, corner=2)
        if i < 2:
            other, y = UNET.right - 14 - 16 * i - 8, floor - height + 5
            page.arrow((left + 9, y), (other - 1, y), part="unet", width=0.8)
    page.note(UNET.centre[0], UNET.bottom - 11, _millions(parameters))


def _draw_predictions(page: Diagram, trace: Trace) -> None:
    """The noise that the U-Net predicts, with the words and without, and what guidance does."""
    named = ("with words", trace.eps_cond), ("without", trace.eps_uncond)
    for place, (name, eps) in zip(PREDICTIONS, named, strict=True):
        if eps is None:  # it has no influence at this guidance scale
            continue
        y = place.centre[1]
        page.latents(eps, place, gap=1.5)
        page.note(place.centre[0], place.bottom + 8, name, size=8)
        page.arrow((UNET.right + 4, y), (place.x - 4, y), part="unet")
        inner = AXIS + (y - AXIS) * 0.35
        page.arrow((place.right + 4, y), (GUIDANCE.x - 3, inner), part="unet")
    scale = f"{trace.guidance_scale:g}"
    page.box(GUIDANCE, "guidance")
    page.write(GUIDANCE.centre[0], 231, "guidance", bold=True)
    page.write(GUIDANCE.centre[0], 257, scale, size=15, colour=page.theme.edges["guidance"])
    what = ("without +", f"{scale} × difference")
    if trace.eps_cond is None or trace.eps_uncond is None:
        what = ("only", "without words" if trace.eps_cond is None else "with words")
    page.note(GUIDANCE.centre[0], 297, *what, size=8)


def _draw_image(page: Diagram, trace: Trace) -> None:
    """The finished latent → VAE → image."""
    _lane(page, IMAGE_LANE, "vae", "IMAGE", "once, at the end")
    page.write(LATENT.centre[0], 204, "latent", bold=True)
    page.latents(trace.result, LATENT)
    page.note(LATENT.centre[0], 286, _latent_shape(trace.result))
    narrow, wide = (VAE.y + 22, VAE.bottom - 22), (VAE.bottom, VAE.y)
    corners = [*((VAE.x, y) for y in narrow), *((VAE.right, y) for y in wide)]
    page.shape(corners, "vae", fc=page.theme.paper, lw=1.6)
    page.write(*VAE.centre, "VAE", bold=True, rotation=90)
    page.image(trace.image, IMAGE)
    page.note(IMAGE.centre[0], 325, _times(trace.image.shape))
    smaller = f"{_fold(trace.image, trace.result)} times smaller"
    page.write(LATENT.x, 325, smaller, size=8.5, ha="left", colour=page.theme.edges["vae"])
    page.arrow((SCHEDULER.right + 4, AXIS), (LATENT.x - 4, AXIS), width=2)
    page.arrow((LATENT.right + 3, AXIS), (VAE.x - 2, AXIS), part="vae")
    page.arrow((VAE.right + 2, AXIS), (IMAGE.x - 3, AXIS), part="vae")


def _draw_processes(page: Diagram, trace: Trace, short: bool) -> None:
    """Noise that is added in training, and noise that is taken away in a generation."""
    height = SHORT_PROCESS_HEIGHT if short else PROCESS_HEIGHT
    forward, reverse = (AREAS[n].place._replace(height=height) for n in ("forward", "reverse"))
    _lane(page, forward, "plain", "FORWARD", "training adds noise to images, here to this one")
    _lane(page, reverse, "unet", "REVERSE", "the loop takes it away, led by the words")
    for lane, moments in ((forward, trace.forward), (reverse, trace.reverse)):
        _draw_moments(page, [*moments[:-1:2], moments[-1]] if short else moments, lane, short)
    if short:
        return
    places = _thumbnails(forward, len(trace.forward), THUMBNAIL)
    for place, moment in zip(places, trace.forward, strict=True):
        _draw_shares(page, moment.signal, place._replace(y=place.bottom + 21, height=9))
    places = _thumbnails(reverse, len(trace.reverse), THUMBNAIL)
    for place, moment in zip(places, trace.reverse, strict=True):
        if moment.expected is not None:
            page.image(moment.expected, place._replace(y=place.bottom + 21))
    page.note(reverse.x + 12, reverse.bottom - 9, WHAT_IS_EXPECTED, ha="left", size=8)
    page.note(forward.x + 12, forward.y + 122, WHAT_IS_LEFT, ha="left", size=8)
    page.note(forward.x + 12, forward.y + 155, *WHAT_IS_LEARNT, ha="left")


def _draw_moments(page: Diagram, moments: Sequence[Moment], lane: Place, short: bool) -> None:
    """The images of a process in one row, with arrows from each to the next."""
    size = SHORT_THUMBNAIL if short else THUMBNAIL
    before: Place | None = None
    for place, moment in zip(_thumbnails(lane, len(moments), size), moments, strict=True):
        page.image(moment.image, place)
        page.note(place.centre[0], place.bottom + 10, f"t = {moment.t:.0f}", size=8)
        if before is not None:
            ends = (before.right + 1.5, place.centre[1]), (place.x - 1.5, place.centre[1])
            page.arrow(*ends, width=1.6 if short else 1)
        before = place


def _thumbnails(lane: Place, count: int, size: float) -> list[Place]:
    """Places for `count` images, spread over a lane."""
    pitch = (lane.width - 24 - size) / max(1, count - 1)
    return [Place(lane.x + 12 + pitch * i, lane.y + 25, size, size) for i in range(count)]


def _draw_shares(page: Diagram, signal: float, place: Place) -> None:
    """A bar of noise, a share of which is still image."""
    page.box(place, "plain", fc=page.theme.edges["plain"], ec="none", corner=1)
    part = place._replace(width=max(1, signal * place.width))
    page.box(part, "vae", fc=page.theme.edges["vae"], ec="none", corner=1)


def _draw_table(page: Diagram, trace: Trace) -> None:
    """The model at hand beside Stable Diffusion 1.5."""
    own = _facts(trace)
    rows = [tuple(TABLE), own]
    if sum(trace.parameters.values()) != SD15.parameters:
        rows.append(_published_facts(SD15))
    for i, row in enumerate(rows):
        y = TABLE_TOP + 20 * i
        page.plane.plot([12, 828], [y + 10, y + 10], color=page.theme.faces["plain"], lw=1.2)
        for x, cell in zip(TABLE.values(), row, strict=True):
            if i == 0:
                page.note(x, y, cell, ha="left")
            else:
                page.write(x, y, cell, ha="left", bold=i == 1)
    page.note(12, TABLE_TOP + 20 * len(rows) + 4, SD15.sources, ha="left", size=7.5)


def _facts(trace: Trace) -> tuple[str, ...]:
    """The row of the table for the model at hand."""
    parameters = sum(trace.parameters.values())
    megabytes = parameters * trace.bytes_per_parameter / 1e6
    return (
        _short_name(trace.model),
        _times(trace.states.shape),
        _times(trace.image.shape),
        _latent_shape(trace.result),
        f"{_fold(trace.image, trace.result)} times",
        _millions(parameters),
        f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.2f} GB",
        f"{trace.seconds:.1f} s, {trace.num_steps} steps, this {HARDWARE[trace.device]}",
    )


def _published_facts(model: Published) -> tuple[str, ...]:
    return (
        model.name,
        _times(model.states),
        _times(model.image),
        _times(model.latent),
        f"{prod(model.image) // prod(model.latent)} times",
        _millions(model.parameters),
        model.memory,
        model.time,
    )


def _draw_mark(page: Diagram, area: Place) -> None:
    """A thick frame around an area, and "you are here" on its upper edge."""
    mark = page.theme.mark
    page.box(area.grown(2), fc="none", ec=mark, lw=2.6, zorder=9)
    x, y = area.centre[0], area.bottom + 2 if area == UNET else area.y - 2
    if area.width > 200:
        x = area.right - 64
    page.box(Place(x - 50, y - 9, 100, 18), fc=mark, ec="none", corner=9, zorder=10)
    page.write(x, y, "you are here", bold=True, colour=page.theme.paper, zorder=11)


# What several parts share


def _lane(page: Diagram, place: Place, part: str, title: str, text: str) -> None:
    """A coloured area behind several boxes, with its name."""
    page.box(place, part, ec="none", corner=10)
    at = place.x + 12, place.y + 12
    page.write(*at, title, bold=True, size=8.5, colour=page.theme.edges[part], ha="left")
    page.note(at[0] + page.width_of(title, 8.5, bold=True) + 7, at[1], text, ha="left")


def _card(page: Diagram, place: Place, part: str, title: str) -> None:
    """A box with a title in it."""
    page.box(place, part, fc=page.theme.paper)
    page.write(place.centre[0], place.y + 12, title, bold=True)


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _latent_shape(latent: np.ndarray) -> str:
    """(C, h, w) as people write it, "16×16×4"."""
    return _times((*latent.shape[1:], latent.shape[0]))


def _fold(image: np.ndarray, latent: np.ndarray) -> str:
    """How many times as many numbers the image has."""
    return f"{image.size / latent.size:g}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.{0 if count > 1e8 else 1}f} million"


def _short_name(model: str) -> str:
    """The last part of a path or of a hub id."""
    return model.replace("\\", "/").rstrip("/").rpartition("/")[2]


# For those who cannot see it


def _describe(trace: Trace) -> str:
    """Alternative text: the parts in their order, with the numbers on them."""
    counts = {name: _millions(count) for name, count in trace.parameters.items()}
    times = [", ".join(f"{m.t:.0f}" for m in way) for way in (trace.forward, trace.reverse)]
    fold = _fold(trace.image, trace.result)
    rows = [_facts(trace)[1:], _published_facts(SD15)[1:]]
    beside = "; ".join(
        f"{title} {own} and {theirs}"
        for title, own, theirs in zip(list(TABLE)[1:], *rows, strict=True)
    )
    return (
        f"How {_short_name(trace.model)} makes an image of “{trace.prompt}” from seed "
        f"{trace.seed}. Text, once: words become {len(trace.states)} tokens; CLIP's text encoder "
        f"({counts['text_encoder']} parameters) makes a state of each, "
        f"{_times(trace.states.shape)} numbers, and as many of the empty text. "
        f"Loop, {trace.num_steps} times: latents of {_latent_shape(trace.noise)} numbers, at first "
        f"noise, enter the U-Net ({counts['unet']} parameters), which reads the states and "
        "predicts the noise with the words and without; guidance takes the prediction without "
        f"and adds {trace.guidance_scale:g} times the difference; the scheduler, "
        f"{trace.scheduler}, takes one step to a little less noise, and the loop begins again. "
        "Image, once: the VAE makes of "
        f"the finished latent an image of {_times(trace.image.shape)} numbers, {fold} times as "
        "many. Below, two rows of images. Forward: training adds noise to an image, here at t = "
        f"{times[0]}. Reverse: the loop takes it away, led by the words, at t = {times[1]}, above "
        f"the image that the model expects each time. At the foot, this model and {SD15.name}: "
        f"{beside}."
    )


def _describe_short(trace: Trace) -> str:
    """Alternative text: the order of the parts."""
    return (
        "A map of the pipeline. Words, tokens, text encoder and states; then the loop of latents, "
        "U-Net, guidance and scheduler; then the finished latent, the VAE and the image. Below, "
        "the forward process from an image to noise, and the reverse process from noise to an "
        f"image. The images are those of “{trace.prompt}”."
    )
