r"""The commonest slips of writing, made in a right answer to see what they give.

    slips("def answer(a):\n    return (1 - a) ** 0.5\n")

yields the source of `(1 - a)**1/2`, of `1 - a ** 0.5` without brackets and so on, each with the
sentence for learners whose results are the same. So no result is listed anywhere, and a slip is
known in every exercise in which it can be made. Mistakes of thought are the exercises' own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

BASE = r"(?P<base>\w*\([^()]*\)|\w+)"  # what stands before a power: a name, or brackets
SHORT = 40  # characters of a formula that are quoted


class Slip(NamedTuple):
    """A source with a slip in it, and what to say to those whose answer gives the same."""

    source: str
    feedback: str


class Rewrite(NamedTuple):
    """A pattern of right answers and what is written in its place; `{base}` quotes a group."""

    pattern: str
    replacement: str
    feedback: str


REWRITES = (
    Rewrite(
        BASE + r" ?\*\* ?0\.5",
        r"\g<base>**1/2",
        "you halve where a root is needed: `** 1/2` is read as (... ** 1) / 2, so write `** 0.5`",
    ),
    Rewrite(
        BASE + r" ?\*\* ?0\.5",
        r"\g<base>**2",
        "you square {base} where a root is needed: that is `** 0.5`, or `.sqrt()` of a tensor",
    ),
    Rewrite(BASE + r" ?\*\* ?0\.5", r"\g<base>", "the root of {base} is missing"),
    Rewrite(
        BASE + r" ?\*\* ?2\b",
        r"\g<base>*2",
        "you double {base} where a square is needed: that is `** 2`, with two stars",
    ),
    Rewrite(BASE + r" ?\*\* ?2\b", r"\g<base>", "the square is missing, `** 2`"),
    Rewrite(r"\*\*", "^", "`^` is not a power in Python, it compares bits: a power is `**`"),
    Rewrite(
        r", keepdim=True",
        "",
        "without keepdim=True the lengths lose their axis and no longer stand beside their rows: "
        "write norm(dim=1, keepdim=True)",
    ),
    Rewrite(r"\(dim=\d\)", "()", "say along which axis the numbers are taken together: dim=..."),
    Rewrite(r"\.T\b", "", "a table has to be turned over, so that rows meet rows: a @ b.T"),
    Rewrite(
        r"\.sample\b",
        "",
        "`decode` gives an object with the pixels in it: take them out with .sample",
    ),
    Rewrite(
        r"sd\.encode_text\((?P<base>\w+)\)",
        r"\g<base>",
        "the U-Net does not read text: turn it into states first, sd.encode_text({name})",
    ),
    Rewrite(
        r"(?m)^(?P<indent> +)return (?P<base>.+)$",
        r"\g<indent>return (\g<base>).clamp(-1, 1)",
        "do not clamp: numbers beyond the range belong to the result",
    ),
    Rewrite(
        r"(?m)^(?P<indent> +)return (?P<base>.+)$",
        r"\g<indent>return (\g<base>).clamp(0, 1)",
        "do not clamp: numbers beyond the range belong to the result",
    ),
)
SIGNS = (
    Rewrite(r" \+ ", " - ", "a sign is the other way round: you subtract where you should add"),
    Rewrite(r" - ", " + ", "a sign is the other way round: you add where you should subtract"),
)


def slips(source: str) -> Iterator[Slip]:
    """A right answer with one slip in it, for every slip and every place where it can be made."""
    source = re.sub(r"(?m)^ *assert .*\n", "", source)
    for rewrite in REWRITES:
        yield from _rewritten(source, rewrite)
    yield from _without_brackets(source)
    for rewrite in SIGNS:
        yield from _rewritten(source, rewrite)


def _rewritten(source: str, rewrite: Rewrite) -> Iterator[Slip]:
    """The slip at all of its places at once, then at each of them."""
    places = [*re.finditer(rewrite.pattern, source)]
    for picked in [places] if len(places) < 2 else [places, *([place] for place in places)]:
        if picked:
            yield Slip(_replaced(source, picked, rewrite.replacement), _worded(rewrite, picked))


def _replaced(source: str, places: list[re.Match[str]], replacement: str) -> str:
    for place in reversed(places):
        source = source[: place.start()] + place.expand(replacement) + source[place.end() :]
    return source


def _worded(rewrite: Rewrite, places: list[re.Match[str]]) -> str:
    names = [place.groupdict().get("base") or "" for place in places]
    bases = " and ".join(f"`{name}`" for name in dict.fromkeys(names))
    return rewrite.feedback.format(base=bases, name=names[0])


def _without_brackets(source: str) -> Iterator[Slip]:
    """Each pair of brackets that is not a call is left out."""
    for place in re.finditer(r"(?<![\w)\]])\(", source):
        start, end = place.start(), _closing(source, place.start())
        inside = source[start + 1 : end]
        quoted = inside if len(inside) <= SHORT else f"{inside[:SHORT].rstrip()} ..."
        yield Slip(
            source[:start] + inside + source[end + 1 :],
            f"brackets are missing around `{quoted}`: without them Python takes powers first, then "
            "products, then sums",
        )


def _closing(source: str, start: int) -> int:
    """Where the bracket that opens at `start` is closed."""
    depth = 0
    for index in range(start, len(source)):
        depth += {"(": 1, ")": -1}.get(source[index], 0)
        if not depth:
            return index
    raise ValueError(f"source must close its brackets; got {source!r}")
