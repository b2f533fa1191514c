"""What a prompt asks for, in the judge's words: `parse_prompt("a red house at night")`.

The counterpart of `caption`: it finds the words that captions are made of, in whatever sentence
they stand. So "a red dragon" asks for nothing, as there are no dragons. Left out: grammar,
negation, and a third thing.
"""

import re
from collections.abc import Mapping

from .phrases import SIZE_WORDS, SUBJECT_WORDS
from .scene import COLOURS, SKIES

# Whole words that tell an attribute; captions use them in longer phrases. They are looked for in
# this order and taken out, so that "falling snow" is no ground and "middle of the night" no place.
_TELLING: dict[str, dict[str, str]] = {
    "style": {
        "storybook": "story ?book|picture book",
        "watercolour": "water ?colou?rs?",
        "coloured pencil": "pencils?",
        "pixel art": "pixel|pixels|pixelated",
    },
    "weather": {
        "rain": "rain|rains|raining|rainy|raindrops?",
        "snowfall": "snowfall|snowing|snows|falling snow|snowflakes?|snow (?:is )?fall(?:s|ing)",
    },
    "time": {
        "day": "(?:middle of the )?day|daytime|daylight|noon|midday|afternoon",
        "sunset": "sunset|sundown|evening|dusk|twilight|sun (?:sets|goes down)|setting sun",
        "night": "(?:middle of the )?night|nighttime|midnight|dark",
    },
    "ground": {
        "grass": "grass|grassy|meadow|lawn|field",
        "snow": "snow|snowy",
        "sand": "sand|sandy|beach|desert",
        "water": "water|sea|lake|ocean",
    },
    "sky": {sky: sky for sky in SKIES}
    | {"none": "(?:empty|clear|cloudless) sky|nothing in the sky|sky is (?:empty|clear)"}
    | {"sun": "sun|sunny", "cloud": "clouds?|cloudy"},
}
_OF_ONE = {
    "size": {size: "|".join(words) for size, words in SIZE_WORDS.items()},
    "position": {
        "left": "left",
        "middle": "middle|cent(?:re|er)(?:e?d)?",
        "right": "right(?! in the (?:mid|cen))",
    },
}
_SUBJECTS = {word: name for name, words in SUBJECT_WORDS.items() for word in words}
_COLOUR = re.compile(rf"\b({'|'.join(COLOURS)})\b(?! sky)")
_SIZE = "|".join(_OF_ONE["size"].values())
_THING = re.compile(
    rf"(?P<again>\bthe )?(?:\b(?P<colour>{'|'.join(COLOURS)})(?:(?:,| and)? (?:{_SIZE}))* )?"
    rf"\b(?P<subject>{'|'.join(sorted(_SUBJECTS, key=len, reverse=True))})\b"
)
_SIDE = re.compile(
    r"(?P<its>\bits |\b(?:beside|next to) it,? (?:on|to|at|in) the )?"
    r"(?P<starts>[.;] (?:on|to|at|in) the )?\b(?P<side>left|right)\b(?: side|-hand side)?"
    r"(?P<of_it> of it\b)?(?P<of> of (?!(?:the|this) +(?:picture|image)\b))?"
)


def parse_prompt(prompt: str) -> dict[str, str]:
    """Attribute → word, for those attributes of `evaluation.labels` that the prompt names.

    As there, "subject" and "colour" are those of the left one of two things. Two things without
    "left" or "right" are taken in the order in which they are named.

    >>> parse_prompt("a large red house at night")
    {'subject': 'house', 'colour': 'red', 'size': 'large', 'time': 'night'}
    """
    text = " ".join(prompt.lower().split())
    told: dict[str, str | None] = {}
    for name, words in _TELLING.items():
        told[name] = _first(words, text)
        text = re.sub(rf"\b(?:(?:{'|'.join(COLOURS)}) )?(?:{'|'.join(words.values())})\b", "", text)
    text = _with_nouns(text)
    things = _things(text)
    found: dict[str, str | None] = {}
    if len(things) == 2:
        left, right = things if _is_first_left(text) else things[::-1]
        found = {**left, **{f"second_{name}": word for name, word in right.items()}}
    elif things:
        found = things[0] | {name: _first(words, text) for name, words in _OF_ONE.items()}
    return {name: word for name, word in (found | told).items() if word}


def _first(words: Mapping[str, str], text: str) -> str | None:
    """The word whose pattern comes first in the text."""
    matches = {word: re.search(rf"\b(?:{pattern})\b", text) for word, pattern in words.items()}
    places = {word: match.start() for word, match in matches.items() if match}
    return min(places, key=lambda word: places[word], default=None)


def _with_nouns(text: str) -> str:
    """Of two things, "the first", "the red one" or "the left one" by its noun."""
    mentions = _mentions(text)
    nouns = {number: match["subject"] for number, match in reversed(mentions)}
    if len(nouns) != 2:
        return text
    one, two = nouns[0], nouns[1]
    for _, match in mentions:
        if match["colour"]:
            text = text.replace(f"the {match['colour']} one", f"the {match['subject']}")
    colour = "|".join(COLOURS)
    text = re.sub(
        rf"\b({colour}) and ({colour}),? respectively", rf"the {one} \1, the {two} \2", text
    )
    text = re.sub(r"\bthe first\b(?: one\b)?", f"the {one}", text)
    text = re.sub(r"\bthe second\b(?: one\b)?", f"the {two}", text)
    left, right = (one, two) if _is_first_left(text) else (two, one)
    text = re.sub(r"(?<! is )\bthe left one\b(?! is (?:an?|one|the) )", f"the {left}", text)
    return re.sub(r"(?<! is )\bthe right one\b(?! is (?:an?|one|the) )", f"the {right}", text)


def _mentions(text: str) -> list[tuple[int, re.Match[str]]]:
    """Each mention of a thing with the thing's number, from 0.

    "the house" after "a house" is the same thing; so is any house after a house and a cat.
    """
    subjects: list[str] = []
    found = []
    for match in _THING.finditer(text):
        subject = _SUBJECTS[match["subject"]]
        is_new = subject not in subjects or not (match["again"] or len(set(subjects)) > 1)
        subjects += [subject] if is_new else []
        found.append((len(subjects) - 1 if is_new else subjects.index(subject), match))
    return found


def _things(text: str) -> list[dict[str, str | None]]:
    """Subject and colour of the first two things, in the order in which they are named.

    A colour stands right before its thing, or else between it and the next one. Before the first
    thing it may stand anywhere.
    """
    mentions = _mentions(text)
    ends = [match.start() for _, match in mentions[1:]] + [len(text)]
    things: list[dict[str, str | None]] = []
    for (number, match), end in zip(mentions, ends, strict=False):
        near = _COLOUR.search(text, match.end(), end)
        near = near or (None if things else _COLOUR.search(text, 0, match.start()))
        colour = match["colour"] or (near[0] if near else None)
        if number == len(things):
            things.append({"subject": _SUBJECTS[match["subject"]], "colour": colour})
        things[number]["colour"] = things[number]["colour"] or colour
    return things[:2]


def _is_first_left(text: str) -> bool:
    """Of two things, whether the one that is named first is on the left.

    The first "left" or "right" tells of the thing before it, or of the next one if there is none.
    "On its left" and "left of it" tell of the next thing, "left of" without a thing before it
    of the other one. A sentence that begins with "on the left" tells of the thing that follows.
    """
    side = _SIDE.search(text)
    if side is None:
        return True
    if row := re.search(r"\b(left to right|right to left)\b", text):
        return row[0] == "left to right"
    before = [number for number, match in _mentions(text) if match.end() <= side.start()]
    after = [number for number, match in _mentions(text) if match.start() >= side.end()]
    if not before:
        number = 1 if side["of"] or side["its"] else 0
    elif side["starts"] and after and not side["of"]:
        number = after[0]
    elif (side["its"] or side["of_it"]) and len(set(before)) == 1:
        number = 1 - before[-1]
    else:
        number = before[-1]
    return (number == 0) == (side["side"] == "left")
