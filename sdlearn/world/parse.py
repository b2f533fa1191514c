"""What a prompt asks for, in the judge's words: `parse_prompt("a red house at night")`.

The counterpart of `caption`: it finds the words that captions are made of. So "a red dragon" asks
for nothing, as there are no dragons. Left out: grammar, negation, and a third thing.
"""

import re
from collections.abc import Mapping

from .caption import SIZE_WORDS, SUBJECT_WORDS
from .scene import COLOURS, SKIES

# Whole words that tell an attribute; captions use them in longer phrases.
_TELLING: dict[str, dict[str, str]] = {
    "ground": {"grass": "grass|meadow", "snow": "snow", "sand": "sandy?", "water": "water|sea"},
    "time": {"day": "day|daylight", "sunset": "sunset|evening|dusk", "night": "night|dark"},
    "sky": {sky: sky for sky in SKIES} | {"none": "(?:empty|clear) sky", "cloud": "clouds?"},
}
_OF_ONE = {
    "size": {size: "|".join(words) for size, words in SIZE_WORDS.items()},
    "position": {"left": "left", "middle": "middle|cent(?:re|er)", "right": "right"},
}
_SUBJECTS = {word: name for name, words in SUBJECT_WORDS.items() for word in words}
_THING = re.compile(rf"\b(?:({'|'.join(COLOURS)}) )?({'|'.join(_SUBJECTS)})\b")
_SIDE = re.compile(r"\b(left|right)\b")


def parse_prompt(prompt: str) -> dict[str, str]:
    """Attribute → word, for those attributes of `evaluation.labels` that the prompt names.

    As there, "subject" and "colour" are those of the left one of two things. Two things without
    "left" or "right" between or after them are taken in the order in which they are named.

    >>> parse_prompt("a large red house at night")
    {'subject': 'house', 'colour': 'red', 'size': 'large', 'time': 'night'}
    """
    text = " ".join(prompt.lower().split())
    things = list(_THING.finditer(text))[:2]
    found: dict[str, str | None] = {}
    if len(things) == 2:
        side = _SIDE.search(text, things[0].end())
        left, right = things if side is None or side[1] == "left" else things[::-1]
        found |= _named(left) | {f"second_{name}": word for name, word in _named(right).items()}
    elif things:
        found |= _named(things[0]) | _told(_OF_ONE, text)
    found |= _told(_TELLING, text)
    return {name: word for name, word in found.items() if word}


def _told(attributes: Mapping[str, Mapping[str, str]], text: str) -> dict[str, str | None]:
    return {name: _first(words, text) for name, words in attributes.items()}


def _named(thing: re.Match[str]) -> dict[str, str | None]:
    return {"subject": _SUBJECTS[thing[2]], "colour": thing[1]}


def _first(words: Mapping[str, str], text: str) -> str | None:
    """The word whose pattern comes first in the text."""
    matches = {word: re.search(rf"\b(?:{pattern})\b", text) for word, pattern in words.items()}
    places = {word: match.start() for word, match in matches.items() if match}
    return min(places, key=lambda word: places[word], default=None)
