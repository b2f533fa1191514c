"""What a prompt asks for, found in its words."""

import json
import random
import re
from importlib import resources
from typing import Any

import pytest

from sdlearn.evaluation.judge import labels
from sdlearn.world import Scene, caption, full_caption, parse_prompt, scenes
from sdlearn.world.caption import sentence, tags
from sdlearn.world.prose import prose

OF_ONE, OF_TWO = {"size", "position"}, {"second_subject", "second_colour"}


def truth(scene: Scene) -> dict[str, str]:
    """What words can tell of the scene; no words tell of weather that is none."""
    told = labels(scene) | {"style": scene.style, "weather": scene.weather}
    ours = set(told) - (OF_ONE if scene.is_pair else OF_TWO) - {"sky_items"}
    return {name: told[name] for name in ours if (name, told[name]) != ("weather", "none")}


@pytest.mark.parametrize("write", [sentence, tags, prose])
@pytest.mark.parametrize("split", ["single", "pairs", "styles"])
def test_what_a_caption_names_is_found_and_nothing_else(split: str, write):
    rng = random.Random(f"{split} {write.__name__}")
    for scene in scenes(500, split):
        known = truth(scene)
        told = {name for name in sorted(known) if rng.random() < 0.6} | {"subject"}
        told |= {"colour", *OF_TWO} if scene.is_pair else set()
        expected = {name: word for name, word in known.items() if name in told}
        text = write(scene, rng, told)
        assert parse_prompt(text) == expected, text


@pytest.mark.parametrize("split", ["single", "pairs", "held_out", "held_out_styles"])
def test_a_full_caption_asks_for_its_scene(split: str):
    for scene in scenes(200, split):
        expected = truth(scene)
        if scene.style == "storybook":
            del expected["style"]
        assert parse_prompt(full_caption(scene)) == expected, full_caption(scene)


def test_a_short_caption_asks_for_nothing_else():
    for scene in scenes(300, "train"):
        assert parse_prompt(caption(scene)).items() <= truth(scene).items(), caption(scene)


def written(name: str) -> list[dict[str, Any]]:
    file = resources.files("sdlearn.evaluation") / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("name", "count"), [("handwritten", 200), ("beyond", 30)])
def test_handwritten_prompts_ask_for_what_their_writer_wanted(name: str, count: int):
    rows = written(name)
    assert len({row["prompt"].lower() for row in rows}) == count
    for row in rows:
        assert parse_prompt(row["prompt"]) == row["wants"], row["prompt"]


# Words of the hand-written prompts that no caption has, and that name nothing to be seen.
FILLERS = (
    "all and are around be both could do done draw hello have i'd it's love make me my one out "
    "paint please put should show stand thank things through two very want where would across "
    "driving floating floats flying grows lying passing rises rolling shines turns"
)


def test_handwritten_prompts_have_words_that_captions_have_and_those_beyond_do_not():
    known = {word for scene in scenes(6000) for word in words_of(caption(scene))} | set(
        FILLERS.split()
    )
    assert {word for row in written("handwritten") for word in words_of(row["prompt"])} <= known
    for row in written("beyond"):
        assert not words_of(row["prompt"]) <= known, row["prompt"]


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[a-z'-]+", text.lower()))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", {}),
        ("a red dragon", {}),
        ("seven cats", {}),
        ("A  RED House", {"subject": "house", "colour": "red"}),
        ("a kitten at dusk", {"subject": "cat", "time": "sunset"}),
        ("a boat, moon, night", {"subject": "boat", "time": "night", "sky": "moon"}),
        ("a green tree on green grass", {"subject": "tree", "colour": "green", "ground": "grass"}),
        ("at sunset", {"time": "sunset"}),  # and no sun
        (
            "a red car right of a blue house",
            {"subject": "house", "colour": "blue", "second_subject": "car", "second_colour": "red"},
        ),
        ("at night, then by day", {"time": "night"}),
        ("by day, then at night", {"time": "day"}),
        (
            "a red car, a blue house and a white cat",
            {"subject": "car", "colour": "red", "second_subject": "house", "second_colour": "blue"},
        ),
        ("it is snowing on the beach", {"weather": "snowfall", "ground": "sand"}),
        ("snow is falling on white snow", {"weather": "snowfall", "ground": "snow"}),
        ("a watercolor on the water", {"style": "watercolour", "ground": "water"}),
        ("a cat under a blue sky", {"subject": "cat"}),
        ("a cat right in the middle", {"subject": "cat", "position": "middle"}),
        ("a cat in the middle of the night", {"subject": "cat", "time": "night"}),
        ("the cat is red and small", {"subject": "cat", "colour": "red", "size": "small"}),
        (
            "a red car and a house",
            {"subject": "car", "colour": "red", "second_subject": "house"},
        ),
    ],
)
def test_prompts_of_ones_own(prompt: str, expected: dict[str, str]):
    assert parse_prompt(prompt) == expected


@pytest.mark.parametrize(
    "prompt",
    [
        "a red house to the left of a blue cat",
        "a blue cat to the right of a red house",
        "a blue cat on the right and a red house on the left",
        "a house, red, and a cat that is blue",
        "on the right a blue cat, on the left a red house",
        "on the left of the picture a red house and a blue cat",
        "to the left of a blue cat there is a red house",
        "a blue cat with a red house on its left side",
        "a blue cat, and to its left a red house",
        "a red house and a blue cat to the right of it",
        "a blue cat and a red house, the cat on the right",
        "left: red house, right: blue cat",
        "a house and a cat; the house is red and the cat is blue",
    ],
)
def test_the_left_one_of_two_is_the_first(prompt: str):
    left = {"subject": "house", "colour": "red"}
    assert parse_prompt(prompt) == left | {"second_subject": "cat", "second_colour": "blue"}
