"""Words for a scene: `caption(scene)`, independent of how the scene is drawn.

Most captions name everything there is to see: complete captions are what teaches a text
tower which colour belongs to which subject (arXiv 2507.07985). Some are short, so that a
learner's own "a red house" works too. Several wordings and synonyms for each attribute keep
the tower from learning one template by heart.
"""

import random

from .scene import SUBJECTS, Scene, Thing, check_scene

SUBJECT_WORDS: dict[str, tuple[str, ...]] = {subject: (subject,) for subject in SUBJECTS}
SUBJECT_WORDS |= {
    "house": ("house", "house", "cottage"),
    "boat": ("boat", "boat", "ship"),
    "cat": ("cat", "cat", "kitten"),
    "rocket": ("rocket", "rocket", "spaceship"),
}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
POSITION_WORDS = {
    "left": ("on the left", "to the left", "at the left"),
    "middle": ("in the middle", "in the centre", "in the center"),
    "right": ("on the right", "to the right", "at the right"),
}
GROUND_WORDS = {
    "grass": ("on green grass", "on the grass", "on a green meadow"),
    "snow": ("on white snow", "in the snow", "on snow"),
    "sand": ("on yellow sand", "on the sand", "on a sandy beach"),
    "water": ("on blue water", "on the water", "on the sea"),
}
TIME_WORDS = {
    "day": ("by day", "in daylight", "during the day"),
    "sunset": ("at sunset", "in the evening", "at dusk"),
    "night": ("at night", "in the dark", "by night"),
}
SKY_WORDS = {
    "none": ("under an empty sky", "under a clear sky"),
    "sun": ("under the sun", "under a bright sun", "with the sun above"),
    "moon": ("under the moon", "under a crescent moon", "with the moon above"),
    "cloud": ("under a cloud", "under clouds", "with a cloud above"),
    "rainbow": ("under a rainbow", "with a rainbow", "with a rainbow above"),
    "balloon": ("under a balloon", "under a hot-air balloon", "with a balloon above"),
}
COMPLETE_SHARE = 0.5  # of captions name every attribute
DROP_CHANCE = 0.4  # of each attribute in the other captions


def caption(scene: Scene) -> str:
    """The scene in words, for training: wording and completeness follow `scene.variant`."""
    check_scene(scene)
    rng = random.Random(f"caption {scene.variant}")
    drop = 0.0 if rng.random() < COMPLETE_SHARE else DROP_CHANCE
    return _write(scene, rng, drop)


def full_caption(scene: Scene) -> str:
    """The scene in words with every attribute named: what a fair test prompt needs.

    >>> full_caption(Scene((Thing("house", "red"),), time="night", sky="moon"))
    'a huge red house in the centre, on the grass, by night, under a crescent moon'
    """
    check_scene(scene)
    return _write(scene, random.Random(f"full {scene.variant}"), drop=0.0)


def _write(scene: Scene, rng: random.Random, drop: float) -> str:
    def maybe(phrase: str) -> list[str]:
        return [phrase] if rng.random() >= drop else []

    subject = _pair(scene.things, rng) if scene.is_pair else _single(scene.things[0], rng, drop)
    rest = maybe(rng.choice(GROUND_WORDS[scene.ground])) + maybe(rng.choice(TIME_WORDS[scene.time]))
    sky = maybe(rng.choice(SKY_WORDS[scene.sky]))
    if rng.random() < 0.3:
        rest.reverse()
    parts = [subject, *rest, *sky]
    if sky and rng.random() < 0.15:  # now and then the sky comes right after the subject
        parts = [subject, *sky, *rest]
    return (", " if rng.random() < 0.8 else " ").join(parts)


def _named(thing: Thing, rng: random.Random, with_size: bool, with_colour: bool = True) -> str:
    words = [rng.choice(SIZE_WORDS[thing.size])] if with_size else []
    words += [thing.colour] if with_colour else []
    words.append(rng.choice(SUBJECT_WORDS[thing.subject]))
    return f"{'an' if words[0][0] in 'aeiou' else 'a'} {' '.join(words)}"


def _single(thing: Thing, rng: random.Random, drop: float) -> str:
    with_size, with_colour = rng.random() >= drop, rng.random() >= drop * 0.5
    name = _named(thing, rng, with_size, with_colour)
    return name if rng.random() < drop else f"{name} {rng.choice(POSITION_WORDS[thing.position])}"


def _pair(things: tuple[Thing, ...], rng: random.Random) -> str:
    first, second = things
    one, two = _named(first, rng, with_size=False), _named(second, rng, with_size=False)
    side, other_side = first.position, second.position
    wordings = (
        f"{one} {side} of {two}",
        f"{one} to the {side} of {two}",
        f"{one} on the {side} and {two} on the {other_side}",
        f"{one} on the {side}, {two} on the {other_side}",
    )
    return rng.choice(wordings)
