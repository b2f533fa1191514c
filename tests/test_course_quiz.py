"""Self-checks: widgets for those who can click, a text for everyone else, and nothing stored."""

import json
import subprocess
import sys
from pathlib import Path
from queue import Empty

import nbformat
import pytest
from ipywidgets import HTML, RadioButtons, Widget
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from sdlearn import course
from sdlearn.course import Question, Quiz, quiz
from sdlearn.course.catalogue import LESSONS
from sdlearn.course.quiz import clickable

WIDGET = "application/vnd.jupyter.widget-view+json"
SHOW = 'from sdlearn import course\ncourse.self_check("start")'
QUESTIONS = (
    Question("What is `2 < 3`?", (("True", "Yes: <less>."), ("False", "No: `2` is less."))),
    Question("Which is last?", (("a", "No: first."), ("b", "No: second."), ("c", "Yes: last."))),
)


def test_a_question_must_have_its_right_choice():
    with pytest.raises(ValueError, match="choices must be at least 2; got 1"):
        Question("Why?", (("so", "Yes: so."),))
    for number, begins in enumerate(("No", "Yes")):
        with pytest.raises(ValueError, match=f"must begin with 'Yes'; got {2 * number}"):
            Question("Why?", (("so", f"{begins}: so."), ("no", f"{begins}: no.")))


# As a text


def test_the_text_asks_and_gives_nothing_away():
    assert repr(Quiz("some", QUESTIONS, answers=False)).splitlines() == [
        "1. What is `2 < 3`?",
        "   a) True",
        "   b) False",
        "",
        "2. Which is last?",
        "   a) a",
        "   b) b",
        "   c) c",
        "",
        'The answers in words: course.self_check("some", answers=True)',
    ]


def test_the_answers_explain_every_choice():
    text = repr(Quiz("some", QUESTIONS, answers=True))
    assert "   a) True\n      Yes: <less>.\n   b) False\n      No: `2` is less.\n" in text
    assert "self_check" not in text


def test_long_lines_are_wrapped_under_their_beginning():
    long = Question("word " * 30, (("choice " * 30, "Yes: so."), ("b", "No: so.")))
    lines = repr(Quiz("some", (long,), answers=False)).splitlines()
    assert max(map(len, lines)) <= 88
    assert [line[:8] for line in lines[:5]] == [
        "1. word ",
        "   word ",
        "   a) ch",
        "      ch",
        "      ch",
    ]


def test_an_unknown_lesson_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="lesson must be one of start.*; got 'nothing'"):
        course.self_check("nothing")


# As a widget


def parts(widget: Widget, kind: type) -> list[Widget]:
    found = [widget] if isinstance(widget, kind) else []
    return found + [
        part for child in getattr(widget, "children", ()) for part in parts(child, kind)
    ]


def texts(widget: Widget) -> str:
    return "\n".join(part.value for part in parts(widget, HTML))


def test_a_choice_is_explained_when_it_is_picked_and_counted():
    widget = clickable(QUESTIONS)
    first, second = parts(widget, RadioButtons)
    assert first.index is None
    assert "0 of 2 answered, 0 right." in texts(widget)
    assert "less&gt;" not in texts(widget)
    first.index = 1
    assert "No: <code>2</code> is less." in texts(widget)
    assert "1 of 2 answered, 0 right." in texts(widget)
    first.index = 0  # another try
    assert "Yes: &lt;less&gt;." in texts(widget)
    assert "No: <code>2</code> is less." not in texts(widget)
    second.index = 2
    assert "2 of 2 answered, 2 right." in texts(widget)


def test_the_widget_is_labelled_for_screen_readers():
    widget = clickable(QUESTIONS)
    first, second = parts(widget, RadioButtons)
    assert [first.description, second.description] == ["Pick one", "Pick one"]
    assert first.tooltip == "What is `2 < 3`?"
    assert [label for label, _ in second.options] == ["a", "b", "c"]
    assert texts(widget).count('role="status"') == 3  # two explanations and the score
    assert "<b>1. What is <code>2 &lt; 3</code>?</b>" in texts(widget)


@pytest.mark.parametrize(("someone", "answers"), [(True, False), (True, True), (False, False)])
def test_the_widget_is_shown_to_someone_who_asks_for_it(monkeypatch, someone, answers):
    monkeypatch.setattr(quiz, "is_interactive", lambda: someone)
    shown = Quiz("some", QUESTIONS, answers=answers)
    data = shown._repr_mimebundle_()
    assert (WIDGET in data) == (someone and not answers)
    assert data["text/plain"] == repr(shown)


def test_without_a_notebook_there_is_the_text():
    assert set(course.self_check("start")._repr_mimebundle_()) == {"text/plain"}


@pytest.mark.slow
def test_a_front_end_with_a_person_before_it_gets_the_widget():
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        kinds = [set(result_of(client, allow_stdin)) for allow_stdin in (True, False)]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert kinds == [{"text/plain", WIDGET}, {"text/plain"}]


def result_of(client, allow_stdin: bool) -> dict[str, object]:
    """The data that a cell shows."""
    asked = client.execute(SHOW, allow_stdin=allow_stdin)
    while True:
        try:
            message = client.get_iopub_msg(timeout=60)
        except Empty:
            raise AssertionError("the kernel showed nothing") from None
        if message["parent_header"].get("msg_id") == asked:
            if message["msg_type"] == "error":
                raise AssertionError(message["content"]["evalue"])
            if message["msg_type"] == "execute_result":
                return message["content"]["data"]


@pytest.mark.slow
def test_an_executed_notebook_holds_the_text_and_passes_nbval(tmp_path: Path):
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    tags = {"tags": ["nbval-check-output"]}
    notebook.cells = [nbformat.v4.new_code_cell(SHOW, metadata=tags)]
    NotebookClient(notebook, timeout=120).execute()
    [output] = notebook.cells[0].outputs
    assert dict(output.data) == {"text/plain": repr(course.self_check("start"))}
    nbformat.write(notebook, tmp_path / "quiz.ipynb")
    words = ["pytest", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "-q", "."]
    nbval = subprocess.run(
        [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert nbval.returncode == 0, nbval.stdout
    assert "1 passed" in nbval.stdout
    assert "widgets" not in json.loads((tmp_path / "quiz.ipynb").read_text())["metadata"]


# The catalogue


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_lesson_asks_three_questions_and_explains_each_choice(lesson: str):
    questions = quiz.questions(lesson)
    assert len(questions) == 3
    for question in questions:
        assert question.text.endswith(("?", "...")), question.text
        assert 3 <= len(question.choices) <= 4
        begins = [explanation.partition(":")[0] for _, explanation in question.choices]
        right = ["Yes" if i == question.right else "No" for i in range(len(begins))]
        assert begins == right, question.text
        assert "!" not in "".join(sum(question.choices, (question.text,)))


def test_the_right_choice_is_not_always_in_one_place():
    places = [q.right for lesson in LESSONS for q in quiz.questions(lesson)]
    assert len(set(places)) >= 3
    assert max(places.count(place) for place in places) <= 0.6 * len(places)
