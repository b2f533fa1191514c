"""What an image of our world can hold: `Scene`, plain data with no drawing in it.

A scene is one or two `Thing`s on a ground, at a time of day, under a sky item.
`render` turns it into an image and `caption` into words; neither knows of the other,
so the truth about every image is known and prompt adherence can be *measured*.

Held-out combinations never appear in training (`is_held_out`): what a model does with
them shows whether it composes what it knows or only remembers
(the design of Okawa et al. 2023, arXiv 2310.09336).

A subject and a style are held back altogether (`HELD_BACK_SUBJECTS`, `HELD_BACK_STYLES`): they
can be drawn, but no caption names them, and neither CLIP nor the U-Net has ever seen them. An
adapter can teach them: the autoencoder can draw them, and the judge knows them and can score it.

The world is also an indexed, seeded set of random scenes, in `SPLITS`. The same split and index
give the same scene on any machine. `train` never holds a held-out combination. `test` has the same
distribution but other scenes. `single` has one subject in each, `pairs` two. `held_out` has single
subjects in combinations that `train` never shows. Every scene of `styles` is in another style than
the storybook's, and in `held_out_styles` style and subject are a pair that `train` never shows.
`all` has everything, held out and held back too, for the autoencoder and the judge alone;
`all_test` is to it what `test` is to `train`.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SUBJECTS: tuple[str, ...]
SUBJECTS = ("house", "tree", "boat", "car", "castle", "cat", "rocket", "lighthouse")
SUBJECTS += ("train", "windmill", "flower", "robot")
HELD_BACK_SUBJECTS = ("snowman",)
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
GROUNDS = ("grass", "snow", "sand", "water")
TIMES = ("day", "sunset", "night")
SKIES = ("none", "sun", "moon", "cloud", "rainbow", "balloon")
POSITIONS = ("left", "middle", "right")
WEATHERS = ("none", "rain", "snowfall")
STYLES = ("storybook", "watercolour", "coloured pencil", "pixel art")
HELD_BACK_STYLES = ("stained glass",)
SIZES = ("small", "large")
PAIR_SIZE = "medium"  # two subjects share the image, so both have this one size

BACKDROP = ("ground", "time", "sky", "weather", "style")  # attributes of a scene, not of a thing
# What a prompt can say of one thing and of what is around it, attribute → words.
VOCABULARY: dict[str, tuple[str, ...]] = {
    "subject": SUBJECTS,
    "colour": COLOURS,
    "size": SIZES,
    "position": POSITIONS,
    "ground": GROUNDS,
    "time": TIMES,
    "sky": SKIES,
    "weather": WEATHERS,
    "style": STYLES,
}

# What cannot be is not drawn: no sun or rainbow at night, no moon by day.
SKIES_BY_TIME = {
    "day": ("none", "sun", "cloud", "rainbow", "balloon"),
    "sunset": SKIES,
    "night": ("none", "moon", "cloud", "balloon"),
}

# One colour for each subject, and one for each position, in their order. A learner can still ask
# for them.
HELD_OUT_COLOURS: tuple[str, ...]
HELD_OUT_COLOURS = ("green", "purple", "pink", "white", "orange", "blue", "yellow", "red")
HELD_OUT_COLOURS += ("purple", "pink", "green", "orange")
HELD_OUT_COLOUR_SUBJECTS = frozenset(zip(HELD_OUT_COLOURS, SUBJECTS, strict=True))
HELD_OUT_COLOUR_POSITIONS = frozenset(zip(("orange", "purple", "green"), POSITIONS, strict=True))
HELD_OUT_STYLE_SUBJECTS = frozenset(
    {
        ("watercolour", "castle"),
        ("watercolour", "robot"),
        ("coloured pencil", "car"),
        ("coloured pencil", "windmill"),
        ("pixel art", "cat"),
        ("pixel art", "boat"),
    }
)

PAIR_SHARE = 0.25  # of sampled scenes have two subjects
STORYBOOK_SHARE = 0.5  # of sampled scenes are drawn in the style that no caption has to name
DRY_SHARE = 0.7  # of sampled scenes have no weather
SPLITS: dict[str, dict[str, Any]] = {  # split → what `sample_scene` is asked for
    "train": {},
    "test": {},
    "single": {"pair": False},
    "pairs": {"pair": True},
    "held_out": {"pair": False, "held_out": True},
    "styles": {"styled": True},
    "held_out_styles": {"pair": False, "styled": True, "style_held_out": True},
    "all": {"held_out": None, "style_held_out": None, "held_back": True},
    "all_test": {"held_out": None, "style_held_out": None, "held_back": True},
}


def _require(value: str, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")


@dataclass(frozen=True)
class Thing:
    """One subject: what it is, its colour, its size and where it stands.

    Raises `ValueError` naming the field when a word is not in the vocabulary.
    """

    subject: str
    colour: str
    size: str = "large"
    position: str = "middle"

    def __post_init__(self) -> None:
        _require(self.subject, (*SUBJECTS, *HELD_BACK_SUBJECTS), "subject")
        _require(self.colour, COLOURS, "colour")
        _require(self.size, (*SIZES, PAIR_SIZE), "size")
        _require(self.position, POSITIONS, "position")


@dataclass(frozen=True)
class Scene:
    """Everything there is to know about one image.

    `things` holds one subject, or two of size "medium" of which one stands on the left and
    the other on the right. `variant` seeds what captions do not tell: small shifts, hills,
    stars, and which of several wordings the caption uses.

    >>> scene = Scene((Thing("house", "red", position="left"),), ground="snow", time="night")
    >>> scene.is_pair
    False
    >>> Scene((Thing("house", "red"),), ground="lava")
    Traceback (most recent call last):
    ValueError: ground must be one of grass, snow, sand, water; got 'lava'
    """

    things: tuple[Thing, ...]
    ground: str = "grass"
    time: str = "day"
    sky: str = "none"
    variant: int = 0
    style: str = "storybook"
    weather: str = "none"

    def __post_init__(self) -> None:
        listed = self.things if isinstance(self.things, tuple | list) else [None]
        if not all(isinstance(thing, Thing) for thing in listed):
            example = "(Thing('cat', 'red'),)"
            raise TypeError(f"things must be a tuple such as {example}; got {self.things!r}")
        _require(self.ground, GROUNDS, "ground")
        _require(self.time, TIMES, "time")
        _require(self.sky, SKIES_BY_TIME[self.time], f"sky at {self.time}")
        _require(self.style, (*STYLES, *HELD_BACK_STYLES), "style")
        _require(self.weather, WEATHERS, "weather")
        if len(self.things) == 2:
            if {thing.position for thing in self.things} != {"left", "right"}:
                raise ValueError("of two things, one must be on the left and one on the right")
            if any(thing.size != PAIR_SIZE for thing in self.things):
                raise ValueError(f"of two things, both must have size {PAIR_SIZE!r}")
        elif len(self.things) != 1:
            raise ValueError(f"a scene has one or two things; got {len(self.things)}")
        elif self.things[0].size not in SIZES:
            raise ValueError(f"size of a single thing must be one of {', '.join(SIZES)}")

    @property
    def is_pair(self) -> bool:
        """True when the scene has two subjects."""
        return len(self.things) == 2


def check_scene(scene: Scene) -> Scene:
    """`TypeError` for what is no scene, such as a thing alone."""
    if not isinstance(scene, Scene):
        raise TypeError(f"scene must be a Scene; got {scene!r}")
    return scene


def is_held_out(scene: Scene) -> bool:
    """True when any thing is in a combination of colour, subject and place never trained on."""
    return any(
        (thing.colour, thing.subject) in HELD_OUT_COLOUR_SUBJECTS
        or (thing.colour, thing.position) in HELD_OUT_COLOUR_POSITIONS
        for thing in scene.things
    )


def is_style_held_out(scene: Scene) -> bool:
    """True when any thing is drawn in a style in which training never shows it."""
    return any((scene.style, thing.subject) in HELD_OUT_STYLE_SUBJECTS for thing in scene.things)


def scene_at(index: int, split: str = "train") -> Scene:
    """Scene number `index` (0, 1, 2, ...) of a split (one of `SPLITS`)."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    return sample_scene(random.Random(f"{split} {index}"), **SPLITS[split])


def scenes(count: int, split: str = "train") -> Iterator[Scene]:
    """The first `count` scenes of a split."""
    return (scene_at(index, split) for index in range(count))


def sample_scene(
    rng: random.Random,
    *,
    pair: bool | None = None,
    held_out: bool | None = False,
    styled: bool = False,
    style_held_out: bool | None = False,
    held_back: bool = False,
) -> Scene:
    """A random scene; the same state of `rng` gives the same scene on any machine.

    `pair` asks for one subject (False) or two (True); None leaves it to chance (`PAIR_SHARE`).
    `held_out` asks for a held-out combination (True) or for any other (False); None takes both;
    so does `style_held_out` for style and subject. `styled` asks for another style than the
    storybook's. With `held_back`, what is held back from training comes as often as the rest.
    """
    is_pair = rng.random() < PAIR_SHARE if pair is None else pair  # before any rejection
    subjects = (*SUBJECTS, *HELD_BACK_SUBJECTS) if held_back else SUBJECTS
    styles = (*STYLES[1:], *HELD_BACK_STYLES) if held_back else STYLES[1:]
    while True:  # a good tenth of all scenes has a held-out style, so this ends soon
        time = rng.choice(TIMES)
        scene = Scene(
            things=_sample_pair(rng, subjects) if is_pair else _sample_single(rng, subjects),
            ground=rng.choice(GROUNDS),
            time=time,
            sky=rng.choice(SKIES_BY_TIME[time]),
            variant=rng.getrandbits(32),
            style=STYLES[0]
            if not styled and rng.random() < STORYBOOK_SHARE
            else rng.choice(styles),
            weather=WEATHERS[0] if rng.random() < DRY_SHARE else rng.choice(WEATHERS[1:]),
        )
        is_wanted = held_out in (None, is_held_out(scene))
        if is_wanted and style_held_out in (None, is_style_held_out(scene)):
            return scene


def _sample_single(rng: random.Random, subjects: tuple[str, ...]) -> tuple[Thing]:
    return (Thing(*(rng.choice(words) for words in (subjects, COLOURS, SIZES, POSITIONS))),)


def _sample_pair(rng: random.Random, subjects: tuple[str, ...]) -> tuple[Thing, ...]:
    """Two different subjects in two different colours, or the caption would be no test."""
    two, colours = rng.sample(subjects, 2), rng.sample(COLOURS, 2)
    sides = ("left", "right") if rng.random() < 0.5 else ("right", "left")
    pair = zip(two, colours, sides, strict=True)
    return tuple(Thing(subject, colour, PAIR_SIZE, side) for subject, colour, side in pair)
