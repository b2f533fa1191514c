"""The judge: what it is asked, how it reads, how it is kept, and how well the shipped one sees."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sdlearn.evaluation.judge import (
    ATTRIBUTES,
    Judge,
    Reading,
    find_judge,
    labels,
    load_judge,
    save_judge,
)
from sdlearn.models import TINY
from sdlearn.world import Scene, Thing, render, scenes
from sdlearn.world.scene import SPLITS

SINGLE = Scene((Thing("castle", "pink", "small", "right"),), "snow", "night", "moon")
PAIR = Scene(  # the left one is named last
    (Thing("car", "blue", "medium", "right"), Thing("cat", "red", "medium", "left")), sky="sun"
)


def pictures(drawn: list[Scene]) -> Tensor:
    """Renders as (B, 3, H, W) in [0, 1]."""
    arrays = np.stack([np.asarray(render(scene)) for scene in drawn])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2) / 255


@pytest.fixture(scope="module")
def untrained() -> Judge:
    torch.manual_seed(0)
    return Judge().eval()


@pytest.fixture(scope="module")
def shipped() -> Judge:
    return load_judge()


def test_labels_of_one_subject() -> None:
    assert labels(SINGLE) == {
        "subject": "castle",
        "colour": "pink",
        "size": "small",
        "position": "right",
        "ground": "snow",
        "time": "night",
        "sky": "moon",
        "sky_items": "1",
        "weather": "none",
        "style": "storybook",
        "second_subject": "none",
        "second_colour": "none",
    }


def test_labels_of_a_pair_go_from_left_to_right() -> None:
    found = labels(PAIR)
    assert (found["colour"], found["subject"]) == ("red", "cat")
    assert (found["second_colour"], found["second_subject"]) == ("blue", "car")
    assert (found["size"], found["position"]) == ("medium", "left")


@pytest.mark.parametrize("split", SPLITS)
def test_the_judge_has_a_word_for_every_truth(split: str) -> None:
    for scene in scenes(500, split):
        truth = labels(scene)
        assert set(truth) == set(ATTRIBUTES)
        assert all(word in ATTRIBUTES[name] for name, word in truth.items())
        assert all(Reading(truth, {}).right(scene).values())


def test_the_judge_has_no_word_that_nothing_shows() -> None:
    told = [labels(scene) for scene in scenes(1500, "all")]
    for name, words in ATTRIBUTES.items():
        unseen = set(words) - {row[name] for row in told}
        assert unseen == ({"2"} if name == "sky_items" else set()), "two items are never asked for"


def test_a_reading_is_compared_attribute_by_attribute() -> None:
    words = {**labels(SINGLE), "colour": "red", "sky": "cloud"}
    right = Reading(words, dict.fromkeys(words, 1.0)).right(SINGLE)
    assert set(right) == set(ATTRIBUTES)
    assert [name for name, is_right in right.items() if not is_right] == ["colour", "sky"]


def test_logits_have_one_column_a_word(untrained: Judge) -> None:
    logits = untrained(pictures([SINGLE, PAIR]))
    assert {name: tuple(table.shape) for name, table in logits.items()} == {
        name: (2, len(words)) for name, words in ATTRIBUTES.items()
    }


def test_a_reading_is_the_likeliest_word_and_its_probability(untrained: Judge) -> None:
    images = pictures([SINGLE, PAIR])
    first, second = untrained.read(images)
    for name, logits in untrained(images).items():
        probabilities = logits.detach().softmax(dim=1)
        for reading, row in zip((first, second), probabilities, strict=True):
            assert reading.words[name] == ATTRIBUTES[name][int(row.argmax())]
            assert reading.confidence[name] == pytest.approx(float(row.max()), abs=1e-5)


def test_pictures_read_together_read_as_they_do_alone(untrained: Judge) -> None:
    images = pictures(list(scenes(5, "all")))
    alone = [untrained.read(image[None])[0].words for image in images]
    assert [reading.words for reading in untrained.read(images)] == alone


@pytest.mark.parametrize("shape", [(3, 128, 128), (1, 1, 128, 128), (1, 128, 128, 3)])
def test_other_shapes_are_refused(untrained: Judge, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images must have shape \(B, 3, H, W\); got \("):
        untrained.read(torch.zeros(shape))


def test_pictures_in_255_levels_are_refused(untrained: Judge) -> None:
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\]; got values from . to 255"):
        untrained.read(255 * pictures([SINGLE]))


def test_half_precision_pictures_are_read_too(untrained: Judge) -> None:
    images = pictures([SINGLE])
    assert untrained.read(images.half())[0].words == untrained.read(images)[0].words


def test_weights_come_back_as_they_were_written(untrained: Judge, tmp_path: Path) -> None:
    save_judge(untrained, tmp_path / "new" / "judge")
    loaded = load_judge(tmp_path / "new" / "judge")
    assert not loaded.training
    for name, value in untrained.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())
    assert {path.name for path in (tmp_path / "new" / "judge").iterdir()} == {"judge.safetensors"}


def test_no_judge_is_one_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no judge at .*; make one with 'sdlearn train"):
        load_judge(tmp_path)


def test_a_judge_of_other_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"
    save_judge(Judge(), tmp_path)
    weights = load_file(path)
    weights["heads.subject.bias"] = weights["heads.subject.bias"][1:]
    save_file(weights, path)
    with pytest.raises(ValueError, match="the judge at .* knows other words; make one with"):
        load_judge(tmp_path)


def test_a_model_has_the_judge_in_its_folder(tiny_folder: Path, tmp_path: Path) -> None:
    """By folder and not by name: the shipped model has its judge when it is loaded by its path."""
    found = find_judge(SimpleNamespace(folder=TINY))
    assert found.read(pictures([SINGLE]))[0].words == labels(SINGLE)
    assert find_judge(SimpleNamespace(folder=TINY)) is found, "it is read once"
    other = find_judge(SimpleNamespace(folder=tiny_folder))
    assert not torch.equal(other.trunk[0].weight, found.trunk[0].weight)
    assert find_judge(SimpleNamespace(folder=tmp_path)) is None
    assert find_judge(SimpleNamespace(folder=None)) is None


def test_the_shipped_judge_reads_renders(shipped: Judge) -> None:
    drawn = [*scenes(100, "single"), *scenes(50, "pairs"), *scenes(100, "all_test")]
    readings = shipped.read(pictures(drawn))
    right = [reading.right(scene) for reading, scene in zip(readings, drawn, strict=True)]
    for name in ATTRIBUTES:
        assert np.mean([row[name] for row in right]) >= 0.98, name


@pytest.mark.parametrize("size", [64, 256, 512])
def test_the_shipped_judge_reads_pictures_of_other_sizes(shipped: Judge, size: int) -> None:
    drawn = list(scenes(20, "single"))
    scaled = torch.nn.functional.interpolate(
        pictures(drawn), size=(size, size), mode="bilinear", antialias=True
    )
    readings = shipped.read(scaled)
    right = [reading.right(scene) for reading, scene in zip(readings, drawn, strict=True)]
    assert np.mean([row["subject"] for row in right]) >= 0.9
    assert np.mean([row["colour"] for row in right]) >= 0.9


def test_the_shipped_judge_is_surer_of_its_world_than_of_noise(shipped: Judge) -> None:
    noise = torch.rand(20, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    seen, unseen = (
        np.mean([reading.confidence["subject"] for reading in shipped.read(images)])
        for images in (pictures(list(scenes(20, "single"))), noise)
    )
    assert seen > unseen
