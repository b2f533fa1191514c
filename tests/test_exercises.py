"""Exercises as a learner meets them: every reply is one helpful line, whatever was answered.

Exercises that need names of their lesson are tried inside its kernel, by `test_lessons.py`.
"""

import ast
import inspect
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from textwrap import dedent
from types import FunctionType

import numpy as np
import pytest
import torch
from PIL import Image
from probe import OPEN, probe

from sdlearn import course
from sdlearn.course import Exercise, OpenExercise, catalogue, checks
from sdlearn.course.answers import difference, feedback
from sdlearn.course.exercises import Mistakes

EXERCISES = catalogue.exercises()
HINTS = ("one", "two", "three")


class Scaled(Exercise, name="test.scaled"):
    """Scaling multiplies"""

    hints = HINTS

    def cases(self):
        return [(torch.arange(6.0).reshape(2, 3), 2.0), (torch.tensor([[3.0, 1.0]]), 0.5)]

    def answer(self, x: torch.Tensor, factor: float) -> torch.Tensor:
        return factor * x

    def mistakes(self, x: torch.Tensor, factor: float) -> Mistakes:
        yield factor + x
        yield "you added: multiply"
        yield x.sum()
        yield "that is one number: leave the sum out"


class Count(Exercise, name="test.count"):
    """There
    are three."""

    hints = HINTS

    def answer(self, *, names: list[str]) -> int:
        number = len(names)
        return number

    def mistakes(self) -> Mistakes:
        yield 30
        yield "ten times fewer"


scaled, count = Scaled(), Count()


def said(exercise: Exercise, answer: object, **names: object) -> str:
    line = feedback(exercise, answer, names)
    assert "\n" not in line
    return line


# Untouched answers


def dots(x, factor): ...


def only_pass(x, factor):
    pass


def only_text(x, factor):
    """Scale it."""


def text_and_dots(x, factor):
    """Scale it."""
    ...


def lines_and_dots(x, factor):
    y = x.clone()
    y.mul_(factor)
    ...


def returns_none(x, factor):
    return None


UNTOUCHED = [dots, only_pass, only_text, text_and_dots, lines_and_dots, returns_none]


@pytest.mark.parametrize("answer", UNTOUCHED, ids=lambda function: function.__name__)
def test_a_function_without_an_answer_is_not_tried(answer: FunctionType):
    assert said(scaled, answer) == "Not yet tried."


@pytest.mark.parametrize("answer", [..., None, "...", [..., ...], (None,), {0: None, 1: None}])
def test_a_value_without_an_answer_is_not_tried(answer: object):
    assert said(count, answer) == "Not yet tried."  # although `names` is missing as well


@pytest.mark.parametrize("answer", [[], [1, ...], 0, False, "", lambda x, factor: 5])
def test_little_is_not_nothing(answer: object):
    assert said(scaled, answer).startswith("Not yet: ")


def test_dots_left_above_an_answer_do_no_harm():
    def answer(x, factor):
        ...  # your turn
        return factor * x

    assert said(scaled, answer) == "Right: Scaling multiplies."


# Functions


def test_the_right_function_is_told_why():
    assert said(scaled, lambda x, factor: x * factor) == "Right: Scaling multiplies."


def test_arrays_will_do_for_tensors():
    assert said(scaled, lambda x, factor: x.numpy() * factor).startswith("Right: ")


def test_gradients_and_half_precision_will_do():
    def answer(x, factor):
        return (factor * x).to(torch.bfloat16).requires_grad_()

    assert said(scaled, answer).startswith("Right: ")


def test_a_function_that_changes_its_arguments_harms_nobody():
    shared = torch.ones(2, 3)

    class Shared(Exercise, name="test.shared"):
        """It adds."""

        hints = HINTS

        def cases(self):
            return [(shared, [shared])]

        def answer(self, x, items):
            return x + items[0]

    def answer(x, items):
        items[0] += 5
        x += 1
        return x

    assert said(Shared(), answer) == "Right: It adds."
    assert torch.equal(shared, torch.ones(2, 3))


def forgot_to_return(x, factor):
    y = factor * x
    y.sum()


def raises(x, factor):
    lengths = [x, factor]
    return lengths[2]


FIRST_LINE = raises.__code__.co_firstlineno


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (forgot_to_return, "your function returns nothing: let it end with return and the result."),
        (
            raises,
            "your function stops with IndexError: list index out of range, "
            f"in line {FIRST_LINE + 2} of the cell.",
        ),
        (lambda x: x, "takes 1 positional argument but 2 were given."),
        (lambda x, factor: x + factor, "you added: multiply."),
        (lambda x, factor: x.sum(), "that is one number: leave the sum out."),
        (lambda x, factor: -factor * x, "the sizes are right, the sign is wrong."),
        (lambda x, factor: 4 * factor * x, "yours are 4 times what they should be."),
        (lambda x, factor: factor * x - 3, "yours are 3 too small."),
        (lambda x, factor: (factor * x).T, "yours is (3, 2): the axes are in another order."),
        (lambda x, factor: factor * x[None], "yours is (1, 2, 3): there is an axis too many."),
        (lambda x, factor: factor * x[0], "yours is (3,): there is an axis missing."),
        (lambda x, factor: x[:, :1], "the shape (2, 3) is expected, yours is (2, 1)."),
        (
            lambda x, factor: (factor * x).flip(1),
            "the values are right, but an axis runs backwards.",
        ),
        (lambda x, factor: factor * x.roll(1), "the values are right, but in another order."),
        (lambda x, factor: x * math.nan, "some values are not numbers (nan) or infinite."),
        (lambda x, factor: factor * x + x % 2, "the values are off by up to 1."),
        (lambda x, factor: 2 * x, "right in 1 of 2 cases, but in another the values are off"),
        (lambda x, factor: [factor * x], "a tensor is expected, yours is a list."),
        (lambda x, factor: "x", "a tensor is expected, yours is a text."),
        (lambda x, factor: (row for row in x), "a tensor is expected, yours is of type generator."),
        (torch.ones(2, 3), "a function is expected, yours is a tensor."),
    ],
)
def test_a_wrong_function_is_told_what_is_wrong(answer: object, sentence: str):
    line = said(scaled, answer)
    assert line.startswith("Not yet: ")
    assert sentence in line


# Values


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (lambda right: right + 1j, "numbers are expected, yours are of type complex64"),
        (lambda right: right.numpy().astype(str), "numbers are expected, yours are of type <U"),
        (lambda right: right.numpy().astype(object), "yours are of type object"),
        (lambda right: right.to_sparse(), "an answer that is a tensor does not work here (TypeE"),
        (lambda right: right.to("meta"), "an answer that is a tensor does not work here (NotImpl"),
    ],
)
def test_what_cannot_be_compared_is_told(result, sentence: str):
    line = said(scaled, lambda x, factor: result(factor * x))
    assert line.startswith("Not yet: ")
    assert sentence in line


def test_a_number_beyond_all_floats_is_told():
    class Half(Exercise, name="test.half"):
        hints = HINTS

        def answer(self):
            return 0.5

    line = said(Half(), 10**400)
    assert line.startswith("Not yet: an answer that is a number does not work here (OverflowErr")


def within_itself(container):
    """A list that contains itself, or a dictionary that does."""
    if isinstance(container, list):
        container.append(container)
    else:
        container["a"] = container
    return container


@pytest.mark.parametrize("answer", [within_itself([]), within_itself({})], ids=["list", "dict"])
def test_an_answer_that_contains_itself_is_told(answer: object):
    line = "Not yet: your answer contains itself, or more lists within lists than can be read."
    assert said(scaled, answer) == said(count, answer, names=[]) == line


def test_a_result_that_contains_itself_is_told():
    line = said(scaled, lambda x, factor: within_itself([]))
    assert line == "Not yet: a tensor is expected, yours is a list."


def leaves(x, factor):
    sys.exit("that is all")


def test_an_answer_that_leaves_python_is_told():
    line = said(scaled, leaves)
    place = f"in line {leaves.__code__.co_firstlineno + 1} of the cell."
    assert line == f"Not yet: your function stops with SystemExit: that is all, {place}"


def test_values_are_compared_with_what_the_lesson_has():
    assert said(count, 3, names=["a", "b", "c"]) == "Right: There are three."
    assert said(count, 3, names=["a", "b"]) == "Not yet: 3 is too large, by one."
    assert said(count, 30, names=["a", "b"]) == "Not yet: ten times fewer."
    assert said(count, max, names=[]) == "Not yet: a number is expected, yours is a function."


def test_a_lesson_that_did_not_run_is_told():
    assert said(count, 3) == "Not yet: first run the cells above, which make names."
    line = said(count, 3, names=7)
    assert line.startswith("Not yet: first run the cells above again (TypeError: object of type")


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        (3.0, 3),
        (0.30001, 0.3),
        (np.float32(0.5), 0.5),
        (torch.tensor([16384]), 16384),
        (torch.tensor(True), True),
        (" a cat ", "a cat"),
        ((1, "a", [2.0]), [1, "a", (2,)]),
        (torch.Size([1, 4]), (1, 4)),
        (np.array([1.0, 2.0]), [1, 2]),
        (torch.tensor([1, 2]), np.array([1, 2])),
        (Image.new("RGBA", (4, 2), "red"), Image.new("RGB", (4, 2), "red")),
    ],
)
def test_one_answer_in_many_forms(answer: object, truth: object):
    assert difference(answer, truth) is None


@pytest.mark.parametrize(
    ("answer", "truth", "sentence"),
    [
        (3.4, 3, "3.4 is too large"),
        (2, 3, "2 is too small, by one"),
        (-0.5, 0.5, "the size is right, the sign is wrong"),
        (7, 0.07, "7 is too large, by a factor of 100"),
        (8192, 16384, "8,192 is too small, by a factor of 2"),
        (math.nan, 1.0, "nan is not a finite number"),
        (0.3002, 0.3, "0.3002 is too large"),
        (True, 1, "a number is expected, yours is True or False"),
        (1, True, "True or False is expected, yours is a number"),
        (False, True, "it is not False"),
        ("dog", "cat", "it is not 'dog'"),
        ("A  Cat", "a cat", "the words are right, but not the spaces or capitals"),
        ([1, 2], [1, 2, 3], "3 items are expected, yours are 2"),
        ([1, [2, 5]], [1, [2, 3]], "item [1]: item [1]: 5 is too large"),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "the values are off by up to 1"),
        (torch.tensor([-1.0, 0.2]), torch.tensor([0.5, 0.2]), "yours reach from -1 to 0.2"),
        (Image.new("L", (4, 2)), Image.new("L", (2, 4)), "2 x 4 pixels are expected, yours are 4"),
        (Image.new("L", (4, 4), 9), Image.new("L", (4, 4)), "differ by up to 9 of 255 levels"),
    ],
)
def test_values_are_told_what_is_off(answer: object, truth: object, sentence: str):
    assert sentence in (difference(answer, truth) or "")


def test_tolerance_is_the_exercises():
    assert difference(0.52, 0.5, 0.1) is None
    assert difference(torch.tensor([0.52]), torch.tensor([0.5]), 0.1) is None
    assert difference(13, 12, 5) is not None  # whole numbers are exact


def test_a_truth_that_cannot_be_compared_wants_a_judge():
    with pytest.raises(
        TypeError, match="of type set cannot be compared; write an OpenExercise with a judge"
    ):
        difference({1}, {1})


# Open exercises


def test_a_judge_decides_and_survives_any_answer():
    class Open(OpenExercise, name="test.open"):
        """Any colour will do."""

        hints = HINTS

        def judge(self, answer, *, colours):
            return None if answer["colour"] in colours else f"{answer['colour']} is unknown"

    exercise = Open()
    assert said(exercise, {"colour": "red"}, colours=["red"]) == "Right: Any colour will do."
    assert said(exercise, {"colour": "tan"}, colours=["red"]) == "Not yet: tan is unknown."
    line = said(exercise, 5, colours=["red"])
    assert line.startswith("Not yet: an answer that is a number does not work here (TypeError: ")
    line = said(exercise, {"colour": "red"})
    assert line == "Not yet: first run the cells above, which make colours."


# The check, its hints, and names


def test_the_check_prints_what_is_to_be_said(capsys: pytest.CaptureFixture[str]):
    check = checks.Check(scaled, {})
    assert check(...) is None
    check(lambda x, factor: x * factor)
    assert capsys.readouterr().out == "Not yet tried.\nRight: Scaling multiplies.\n"
    assert repr(check) == "<check of test.scaled>"


def test_hints_go_on_when_the_cell_runs_again(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(checks, "_hints_given", Counter())
    for _ in range(4):
        checks.Check(scaled, {}).hint()
    checks.Check(count, {}).hint()  # hints of another exercise are counted apart
    assert capsys.readouterr().out.splitlines() == [
        "Hint 1 of 3: one",
        "Hint 2 of 3: two",
        "Hint 3 of 3: three",
        "Hint 3 of 3: three",
        "Hint 1 of 3: one",
    ]


def test_the_solution_comes_with_its_reason(capsys: pytest.CaptureFixture[str]):
    checks.Check(scaled, {}).solution()
    text = capsys.readouterr().out
    assert text.startswith("# A solution of test.scaled\ndef answer(x, factor):\n")
    assert text.endswith("\nWhy: Scaling multiplies\n")
    exec(text.partition("\nWhy:")[0], names := {})  # what is shown can be pasted
    assert names["answer"](3, 2) == 6


def test_the_solution_of_a_value_defines_it():
    assert count.solution == "number = len(names)\nanswer = number\n"


@pytest.mark.parametrize("name", ["start.nothing", "nowhere.three", "three", ""])
def test_an_unknown_exercise_is_answered_with_the_known_ones(name: str):
    with pytest.raises(ValueError, match=f"must be one of .*start.three.*; got '{name}'"):
        course.exercise(name)


def test_what_is_needed_is_taken_from_the_notebook(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setitem(EXERCISES, count.name, count)
    monkeypatch.setattr(catalogue, "find", EXERCISES.get)
    monkeypatch.setattr("__main__.names", ["a", "b", "c"], raising=False)
    course.exercise("test.count")(3)
    course.exercise("test.count", {"names": ["a"]})(1)
    assert capsys.readouterr().out == 2 * "Right: There are three.\n"


def test_parts_of_an_exercise_must_fit():
    with pytest.raises(ValueError, match=r"hints of a\.b must be 3; got 1"):

        class Few(Exercise, name="a.b"):
            hints = ("one",)

    with pytest.raises(ValueError, match="must read '<lesson>.<word>'; got 'b'"):

        class Nameless(Exercise, name="b"):
            hints = HINTS


# The catalogue


@pytest.fixture(params=EXERCISES.values(), ids=EXERCISES)
def exercise(request: pytest.FixtureRequest) -> Exercise:
    return request.param


def test_names_say_the_lesson_and_are_used_once():
    names = [e.name for lesson in catalogue.LESSONS for e in catalogue.exercises(lesson).values()]
    assert names == list(EXERCISES)
    for lesson in catalogue.LESSONS:
        assert len(catalogue.exercises(lesson)) >= 3, lesson
        assert all(name.startswith(f"{lesson}.") for name in catalogue.exercises(lesson))


def test_every_exercise_helps_in_calm_words(exercise: Exercise):
    said_of_mistakes = list(feedback_of(exercise))
    assert said_of_mistakes, "which wrong answer do learners give?"
    texts = [*exercise.hints, exercise.reason, *said_of_mistakes]
    assert all(texts)
    assert len(set(texts)) == len(texts)
    assert not any("!" in text.replace("!=", "") or "\n" in text for text in texts)
    assert max(map(len, exercise.solution.splitlines())) <= 100


def feedback_of(exercise: Exercise) -> Iterator[str]:
    """What is said of the mistakes, read from the source: some need names of their lesson."""
    if isinstance(exercise, OpenExercise):
        yield from (text for _, text in OPEN[exercise.name])
        return
    for node in ast.walk(ast.parse(dedent(inspect.getsource(type(exercise).mistakes)))):
        constant = isinstance(node, ast.Yield) and isinstance(node.value, ast.Constant)
        if constant and isinstance(node.value.value, str):
            yield node.value.value


FREE = {name: exercise for name, exercise in EXERCISES.items() if not exercise.needs}


@pytest.mark.parametrize("exercise", FREE.values(), ids=FREE)
def test_replies_where_nothing_is_needed(exercise: Exercise):
    for answer, expected, line in probe(exercise, {}):
        assert expected in line, answer
        assert re.fullmatch(r"[^\n]*[.?]", line), answer
