"""Exercises as a learner meets them: every reply is one helpful line, whatever was answered.

What learners type into the exercises of the lessons is tried by `test_typed_answers.py`.
"""

import gc
import math
import sys
import weakref
from collections import Counter
from types import FunctionType

import numpy as np
import pytest
import torch
from PIL import Image
from probe import reply_to

from sdlearn import course, diffusion, load
from sdlearn.course import Exercise, OpenExercise, catalogue, checks, given
from sdlearn.course.answers import feedback
from sdlearn.course.comparing import difference, is_rounded
from sdlearn.course.exercises import Mistakes
from sdlearn.course.given import Given
from sdlearn.course.words import shown
from sdlearn.util.images import to_pil

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
    given = {"names": Given(lambda: ["a", "b", "c"])}

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


def returns_none(x, factor):
    return None


UNTOUCHED = [dots, only_pass, only_text, text_and_dots, returns_none]


@pytest.mark.parametrize("answer", UNTOUCHED, ids=lambda function: function.__name__)
def test_a_function_without_an_answer_is_not_tried(answer: FunctionType):
    assert said(scaled, answer) == "Not yet tried."


@pytest.mark.parametrize("answer", [..., None, "...", [..., ...], (None,), {0: None, 1: None}])
def test_a_value_without_an_answer_is_not_tried(answer: object):
    assert said(count, answer) == "Not yet tried."


@pytest.mark.parametrize("answer", [[], [1, ...], 0, False, "", lambda x, factor: 5])
def test_little_is_not_nothing(answer: object):
    assert said(scaled, answer).startswith("Not yet: ")


def test_dots_left_above_an_answer_do_no_harm():
    def answer(x, factor):
        ...  # your turn
        return factor * x

    assert said(scaled, answer) == "Right: Scaling multiplies."


def test_dots_left_below_an_answer_do_no_harm():
    def answer(x, factor):
        return factor * x
        ...

    assert said(scaled, answer) == "Right: Scaling multiplies."


def test_a_formula_without_return_above_the_dots_is_told():
    def answer(x, factor):
        factor * x
        ...

    line = said(scaled, answer)
    assert line == (
        "Not yet: your function returns nothing: write return in front of `factor * x`."
    )


def test_lines_above_the_dots_are_an_attempt():
    def answer(x, factor):
        y = factor * x
        y.round()
        ...

    line = said(scaled, answer)
    assert line == "Not yet: your function returns nothing: let it end with return and the result."


def cell(*lines: str) -> dict[str, object]:
    """The variables of a notebook whose last cell has these lines."""
    return {"In": ["", "\n".join(lines)], "names": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["3", "answer = ...  # your turn", "check(answer)"], "Right: There are three."),
        (["len(names)", "answer = ..."], "Right: There are three."),
        (["answer = 3", "answer = ..."], "Right: There are three."),
        (["answer = 4", "x = 3", "answer = ..."], "Not yet: 4 is too large, by one."),
        (["answer = ...", "3"], "Not yet tried."),  # below the dots
        (["answer = ..."], "Not yet tried."),
        (["check(...)"], "Not yet tried."),
        (["answer = unknown", "answer = ..."], "Not yet tried."),
        (["answer = (", "answer = ..."], "Not yet tried."),  # no Python
        (["answer = print(3)"], "Not yet: `print` shows a value but gives none back: leave print"),
    ],
)
def test_a_value_above_the_dots_is_the_answer(lines: list[str], reply: str):
    assert feedback(count, ..., cell(*lines)).startswith(reply)


def test_the_cell_that_runs_is_seen_in_ipython(shell, capsys):
    source = """from sdlearn import course
check = course.exercise("guidance.weights", globals())
{}
answer = ...  # your turn: [number, number, number]

check(answer)"""
    replies = {
        "[0, 1, 5]": "Right: ",
        "[0, 1, 4]": "Not yet: the first two are right",
        "": "Not yet t",
    }
    for line, reply in replies.items():
        shell.run_cell(source.format(line), store_history=True).raise_error()
        assert capsys.readouterr().out.startswith(reply)


def test_a_cell_that_cannot_be_seen_holds_no_answer():
    assert feedback(count, ..., {"In": "answer = 3\nanswer = ..."}) == "Not yet tried."
    assert feedback(count, ..., {"In": []}) == "Not yet tried."


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
            f"your function stops in line {FIRST_LINE + 2} of the cell, at `return lengths[2]`: "
            "an index points beyond the end.",
        ),
        (lambda x: x, "your function must take x and factor, in this order."),
        (lambda x, factor: x + factor, "you added: multiply."),
        (lambda x, factor: x.sum(), "that is one number: leave the sum out."),
        (lambda x, factor: -factor * x, "the sizes are right, the sign is wrong."),
        (lambda x, factor: 4 * factor * x, "yours are 4 times what they should be."),
        (lambda x, factor: factor * x - 3, "yours are 3 too small."),
        (
            lambda x, factor: factor * x + x % 2,
            "with x = [[0, 1, 2], [3, 4, 5]] and factor = 2 yours gives [[0, 3, 4], [7, 8, 11]], "
            "and [[0, 2, 4], [6, 8, 10]] is right: the values are off by up to 1.",
        ),
        (
            lambda x, factor: torch.rand(x.shape),
            "your function gives another result at every call, as it draws new noise.",
        ),
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
        (
            lambda x, factor: 2 * x,
            "right in 1 of 2 cases, but with x = [[3, 1]] and factor = 0.5 yours gives [[6, 2]], "
            "and [[1.5, 0.5]] is right: the values are off by one factor",
        ),
        (lambda x, factor: [factor * x], "there is an axis too many."),
        (lambda x, factor: [factor * x, "x"], "a tensor is expected, yours is a list."),
        (lambda x, factor: "x", "a tensor is expected, yours is a text."),
        (lambda x, factor: (row for row in x), "a tensor is expected, yours is of type generator."),
        (torch.ones(2, 3), "a function is expected, yours is a tensor."),
    ],
)
def test_a_wrong_function_is_told_what_is_wrong(answer: object, sentence: str):
    line = said(scaled, answer)
    assert line.startswith("Not yet: ")
    assert sentence in line


class Taught(Exercise, name="test.taught"):
    """Half of it."""

    hints = HINTS

    def cases(self):
        return [(torch.tensor([2.0]), torch.tensor([1.0]), 0.64)]

    def taught(self):
        return {"diffusion.add_noise": diffusion.add_noise, "torch.lerp": torch.lerp}

    def answer(self, x0, noise, alpha_bar):
        return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise


def test_an_answer_that_calls_what_is_being_taught_is_told_by_whatever_name():
    sentence = "Not yet: the result is right, but {} made it: write its lines yourself."
    by_name = sentence.format("diffusion.add_noise")
    assert said(Taught(), diffusion.add_noise) == by_name
    mine = diffusion.add_noise
    assert said(Taught(), lambda *arguments: mine(*arguments)) == by_name
    built_in = said(Taught(), lambda x0, noise, ab: torch.lerp(x0 * 0, x0, 0.8) + 0.6 * noise)
    assert built_in == sentence.format("torch.lerp")
    wrong = said(Taught(), lambda x0, noise, ab: mine(x0, noise, ab) * 3)
    assert "yours gives [6.6], and [2.2] is right" in wrong
    assert sys.getprofile() is None


# Rounded


class Tenth(Exercise, name="test.tenth"):
    """It is 0.118."""

    hints = HINTS
    decimals = 2

    def answer(self):
        return 0.118

    def mistakes(self):
        yield 0.057
        yield "that is the other one"
        yield 0.061
        yield "that is the third one"


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (0.118, "Right: It is 0.118."),
        (0.12, "Right: It is 0.118."),
        (torch.tensor(0.12), "Right: It is 0.118."),
        (0.1180001, "Right: It is 0.118."),
        (0.1, "Not yet: right as far as it goes: give at least 2 decimals."),
        (0.11, "Not yet: 0.11 is too small."),
        (0.13, "Not yet: 0.13 is too large."),
        (0.057, "Not yet: that is the other one."),
        (0.06, "Not yet: that is the other one."),
    ],
)
def test_a_number_may_be_rounded_as_the_lesson_rounds(answer: object, reply: str):
    assert said(Tenth(), answer) == reply


def test_digits_that_a_mistake_has_as_well_do_not_do():
    class Near(Tenth, name="test.near"):
        """It is 0.118."""

        def mistakes(self):
            yield 0.1214
            yield "too many"

    few = (
        "Not yet: that may be right, but to so few digits a wrong answer looks the same: give more."
    )
    assert said(Near(), 0.12) == few
    assert said(Near(), 0.118) == "Right: It is 0.118."


# Values


def test_values_are_shown_in_few_digits():
    assert shown(torch.tensor([[1.23456, 2.0]])) == "[[1.235, 2]]"
    assert shown(("a", 3, [True])) == "['a', 3, [True]]"
    assert shown(torch.zeros(3, 3)) is None
    assert shown("x" * 61) is None


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (lambda right: right + 1j, "numbers are expected, yours are of type complex64"),
        (lambda right: right.numpy().astype(str), "numbers are expected, yours are of type <U"),
        (lambda right: right.numpy().astype(object), "yours are of type object"),
        (lambda right: right.to_sparse(), "your tensor cannot be read: give an ordinary one"),
        (lambda right: right.to("meta"), "your tensor cannot be read: give an ordinary one"),
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

    assert said(Half(), 10**400) == "Not yet: your number is far too large."


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
    assert said(scaled, answer) == said(count, answer) == line


def test_a_result_that_contains_itself_is_told():
    line = said(scaled, lambda x, factor: within_itself([]))
    assert line == "Not yet: a tensor is expected, yours is a list."


def leaves(x, factor):
    sys.exit("that is all")


def test_an_answer_that_leaves_python_is_told():
    line = said(scaled, leaves)
    place = f"in line {leaves.__code__.co_firstlineno + 1} of the cell"
    assert (
        line == f'Not yet: your function stops {place}, at `sys.exit("that is all")`: that is all.'
    )


# Names of the lesson


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a"], 7, None, ...], ids=repr)
def test_what_is_right_does_not_depend_on_the_learners_names(names: object):
    assert said(count, 3, names=names) == said(count, 3) == "Right: There are three."
    assert said(count, 30, names=names) == "Not yet: ten times fewer."
    assert said(count, max, names=["a", "b", "c"]) == (
        "Not yet: a number is expected, yours is a function."
    )


def test_a_name_that_has_changed_is_told_to_a_wrong_answer():
    again = "run the cell above that makes it, then this one."
    line = "Not yet: `names` is no longer what the lesson made it"
    assert said(count, 2, names=["a", "b"]) == f"{line}: {again}"
    assert said(count, 2, names=7) == f"{line} (now it is a number): {again}"
    assert said(count, 2, names=["a", "b", "c"]) == "Not yet: 2 is too small, by one."
    assert said(count, 2) == "Not yet: 2 is too small, by one."


class Uses(Exercise, name="test.uses"):
    """It uses torch."""

    hints = HINTS

    def cases(self):
        return [(torch.arange(3.0),)]

    def answer(self, x, *, torch):
        return torch.cat([x, x])


def test_a_module_that_was_overwritten_is_told_in_place_of_an_error():
    line = reply_to(Uses(), "torch.cat([x, x])", {"torch": 5})
    assert line.startswith(
        "Not yet: `torch` is no longer what the lesson made it (now it is a numb"
    )
    assert reply_to(Uses(), "torch.cat([x, x])") == "Right: It uses torch."
    assert reply_to(Uses(), "x.repeat(2)", {"torch": 5}) == "Right: It uses torch."


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
        (range(3), [0, 1, 2]),
        ([1.0, torch.tensor(2.0)], torch.tensor([1.0, 2.0])),
        ([[1, 2], (3, 4)], torch.tensor([[1, 2], [3, 4]])),
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
        ("0.5", 0.5, "a number is expected, yours is a text: leave the quotes out"),
        ("half", 0.5, "a number is expected, yours is a text"),
        ([2, 3], 6, "yours are its factors: multiply them, 2 * 3"),
        (torch.zeros(1, 4), (1, 4), "your tensor has the right shape; the shape itself is asked"),
        (torch.zeros(2, 4), (1, 4), "a list is expected, yours is a tensor of shape (2, 4)"),
        ([[1], [1, 2]], torch.ones(2, 2), "a tensor is expected, yours is a list"),
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


@pytest.mark.parametrize(
    ("answer", "decimals", "rounded"),
    [
        (7.3, 1, True),
        (7.295, 1, True),
        (torch.tensor(7.3), 1, True),
        (7, 0, True),
        (7, 1, False),
        (7.3, 2, True),
        (7.2, 1, False),
        (7.35, 1, False),
        (7.29541, 1, True),
        (math.nan, 1, False),
        ("7.3", 1, False),
        ([7.3], 1, False),
    ],
)
def test_a_rounded_number_is_known(answer: object, decimals: int, rounded: bool):
    assert is_rounded(answer, 7.29541, decimals) is rounded


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
        given = {"colours": Given(lambda: ["red"])}

        def judge(self, answer, *, colours):
            return None if answer["colour"] in colours else f"{answer['colour']} is unknown"

    exercise = Open()
    assert said(exercise, {"colour": "red"}) == "Right: Any colour will do."
    assert said(exercise, {"colour": "tan"}, colours=["tan"]) == "Not yet: tan is unknown."
    assert said(exercise, 5) == "Not yet: an answer that is a number does not work here."


# The check, its hints, and names


def test_the_check_prints_what_is_to_be_said(capsys: pytest.CaptureFixture[str]):
    check = checks.Check(scaled, {})
    assert check(...) is None
    check(lambda x, factor: x * factor)
    assert capsys.readouterr().out == "Not yet tried.\nRight: Scaling multiplies.\n"
    assert repr(check) == "<check of test.scaled>"


@pytest.mark.slow
def test_a_check_lets_go_of_its_model(capsys: pytest.CaptureFixture[str]):
    model = weakref.ref(given.model())
    fresh = type(EXERCISES["guidance.negative"])()  # of which nothing is kept yet
    checks.Check(fresh, {})(lambda latents, t, prompt, negative, guidance_scale: latents)
    assert capsys.readouterr().out.startswith("Not yet: ")
    gc.collect()
    assert model() is None


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


def test_the_notebook_is_the_running_one_unless_it_is_given(monkeypatch, capsys):
    monkeypatch.setattr(catalogue, "find", {count.name: count}.get)
    monkeypatch.setattr("__main__.names", ["a"], raising=False)
    course.exercise("test.count")(1)
    course.exercise("test.count", {"names": ["a", "b", "c"]})(1)
    changed, wrong = capsys.readouterr().out.split("Not yet: ")[1:]
    assert changed.startswith("`names` is no longer what the lesson made it")
    assert wrong == "1 is too small.\n"


def test_parts_of_an_exercise_must_fit():
    with pytest.raises(ValueError, match=r"hints of a\.b must be 3; got 1"):

        class Few(Exercise, name="a.b"):
            hints = ("one",)

    with pytest.raises(ValueError, match="must read '<lesson>.<word>'; got 'b'"):

        class Nameless(Exercise, name="b"):
            hints = HINTS


# The catalogue


def test_names_say_the_lesson_and_are_used_once():
    lessons = (*catalogue.LESSONS, *catalogue.UNNUMBERED)
    names = [e.name for lesson in lessons for e in catalogue.exercises(lesson).values()]
    assert names == list(EXERCISES)
    for lesson in lessons:
        assert len(catalogue.exercises(lesson)) >= 3, lesson
        assert all(name.startswith(f"{lesson}.") for name in catalogue.exercises(lesson))


@pytest.mark.slow
def test_the_loop_of_lesson_05_draws_what_generate_draws():
    """Byte for byte, as the lesson promises to those who keep theirs as `my_loop`."""
    sd, prompt = load("tiny"), "a small purple boat on the right, on blue water, at night"
    loop = EXERCISES["pipeline.guided"].right_answer()
    texts = sd.encode_text(prompt), sd.encode_text("")
    latents = loop(sd.init_latents([7]), *texts, list(range(999, 0, -50)), 3)
    [mine] = to_pil(sd.decode(latents))
    [target] = sd.generate(prompt, seeds=[7], num_steps=20, guidance_scale=3)
    assert mine.tobytes() == target.tobytes()
