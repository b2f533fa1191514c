"""Words for a scene: `caption(scene)`, independent of how the scene is drawn.

People say the same thing in many ways, and a text tower trained on one template reads that one
only. So every attribute has many phrases, and they come in many sentence forms: as a list or as
flowing words, with the colour before the noun or after it, with any part first, as bare tags,
and as requests and descriptions in several sentences (`prose`).

Half of the captions name everything there is to see: complete captions are what teaches a text
tower which colour belongs to which subject (arXiv 2507.07985). The others are short, so that a
learner's own "a red house" works too. Weather is always told, and so is every style but the
storybook's: words that do not mention them mean dry weather and the storybook.
"""

import random
from collections.abc import Container, Sequence

from .phrases import (
    EMPTY_SKY,
    PHRASES,
    SIZE_WORDS,
    STYLE_OPENERS,
    SUBJECT_WORDS,
    TAGS,
    finish,
    pick,
    told_words,
)
from .prose import prose
from .scene import STYLES, SUBJECTS, WEATHERS, Scene, Thing, check_scene

_RAINY = {  # weather and time in one phrase
    "day": ("on a rainy day", "on a rainy afternoon"),
    "sunset": ("on a rainy evening",),
    "night": ("on a rainy night",),
}
_OPENERS = ("a picture of", "an image of", "a picture showing", "a picture with", "this is")
_THERE_IS = ("there is", "there is", "there's", "here is", "we see", "you can see", "i see")
_VERBS = ("stands", "stands", "sits", "is", "waits", "rests")
_PARTICIPLES = ("standing", "sitting", "waiting")
_COLOUR_AFTER = (
    *("{noun} that is {colour}", "{noun} that is {colour}", "{noun} which is {colour}"),
    *("{noun}, {colour},", "{noun}, {colour},", "{noun} in {colour}"),
    *("{noun} coloured {colour}", "{noun} colored {colour}"),
)

# "{one}" is on the side "{side}" and "{two}" on the side "{other}". All but the last few can
# follow "a picture of".
PAIR_WORDINGS = (
    *("{one} {side} of {two}", "{one} to the {side} of {two}", "{one} on the {side} of {two}"),
    "{one} standing to the {side} of {two}",
    "{one} on the {side} and {two} on the {other}",
    "{one} on the {side}, {two} on the {other}",
    "{one} at the {side} and {two} at the {other}",
    "{one} to the {side}, {two} to the {other}",
    "{one} on the {side} side and {two} on the {other} side",
    "{one} on the {side}-hand side and {two} on the {other}-hand side",
    "{one} on the {side} of the picture and {two} on the {other}",
    *("{two} with {one} on its {side}", "{two} with {one} to its {side}"),
    *("{two} with {one} on its {side} side", "{two} and {one} to the {side} of it"),
    *("{two} and, to its {side}, {one}", "{two} and on its {side} {one}"),
)
PAIR_SENTENCES = (
    *("on the {side} {one}, on the {other} {two}", "on the {side} {one} and on the {other} {two}"),
    "on the {side} is {one}, on the {other} is {two}",
    "on the {side} side {one}, on the {other} side {two}",
    *("to the {side} of {two} there is {one}", "to the {side} of {two} stands {one}"),
    *("{one} stands to the {side} of {two}", "{one} is {side} of {two}"),
    "{one} is on the {side} and {two} is on the {other}",
    "{one} stands on the {side}, {two} on the {other}",
    *("{two} has {one} on its {side}", "next to {two}, on its {side}, is {one}"),
)
PAIR_TAGS = (
    *("{one} {side}, {two} {other}", "{side}: {one}, {other}: {two}", "{one} {side} of {two}"),
    *("{one} on the {side}, {two} on the {other}", "{one} on {side}, {two} on {other}"),
)

COMPLETE_SHARE = 0.5  # of captions name every attribute
DROP_CHANCE = 0.4  # of each attribute in most of the other captions
SHORT_SHARE = 0.2  # of captions name little more than the subject
SHORT_DROP_CHANCE = 0.85
STORYBOOK_SHARE = 0.15  # of captions of the storybook's scenes name it
PROSE_SHARE = 0.45  # of captions are written as people ask and tell, in `prose`
TAG_SHARE = 0.15  # of the others are bare tags
COLOUR_AFTER_SHARE = 0.25  # of colours come after the noun


def caption(scene: Scene) -> str:
    """The scene in words, for training: wording and completeness follow `scene.variant`.

    Raises `ValueError` for a scene with a subject or a style that is held back from training.
    """
    _check(scene)
    rng = random.Random(f"caption {scene.variant}")
    drops = (0.0, DROP_CHANCE, SHORT_DROP_CHANCE)
    [drop] = rng.choices(drops, (COMPLETE_SHARE, 1 - COMPLETE_SHARE - SHORT_SHARE, SHORT_SHARE))
    told = _told(scene, rng, drop, STORYBOOK_SHARE)
    if rng.random() < PROSE_SHARE:
        return prose(scene, rng, told)
    return (tags if rng.random() < TAG_SHARE else sentence)(scene, rng, told)


def full_caption(scene: Scene) -> str:
    """The scene in words with every attribute named: what a fair test prompt needs.

    Only a style that is the storybook's stays out, as in most of the captions of `caption`.

    >>> full_caption(Scene((Thing("house", "red"),), time="night", sky="moon", variant=11))
    'a large red house in the middle under the moon on the grass at night'
    """
    _check(scene)
    rng = random.Random(f"full {scene.variant}")
    return sentence(scene, rng, _told(scene, rng, drop=0.0, storybook=0.0))


def _check(scene: Scene) -> None:
    check_scene(scene)
    words: list[tuple[str, str, tuple[str, ...]]] = [("style", scene.style, STYLES)]
    words += [("subject", thing.subject, SUBJECTS) for thing in scene.things]
    for name, word, known in words:
        if word not in known:
            message = f"{name} must be one of {', '.join(known)} to be named in a caption"
            raise ValueError(f"{message}; got {word!r}, which is held back from training")


def _told(scene: Scene, rng: random.Random, drop: float, storybook: float) -> set[str]:
    """The attributes that a caption names, besides the subject."""
    told = {name for name in ("size", "position", "ground", "time") if rng.random() >= drop}
    if scene.is_pair:
        told -= {"size", "position"}
    if scene.is_pair or rng.random() >= drop / 2:
        told.add("colour")
    if rng.random() >= drop:
        told.add("sky")
    if scene.weather != WEATHERS[0]:
        told.add("weather")
    if rng.random() < storybook or scene.style != STYLES[0]:
        told.add("style")
    return told


def tags(scene: Scene, rng: random.Random, told: Container[str]) -> str:
    """A caption of bare tags that names `told`, such as "red house, left, snow, night"."""
    subject = _subject(scene, rng, told, PAIR_TAGS, article=False)
    rest = [pick(rng, TAGS[name][word]) for name, word in told_words(scene).items() if name in told]
    if rng.random() < 0.4:
        rng.shuffle(rest)
    first = [rest.pop()] if rest and rng.random() < 0.2 else []
    return finish(", ".join([*first, subject, *rest]), rng)


def sentence(scene: Scene, rng: random.Random, told: Container[str]) -> str:
    """A caption that names `told`: an opening, the subject, and the other phrases in any order."""
    phrases = _phrases(scene, rng, told)
    opening = _opening(scene, rng, phrases)
    is_free = not opening or opening.endswith((", ", ": "))  # a verb may follow
    wordings = PAIR_WORDINGS + PAIR_SENTENCES if is_free else PAIR_WORDINGS
    subject = _subject(scene, rng, told, wordings, article=rng.random() < 0.9)
    names = list(phrases)
    if rng.random() < 0.3:
        rng.shuffle(names)
    separator = ", " if rng.random() < 0.55 else " "
    first_separator = " " if rng.random() < 0.6 else separator
    if names and names[0] in ("position", "ground") and not scene.is_pair and rng.random() < 0.2:
        subject += f" {pick(rng, _VERBS if is_free else _PARTICIPLES)}"
        first_separator = " "
    rest = separator.join(phrases[name] for name in names)
    return finish(f"{opening}{subject}{first_separator if rest else ''}{rest}", rng)


def _phrases(scene: Scene, rng: random.Random, told: Container[str]) -> dict[str, str]:
    """Attribute → phrase, for what is told."""
    words = {name: word for name, word in told_words(scene).items() if name in told}
    phrases = {name: pick(rng, PHRASES[name][word]) for name, word in words.items()}
    if words.get("sky") == "none" and scene.weather != WEATHERS[0]:
        phrases["sky"] = pick(rng, EMPTY_SKY)
    if words.get("weather") == "rain" and "time" in words and rng.random() < 0.25:
        phrases["weather"] = pick(rng, _RAINY[words["time"]])
        del phrases["time"]
    return phrases


def _opening(scene: Scene, rng: random.Random, phrases: dict[str, str]) -> str:
    """What comes before the subject; a phrase that goes there is taken out of `phrases`."""
    if "style" in phrases and rng.random() < 0.5:
        phrase = phrases.pop("style")
        tag = pick(rng, TAGS["style"][scene.style])
        of = pick(rng, STYLE_OPENERS[scene.style])
        return pick(rng, (f"{of} ", f"{of} ", f"{of} ", f"{phrase}, ", f"{tag}: ", f"{tag}, "))
    if rng.random() < 0.12:
        return f"{pick(rng, _OPENERS)} "
    there_is = f"{pick(rng, _THERE_IS)} " if rng.random() < 0.15 else ""
    if phrases and rng.random() < 0.3:
        return f"{phrases.pop(pick(rng, list(phrases)))}, {there_is}"
    return there_is


def _subject(
    scene: Scene, rng: random.Random, told: Container[str], wordings: Sequence[str], article: bool
) -> str:
    """The one thing, or both in one of `wordings`, either of them first."""
    if not scene.is_pair:
        return _name(scene.things[0], rng, told, article)
    one, two = rng.sample(scene.things, 2)
    names = [_name(thing, rng, told, article) for thing in (one, two)]
    sides = {"side": one.position, "other": two.position}
    return pick(rng, wordings).format(one=names[0], two=names[1], **sides)


def _name(thing: Thing, rng: random.Random, told: Container[str], article: bool) -> str:
    """The thing with its size and colour, the colour before the noun or after it."""
    words = [pick(rng, SIZE_WORDS[thing.size])] if "size" in told else []
    noun = pick(rng, SUBJECT_WORDS[thing.subject])
    if "colour" in told and rng.random() < COLOUR_AFTER_SHARE:
        template = pick(rng, _COLOUR_AFTER)
        name = template.format(noun=" ".join([*words, noun]), colour=thing.colour)
    else:
        words += [thing.colour] if "colour" in told else []
        name = f"{(', ' if rng.random() < 0.1 else ' ').join(words)} {noun}".strip()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}" if article else name
