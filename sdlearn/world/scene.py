"""What an image of our world can hold: `Scene`, plain data with no drawing in it.

A scene is one or two `Thing`s on a ground, at a time of day, under a sky item.
`render` turns it into an image and `caption` into words; neither knows of the other,
so the truth about every image is known and prompt adherence can be *measured*.

Held-out combinations never appear in training (`is_held_out`): what a model does with
them shows whether it composes what it knows or only remembers
(the design of Okawa et al. 2023, arXiv 2310.09336).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "COLOURS",
    "GROUNDS",
    "HELD_OUT_COLOUR_POSITIONS",
    "HELD_OUT_COLOUR_SUBJECTS",
    "POSITIONS",
    "SIZES",
    "SKIES",
    "SKIES_BY_TIME",
    "SUBJECTS",
    "TIMES",
    "Scene",
    "Thing",
    "check_scene",
    "is_held_out",
]

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
    "sunset": ("none", "sun", "moon", "cloud", "rainbow", "balloon"),
    "night": ("none", "moon", "cloud", "balloon"),
}

# One colour for each subject and one for each position. A learner can still ask for them.
HELD_OUT_COLOUR_SUBJECTS = frozenset(
    {
        ("green", "house"),
        ("purple", "tree"),
        ("pink", "boat"),
        ("white", "car"),
        ("orange", "castle"),
        ("blue", "cat"),
        ("yellow", "rocket"),
        ("red", "lighthouse"),
    }
)
HELD_OUT_COLOUR_POSITIONS = frozenset(
    {("orange", "left"), ("purple", "middle"), ("green", "right")}
)


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
