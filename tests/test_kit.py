"""The teacher's kit: made of the lessons, with the answers where they belong and nowhere else."""

import html
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from sdlearn.cli import main
from sdlearn.course import catalogue, kit
from sdlearn.course.kit import bundle
from sdlearn.course.kit.outline import read_cells, with_extras, without_links
from sdlearn.course.kit.pages import markdown_page, notebook_page, slides_of, slides_page
from sdlearn.course.kit.papers import key, plan, worksheet
from sdlearn.course.library import lessons

LESSON = next(lesson.path for lesson in lessons() if lesson.path.name.startswith("06"))
FETCHES = re.compile(r'(?:src|href)="https?:[^"]*\.(?:js|css)|<script[^>]+src=|@import|url\(')


@pytest.fixture(scope="module")
def outline() -> kit.Outline:
    return kit.outline_of(LESSON)


def test_an_outline_holds_what_the_lesson_says(outline: kit.Outline):
    assert outline.title == "Classifier-free guidance: how hard the words pull"
    assert outline.key == "guidance"
    assert len(outline.promises) == 4
    assert outline.promises[1] == "say why one network can make both predictions"
    assert outline.time.startswith("15 minutes to read and 25 to do")
    assert outline.time.endswith("lessons 00, 03 and 05.")
    assert not any("](" in text for text in (*outline.predictions, *outline.sections))
    assert outline.sections[0] == "1 · One knob"
    assert [task.exercise.name for task in outline.tasks] == [*catalogue.exercises("guidance")]
    assert [task.number for task in outline.tasks] == [1, 2, 3, 4, 5]
    assert outline.tasks[0].minutes == 2
    assert outline.tasks[0].stars == "★"
    assert "Write the line." in outline.tasks[0].text
    assert any("In how many of 100 pictures" in text for text in outline.predictions)


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.path.stem)
def test_every_lesson_has_an_outline(lesson):
    outline = kit.outline_of(lesson.path)
    assert outline.title == lesson.title
    assert len(outline.promises) >= 3
    assert outline.time
    assert len(outline.tasks) >= 3
    assert outline.sections


def test_what_is_no_lesson_is_refused(tmp_path: Path):
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{}")
    with pytest.raises(ValueError, match=r"broken\.ipynb is no notebook"):
        kit.outline_of(broken)
    broken.write_text(json.dumps({"cells": []}))
    with pytest.raises(ValueError, match="is no lesson: its first cell has no title"):
        kit.outline_of(broken)


def test_a_page_has_no_cells_that_are_for_tests(tmp_path: Path):
    claims = cell("assert x == 42", outputs=[], metadata={"tags": ["claims"]})
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [*CELLS, claims]}), encoding="utf-8")
    assert read_cells(tmp_path / "a.ipynb") == CELLS


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.path.stem)
def test_guesses_of_extras_are_not_asked_on_paper(lesson):
    asked = kit.outline_of(lesson.path).predictions
    in_extras = [cell["source"] for cell, extra in with_extras(read_cells(lesson.path)) if extra]
    told = without_links("\n".join(in_extras))
    assert not [text for text in asked if text in told]


def test_a_plan_says_minutes_answers_and_what_goes_wrong(outline: kit.Outline):
    page = plan(outline)
    weights = next(line for line in page.splitlines() if line.startswith("| 2 "))
    assert "[0, 1, 5]" in weights
    assert "these are the weights themselves" in weights
    assert [task.number for task in outline.tasks if task.extra] == [3, 5]
    assert "| 3 ★★ (extra) |" in page
    core = sum(task.minutes for task in outline.tasks if not task.extra)
    assert f"The tasks take {core} minutes" in page
    assert "Why not always choose the highest guidance?" in page


def test_a_worksheet_has_questions_and_its_key_the_answers(outline: kit.Outline):
    asked, told = worksheet(outline), key(outline)
    for task in outline.tasks:
        assert f"Your turn {task.number}" in asked
        assert task.exercise.reason not in asked
        assert task.exercise.reason in told
        assert task.exercise.solution in told
    assert "- ☐ a) it takes the place of the empty prompt" in asked
    assert "see section 8" not in asked
    assert "**2.** a) it takes the place of the empty prompt" in told


def cell(source: str, **more) -> dict:
    kind = "code" if "outputs" in more else "markdown"
    return {"cell_type": kind, "source": source, "metadata": {}, **more}


PNG = {
    "output_type": "display_data",
    "data": {"image/png": "iVBORw0KGgo=", "text/plain": "grey"},
    "metadata": {"image/png": {"alt": "a grey image"}},
}
PRINTED = {"output_type": "stream", "name": "stdout", "text": "the answer is 42\n"}
CELLS = [
    cell("# A lesson\n\nWhy.\n\n**Time:** 5 minutes."),
    cell("## 1 · A section\n\nIts first words, of the [loop](glossary.md#step).\n\nMore."),
    cell("x = 6 * 7", outputs=[PNG, PRINTED]),
    cell("Notes.\n\n**Predict.** How many?", id="predict"),
    cell("### Your turn 1 · ★ · 2 minutes\n\nSay it.", id="turn-1-text"),
    cell("check = 1", outputs=[PRINTED], id="turn-1"),
]


def test_slides_show_figures_and_questions_but_neither_code_nor_what_it_printed():
    slides = list(slides_of(CELLS))
    texts = [slide[0]["source"] for slide in slides]
    assert texts == [
        "# A lesson\n\nWhy.\n\n",
        "## 1 · A section\n\nIts first words, of the loop.",
        "## 1 · A section",
        "## Predict\n\n**Predict.** How many?",
        "### Your turn 1 · ★ · 2 minutes\n\nSay it.",
    ]
    page = slides_page("A lesson", slides)
    assert page.count("<section>") == len(slides)
    assert "6 * 7" not in page
    assert "42" not in page
    assert 'alt="a grey image"' in page


def test_pages_need_nothing_beside_them():
    for page in (
        notebook_page("A lesson", CELLS),
        slides_page("A lesson", slides_of(CELLS)),
        markdown_page("A <page>", "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
    ):
        assert not FETCHES.search(page)
        assert page.startswith("<!DOCTYPE html>")
        assert page.count("<main>") == 1
    assert "A &lt;page&gt;" in page
    assert "<td>1</td>" in page


def test_links_to_lessons_lead_to_their_pages():
    page = notebook_page("A lesson", CELLS)
    assert 'href="glossary.html#step"' in page
    elsewhere = markdown_page("Links", "[x](https://example.org/a.md) [y](05_x.ipynb)")
    assert 'href="https://example.org/a.md"' in elsewhere
    assert 'href="05_x.html"' in elsewhere


def words_of(path: Path) -> str:
    """What a page says, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", path.read_text("utf-8"))).split())


@pytest.mark.slow
def test_a_kit_has_all_files_and_no_answers_for_learners(tmp_path: Path, outline: kit.Outline):
    made = {str(path.relative_to(tmp_path)) for path in kit.make(tmp_path, ["06"])}
    name = outline.name
    assert made == {
        *(f"teacher/{name}-{kind}.html" for kind in ("plan", "key", "slides")),
        f"learners/{name}-worksheet.html",
        f"learners/{name}.html",
        "learners/glossary.html",
        "learners/explorers.html",
        "learners/tensors.html",
    }
    answers = [task.exercise.reason[:60] for task in outline.tasks]
    told = words_of(tmp_path / "teacher" / f"{name}-key.html")
    assert all(answer in told for answer in answers)
    assert "see section 8" in told
    for path in (*(tmp_path / "learners").iterdir(), tmp_path / f"teacher/{name}-slides.html"):
        assert not [answer for answer in (*answers, "see section 8") if answer in words_of(path)]
    assert not any(FETCHES.search(path.read_text("utf-8")) for path in tmp_path.rglob("*.html"))


def test_an_unknown_lesson_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="lesson must be one of 00, 01, .*; got '77'"):
        list(kit.make(tmp_path, ["77"]))
    assert list(tmp_path.iterdir()) == []


# Results of a class


def handed_in(folder: Path, name: str, replies: dict[str, str]) -> None:
    cells = [
        cell(
            f'check = course.exercise("{exercise}")\ncheck(answer)',
            outputs=[{**PRINTED, "text": r}],
        )
        for exercise, r in replies.items()
    ]
    (folder / f"{name}.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")


def test_the_check_that_fails_most_comes_first(tmp_path: Path):
    wrong = "Not yet: these are the weights themselves.\n"
    handed_in(tmp_path, "a", {"guidance.guide": "Right: so.\n", "guidance.weights": wrong})
    handed_in(tmp_path, "b", {"guidance.guide": "Not yet tried.\n", "guidance.weights": wrong})
    handed_in(tmp_path, "c", {"guidance.guide": "Not yet: no.\n", "guidance.weights": "Right: a\n"})
    (tmp_path / ".ipynb_checkpoints").mkdir()
    handed_in(tmp_path / ".ipynb_checkpoints", "a", {"guidance.guide": wrong})
    counts = kit.results(tmp_path)
    assert list(counts) == ["guidance.weights", "guidance.guide"]
    guide = counts["guidance.guide"]
    assert (guide.right, guide.wrong, guide.untried, guide.tried) == (1, 1, 1, 2)
    lines = kit.format_results(counts).splitlines()
    assert lines[1].split() == ["guidance.weights", "3", "2", "0"]
    assert lines[2].strip() == "2 x these are the weights themselves."


def test_a_folder_without_notebooks_is_told(tmp_path: Path, capsys):
    assert main(["kit", "--results", str(tmp_path)]) == 2
    assert "no notebook (.ipynb) in" in capsys.readouterr().err


def test_the_command_needs_a_folder(capsys):
    assert main(["kit"]) == 2
    assert "a folder for the kit must be given" in capsys.readouterr().err


# The bundle


def test_a_bundle_asks_pip_for_wheels_and_adds_lessons_and_a_note(tmp_path: Path):
    asked = []

    def run(words: list[str], **how) -> SimpleNamespace:
        asked.append(words)
        return SimpleNamespace(returncode=0)

    kit.make_bundle(tmp_path, run)
    [words] = asked
    assert words[1:4] == ["-m", "pip", "wheel"]
    assert (Path(words[4]) / "pyproject.toml").exists()
    assert Path(words[words.index("--constraint") + 1]).exists()
    assert words[-1] == str(tmp_path / "wheels")
    copied, stored = map(read_cells, (tmp_path / "lessons" / LESSON.name, LESSON))
    assert [cell["source"] for cell in copied] == [cell["source"] for cell in stored]
    assert not any(cell.get("outputs") for cell in copied)  # what is seen comes after a prediction
    assert "pip install --no-index --find-links wheels sdlearn" in (
        tmp_path / "README.md"
    ).read_text("utf-8")


def test_a_bundle_that_pip_cannot_make_leaves_no_note(tmp_path: Path):
    failed = subprocess.CompletedProcess([], 1)
    with pytest.raises(RuntimeError, match="pip could not collect the wheels"):
        kit.make_bundle(tmp_path, lambda *words, **how: failed)
    assert not (tmp_path / "README.md").exists()


def test_a_bundle_is_made_in_a_clone_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundle, "in_checkout", lambda: False)
    with pytest.raises(ValueError, match="a bundle is made in a clone of the repository"):
        kit.make_bundle(tmp_path)
