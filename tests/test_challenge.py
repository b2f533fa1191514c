"""Challenges: a hidden scene, counts that do not give it away, and one file that keeps the best."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from sdlearn import course
from sdlearn.course.challenge import LEVELS
from sdlearn.course.library import _files
from sdlearn.course.results import RESULTS, read_results, write_result
from sdlearn.evaluation import Reading, labels, trials
from sdlearn.evaluation.prompts import asked_of
from sdlearn.world import Scene, is_held_out, parse_prompt

FIRST = course.challenge(1)
HIDDEN = FIRST._scene()


def seen(scene: Scene | dict[str, str]) -> Reading:
    """What a perfect judge reads in a scene, or words that it says."""
    words = labels(scene) if isinstance(scene, Scene) else scene
    return Reading(words, dict.fromkeys(words, 1.0))


class Painter:
    """Stands for the model: it notes how it was called."""

    def generate(self, prompt, *, seeds, **sampling):
        self.prompt, self.sampling = prompt, sampling
        return [Image.new("RGB", (8, 8)) for _ in seeds]


@pytest.fixture
def sees(monkeypatch: pytest.MonkeyPatch):
    """Call it with the scenes that the judge sees in the eight images, again and again."""

    def tell(*scenes: Scene | dict[str, str]) -> None:
        class Judge:
            def read(self, images: torch.Tensor) -> list[Reading]:
                return [seen(scenes[i % len(scenes)]) for i in range(len(images))]

        monkeypatch.setattr(trials, "load_judge", Judge)

    return tell


def kept() -> dict[str, object]:
    return json.loads(Path(RESULTS).read_text(encoding="utf-8"))["challenges"]


WRONG = replace(HIDDEN, ground=next(g for g in ("grass", "snow") if g != HIDDEN.ground))


# The hidden scene


def test_a_level_hides_one_scene_and_every_number_another():
    assert course.challenge(1)._scene() == HIDDEN
    scenes = [course.challenge(level, n)._scene() for level in (1, 2, 3, 4) for n in range(3)]
    assert len(set(scenes)) == len(scenes)


def test_levels_ask_for_what_they_say():
    one, styled, held_out, pair = (course.challenge(level)._scene() for level in (1, 2, 3, 4))
    assert [scene.is_pair for scene in (one, styled, held_out, pair)] == [False] * 3 + [True]
    assert styled.style != "storybook"
    assert is_held_out(held_out)
    assert not any(map(is_held_out, (one, styled, pair)))


@pytest.mark.parametrize(
    ("level", "number", "error", "message"),
    [
        (0, 0, ValueError, "level must lie in 1..4; got 0"),
        (5, 0, ValueError, "level must lie in 1..4; got 5"),
        ("1", 0, TypeError, "level must be a whole number"),
        (1, -1, ValueError, "number must be 0 or more; got -1"),
        (1, 0.5, TypeError, "number must be a whole number"),
    ],
)
def test_other_challenges_are_refused(level, number, error, message: str):
    with pytest.raises(error, match=message):
        course.challenge(level, number)


def test_nothing_that_is_shown_tells_the_scene(sees, folder: Path, capsys):
    sees(WRONG, HIDDEN)
    FIRST.attempt(Painter(), "something")
    FIRST.attempt(Painter(), "something else")
    told = f"{FIRST!r} {FIRST.name} {FIRST.show().alt} {vars(FIRST)} {capsys.readouterr().out}"
    words = set(asked_of(HIDDEN).values()) - {"none", "0", "1"}
    assert words
    assert not [word for word in words if word in told]
    assert not parse_prompt(told)


# Attempts


@pytest.mark.parametrize("prompt", [..., None, "..."])
def test_no_attempt_is_told_and_not_kept(prompt: object, folder: Path, capsys):
    FIRST.attempt(Painter(), prompt)
    assert capsys.readouterr().out == "Not yet tried.\n"
    assert not Path(RESULTS).exists()


@pytest.mark.parametrize(("prompt", "told"), [(5, "a number"), (" ", "a text"), (["a"], "a list")])
def test_what_is_no_prompt_is_told(prompt: object, told: str, folder: Path, capsys):
    FIRST.attempt(Painter(), prompt)
    expected = f"A prompt is expected, words in quotes; yours is {told}.\n"
    assert capsys.readouterr().out == expected
    assert not Path(RESULTS).exists()


def test_an_attempt_is_counted_and_told_by_attribute(sees, folder: Path, capsys):
    sees(WRONG, HIDDEN, HIDDEN, WRONG)
    painter = Painter()
    FIRST.attempt(painter, "four words of mine", guidance_scale=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("4 of 8 pictures show all of it. Pictures with a mistake in the ")
    assert lines[0].endswith("ground 4.")
    assert lines[1] == f"That is your best so far, with 4 words; {RESULTS} keeps it."
    assert painter.prompt == "four words of mine"
    assert painter.sampling == {"num_steps": 10, "guidance_scale": 2}
    assert kept() == {
        "prompts 1": {
            "right": 4,
            "of": 8,
            "prompt": "four words of mine",
            "guidance_scale": "2",
        }
    }


def test_a_thing_too_many_is_told(sees, folder: Path, capsys):
    sees(HIDDEN, {**labels(HIDDEN), "second_subject": "tree"})
    FIRST.attempt(Painter(), "one")
    told = "4 of 8 pictures show all of it. In the others is a thing too many."
    assert capsys.readouterr().out.splitlines()[0] == told


def test_the_best_attempt_is_kept(sees, folder: Path, capsys):
    sees(HIDDEN)
    FIRST.attempt(Painter(), "all of it")
    assert capsys.readouterr().out.startswith("8 of 8 pictures show all of it.\n")
    sees(WRONG, HIDDEN)
    FIRST.attempt(Painter(), "half")
    assert 'Your best so far is 8 of 8 with 3 words: "all of it".' in capsys.readouterr().out
    sees(HIDDEN)
    FIRST.attempt(Painter(), "two words")
    assert kept()["prompts 1"]["prompt"] == "two words"
    course.challenge(1, 2).attempt(Painter(), "another")
    assert set(kept()) == {"prompts 1", "prompts 1.2"}


def test_an_attempt_counts_also_where_it_cannot_be_kept(sees, folder: Path, capsys):
    sees(HIDDEN)
    Path(RESULTS).write_text("no results", encoding="utf-8")
    FIRST.attempt(Painter(), "all of it")
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("8 of 8 pictures show all of it. It could not be kept: ")
    assert said.endswith("must hold results of sdlearn; move it away to begin a new one.")
    assert Path(RESULTS).read_text(encoding="utf-8") == "no results"


# The file


def test_results_stand_side_by_side(tmp_path: Path):
    assert read_results(tmp_path) == {}
    write_result("one", "a", {"right": 1}, tmp_path)
    write_result("two", "b", {"right": 2}, tmp_path)
    write_result("one", "a", {"right": 3}, tmp_path)
    assert read_results(tmp_path) == {"one": {"a": {"right": 3}}, "two": {"b": {"right": 2}}}
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS]


@pytest.mark.parametrize("content", ["{", "[]", '{"one": 1}', "\udcff"])
def test_a_file_of_something_else_is_left_as_it_is(content: str, tmp_path: Path):
    file = tmp_path / RESULTS
    file.write_text(content, encoding="utf-8", errors="surrogateescape")
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"must hold results of sdlearn; move it away"):
        write_result("one", "a", {}, tmp_path)
    assert file.read_bytes() == before


def test_results_are_no_part_of_the_lessons(tmp_path: Path):
    for name in (RESULTS, "00_lesson.ipynb"):
        (tmp_path / name).touch()
    assert list(_files(tmp_path)) == ["00_lesson.ipynb"]


def test_there_are_four_levels():
    assert len(LEVELS) == 4
