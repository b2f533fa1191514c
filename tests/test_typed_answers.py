"""Every reply of the catalogue and of the slips, earned by an answer that a learner types."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from PIL import Image
from probe import cell_of, probe, reply_to, typed
from typed_answers import CAR, RIGHT, TYPED, skips

from sdlearn.course import Exercise, OpenExercise, catalogue
from sdlearn.course.answers import feedback
from sdlearn.course.given import Given
from sdlearn.course.slips import REWRITES, SIGNS, slips
from sdlearn.world import Scene, Thing, render

EXERCISES = catalogue.exercises()
CALLS_THE_MODEL = (
    "start.numbers",
    "clip.tokens",
    "unet.middle",
    "unet.late_map",
    "vae.cost",
    "pipeline.decode",
    "guidance.negative",
    "prompts.mix",
    "prompts.sum",
    "editing.image_to_image",
    "pipeline.loop",
    "pipeline.guided",
)
DRAWS = ("start.three", "start.boat", "guidance.hard")  # tried below, without drawing

OF_ALL = [
    pytest.param(exercise, id=name, marks=[pytest.mark.slow] if name in CALLS_THE_MODEL else [])
    for name, exercise in EXERCISES.items()
    if name not in DRAWS
]


@lru_cache
def replies(name: str) -> tuple[str, ...]:
    exercise = EXERCISES[name]
    return tuple(reply_to(exercise, source) for source, _ in TYPED[name])


@pytest.mark.parametrize("exercise", OF_ALL)
def test_every_answer_gets_its_reply(exercise: Exercise):
    for (source, expected), line in zip(TYPED[exercise.name], replies(exercise.name), strict=True):
        assert expected in line, source
        assert re.fullmatch(r"(Right|Not yet): [^\n]*[.?]", line), source
        assert not re.search(r"size of tensor|_cpu|mat1|must be Tensor|Error\b", line), source


@pytest.mark.parametrize("exercise", OF_ALL)
def test_no_reply_is_missing(exercise: Exercise):
    said = "\n".join(replies(exercise.name))
    assert RIGHT in said
    for mistake in [] if isinstance(exercise, OpenExercise) else exercise.known_mistakes():
        assert mistake.feedback in said


@pytest.mark.parametrize("exercise", OF_ALL)
def test_replies_to_other_answers(exercise: Exercise):
    for answer, expected, line in probe(exercise):
        assert expected in line, answer
        assert re.fullmatch(r"[^\n]*[.?]", line), answer


@pytest.mark.slow
def test_no_slip_is_missing():
    said = "\n".join(line for name in TYPED for line in replies(name))
    for rewrite in (*REWRITES, *SIGNS):
        fixed = re.split(r"\{\w+\}", rewrite.feedback)
        assert re.search(".+".join(map(re.escape, fixed)), said), rewrite
    assert "brackets are missing around" in said


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_every_exercise_helps_in_calm_words(exercise: Exercise):
    is_calm([*exercise.hints, exercise.reason])
    assert max(map(len, exercise.solution.splitlines())) <= 100


@pytest.mark.parametrize("exercise", OF_ALL)
def test_mistakes_are_answered_in_calm_words(exercise: Exercise):
    if not isinstance(exercise, OpenExercise):
        is_calm(list(dict.fromkeys(m.feedback for m in exercise.known_mistakes())))


def is_calm(texts: list[str]) -> None:
    assert texts
    assert all(texts)
    assert len(set(texts)) == len(texts)
    assert not any("!" in text.replace("!=", "") or "\n" in text for text in texts)


# Slips


def test_a_slip_is_made_at_every_place_and_at_all_of_them():
    source = "def answer(a):\n    return a**0.5 + (1 - a) ** 0.5\n"
    made = [slip.source.splitlines()[-1].strip() for slip in slips(source)]
    assert "return a**1/2 + (1 - a)**1/2" in made
    assert {"return a**1/2 + (1 - a) ** 0.5", "return a**0.5 + (1 - a)**1/2"} <= set(made)
    assert {"return a + (1 - a)", "return a**2 + (1 - a)**2"} <= set(made)
    assert "return a**0.5 + 1 - a ** 0.5" in made
    assert {"return a**0.5 - (1 - a) ** 0.5", "return a**0.5 + (1 + a) ** 0.5"} <= set(made)
    assert len(set(made)) == len(made)


def test_brackets_of_calls_are_kept():
    made = [slip.source for slip in slips("answer = len((1, 2)) * 3\n")]
    assert made == ["answer = len(1, 2) * 3\n"]


# What learners did to the names of the lesson


def test_no_name_of_a_lesson_decides_what_is_right():
    schedule = EXERCISES["noise.even"]
    right = typed(schedule, "(alphas_cumprod >= 0.5).sum()")
    theirs = {"alphas_cumprod": torch.linspace(1, 0, 1000), "torch": 5, "sd": "x"}
    assert feedback(schedule, right, theirs).startswith(RIGHT)
    wrong = reply_to(schedule, "int((alphas_cumprod >= 0.5).sum())", theirs)
    assert wrong.startswith("Not yet: half of the steps is not half of the noise")
    line = feedback(schedule, 700, theirs)
    assert line.startswith("Not yet: `alphas_cumprod` is no longer what the lesson made it: run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exercise", "source", "mine", "expected"),
    [
        ("unet.middle", skips("error(eps)"), {"error": lambda eps: 0.5}, "`error` is no longer"),
        (
            "unet.middle",
            skips("error(eps)"),
            {
                "error": lambda eps: (
                    eps - EXERCISES["unet.middle"].given["noised"].make()(999)
                ).std()
            },
            "`error` is no longer what the lesson made it: run the cell above",
        ),
        (
            "unet.late_map",
            f"word_maps(maps[-35:], {CAR})",
            {"prompt": "a car, a white cat on the sand, by day, under a balloon"},
            "`prompt` is no longer what the lesson made it: run the cell above",
        ),
        (
            "unet.late_map",
            "word_maps(maps[-35:], 9)",
            {"maps": [3]},
            "`maps` is no longer what the lesson made it: run the cell above",
        ),
        (
            "clip.tokens",
            "len(sd.tokenizer(prompt).input_ids)",
            {"sd": 5},
            "now it is a number): run",
        ),
        (
            "pipeline.decode",
            "sd.vae.decode(latents).sample",
            {"sd": None},
            "`sd` is no longer what the lesson made it (now it is None)",
        ),
    ],
)
def test_a_changed_name_is_told(exercise: str, source: str, mine: dict[str, Any], expected: str):
    told = EXERCISES[exercise]
    if "maps" in mine:
        line = feedback(told, torch.zeros(16, 16), mine)
    else:
        line = reply_to(told, source, mine)
    assert line.startswith("Not yet: ")
    assert expected in line


# Exercises that draw: judged here with pictures that the program paints


def painted(*scenes: Scene) -> list[Image.Image]:
    return [render(scene) for scene in scenes]


BOAT = Thing("boat", "purple")
NIGHT = {"ground": "water", "time": "night", "sky": "moon"}
WANTED = Scene((BOAT,), **NIGHT)
THREE = painted(WANTED, Scene((BOAT,), ground="snow"), Scene((Thing("cat", "red"),)))


@pytest.mark.parametrize(
    ("exercise", "answer", "expected"),
    [
        ("start.three", THREE, RIGHT),
        ("start.three", tuple(THREE), RIGHT),
        ("start.three", THREE[:1], "three seeds give three images; you have 1"),
        ("start.three", THREE[:1] * 3, "two images are the same: give each a seed of its own"),
        (
            "start.three",
            THREE[0],
            "the list of images that sd.generate gives is expected, yours is an",
        ),
        ("start.three", [1, 2, 3], "images are expected, but your list holds a number"),
        ("start.three", lambda: THREE, "is expected, yours is a function"),
        ("start.boat", painted(WANTED), RIGHT),
        ("start.boat", [THREE[2], *painted(WANTED)], RIGHT),
        (
            "start.boat",
            painted(Scene((Thing("boat", "blue"),), **NIGHT)),
            "in your best picture the judge sees blue in place of purple: does your sentence say "
            "purple? If it does, try other seeds.",
        ),
        (
            "start.boat",
            painted(Scene((Thing("house", "red"),)), Scene((BOAT,), "water", "night", "none")),
            "the judge sees nothing in place of moon: does your sentence say moon?",
        ),
        ("start.boat", [], "your list is empty: give at least one seed"),
        ("start.boat", WANTED, "the list of images that sd.generate gives is expected"),
    ],
)
def test_pictures_are_judged(exercise: str, answer: object, expected: str):
    line = feedback(EXERCISES[exercise], answer, {"sd": None, "judge": None})
    assert expected in line


def looking(counts: Callable[[float], int]) -> dict[str, Given]:
    return {"look": Given(lambda: lambda scale: ([], counts(scale)))}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("3", RIGHT),
        ("torch.tensor(3.0)", RIGHT),
        ("torch.tensor([3.0])", RIGHT),
        ("1", "1 of 8 are right at 1, and 6 are wanted; at 2 it is 2: go that way"),
        ("9", "0 of 8 are right at 9, and 6 are wanted; at 5 it is 2: go that way"),
        ("20", "0 of 8 are right at 20, and 6 are wanted; at 10.5 it is 0: try both ways"),
        ("([], 3)", "a number is expected, the guidance scale; yours is a list"),
        ("torch.ones(2)", "a number is expected, the guidance scale; yours is a tensor"),
    ],
)
def test_a_guidance_scale_is_tried(answer: str, expected: str, monkeypatch: pytest.MonkeyPatch):
    hard = EXERCISES["guidance.hard"]
    counts = {1: 1, 2: 2, 3: 6, 5: 2}
    given = looking(lambda scale: counts.get(scale, 0))
    monkeypatch.setattr(type(hard), "given", hard.given | given)
    theirs = {"look": lambda scale: ([], 8)}  # a learner's own would be content with anything
    assert expected in reply_to(hard, answer, theirs)


def test_cells_are_read_as_they_are_written():
    add, even = EXERCISES["noise.add_noise"], EXERCISES["noise.even"]
    assert cell_of(even, "5") == "answer = 5\n"
    assert cell_of(add, "x0") == "def answer(x0, noise, alpha_bar):\n    return x0\n"
    assert cell_of(add, "y = x0\nreturn y").endswith("    y = x0\n    return y\n")
