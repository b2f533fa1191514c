"""Which places of the image attend to which word: cross-attention, recorded while the U-Net runs.

In a cross-attention layer every place of the image computes a weighted mean of values of the 77
text states; the weights are probabilities and sum to 1 for each place. `record_attention` keeps
them, and `word_maps` averages those of one word (the heat-maps of DAAM, Tang et al. 2022,
arXiv 2210.04885; Prompt-to-Prompt, Hertz et al. 2022, arXiv 2208.01626, edits them).

PyTorch's hooks on the layers do the recording. The layers compute their output as always, so a
recorded run gives the same bits as any other; the probabilities are computed a second time beside
it, since fast attention never holds them. Left out: self-attention, between places.
Letters: B batch, h w places, L tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.compiling import as_written
from ..models.tokenizing import token_ids
from ..util.checks import check_count, check_whole
from .own_calls import own_calls

CROSS_ATTENTION = "attn2"  # how diffusers names these layers


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """What one cross-attention layer looked at in one call of the U-Net."""

    call: int  # 0 for the first call of the U-Net within the context
    layer: str  # "up_blocks.0.attentions.1.transformer_blocks.0.attn2"
    probabilities: Tensor  # (B, heads, h, w, L), float32 on the CPU, sums to 1 over L
    latents: tuple[int, int] | None = None  # their height and width, where the U-Net was given them


@contextmanager
def record_attention(unet: Any, *, heads: bool = False) -> Iterator[list[AttentionMap]]:
    """While the block is open, every call of `unet` adds one `AttentionMap` for each layer.

        with record_attention(sd.unet) as maps:
            steps = list(sd.denoise(latents, cond, uncond))

    Only calls made in this block are recorded, not those of an explorer or another thread that
    uses the same model meanwhile. With guidance the batch is twice as long, and its second half is
    the one with the text. The heads of a layer are averaged into one, which saves memory;
    `heads=True` keeps all of them. A call of SD 1.5 at 512x512 with guidance adds 17 MB, or with
    all heads eight times as much. Raises `RuntimeError` when `unet` has no cross-attention.
    """
    layers = {n: m for n, m in unet.named_modules() if n.rpartition(".")[2] == CROSS_ATTENTION}
    if not layers:
        raise RuntimeError("unet must have cross-attention layers to record; found none")
    recorder = _Recorder(heads)
    with own_calls() as is_own_call, as_written(), ExitStack() as hooks:

        def add_hook(module: Any, action: Callable[..., None]) -> None:
            def hook(_: Any, args: tuple, kwargs: dict[str, Any]) -> None:
                if is_own_call():
                    action(*args, **kwargs)

            hooks.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)

        add_hook(unet, recorder.begin_call)
        for name in {_transformer_of(name) for name in layers}:
            add_hook(unet.get_submodule(name), recorder.see_places)
        for name, layer in layers.items():
            add_hook(layer, partial(recorder.record, name, layer))
        yield recorder.maps


def _transformer_of(layer: str) -> str:
    """The module around a layer that gets the places still in rows and columns, (B, D, h, w)."""
    return layer.removesuffix(f".{CROSS_ATTENTION}").partition(".transformer_blocks.")[0]


class _Recorder:
    """The maps so far, and the height and width of the level where the U-Net is."""

    def __init__(self, heads: bool) -> None:
        self.maps: list[AttentionMap] = []
        self.heads = heads
        self.call = -1
        self.latents = self.size = (0, 0)  # h and w

    def begin_call(self, sample: Tensor, *args: Any, **kwargs: Any) -> None:
        """Called with the arguments of the U-Net."""
        self.latents = (sample.shape[-2], sample.shape[-1])
        self.call += 1

    def see_places(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> None:
        """Called with the arguments of a transformer: U-Nets halve odd sides up, or down."""
        self.size = (hidden_states.shape[-2], hidden_states.shape[-1])

    @torch.no_grad()
    def record(
        self,
        name: str,
        layer: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        """Called with the arguments of a layer; keeps softmax(q k / sqrt(d))."""
        batch, tokens = encoder_hidden_states.shape[:2]
        query = layer.head_to_batch_dim(layer.to_q(hidden_states))  # (B·heads, places, d)
        key = layer.head_to_batch_dim(layer.to_k(encoder_hidden_states))  # (B·heads, L, d)
        mask = layer.prepare_attention_mask(attention_mask, tokens, batch)
        scores = layer.get_attention_scores(query, key, mask)  # (B·heads, places, L)
        probabilities = scores.unflatten(0, (batch, layer.heads))  # (B, heads, places, L)
        if not self.heads:
            probabilities = probabilities.mean(dim=1, keepdim=True)
        kept = probabilities.float().cpu().unflatten(2, self.size)
        self.maps.append(AttentionMap(self.call, name, kept, self.latents))


def word_maps(
    maps: Iterable[AttentionMap],
    tokens: int | Sequence[int],
    *,
    size: int = 16,
    batch: int = -1,
) -> Tensor:
    """How much each place looked at `tokens`, (h, w): the mean over heads, layers and calls.

    `tokens` is one position in the prompt or several, whose shares are added (the pieces of one
    word, see `token_positions`). Every map is enlarged to the shape of the latents, or as much
    smaller or larger as makes its longer side `size`. `batch` picks the image; with guidance the
    last one is one with text. A place that looked at all 77 tokens alike gives each of them 1/77.

    Raises `ValueError` when there are no maps, and for a position, a `size` or a `batch` that is
    out of range.
    """
    maps = list(maps)
    if not maps:
        raise ValueError("maps must hold at least one record; got none: was the U-Net called?")
    picked = _check_positions(tokens, maps[0].probabilities.shape[-1])
    check_count("size", size)
    count = min(len(one.probabilities) for one in maps)
    if not -count <= batch < count:
        raise ValueError(f"batch must lie in {-count}..{count - 1}; got {batch}")
    shares = [one.probabilities[batch][..., picked].sum(-1).mean(0) for one in maps]  # (h, w) each
    largest = max((share.shape for share in shares), key=lambda shape: shape[0] * shape[1])
    return torch.stack(_enlarged(shares, maps[0].latents or largest, size)).mean(0)


def _check_positions(tokens: int | Sequence[int], length: int) -> list[int]:
    listed = list(tokens) if isinstance(tokens, Sequence) else [tokens]
    demand = "tokens must be positions in the prompt, whole numbers"
    numbers = [check_whole(demand, token) for token in listed]
    if not numbers or not set(numbers) <= set(range(length)):
        raise ValueError(f"tokens must be positions in 0..{length - 1}; got {numbers or 'none'}")
    return numbers


def _enlarged(shares: list[Tensor], sides: Sequence[int], size: int) -> list[Tensor]:
    """Each map (h, w) to one shape, its longer side `size`, with the ratio of `sides`.

    Levels whose sides were odd are stretched or shrunk a little, by less than one of their places.
    """
    h, w = sides
    shape = (max(1, round(size * h / max(h, w))), max(1, round(size * w / max(h, w))))
    return [
        F.interpolate(share[None, None], size=shape, mode="bilinear", antialias=True)[0, 0]
        for share in shares
    ]


def token_positions(tokenizer: Any, prompt: str, word: str) -> list[int]:
    """The positions in the prompt's 77 tokens that `word` takes, its first place counting.

    >>> from sdlearn import load
    >>> token_positions(load().tokenizer, "a red house", "house")  # the begin mark is at 0
    [3]

    Raises `ValueError` when the prompt does not hold the word, or it was cut off.
    """
    ids = token_ids(tokenizer, prompt)
    pieces = token_ids(tokenizer, word)[1:-1]  # without the marks of begin and end
    for start in range(len(ids) - len(pieces)):
        if pieces and ids[start : start + len(pieces)] == pieces:
            if start + len(pieces) >= tokenizer.model_max_length:  # where the end mark comes
                most = tokenizer.model_max_length
                raise ValueError(f"word must be in the prompt's {most} tokens; {word!r} is cut off")
            return list(range(start, start + len(pieces)))
    raise ValueError(f"word must be in the prompt {prompt!r}; got {word!r}")
