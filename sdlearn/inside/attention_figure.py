"""One cross-attention layer as one drawing, with the numbers of a real call.

Every place of the image has a query, every token a key and a value. Query and keys give the share
of attention that the place pays to each token; the mean of the values in these shares is what the
place takes from the text (Vaswani et al. 2017, arXiv 1706.03762, section 3.2; in diffusion Rombach
et al. 2022, arXiv 2112.10752, section 3.3). The layer has several heads; the shares are their mean.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..diffusion.equations import pred_x0
from ..diffusion.schedulers import alpha_bar_at
from ..models.tokenizing import token_ids
from ..pipeline import StableDiffusion
from ..util.images import to_arrays
from .attention import CROSS_ATTENTION, record_attention, token_positions
from .own_calls import own_calls

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..viz.diagram import Diagram, Place

WIDTH, HEIGHT = 840, 460
PADDING_SHARE = 0.24  # of the matrix's width, for the tokens that stand after the prompt
MARKS = {"<|startoftext|>": "begin", "<|endoftext|>": "end"}


@dataclass(frozen=True, eq=False)
class _Layer:
    """One call of a cross-attention layer, for one image. Letters: N places, L tokens, D width."""

    name: str
    size: tuple[int, int]  # h and w of the places
    heads: int
    queries: np.ndarray  # (N, D)
    keys: np.ndarray  # (L, D)
    values: np.ndarray  # (L, D)
    shares: np.ndarray  # (N, L), of attention; each row sums to 1
    taken: np.ndarray  # (N, D): shares · values, head by head


@dataclass(frozen=True, eq=False)
class _Words:
    """The tokens of a prompt, and the word that is looked for."""

    pieces: list[str]
    word: str
    positions: list[int]


def attention_figure(
    sd: StableDiffusion,
    latents: Tensor,
    t: float,
    prompt: str,
    word: str,
    *,
    layer: str | None = None,
    dark: bool = False,
) -> Figure:
    """What a cross-attention layer computes when the U-Net looks at `latents` (1, C, h, w) at t.

        attention_figure(sd, x_t, 500, "a red house on green grass", "house")

    Marked are the shares of one place, the one that pays most attention to `word`, and those of
    one word, at all places. `layer` is a name as in `AttentionMap`, by default the last of those
    with most places. Raises `ValueError` when the prompt does not hold the word or the U-Net has
    no such layer.
    """
    from ..viz.diagram import Diagram

    ids = token_ids(sd.tokenizer, prompt)[: sd.tokenizer.model_max_length]
    pieces = [MARKS.get(p, p.removesuffix("</w>")) for p in sd.tokenizer.convert_ids_to_tokens(ids)]
    words = _Words(pieces, word, token_positions(sd.tokenizer, prompt, word))
    found, image = _look(sd, latents, t, sd.encode_text(prompt), layer)
    place = int(found.shares[:, words.positions].sum(axis=1).argmax())
    page = Diagram(WIDTH, HEIGHT, _describe(found, words, place), dark=dark)
    _draw_titles(page, found)
    _draw_image(page, found, image, place)
    _draw_products(page, found, words, place)
    _draw_shares(page, found, words, place)
    _draw_word(page, found, words)
    return page


def _look(
    sd: StableDiffusion, latents: Tensor, t: float, cond: Tensor, layer: str | None
) -> tuple[_Layer, np.ndarray]:
    """A layer in one call of the U-Net, and the image that the call leads to, uint8 (H, W, 3)."""
    given: dict[str, tuple[Tensor, Tensor]] = {}
    layers = {n: m for n, m in sd.unet.named_modules() if n.rpartition(".")[2] == CROSS_ATTENTION}
    with own_calls() as is_own_call, ExitStack() as hooks:
        for name, module in layers.items():

            def keep(_: Any, args: tuple, kwargs: dict[str, Any], name: str = name) -> None:
                if is_own_call():
                    given[name] = args[0], kwargs["encoder_hidden_states"]

            hooks.callback(module.register_forward_pre_hook(keep, with_kwargs=True).remove)
        with record_attention(sd.unet, heads=True) as maps:
            eps = sd.predict_noise(latents, t, cond)
    by_name = {one.layer: one.probabilities[0] for one in maps}  # (heads, h, w, L) each
    if layer is None:
        layer = max(reversed(by_name), key=lambda name: by_name[name].shape[1:3].numel())
    if layer not in by_name:
        raise ValueError(f"layer must be one of {', '.join(by_name)}; got {layer!r}")
    x0 = pred_x0(latents, eps, alpha_bar_at(sd.scheduler, t))
    [image] = to_arrays(sd.decode(x0).float())
    return _layer(layer, layers[layer], by_name[layer], *given[layer]), image


@torch.no_grad()
def _layer(name: str, module: Any, probabilities: Tensor, places: Tensor, states: Tensor) -> _Layer:
    """The matrices of a layer that was given `places` (1, N, D) and `states` (1, L, D')."""
    queries, keys, values = module.to_q(places), module.to_k(states), module.to_v(states)
    by_head = values[0].float().cpu().unflatten(1, (len(probabilities), -1))  # (L, heads, d)
    shares = probabilities.flatten(1, 2)  # (heads, N, L)
    taken = torch.einsum("hnl,lhd->nhd", shares, by_head).flatten(1)
    q, k, v = (one.float().cpu().numpy() for one in (queries[0], keys[0], values[0]))
    size = (probabilities.shape[1], probabilities.shape[2])
    heads, mean = len(probabilities), shares.mean(dim=0).numpy()
    return _Layer(name, size, heads, q, k, v, mean, taken.numpy())


# The drawing: queries stand left of the shares and keys above them, as in a product of matrices


X, Y, MATRIX_WIDTH, MATRIX_HEIGHT = 236, 176, 404, 160  # of the shares
QUERIES_X, TAKEN_X, STRIP = 164, 664, 54
IMAGE = (18, 196, 120)  # x, y and side
FLOOR, TALLEST = HEIGHT - 30, 52  # of the bars


def _draw_titles(page: Diagram, found: _Layer) -> None:
    page.write(
        14,
        20,
        "Cross-attention: every place of the image asks every token",
        bold=True,
        size=11,
        ha="left",
    )
    how = "queries and keys give the shares, shares and values what is taken"
    page.note(14, 40, how, ha="left")
    page.note(14, HEIGHT - 12, f"{found.name}, mean of {found.heads} heads", ha="left", size=7.5)


def _draw_image(page: Diagram, found: _Layer, image: np.ndarray, place: int) -> None:
    """The places as a grid over the image that the model expects, one of them marked."""
    from ..viz.diagram import Place

    x, y, side = IMAGE
    page.image(image, Place(x, y, side, side))
    h, w = found.size
    if max(h, w) <= 16:  # a finer grid would hide the image
        for i in range(1, w):
            page.plane.plot(
                [x + side * i / w] * 2, [y, y + side], color="white", lw=0.5, alpha=0.7, zorder=5
            )
        for i in range(1, h):
            page.plane.plot(
                [x, x + side], [y + side * i / h] * 2, color="white", lw=0.5, alpha=0.7, zorder=5
            )
    row, column = divmod(place, w)
    cell = Place(x + side * column / w, y + side * row / h, side / w, side / h)
    for colour, width in (("white", 4.5), (page.theme.mark, 2.2)):  # seen on any image
        page.box(cell.grown(1.5), fc="none", ec=colour, lw=width, corner=1, zorder=6)
    page.write(x + side / 2, y - 13, f"{h}×{w} = {h * w} places", bold=True)
    page.note(x + side / 2, y + side + 11, "one of them is marked")
    page.arrow((x + side + 4, y + side / 2), (QUERIES_X - 4, y + side / 2), part="unet")


def _draw_products(page: Diagram, found: _Layer, words: _Words, place: int) -> None:
    """Queries, keys, the shares that they give, values, and what the places take of them."""
    from matplotlib.colors import PowerNorm

    from ..viz.diagram import Place
    from ..viz.images import COLOURS

    tall = Place(QUERIES_X, Y, STRIP, MATRIX_HEIGHT)
    _draw_numbers(page, found.queries, tall, "unet")
    page.write(tall.centre[0], Y - 26, "queries", bold=True)
    page.note(tall.centre[0], Y - 12, _times(found.queries))
    out = tall._replace(x=TAKEN_X)
    _draw_numbers(page, found.taken, out, "unet")
    page.write(out.centre[0], out.bottom + 13, "taken", bold=True)
    page.note(out.centre[0], out.bottom + 35, "from the text", _times(found.taken))
    values = Place(TAKEN_X, 78, STRIP, 62)
    _draw_numbers(page, found.values, values, "text")
    page.write(values.centre[0], 52, "values", bold=True)
    page.note(values.centre[0], 66, _times(found.values))
    page.arrow((values.centre[0], 144), (values.centre[0], Y - 4), part="text")
    norm = PowerNorm(0.5, vmin=0, vmax=float(found.shares.max()))
    for columns, x, width in _blocks(words, found.shares.shape[1]):
        keys = Place(x, 100, width, 40)
        _draw_numbers(page, found.keys[columns].T, keys, "text")
        matrix = Place(x, Y, width, MATRIX_HEIGHT)
        page.image(found.shares[:, columns], matrix, cmap=COLOURS, norm=norm)
    told = f"shares of attention, {_times(found.shares)}, by their square roots"
    page.note(X + MATRIX_WIDTH / 2, Y + MATRIX_HEIGHT + 13, told)
    page.write(X - 8, 113, "keys", bold=True, ha="right")
    page.note(X - 8, 127, _times(found.keys), ha="right")
    page.arrow((X + MATRIX_WIDTH + 4, Y + 80), (TAKEN_X - 4, Y + 80), part="unet")
    page.arrow((QUERIES_X + STRIP + 3, Y + 80), (X - 3, Y + 80), part="unet")
    pitch = MATRIX_HEIGHT / len(found.shares)
    top = Y + pitch * place - max(0, 3 - pitch) / 2
    for x, width in ((QUERIES_X, STRIP), (X, MATRIX_WIDTH), (TAKEN_X, STRIP)):
        row = Place(x, top, width, max(3, pitch)).grown(1.5)
        page.box(row, fc="none", ec=page.theme.mark, lw=1.8, corner=1, zorder=7)


def _draw_shares(page: Diagram, found: _Layer, words: _Words, place: int) -> None:
    """The tokens above their columns, and below them the shares of the marked place as bars."""
    shares, count = found.shares[place], len(words.pieces)
    [(_, left, width), *padding] = _blocks(words, len(shares))
    pitch, rest = width / count, float(shares[count:].sum())
    highest = max(float(shares[:count].max()), rest)
    for at, piece in enumerate(words.pieces):
        x = left + pitch * (at + 0.5)
        upright: dict[str, Any] = {"rotation": 90, "va": "bottom", "bold": at in words.positions}
        page.write(x, 95, piece, size=8.5, **upright)
        _draw_bar(page, x, 0.8 * pitch, shares[at], highest)
    for _, left, width in padding:
        x = left + width / 2
        page.note(x, 77, f"{len(shares) - count} of", "padding")
        _draw_bar(page, x, 0.8 * pitch, rest, highest)
        page.note(x, FLOOR + 11, "together", size=8)
    page.plane.plot([X, X + MATRIX_WIDTH], [FLOOR, FLOOR], color=page.theme.faint, lw=0.8)
    page.write(X - 8, FLOOR - 42, "the marked place", bold=True, ha="right")
    page.note(X - 8, FLOOR - 19, "its shares add up to 1;", "here in per cent", ha="right")


def _draw_bar(page: Diagram, x: float, width: float, share: float, highest: float) -> None:
    """A share as a bar around x, with its per cent where there are some."""
    from ..viz.diagram import Place

    height = TALLEST * share / highest
    bar = Place(x - width / 2, FLOOR - height, width, height)
    page.box(bar, fc=page.theme.mark, ec="none", corner=0)
    if share >= 0.02:
        page.note(x, bar.y - 7, f"{100 * share:.0f}", size=7.5)


def _draw_word(page: Diagram, found: _Layer, words: _Words) -> None:
    """The columns of the word in a frame, and as a map of the image."""
    from ..viz.diagram import Place
    from ..viz.images import COLOURS

    [(columns, left, width), *_] = _blocks(words, found.shares.shape[1])
    pitch = width / (columns.stop - columns.start)
    colour = page.theme.edges["guidance"]
    for at in words.positions:
        column = Place(left + pitch * at, Y, pitch, MATRIX_HEIGHT).grown(1.5)
        page.box(column, fc="none", ec=colour, lw=1.8, corner=1, zorder=6)
    shares = found.shares[:, words.positions].sum(axis=1).reshape(found.size)
    place = Place(740, 206, 90, 90 * found.size[0] / found.size[1])
    page.image(shares, place, cmap=COLOURS, vmin=0)
    page.box(place.grown(2), fc="none", ec=colour, lw=1.8, corner=1, zorder=7)
    page.write(place.centre[0], place.y - 13, f"“{words.word}”", bold=True)
    page.note(place.centre[0], place.bottom + 22, "its column", "as a map")


def _blocks(words: _Words, length: int) -> list[tuple[slice, float, float]]:
    """Columns of the shares with where they begin and how wide they are: tokens, then padding."""
    count = len(words.pieces)
    if count == length:
        return [(slice(0, length), X, MATRIX_WIDTH)]
    padding = PADDING_SHARE * MATRIX_WIDTH
    wide = MATRIX_WIDTH - padding - 4
    return [(slice(0, count), X, wide), (slice(count, length), X + wide + 4, padding)]


def _draw_numbers(page: Diagram, values: np.ndarray, place: Place, part: str) -> None:
    """A matrix as colours, in a frame of a part's colour."""
    page.numbers(values, place, limit=max(2 * float(values.std()), 1e-6))
    page.box(place, part, fc="none", corner=1, zorder=5)


def _times(matrix: np.ndarray) -> str:
    return "×".join(map(str, matrix.shape))


def _describe(found: _Layer, words: _Words, place: int) -> str:
    """Alternative text: the shapes, and where the marked place looks."""
    row, column = divmod(place, found.size[1])
    shares = found.shares[place]
    listed = [f"{p} {100 * s:.0f} %" for p, s in zip(words.pieces, shares, strict=False)]
    padding = 100 * shares[len(words.pieces) :].sum()
    h, w = found.size
    return (
        f"Cross-attention in {found.name}, {found.heads} heads. {h}×{w} places of the image give "
        f"queries, {_times(found.queries)}; the text states give keys, {_times(found.keys)}, and "
        f"values, {_times(found.values)}. Queries and keys make the shares of attention, "
        f"{_times(found.shares)}, each row adding up to 1; shares and values make what each place "
        f"takes from the text, {_times(found.taken)}. The place in row {row + 1}, column "
        f"{column + 1} is marked; its shares: {', '.join(listed)}; padding together "
        f"{padding:.0f} %. The column of “{words.word}” is also shown as a map of the image."
    )
