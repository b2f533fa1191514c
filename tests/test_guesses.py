"""A typed prediction is read however it was typed, and compared with what was measured."""

import math

import pytest
import torch

from sdlearn.course import count_near, guessed, guessed_numbers


@pytest.mark.parametrize("guess", [None, ..., "", " "])
def test_no_guess_is_told(guess: object):
    assert guessed(guess, 28.4) == "none"


@pytest.mark.parametrize(
    ("guess", "told"),
    [
        (40, "40 %, 12 too high"),
        (20.4, "20 %, 8 too low"),
        (28, "28 %, just right"),
        (torch.tensor(28), "28 %, just right"),
        (0.28, "28 %, just right"),
        (0, "0 %, 28 too low"),
        (1, "1 %, 27 too low"),
        ("40 %", "40 %, 12 too high"),
        ("about 28.4 per cent", "28 %, just right"),
        ("28,4", "28 %, just right"),
        ("0.28", "28 %, just right"),
        (".28", "28 %, just right"),
        ("0.5 %", "0 %, 28 too low"),
        ("hardly any", "hardly any"),
        ([28], "[28]"),
        (math.nan, "nan"),
        (torch.zeros(2), "tensor([0., 0.])"),
    ],
)
def test_a_guess_is_compared_however_it_is_typed(guess: object, told: str):
    assert guessed(guess, 28.4) == told


@pytest.mark.parametrize(
    ("guess", "told"),
    [(300, "300, 200 too low"), ("t = 500", "500, just right"), (0.9, "1, 499 too low")],
)
def test_a_guess_may_be_of_something_else_than_per_cent(guess: object, told: str):
    assert guessed(guess, 500, unit="") == told


def test_only_guesses_with_a_number_are_drawn():
    typed = {0: None, 1: "about 30 %", 2: 0.28, 3: "hardly any", 4: math.nan, 5: torch.tensor(7)}
    assert guessed_numbers(typed) == pytest.approx({1: 30, 2: 28, 5: 7})
    assert guessed_numbers({"t": 0.5}, unit="") == {"t": 0.5}


def test_near_guesses_are_counted():
    measured = {0: 28.4, 1: 99, 3: 100}
    assert count_near({0: 30, 1: "95 %", 3: 80}, measured) == "2 of 3 guesses within 10"
    assert count_near({0: 30, 1: None, 3: "all"}, measured) == "1 of 1 guesses within 10"
    assert count_near({0: 400}, {0: 480}, within=100, unit="") == "1 of 1 guesses within 100"
    assert count_near(dict.fromkeys(measured), measured) == "no guess typed"
