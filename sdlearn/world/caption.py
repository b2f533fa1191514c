"""Words for a scene: `caption(scene)`, independent of how the scene is drawn.

People say the same thing in many ways, and a text tower trained on one template reads that one
only. So every attribute has many phrases, and they come in many sentence forms: as a list or as
flowing words, with the colour before the noun or after it, with any part first, as bare tags.

Half of the captions name everything there is to see: complete captions are what teaches a text
tower which colour belongs to which subject (arXiv 2507.07985). The others are short, so that a
learner's own "a red house" works too. Weather is always told, and so is every style but the
storybook's: words that do not mention them mean dry weather and the storybook.
"""

import random
import re
from collections.abc import Container, Sequence

from .scene import BACKDROP, STYLES, SUBJECTS, WEATHERS, Scene, Thing, check_scene

Phrases = dict[str, tuple[str, ...]]  # word of the vocabulary → ways to say it

SUBJECT_WORDS: Phrases = {subject: (subject,) for subject in SUBJECTS}
SUBJECT_WORDS |= {
    "house": ("house", "house", "house", "cottage"),
    "boat": ("boat", "boat", "ship", "sailing boat", "sailboat"),
    "cat": ("cat", "cat", "cat", "kitten"),
    "rocket": ("rocket", "rocket", "spaceship", "space rocket"),
    "train": ("train", "train", "steam train", "locomotive"),
    "windmill": ("windmill", "windmill", "windmill", "mill"),
}
SIZE_WORDS: Phrases = {
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "huge", "giant"),
}
_SIDE_PHRASES = (
    *("on the {}", "on the {}", "to the {}", "at the {}"),
    *("on the {} side", "at the {} side", "on the {}-hand side", "at the {} of the picture"),
    *("to the {} of the picture", "on the {} side of the picture", "in the {} part of the image"),
)
_POSITION_PHRASES: Phrases = {
    side: tuple(phrase.format(side) for phrase in _SIDE_PHRASES) for side in ("left", "right")
} | {
    "middle": (
        *("in the middle", "in the middle", "in the centre", "in the center", "at the centre"),
        *("at the center", "in the middle of the picture", "in the centre of the image"),
        *("in the center of the picture", "in the middle part of the image"),
    ),
}
_GROUND_PHRASES: Phrases = {
    "grass": (
        *("on the grass", "on grass", "in the grass", "on green grass", "on a green meadow"),
        *("on a meadow", "in a meadow", "on a lawn", "in a grassy field", "in a field"),
    ),
    "snow": (
        *("in the snow", "on snow", "on the snow", "in snow", "on white snow", "in white snow"),
        *("in deep snow", "on snowy ground", "on ground covered with snow", "in a snowy place"),
    ),
    "sand": (
        *("on the sand", "on sand", "in the sand", "on yellow sand", "on a yellow beach"),
        *("on a sandy beach", "on the beach", "on a beach", "on sandy ground", "in the desert"),
    ),
    "water": (
        *("on the water", "on water", "in the water", "on blue water", "on the blue sea"),
        *("on the sea", "at sea", "on a lake", "on the lake", "on the ocean"),
    ),
}
_TIME_PHRASES: Phrases = {
    "day": (
        *("by day", "in daylight", "during the day", "in the daytime", "at noon"),
        *("at midday", "in the afternoon", "in broad daylight"),
    ),
    "sunset": (
        *("at sunset", "at sunset", "in the evening", "at dusk", "at sundown"),
        *("at twilight", "in the light of the sunset", "in the evening light"),
    ),
    "night": (
        *("at night", "at night", "in the dark", "by night", "during the night"),
        *("at midnight", "in the night", "after dark", "on a dark night"),
    ),
}
_SKY_ITEMS: Phrases = {
    "sun": ("the sun", "a bright sun", "a shining sun"),
    "moon": ("the moon", "a crescent moon", "a moon"),
    "cloud": ("a cloud", "clouds", "some clouds"),
    "rainbow": ("a rainbow", "the rainbow", "a bright rainbow"),
    "balloon": ("a balloon", "a hot-air balloon", "a hot air balloon"),
}
_UNDER_A_SKY_ITEM = (
    *("under {}", "under {}", "under {}", "below {}", "beneath {}", "with {}", "with {} above"),
    *("with {} in the sky", "with {} overhead", "with {} over it"),
)
_SKY_PHRASES: Phrases = {
    sky: tuple(phrase.format(item) for phrase in _UNDER_A_SKY_ITEM for item in items)
    for sky, items in _SKY_ITEMS.items()
} | {
    "none": (
        *("under a clear sky", "under an empty sky", "with nothing in the sky"),
        *("below a clear sky", "with an empty sky", "with a clear sky", "under a cloudless sky"),
    ),
}
_WEATHER_PHRASES: Phrases = {
    "rain": (
        *("in the rain", "in the rain", "while it rains", "in rainy weather", "as rain falls"),
        *("while it is raining", "with rain falling", "in pouring rain", "when it rains"),
    ),
    # Never "snow" by itself: that is the ground.
    "snowfall": (
        *("while it snows", "while it is snowing", "in falling snow", "as snow falls"),
        *("in a snowfall", "with snow falling", "with falling snow", "when it snows"),
        *("with snowflakes falling", "during a snowfall"),
    ),
}
_STYLE_PHRASES: Phrases = {
    "storybook": (
        *("as a storybook picture", "in storybook style", "like in a storybook"),
        *("in the style of a storybook", "as a storybook illustration", "as in a picture book"),
    ),
    "watercolour": (
        *("as a watercolour", "as a watercolor", "as a watercolour painting", "in watercolour"),
        *("in watercolours", "in watercolors", "painted in watercolours", "in watercolor style"),
        *("painted with watercolors", "in watercolour style", "painted in watercolor"),
    ),
    "coloured pencil": (
        *("as a coloured pencil drawing", "as a colored pencil drawing", "as a pencil drawing"),
        *("drawn with coloured pencils", "drawn with colored pencils", "in coloured pencil"),
        *("in colored pencil", "drawn in pencil", "in pencil", "as a pencil sketch"),
        *("in coloured pencil style", "in pencil style"),
    ),
    "pixel art": (
        *("as pixel art", "as pixel art", "in pixel art style", "in pixel art", "made of pixels"),
        *("drawn in pixels", "as a pixel art picture", "in pixel style", "as a pixel picture"),
        *("in the style of pixel art",),
    ),
}
_STYLE_OPENERS: Phrases = {  # before the subject
    "storybook": (
        *("a storybook picture of", "a storybook drawing of", "a storybook illustration of"),
        *("a picture book illustration of", "a storybook page with"),
    ),
    "watercolour": (
        *("a watercolour of", "a watercolor of", "a watercolour painting of", "watercolour of"),
        *("a watercolor painting of", "watercolor painting of", "a watercolour picture of"),
    ),
    "coloured pencil": (
        *("a coloured pencil drawing of", "a colored pencil drawing of", "a pencil drawing of"),
        *("pencil drawing of", "a pencil sketch of", "a drawing in coloured pencil of"),
    ),
    "pixel art": (
        *("pixel art of", "pixel art of", "a pixel art picture of", "a pixel picture of"),
        *("a pixel art image of", "a pixel drawing of"),
    ),
}
PHRASES: dict[str, Phrases] = {
    "position": _POSITION_PHRASES,
    "ground": _GROUND_PHRASES,
    "time": _TIME_PHRASES,
    "sky": _SKY_PHRASES,
    "weather": _WEATHER_PHRASES,
    "style": _STYLE_PHRASES,
}
TAGS: dict[str, Phrases] = {  # an attribute in a word or two, without a preposition
    "position": {
        "left": ("left", "left side", "on the left"),
        "middle": ("middle", "centre", "center", "centred", "centered"),
        "right": ("right", "right side", "on the right"),
    },
    "ground": {
        "grass": ("grass", "meadow", "green grass", "lawn"),
        "snow": ("snow", "white snow", "snowy ground"),
        "sand": ("sand", "beach", "yellow sand", "sandy beach"),
        "water": ("water", "sea", "blue water", "lake"),
    },
    "time": {
        "day": ("day", "daytime", "daylight"),
        "sunset": ("sunset", "evening", "dusk"),
        "night": ("night", "dark", "nighttime"),
    },
    "sky": {
        "none": ("empty sky", "empty sky", "nothing in the sky"),
        **{sky: (sky, f"{sky} above", f"{sky} in the sky") for sky in _SKY_ITEMS},
    },
    "weather": {
        "rain": ("rain", "raining", "it is raining", "rainy", "it rains"),
        "snowfall": ("snowfall", "snowing", "it is snowing", "falling snow", "snow is falling"),
    },
    "style": {
        "storybook": ("storybook", "storybook style", "storybook picture"),
        "watercolour": ("watercolour", "watercolor", "watercolour painting", "watercolor style"),
        "coloured pencil": ("coloured pencil", "colored pencil", "pencil drawing", "pencil"),
        "pixel art": ("pixel art", "pixel art", "pixel art style", "pixels"),
    },
}
_RAINY = {  # weather and time in one phrase
    "day": ("on a rainy day", "on a rainy afternoon"),
    "sunset": ("on a rainy evening",),
    "night": ("on a rainy night",),
}
_EMPTY_SKY = ("under an empty sky", "with nothing in the sky", "with an empty sky")  # if it rains
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
SHORT_SHARE = 0.12  # of captions name little more than the subject
SHORT_DROP_CHANCE = 0.85
STORYBOOK_SHARE = 0.15  # of captions of the storybook's scenes name it
TAG_SHARE = 0.15  # of captions are bare tags
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
    rest = [_pick(rng, TAGS[name][word]) for name, word in _words(scene).items() if name in told]
    if rng.random() < 0.4:
        rng.shuffle(rest)
    first = [rest.pop()] if rest and rng.random() < 0.2 else []
    return _finish(", ".join([*first, subject, *rest]), rng)


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
        subject += f" {_pick(rng, _VERBS if is_free else _PARTICIPLES)}"
        first_separator = " "
    rest = separator.join(phrases[name] for name in names)
    return _finish(f"{opening}{subject}{first_separator if rest else ''}{rest}", rng)


def _words(scene: Scene) -> dict[str, str]:
    """Attribute → word for what is told beside the subject, in the usual order."""
    backdrop = {name: getattr(scene, name) for name in BACKDROP}
    return {"position": scene.things[0].position, **backdrop}


def _phrases(scene: Scene, rng: random.Random, told: Container[str]) -> dict[str, str]:
    """Attribute → phrase, for what is told."""
    words = {name: word for name, word in _words(scene).items() if name in told}
    phrases = {name: _pick(rng, PHRASES[name][word]) for name, word in words.items()}
    if words.get("sky") == "none" and scene.weather != WEATHERS[0]:
        phrases["sky"] = _pick(rng, _EMPTY_SKY)
    if words.get("weather") == "rain" and "time" in words and rng.random() < 0.25:
        phrases["weather"] = _pick(rng, _RAINY[words["time"]])
        del phrases["time"]
    return phrases


def _opening(scene: Scene, rng: random.Random, phrases: dict[str, str]) -> str:
    """What comes before the subject; a phrase that goes there is taken out of `phrases`."""
    if "style" in phrases and rng.random() < 0.5:
        phrase = phrases.pop("style")
        tag = _pick(rng, TAGS["style"][scene.style])
        of = _pick(rng, _STYLE_OPENERS[scene.style])
        return _pick(rng, (f"{of} ", f"{of} ", f"{of} ", f"{phrase}, ", f"{tag}: ", f"{tag}, "))
    if rng.random() < 0.12:
        return f"{_pick(rng, _OPENERS)} "
    there_is = f"{_pick(rng, _THERE_IS)} " if rng.random() < 0.15 else ""
    if phrases and rng.random() < 0.3:
        return f"{phrases.pop(_pick(rng, list(phrases)))}, {there_is}"
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
    return _pick(rng, wordings).format(one=names[0], two=names[1], **sides)


def _name(thing: Thing, rng: random.Random, told: Container[str], article: bool) -> str:
    """The thing with its size and colour, the colour before the noun or after it."""
    words = [_pick(rng, SIZE_WORDS[thing.size])] if "size" in told else []
    noun = _pick(rng, SUBJECT_WORDS[thing.subject])
    if "colour" in told and rng.random() < COLOUR_AFTER_SHARE:
        template = _pick(rng, _COLOUR_AFTER)
        name = template.format(noun=" ".join([*words, noun]), colour=thing.colour)
    else:
        words += [thing.colour] if "colour" in told else []
        name = f"{(', ' if rng.random() < 0.1 else ' ').join(words)} {noun}".strip()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}" if article else name


def _pick(rng: random.Random, options: Sequence[str]) -> str:
    """As `rng.choice`, but one draw for any number of options.

    So scenes that differ in one attribute are worded alike, but for that.
    """
    return options[int(rng.random() * len(options))]


def _finish(text: str, rng: random.Random) -> str:
    """Without doubled or trailing commas; now and then with a capital and a full stop."""
    text = re.sub(r",+", ",", text).removesuffix(",").replace(",:", ":")
    if rng.random() < 0.15:
        text = text[0].upper() + text[1:]
    return f"{text}." if rng.random() < 0.15 else text
