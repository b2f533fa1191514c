"""The words of the world: every attribute in many phrases, for all who write captions of it."""

import random
import re
from collections.abc import Sequence
from typing import TypeVar

from .scene import BACKDROP, SUBJECTS, Scene

T = TypeVar("T")
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
SKY_ITEMS: Phrases = {
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
# Of the phrases for no sky item those without "clear", which would say that it is dry.
EMPTY_SKY = ("under an empty sky", "with nothing in the sky", "with an empty sky")
_SKY_PHRASES: Phrases = {
    sky: tuple(phrase.format(item) for phrase in _UNDER_A_SKY_ITEM for item in items)
    for sky, items in SKY_ITEMS.items()
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
STYLE_OPENERS: Phrases = {  # before the subject
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
        **{sky: (sky, f"{sky} above", f"{sky} in the sky") for sky in SKY_ITEMS},
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


def told_words(scene: Scene) -> dict[str, str]:
    """Attribute → word for what is told beside the subject, in the usual order."""
    backdrop = {name: getattr(scene, name) for name in BACKDROP}
    return {"position": scene.things[0].position, **backdrop}


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """As `rng.choice`, but one draw for any number of options.

    So scenes that differ in one attribute are worded alike, but for that.
    """
    return options[int(rng.random() * len(options))]


def finish(text: str, rng: random.Random) -> str:
    """Without doubled or trailing commas; now and then with a capital and a full stop."""
    text = re.sub(r",+", ",", text).removesuffix(",").replace(",:", ":")
    if rng.random() < 0.15:
        text = text[0].upper() + text[1:]
    return f"{text}." if rng.random() < 0.15 else text
