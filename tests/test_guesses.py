"""A typed prediction is read however it was typed, and compared with what was measured."""

import math

import pytest
import torch

from sdlearn.course import guessed


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
