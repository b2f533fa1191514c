"""What an image of our world can hold: `Scene`, plain data with no drawing in it.

A scene is one or two `Thing`s on a ground, at a time of day, under a sky item.
`render` turns it into an image and `caption` into words; neither knows of the other,
so the truth about every image is known and prompt adherence can be *measured*.

Held-out combinations never appear in training (`is_held_out`): what a model does with
them shows whether it composes what it knows or only remembers
(the design of Okawa et al. 2023, arXiv 2310.09336).

The world is also an indexed, seeded set of random scenes, in `SPLITS`. The same split and index
give the same scene on any machine. `train` never holds a held-out combination. `test` has the same
distribution but other scenes. `held_out` has single subjects in combinations that `train` never
shows; `pairs` has two subjects each, none held out. `single` is the same with one subject; `judge`
holds every combination, in and out, for the training of the judge alone.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

SUBJECTS = ("house", "tree", "boat", "car", "castle", "cat", "rocket", "lighthouse")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
GROUNDS = ("grass", "snow", "sand", "water")
TIMES = ("day", "sunset", "night")
SKIES = ("none", "sun", "moon", "cloud", "rainbow", "balloon")
POSITIONS = ("left", "middle", "right")
SIZES = ("small", "large")
PAIR_SIZE = "medium"  # two subjects share the image, so both have this one size

# What cannot be is not drawn: no sun or rainbow at night, no moon by day.
SKIES_BY_TIME = {
    "day": ("none", "sun", "cloud", "rainbow", "balloon"),
    "sunset": SKIES,
    "night": ("none", "moon", "cloud", "balloon"),
}

# One colour for each subject and one for each position, in their order. A learner can still ask
# for them.
HELD_OUT_COLOURS = ("green", "purple", "pink", "white", "orange", "blue", "yellow", "red")
HELD_OUT_COLOUR_SUBJECTS = frozenset(zip(HELD_OUT_COLOURS, SUBJECTS, strict=True))
HELD_OUT_COLOUR_POSITIONS = frozenset(zip(("orange", "purple", "green"), POSITIONS, strict=True))

PAIR_SHARE = 0.25  # of sampled scenes have two subjects
SPLITS: dict[str, dict[str, bool | None]] = {  # split → what `sample_scene` is asked for
    "train": {},
    "test": {},
    "single": {"pair": False},
    "pairs": {"pair": True},
    "held_out": {"pair": False, "held_out": True},
    "judge": {"held_out": None},
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
        _require(self.subject, SUBJECTS, "subject")
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

    def __post_init__(self) -> None:
        listed = self.things if isinstance(self.things, tuple | list) else [None]
        if not all(isinstance(thing, Thing) for thing in listed):
            example = "(Thing('cat', 'red'),)"
            raise TypeError(f"things must be a tuple such as {example}; got {self.things!r}")
        _require(self.ground, GROUNDS, "ground")
        _require(self.time, TIMES, "time")
        _require(self.sky, SKIES_BY_TIME[self.time], f"sky at {self.time}")
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
    """True when any thing is in a combination that training never shows."""
    return any(
        (thing.colour, thing.subject) in HELD_OUT_COLOUR_SUBJECTS
        or (thing.colour, thing.position) in HELD_OUT_COLOUR_POSITIONS
        for thing in scene.things
    )


def scene_at(index: int, split: str = "train") -> Scene:
    """Scene number `index` (0, 1, 2, ...) of a split (one of `SPLITS`)."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    return sample_scene(random.Random(f"{split} {index}"), **SPLITS[split])


def scenes(count: int, split: str = "train") -> Iterator[Scene]:
    """The first `count` scenes of a split."""
    return (scene_at(index, split) for index in range(count))


def sample_scene(
    rng: random.Random, *, pair: bool | None = None, held_out: bool | None = False
) -> Scene:
    """A random scene; the same state of `rng` gives the same scene on any machine.

    `pair` asks for one subject (False) or two (True); None leaves it to chance (`PAIR_SHARE`).
    `held_out` asks for a held-out combination (True) or for any other (False); None takes both.
    """
    is_pair = rng.random() < PAIR_SHARE if pair is None else pair  # before any rejection
    while True:  # about a quarter of all single scenes are held out, so this ends soon
        time = rng.choice(TIMES)
        scene = Scene(
            things=_sample_pair(rng) if is_pair else _sample_single(rng),
            ground=rng.choice(GROUNDS),
            time=time,
            sky=rng.choice(SKIES_BY_TIME[time]),
            variant=rng.getrandbits(32),
        )
        if held_out in (None, is_held_out(scene)):
            return scene


def _sample_single(rng: random.Random) -> tuple[Thing]:
    return (Thing(*(rng.choice(words) for words in (SUBJECTS, COLOURS, SIZES, POSITIONS))),)


def _sample_pair(rng: random.Random) -> tuple[Thing, ...]:
    """Two different subjects in two different colours, or the caption would be no test."""
    subjects, colours = rng.sample(SUBJECTS, 2), rng.sample(COLOURS, 2)
    sides = ("left", "right") if rng.random() < 0.5 else ("right", "left")
    pair = zip(subjects, colours, sides, strict=True)
    return tuple(Thing(subject, colour, PAIR_SIZE, side) for subject, colour, side in pair)
