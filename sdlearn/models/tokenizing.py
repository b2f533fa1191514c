"""Prompts as token ids, safe to use from several threads.

A tokenizer of transformers keeps the padding and truncation of its last call as state, so two
threads that ask for different ones get ids of wrong lengths. All of sdlearn tokenizes here, one
call at a time.
"""

from __future__ import annotations

import itertools
import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor

from ..util.checks import check_prompts

_TOKENIZER_LOCK = threading.Lock()
WEIGHTED = re.compile(r"\([^():]*[^():\d\s]:\s*-?\d*\.?\d+\s*\)")  # (word:1.5), not (at 10:30)
LONGEST_QUOTE = 80  # characters of the words that were cut off


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """The ids of one text with the marks of beginning and end, neither padded nor cut off."""
    with _TOKENIZER_LOCK:
        return tokenizer(spelled_out(tokenizer, text), verbose=False).input_ids


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text that ids stand for, with one space between words.

    In transformers 5.23 a copied or unpickled `CLIPTokenizer` decodes "a house" as
    "a</w>house</w>" (`findings/copied-clip-tokenizer.sh`), and a model may have been copied.
    """
    return " ".join(tokenizer.decode(ids).replace("</w>", " ").split())


def continuation(word: str, number: int) -> str:
    """The token of a further row of a learnt word: ("<cat-toy>", 1) → "<cat-toy_1>"."""
    return f"{word[:-1]}_{number}>"


def spelled_out(tokenizer: Any, text: str) -> str:
    """The text with all tokens of learnt words of several rows (`adapters.add_token`)."""
    added = tokenizer.added_tokens_encoder
    for word in added:
        if continuation(word, 1) in added:
            rest = itertools.takewhile(added.__contains__, _continuations(word))
            all_tokens = " ".join([word, *rest]).replace("\\", r"\\")  # no escapes of `re.sub`
            text = re.sub(re.escape(word), all_tokens, text, flags=re.IGNORECASE)
    return text


def _continuations(word: str) -> Iterator[str]:
    return (continuation(word, number) for number in itertools.count(1))


def padded_ids(
    tokenizer: Any, prompts: str | Iterable[str], name: str = "prompt", *, to_longest: bool = False
) -> Tensor:
    """Prompts as token ids, (B, 77): begin, pieces of words, end, padding.

    With `to_longest` there are only as many columns as the longest prompt has tokens.
    Warns when a prompt is too long, and shows what was cut off, and when it holds weights such as
    (word:1.5), which some programs read and this one does not. `name` is that of the argument in
    the `TypeError` or `ValueError` for what is no text.
    """
    checked = [spelled_out(tokenizer, text) for text in check_prompts(prompts, name)]
    with _TOKENIZER_LOCK:
        tokens = tokenizer(
            checked,
            padding="longest" if to_longest else "max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
    _warn_if_cut(tokenizer, checked, tokens.attention_mask)
    _warn_if_weighted(checked)
    return tokens.input_ids


def _warn_if_cut(tokenizer: Any, prompts: Sequence[str], masks: Tensor) -> None:
    """`masks` (B, 77) tells tokens from padding; only a prompt without padding may be too long."""
    most = tokenizer.model_max_length
    for text, mask in zip(prompts, masks, strict=True):
        ids = token_ids(tokenizer, text) if mask.all() else []
        if len(ids) > most:
            lost = text_of(tokenizer, ids[most - 1 : -1])
            quote = lost if len(lost) <= LONGEST_QUOTE else f"{lost[:LONGEST_QUOTE]}…"
            warnings.warn(
                f"the prompt has {len(ids)} tokens, begin and end included, and {most} fit; "
                f"cut off: {quote!r}",
                stacklevel=4,
            )


def _warn_if_weighted(prompts: Sequence[str]) -> None:
    if found := next(filter(None, map(WEIGHTED.search, prompts)), None):
        warnings.warn(
            f"weights of words are not supported: {found[0]!r} is read as plain text, with its "
            "brackets and its number",
            stacklevel=4,
        )
