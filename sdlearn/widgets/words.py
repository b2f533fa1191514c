"""A prompt as the tokenizer reads it, word by word, and the words nearest to one of them.

`sdlearn.widgets.tokens` shows them on a page. A piece is what one token stands for: a word, or a
part of one (byte-pair encoding, Sennrich et al. 2016, arXiv 1508.07909).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch
import torch.nn.functional as F

from ..models.tokenizing import continuation, text_of, token_ids
from ..viz.tokens import MARK_START, WORD_END, ends_word

__all__ = ["Reading", "Word", "WordTable", "main_word", "read"]

UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # a byte that is no letter by itself
# Before the first of these, a prompt has usually named its subject: "a large red house on ..."
JOINTS = {"above", "and", "as", "at", "behind", "beside", "by", "during", "in", "into", "near"}
JOINTS |= {"of", "on", "over", "under", "while", "with"}


@dataclass(frozen=True)
class Word:
    """A word of a prompt, or a mark of punctuation, and the tokens that it takes."""

    text: str  # in small letters, as the tokenizer reads it
    pieces: tuple[str, ...]
    ids: tuple[int, ...]
    start: int  # place of the first piece, counted from the begin mark at 0


@dataclass(frozen=True)
class Reading:
    """A prompt cut into words, also those that do not fit."""

    words: tuple[Word, ...]
    room: int  # how many pieces fit between the marks of begin and end: 75

    @property
    def pieces(self) -> int:
        """How many pieces there are, without the marks."""
        return sum(len(word.ids) for word in self.words)

    @property
    def kept(self) -> int:
        """How many pieces fit."""
        return min(self.pieces, self.room)

    @property
    def lost(self) -> list[str]:
        """The pieces that do not fit."""
        return [piece for word in self.words for piece in word.pieces][self.room :]

    def places(self, word: Word) -> list[int]:
        """Those of its places that fit, in 1..75."""
        return [i for i in range(word.start, word.start + len(word.ids)) if i <= self.room]

    @property
    def named(self) -> dict[str, Word]:
        """The words with a place, each by a name of its own: "red", and again "red (2)".

        Marks of punctuation are left out, unless there is nothing else.
        """
        placed = [word for word in self.words if self.places(word)]
        spoken = [word for word in placed if any(map(str.isalnum, word.text))]
        named: dict[str, Word] = {}
        counts: Counter[str] = Counter()
        for word in spoken or placed:
            counts[word.text] += 1
            again = f" ({counts[word.text]})" if counts[word.text] > 1 else ""
            named[word.text + again] = word
        return named


def read(tokenizer: Any, prompt: str) -> Reading:
    """The prompt's words, each with its pieces and ids."""
    ids = token_ids(tokenizer, prompt)[1:-1]  # without the marks
    pieces = tokenizer.convert_ids_to_tokens(ids)
    words, first = [], 0
    for i, piece in enumerate(pieces, start=1):
        more = pieces[i : i + 1] == [continuation(pieces[first], i - first)]  # of a learnt word
        ends = ends_word(piece) or piece.startswith(MARK_START) or i == len(pieces)
        if ends and not more:
            is_learnt = pieces[first] in tokenizer.added_tokens_encoder
            text = pieces[first] if is_learnt else text_of(tokenizer, ids[first:i])
            whole = tuple(one.removesuffix(WORD_END) for one in pieces[first:i])
            words.append(Word(text, whole, tuple(ids[first:i]), first + 1))
            first = i
    return Reading(tuple(words), tokenizer.model_max_length - 2)


def main_word(reading: Reading) -> str:
    """The name of the likely subject, "house" of "a large red house on the left".

    A guess without grammar: the last word before the first joint, such as "on", or comma. Raises
    `ValueError` when there is no word.
    """
    best, after = "", 1
    for name, word in reading.named.items():
        joint = word.text in JOINTS
        if best and (joint or word.start > after):
            return best
        best, after = best if joint else name, word.start + len(word.ids)
    if not reading.named:
        raise ValueError("reading must hold at least one word; got none")
    return best or next(iter(reading.named))


class WordTable:
    """The rows of the token table that stand for whole words, to find neighbours of a word."""

    def __init__(self, tokenizer: Any, rows: torch.Tensor) -> None:
        """`rows` (V, D) is the table, one row for each id."""
        names: Mapping[str, int] = tokenizer.get_vocab()
        self.ids = torch.tensor(sorted(i for name, i in names.items() if name.endswith(WORD_END)))
        self._tokenizer = tokenizer
        self._table = rows.detach()
        self._rows = F.normalize(self._table[self.ids.to(rows.device)].float(), dim=1)

    @property
    def by_chance(self) -> float:
        """About the cosine of the nearest of so many rows if all of them had been drawn by chance.

        The median of the largest of N normal numbers of spread 1/sqrt(D).
        """
        count, width = self._rows.shape
        return NormalDist().inv_cdf(0.5 ** (1 / count)) / math.sqrt(width)

    def nearest(self, number: int, count: int = 8) -> dict[str, float]:
        """The words whose rows point most nearly where row `number` points: cosine similarities.

        The word itself is left out, and so is what is no word: bytes and punctuation.
        """
        alike = self._rows @ F.normalize(self._table[number].float(), dim=0)  # (words,)
        found: dict[str, float] = {}
        for i in alike.argsort(descending=True).tolist():
            name = text_of(self._tokenizer, [int(self.ids[i])])
            if int(self.ids[i]) != number and name.isalpha() and UNREADABLE not in name:
                found[name] = float(alike[i])
            if len(found) == count:
                break
        return found
