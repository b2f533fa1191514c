"""A second way to write a caption: `prose`, as people ask for a picture and tell about one.

Which colour belongs to which of two things can be said in far more ways than "a red cat on the
left and a blue house on the right": colours after both nouns, one place only, one thing told of
the other, in two or three sentences. A text tower that reads one way only mixes them up. So here
are many forms. The words for what is in the picture are those of `phrases`.
"""

import random
import re
from collections.abc import Container

from .phrases import (
    EMPTY_SKY,
    PHRASES,
    SIZE_WORDS,
    SKY_ITEMS,
    SUBJECT_WORDS,
    TAGS,
    finish,
    pick,
    told_words,
)
from .scene import BACKDROP, Scene, Thing

_ARTICLES = ("a", "a", "a", "a", "a", "a", "the", "the", "one", "my")
_VERY = ("very", "really", "quite", "rather")
_VERBS = ("is", "is", "stands", "sits", "waits", "rests", "can be seen", "is placed")
_REQUESTS = (
    *("draw {}", "please draw {}", "draw me {}", "can you draw {}?", "could you please draw {}?"),
    *("make {}", "make me {}", "please make {}", "create {}", "can you make {}?", "imagine {}"),
    *("i want {}", "i would like {}", "i'd like to see {}", "i want to see {}", "i need {}"),
    *("show me {}", "please show me {}", "give me {}", "can i have {}?", "may i see {}?"),
    *("generate {}", "generate an image of {}", "draw a picture of {}", "a nice drawing of {}"),
    *("a picture in which you see {}", "i am looking for {}", "let us draw {}", "we want {}"),
    *("my picture shows {}", "the picture shows {}", "this picture has {}", "look at {}"),
)
_INTROS = (
    *("there is {}", "there is {}", "here is {}", "this is {}", "you see {}", "i can see {}"),
    *("we see {}", "in the picture there is {}", "in the picture you see {}", "it shows {}"),
)

# The thing "1" is on the side {side} and "2" on the side {other}. {one} is "a red cat", {a1} "a
# cat", {t1} "the cat", {r1} "the red cat", {n1} "cat", {c1} "red" and {p1} "on the left". {left}
# and {right} are as {one}. These can follow "draw".
PAIR_NOUNS = (
    *("{one} {p1} and {two} {p2}", "{one} {p1}, {two} {p2}", "{one} {p1}; {two} {p2}"),
    *("{one} {p1}. {two} {p2}", "{one} {p1} and {two}", "{one} {p1}, and also {two}"),
    *("{one} and {two}, {r1} {p1}", "{one} and {two}, with {r1} {p1}", "{two} and {one} {p1}"),
    *("{one} and {two}; {t1} is {p1}", "{one} and {two}; {t2} is {p2}, {t1} {p1}"),
    *("{one} and {two}. {t1} {v} {p1}, {t2} {p2}", "{one} and {two}, {t1} {p1} and {t2} {p2}"),
    *("{one} and {two}. {r1} is to the {side} of {r2}", "{one} and {two}. {t1} {v} {p1}"),
    *("{one} and {two}, and {t1} is {p1}", "{one} and {two}. the {c1} one is {p1}"),
    "{one} and {two}; the {c2} one is {p2}, the {c1} one is {p1}",
    "{a1} and {a2}; {t1} is {c1} and {v} {p1}, {t2} is {c2}",
    "{a1} and {a2}; {t1} is {c1} and {v} {p1}, {t2} is {c2} and {v} {p2}",
    "{a1} and {a2}. {t1} is {c1}, {t2} is {c2}. {t1} is {p1}",
    "{a1} and {a2}. {t1} is {c1}. {t2} is {c2}. {t2} {v} {p2}",
    *("{a1} and {a2}, {t1} {c1} and {p1}, {t2} {c2}", "{a1} and {a2}: {c1} {n1} {p1}, {c2} {n2}"),
    *("{a1} and {a2}. {t1} {p1} is {c1}, {t2} is {c2}", "{a1} and {a2}; {p1} {r1}, {p2} {r2}"),
    "{a1} and {a2}. {p1} is {t1}, {p2} is {t2}. {t1} is {c1} and {t2} is {c2}",
    "{a1} {p1} and {a2} {p2}; {t1} is {c1} and {t2} is {c2}",
    "{a1} {p1} and {a2} {p2}, {t1} {c1}, {t2} {c2}",
    "{a1} {p1} and {a2} {p2}, the first {c1} and the second {c2}",
    "{a1} {p1} and {a2} {p2}. the {side} one is {c1}, the {other} one is {c2}",
    "{a1} {p1} and {a2} {p2}, {c1} and {c2} respectively",
    "{a1} and {a2}, {c1} and {c2} respectively, {t1} {p1}",
    "{a1} to the {side} of {a2}, {t1} is {c1}, {t2} is {c2}",
    *("{a1} {side} of {a2}; {t1} {c1}, {t2} {c2}", "{a1} that is {c1} {p1} and {a2} that is {c2}"),
    "{a1} {p1} which is {c1} and {a2} {p2} which is {c2}",
    *("{a1}, {c1}, {p1}, and {a2}, {c2}, {p2}", "{a1} ({c1}, {side}) and {a2} ({c2}, {other})"),
    *("{one}, which {v} {p1}, and {two}", "{one} that {v} {p1} and {two} {p2}"),
    *("{one} and, beside it, on the {other}, {two}", "{one} and next to it, {p2}, {two}"),
    *("{one} with {two} beside it on the {other}", "{one} next to {two}, {t1} on the {side}"),
    *("{one} beside {two}; {t1} is {p1}", "{one} next to {two}. {t1} is the {side} one"),
    *("{one} together with {two}, {r2} {p2}", "{two}, {p2}, and {one}"),
    *("{one} {p1} and {two} on the other side", "{one} {p1}, {two} on the opposite side"),
    *("{left} and {right}, from left to right", "{right} and {left}, from right to left"),
    *("{one} {p1} with {two} {p2}", "{one} in the {side} half and {two} in the {other} half"),
    *("{left} on the left, followed by {right} on the right", "two things: {one} {p1}, {two} {p2}"),
)
PAIR_STATEMENTS = (
    *("{two} is on the {other} of {one}", "{r2} is at the {other} of {r1}"),
    *("{p1} there is {one} and {p2} there is {two}", "{p1} we see {one}, {p2} {two}"),
    *("{p1}: {one}. {p2}: {two}", "{p1} there is {one}. {two} is {p2}", "{p1} {one}; {p2} {two}"),
    "{p1} there is {a1} that is {c1}, {p2} {a2} that is {c2}",
    "{p1} you see {a1} in {c1} and {p2} {a2} in {c2}",
    "{p1} is {a1} and {p2} is {a2}. {t1} is {c1}, {t2} is {c2}",
    *("{t1} {p1} is {c1}, {t2} {p2} is {c2}", "{t1} {p1} is {c1} and {t2} is {c2}"),
    "{t1} is {c1} and {v} {p1}, {t2} is {c2} and {v} {p2}",
    "{t1} is {c1}. {t2} is {c2}. {t1} is to the {side} of {t2}",
    *("{t1} is {c1}, {t2} is {c2}, and {t1} {v} {p1}", "{r1} {v} {p1}. {r2} {v} {p2}"),
    *("{one} {v} {p1}. on the {other} there is {two}", "{one} {v} {p1} and beside it is {two}"),
    *("the {side} one is {one}, the {other} one is {two}", "from left to right: {left}, {right}"),
    *("the thing {p1} is {one}, the other is {two}", "left to right: {left} and {right}"),
    *("{r1} {v} {p1} while {r2} {v} {p2}", "{r2} has {r1} on its {side}"),
    *("to its {other} {r1} has {r2}", "{one} {v} there, {p1}, and {two} {p2}"),
)
PAIR_TAGGED = (
    *("{n1}: {c1}, {side}; {n2}: {c2}, {other}", "{c1} {n1} ({side}), {c2} {n2} ({other})"),
    *("{c1} {n1} {side} / {c2} {n2} {other}", "{c1} {n1} + {c2} {n2}, {n1} {side}"),
    *("{side} {c1} {n1}, {other} {c2} {n2}", "{c1} {n1} {side} | {c2} {n2} {other}"),
    *("{n1} {c1} {side}, {n2} {c2} {other}", "{c1} {n1} {side} and {c2} {n2} {other}"),
    *("{side} = {c1} {n1}, {other} = {c2} {n2}", "{side} side {c1} {n1}; {other} side {c2} {n2}"),
    *("{c1} {n1} - {side}, {c2} {n2} - {other}", "{c1} {n1}, {c2} {n2}, {n1} is {side}"),
    *("{c1} {n1} & {c2} {n2}, {n2} on the {other}", "{n1} in {c1} {side}, {n2} in {c2} {other}"),
)

_SKY_CLAUSES = ("the sky has {} in it", "you can see {} in the sky", "above it all we see {}")
_CLAUSES: dict[str, dict[str, tuple[str, ...]]] = {
    "ground": {
        "grass": ("the ground is grass", "there is grass on the ground", "grass is all around"),
        "snow": ("the ground is snow", "there is snow on the ground", "snow lies on the ground"),
        "sand": ("the ground is sand", "there is sand on the ground", "sand is all around"),
        "water": ("the ground is water", "there is water all around", "water is all around"),
    },
    "time": {
        "day": ("it is day", "the time is day", "it is daytime", "it is afternoon"),
        "sunset": ("it is sunset", "the time is sunset", "it is evening", "it is dusk"),
        "night": ("it is night", "the time is night", "it is dark", "it is nighttime"),
    },
    "sky": {
        "none": ("the sky is empty", "there is nothing in the sky", "you see an empty sky"),
        **{s: tuple(c.format(i) for c in _SKY_CLAUSES for i in SKY_ITEMS[s]) for s in SKY_ITEMS},
    },
    "weather": {
        "rain": ("it is raining", "it rains", "rain is falling", "the weather is rainy"),
        "snowfall": ("it is snowing", "it snows", "snow is falling", "snowflakes are falling"),
    },
    "style": {
        "storybook": ("the style is storybook", "it is a storybook picture"),
        "watercolour": (
            *("the style is watercolour", "the style is watercolor", "it is a watercolour"),
            *("it is a watercolor painting", "it is painted in watercolours"),
        ),
        "coloured pencil": (
            *("the style is coloured pencil", "the style is colored pencil"),
            *("it is a pencil drawing", "it is drawn in pencil", "the style is pencil"),
        ),
        "pixel art": ("the style is pixel art", "it is pixel art", "it is made of pixels"),
    },
}


def prose(scene: Scene, rng: random.Random, told: Container[str]) -> str:
    """A caption that names `told`: the subject, then or before it what is around it.

    What is around it comes as phrases ("at night") or as clauses of their own ("it is night").
    """
    if rng.random() < 0.07 and not scene.is_pair:
        return _labels(scene, rng, told)
    words = {name: getattr(scene, name) for name in BACKDROP if name in told}
    names = [name for name, word in words.items() if word in _CLAUSES[name]]  # not dry weather
    rng.shuffle(names)
    clause_share = pick(rng, (0.0, 0.3, 0.7))
    clauses = [name for name in names if rng.random() < clause_share]
    phrases = [_phrase(name, words[name], rng) for name in names if name not in clauses]
    first = f"{phrases.pop(0)}, " if phrases and rng.random() < 0.25 else ""
    gap = pick(rng, (" ", ", "))
    rest = gap.join(phrases)
    if scene.is_pair:
        text = _pair(scene, rng, gap, rest)
    else:
        text = _single(scene.things[0], rng, told, gap, rest)
    parts = [pick(rng, _CLAUSES[name][words[name]]) for name in clauses]
    joint = pick(rng, (". ", ". ", "; ", ", "))
    if parts and rng.random() < 0.25:
        return _end(f"{parts[0]}{joint}{first}{joint.join([text, *parts[1:]])}", rng)
    last = f" and {parts.pop()}" if len(parts) > 1 and rng.random() < 0.3 else ""
    return _end(f"{first}{joint.join([text, *parts])}{last}", rng)


def _labels(scene: Scene, rng: random.Random, told: Container[str]) -> str:
    """A form filled in, such as "house; colour: red, time: night"."""
    thing = scene.things[0]
    rest = [("size", pick(rng, SIZE_WORDS[thing.size])), ("colour", thing.colour)]
    for name, word in told_words(scene).items():
        if word in TAGS[name]:  # dry weather has no words
            rest.append((name, pick(rng, TAGS[name][word])))
    titles = {"position": "place"}
    fields = [f"{titles.get(name, name)}: {word}" for name, word in rest if name in told]
    noun = pick(rng, SUBJECT_WORDS[thing.subject])
    return finish(pick(rng, (", ", "; ")).join([noun, *fields]), rng)


def _phrase(name: str, word: str, rng: random.Random) -> str:
    return pick(rng, EMPTY_SKY if (name, word) == ("sky", "none") else PHRASES[name][word])


def _pair(scene: Scene, rng: random.Random, gap: str, rest: str) -> str:
    """Both things, each with its colour, and where at least one is; `rest` is what is around them.

    `gap` stands before `rest`.
    """
    things = rng.sample(scene.things, 2)
    kind = rng.random()
    forms = PAIR_NOUNS if kind < 0.6 else PAIR_STATEMENTS if kind < 0.87 else PAIR_TAGGED
    form = pick(rng, forms)
    nouns = [pick(rng, SUBJECT_WORDS[thing.subject]) for thing in things]
    article = pick(rng, ("a", "a", "a", "the", "one", ""))
    article = article or ("a" if forms is PAIR_STATEMENTS else "")
    slots = {"side": things[0].position, "other": things[1].position, "v": pick(rng, _VERBS)}
    place = pick(rng, PHRASES["position"]["left"])
    for number, thing, noun in zip("12", things, nouns, strict=True):
        full = _with(article, f"{thing.colour} {noun}")
        slots |= {"one" if number == "1" else "two": full, thing.position: full}
        slots |= {f"a{number}": _with("a", noun), f"t{number}": f"the {noun}", f"n{number}": noun}
        slots |= {f"c{number}": thing.colour, f"r{number}": f"the {thing.colour} {noun}"}
        slots[f"p{number}"] = place.replace("left", thing.position)
    if rest and forms is PAIR_NOUNS and rng.random() < 0.4:  # what is around them in between
        head, mark, tail = form.partition(";" if ";" in form else ".")
        form = f"{head}{gap if mark else ', '}{rest}{mark}{tail}"
    elif rest:
        form = f"{form}{', ' if forms is PAIR_TAGGED else gap}{rest}"
    text = form.format(**slots)
    return _request(text, rng) if forms is PAIR_NOUNS else text


def _single(thing: Thing, rng: random.Random, told: Container[str], gap: str, rest: str) -> str:
    """The thing, with what is told of it beside its name or in clauses about it.

    `gap` stands before `rest`, which is what is around it.
    """
    noun = pick(rng, SUBJECT_WORDS[thing.subject])
    colour = thing.colour if "colour" in told else ""
    size = pick(rng, SIZE_WORDS[thing.size]) if "size" in told else ""
    if size not in ("", "giant") and rng.random() < 0.25:
        size = f"{pick(rng, _VERY)} {size}"
    place = pick(rng, PHRASES["position"][thing.position]) if "position" in told else ""
    if rng.random() < 0.1:  # all of it in front
        front = [word for word in (colour, size, place) if word]
        rng.shuffle(front)
        name = f"{', '.join(front)}{': ' if front else ''}{_with('a', noun)}"
        return f"{name}{gap if rest else ''}{rest}"
    later: list[str] = []
    is_told_later = pick(rng, (0.0, 0.0, 0.5, 1.0))
    looks = [word for word in (size, colour) if word]
    if looks and rng.random() < is_told_later:
        later = looks if rng.random() < 0.7 else looks[:1]
    name = _named(noun, [word for word in looks if word not in later], rng)
    is_place_later = bool(place) and rng.random() < is_told_later
    if place and not is_place_later:
        name += f"{pick(rng, (' ', ' ', ', '))}{place}"
    text = _request(f"{name}{gap if rest else ''}{rest}", rng)
    joint = pick(rng, (". ", ". ", "; ", ", "))
    return joint.join([text, *_about(noun, later, place if is_place_later else "", rng)])


def _about(noun: str, looks: list[str], place: str, rng: random.Random) -> list[str]:
    """Clauses such as "it is red and small" and "the house stands on the left"."""
    who = pick(rng, ("it", "it", f"the {noun}"))
    verb = pick(rng, _VERBS)
    rng.shuffle(looks)
    seems = f"{who} {pick(rng, ('is', 'is', 'should be'))} {' and '.join(looks)}" if looks else ""
    if looks and place and rng.random() < 0.4:
        return [f"{seems} and {verb} {place}" if "should" not in seems else f"{seems} and {place}"]
    if place and looks and rng.random() < 0.3:
        return [f"{who} {verb} {place}", seems]
    return [clause for clause in (seems, f"{who} {verb} {place}" if place else "") if clause]


def _named(noun: str, looks: list[str], rng: random.Random) -> str:
    """The noun with an article and with `looks`, its size and colour, before or after it."""
    article = pick(rng, _ARTICLES)
    if looks and rng.random() < 0.3:
        after = " and ".join(looks if rng.random() < 0.5 else looks[::-1])
        form = pick(rng, (", {},", " that is {}", " which is {}"))
        return _with(article, noun) + form.format(after)
    return _with(article, " ".join([*looks, noun]))


def _with(article: str, name: str) -> str:
    return f"{'an' if article == 'a' and name[0] in 'aeiou' else article} {name}".strip()


def _request(text: str, rng: random.Random) -> str:
    """Asked for, told, or just named."""
    chance = rng.random()
    if chance < 0.4:
        asked = pick(rng, _REQUESTS).format(text)
        return asked.removesuffix("?") if any(mark in text for mark in ".;:") else asked
    return pick(rng, _INTROS).format(text) if chance < 0.6 else text


def _end(text: str, rng: random.Random) -> str:
    """Finished; where it is several sentences, with capitals in half of the captions."""
    for mark in ".;:?":
        text = text.replace(f",{mark}", mark)
    for mark in (". ", "; ", ", "):
        text = text.replace(f"?{mark}", "? ")
    text = finish(text, rng).replace("?.", "?")
    return text if rng.random() < 0.5 else re.sub(r"(?<=[.?] )[a-z]", lambda m: m[0].upper(), text)
