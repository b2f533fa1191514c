"""What a prompt asks for, found in its words."""

import pytest

from sdlearn.evaluation.judge import labels
from sdlearn.world import caption, full_caption, parse_prompt, scenes

OF_ONE, OF_TWO = {"size", "position"}, {"second_subject", "second_colour"}


@pytest.mark.parametrize("split", ["single", "pairs", "held_out", "train"])
def test_a_full_caption_asks_for_its_scene(split: str):
    for scene in scenes(200, split):
        truth = labels(scene)
        unnamed = OF_ONE if scene.is_pair else OF_TWO
        expected = {name: word for name, word in truth.items() if name not in unnamed}
        assert parse_prompt(full_caption(scene)) == expected, full_caption(scene)


def test_a_short_caption_asks_for_nothing_else():
    for scene in scenes(300, "train"):
        assert parse_prompt(caption(scene)).items() <= labels(scene).items(), caption(scene)


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
        (
            "a red car and a house",
            {"subject": "car", "colour": "red", "second_subject": "house"},
        ),
    ],
)
def test_prompts_of_ones_own(prompt: str, expected: dict[str, str]):
    assert parse_prompt(prompt) == expected
