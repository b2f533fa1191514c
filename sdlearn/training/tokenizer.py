"""Train CLIP's byte-pair tokenizer on the captions of our world.

Same class, same rules and same order of ids as the original: 256 bytes, the same bytes at a
word's end, the learned merges, then BOS and EOS as the two highest ids. Words of the world
become single tokens; any other word visibly falls into pieces, down to single bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import pre_tokenizers, trainers
from transformers import CLIPTokenizer

__all__ = ["BOS", "EOS", "MAX_TOKENS", "train_tokenizer"]

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 77  # as in CLIP: BOS, at most 75 pieces, EOS
WORD_END = "</w>"


def train_tokenizer(captions: Iterable[str], max_merges: int = 2000) -> CLIPTokenizer:
    """A `CLIPTokenizer` whose merges were learned from `captions`."""
    merges = _learn_merges(captions, max_merges)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *[byte + WORD_END for byte in alphabet]]
    tokens += ["".join(pair) for pair in merges]
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*tokens, BOS, EOS]))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_TOKENS)


def _learn_merges(captions: Iterable[str], max_merges: int) -> list[tuple[str, str]]:
    blank = CLIPTokenizer().backend_tokenizer  # CLIP's own normaliser and word splitting
    trainer = trainers.BpeTrainer(
        vocab_size=512 + max_merges,
        min_frequency=2,
        end_of_word_suffix=WORD_END,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    blank.train_from_iterator(captions, trainer)
    return [tuple(pair) for pair in json.loads(blank.to_str())["model"]["merges"]]
