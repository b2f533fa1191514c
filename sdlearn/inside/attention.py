"""Where each word of the prompt is looked at: cross-attention, recorded while the U-Net runs.

In a cross-attention layer every place of the picture asks all 77 text states for advice and mixes
their answers; the probabilities of that mixture sum to 1 for each place. `record_attention` keeps
them, and `word_maps` averages what one word gets (the heat-maps of DAAM, Tang et al. 2022,
arXiv 2210.04885; Prompt-to-Prompt, Hertz et al. 2022, arXiv 2208.01626, edits them).

The seam is public: `unet.attn_processors` and `unet.set_attn_processor`. The layer's own
processor still makes the output, so a recorded run gives the same bits as any other; the
probabilities are computed a second time beside it, since fast attention never holds them. Left
out: self-attention, where places ask places. Letters: B batch, h w places, L tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.compiling import as_written
from ..util.checks import check_count, check_whole

__all__ = ["AttentionMap", "record_attention", "token_positions", "word_maps"]

CROSS = "attn2.processor"  # how diffusers' names of cross-attention processors end


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """What one cross-attention layer looked at in one call of the U-Net."""

    call: int  # 0 for the first call of the U-Net within the context
    layer: str  # "up_blocks.0.attentions.1.transformer_blocks.0.attn2"
    probabilities: Tensor  # (B, heads, h, w, L), float32 on the CPU, sums to 1 over L


@contextmanager
def record_attention(unet: Any, *, heads: bool = False) -> Iterator[list[AttentionMap]]:
    """While the context is open, every call of `unet` adds one `AttentionMap` for each layer.

        with record_attention(sd.unet) as maps:
            steps = list(sd.denoise(latents, cond, uncond))

    With guidance the batch is twice as long, and its second half is the one with the text. Heads
    are averaged as they are recorded, which makes one of them; `heads=True` keeps all. A call of
    SD 1.5 at 512x512 with guidance adds 17 MB, or with all heads eight times as much.

    The processors are put back in any case. Raises `RuntimeError` when `unet` has no
    cross-attention to record.
    """
    before = dict(getattr(unet, "attn_processors", {}))
    layers = [name for name in before if name.endswith(CROSS)]
    if not layers:
        raise RuntimeError("unet must have cross-attention layers to record; found none")
    recorder = _Recorder(heads)
    watched = {name: _Watched(name, before[name], recorder) for name in layers}
    hook = unet.register_forward_pre_hook(recorder.begin, with_kwargs=True)
    try:
        unet.set_attn_processor(before | watched)  # it empties the dict that it is given
        with as_written():
            yield recorder.maps
    finally:
        hook.remove()
        unet.set_attn_processor(before)


class _Recorder:
    """The maps so far, and what holds for the call that is running."""

    def __init__(self, heads: bool) -> None:
        self.maps: list[AttentionMap] = []
        self.heads = heads
        self.call = -1
        self.sides = (0, 0)  # h and w of the latents

    def begin(self, _: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        sample = args[0] if args else kwargs["sample"]
        self.sides = (sample.shape[-2], sample.shape[-1])
        self.call += 1

    def add(self, layer: str, probabilities: Tensor) -> None:
        """`probabilities` (B, heads, places, L)."""
        if not self.heads:
            probabilities = probabilities.mean(dim=1, keepdim=True)
        h, w = self._level(probabilities.shape[2])
        kept = probabilities.float().cpu().unflatten(2, (h, w))
        self.maps.append(AttentionMap(self.call, layer, kept))

    def _level(self, places: int) -> tuple[int, int]:
        """The level of the U-Net with so many places: sides are halved, and rounded up."""
        h, w = self.sides
        while h * w > places:
            h, w = -(-h // 2), -(-w // 2)
        return h, w


class _Watched:
    """A processor that lets another one work and records what it looked at."""

    def __init__(self, name: str, own: Any, recorder: _Recorder) -> None:
        self.layer = name.removesuffix(".processor")
        self.own = own
        self.recorder = recorder

    @torch.no_grad()
    def _record(self, attn: Any, places: Tensor, states: Tensor, mask: Tensor | None) -> None:
        """`places` (B, places, D) ask `states` (B, L, D): softmax(q k / sqrt(d))."""
        query = attn.head_to_batch_dim(attn.to_q(places))
        key = attn.head_to_batch_dim(attn.to_k(states))
        mask = attn.prepare_attention_mask(mask, states.shape[1], len(states))
        scores = attn.get_attention_scores(query, key, mask)  # (B·heads, places, L)
        self.recorder.add(self.layer, scores.unflatten(0, (len(states), attn.heads)))

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        self._record(attn, hidden_states, encoder_hidden_states, attention_mask)
        return self.own(attn, hidden_states, encoder_hidden_states, attention_mask, **kwargs)


def word_maps(
    maps: Iterable[AttentionMap],
    tokens: int | Sequence[int],
    *,
    size: int = 16,
    batch: int = -1,
) -> Tensor:
    """How much each place looked at `tokens`, (h, w): the mean over heads, layers and calls.

    `tokens` is one position in the prompt or several, whose shares are added (the pieces of one
    word, see `token_positions`). Every map is enlarged so that its longer side is `size`. `batch`
    picks the picture; with guidance the last one is one with text. A place that looked at all 77
    tokens alike gives each of them 1/77.

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
    return torch.stack(_enlarged(shares, size)).mean(0)


def _check_positions(tokens: int | Sequence[int], length: int) -> list[int]:
    listed = list(tokens) if isinstance(tokens, Sequence) else [tokens]
    demand = "tokens must be positions in the prompt, whole numbers"
    numbers = [check_whole(demand, token) for token in listed]
    if not numbers or not set(numbers) <= set(range(length)):
        raise ValueError(f"tokens must be positions in 0..{length - 1}; got {numbers or 'none'}")
    return numbers


def _enlarged(shares: list[Tensor], size: int) -> list[Tensor]:
    """Each map (h, w) to one shape, its longer side `size`."""
    h, w = max((share.shape for share in shares), key=lambda shape: shape[0] * shape[1])
    shape = (max(1, round(size * h / max(h, w))), max(1, round(size * w / max(h, w))))
    return [
        F.interpolate(share[None, None], size=shape, mode="bilinear", antialias=True)[0, 0]
        for share in shares
    ]


def token_positions(tokenizer: Any, prompt: str, word: str) -> list[int]:
    """The positions in the prompt's 77 tokens that `word` takes, its first place counting.

    "house" in "a red house" → [3], as the mark of the beginning is at 0.
    Raises `ValueError` when the prompt does not hold the word, or it was cut off.
    """
    ids = tokenizer(prompt, verbose=False).input_ids
    pieces = tokenizer(word).input_ids[1:-1]  # without the marks of begin and end
    for start in range(len(ids) - len(pieces)):
        if pieces and ids[start : start + len(pieces)] == pieces:
            if start + len(pieces) >= tokenizer.model_max_length:  # where the end mark comes
                most = tokenizer.model_max_length
                raise ValueError(f"word must be in the prompt's {most} tokens; {word!r} is cut off")
            return list(range(start, start + len(pieces)))
    raise ValueError(f"word must be in the prompt {prompt!r}; got {word!r}")
