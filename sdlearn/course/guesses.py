"""A prediction that a learner typed, beside what was measured.

guessed(40, 28)                             "40 %, 12 too high"
guessed("about 28 %", 28)                   "28 %, just right"
guessed(300, 500, unit="")                  "300, 200 too low"
guessed(None, 28)                           "none"
guessed_numbers({"a": "40 %", "b": None})    {"a": 40.0}, for a chart
count_near({"a": 40, "b": 50}, {"a": 38, "b": 90})    "1 of 2 guesses within 10"
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["count_near", "guessed", "guessed_numbers"]

NUMBER = r"-?\d*[.,]?\d+"
PER_CENT = " %"
NEAR = 10


def guessed(guess: Any, measured: float, unit: str = PER_CENT) -> str:
    """What is said of a guess, however it was typed; never an error.

    A guess may be a number, a tensor, or a text with a number in it; in per cent, a share below 1
    as well. What has no number is repeated as it was typed. `unit` is written behind the number.

    >>> guessed("about 30 %", 28), guessed(0.28, 28), guessed("hardly any", 28)
    ('30 %, 2 too high', '28 %, just right', 'hardly any')
    """
    if guess is None or guess is ... or isinstance(guess, str) and not guess.strip():
        return "none"
    number = _read(guess, unit)
    if number is None:
        return str(guess)[:60]
    off = round(number) - round(float(measured))
    side = "high" if off > 0 else "low"
    return f"{number:.0f}{unit}, {f'{abs(off)} too {side}' if off else 'just right'}"


def guessed_numbers(typed: Mapping[Any, Any], unit: str = PER_CENT) -> dict[Any, float]:
    """Those of the guesses that have a number, as numbers: `viz.bars` and `viz.curves` draw them.

    >>> guessed_numbers({0: None, 1: "about 30 %", 3: 0.25, 4: "hardly any"})
    {1: 30.0, 3: 25.0}
    """
    numbers = {name: _read(guess, unit) for name, guess in typed.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def count_near(
    typed: Mapping[Any, Any],
    measured: Mapping[Any, float],
    within: float = NEAR,
    unit: str = PER_CENT,
) -> str:
    """How many guesses are no further off than `within`, of those that were typed.

    `measured` has a number for every name in `typed`.

    >>> count_near({0: 20, 1: "50 %", 3: None}, {0: 28, 1: 99, 3: 100})
    '1 of 2 guesses within 10'
    """
    numbers = guessed_numbers(typed, unit)
    near = sum(abs(number - float(measured[name])) <= within for name, number in numbers.items())
    return f"{near} of {len(numbers)} guesses within {within:g}" if numbers else "no guess typed"


def _read(guess: Any, unit: str) -> float | None:
    """The number in a guess, in per cent also for a share below 1; None where there is none."""
    number = _number(guess)
    if number is None or not math.isfinite(number):
        return None
    is_share = unit == PER_CENT and 0 < number < 1 and "%" not in str(guess)
    return 100 * number if is_share else number


def _number(guess: Any) -> float | None:
    if isinstance(guess, str):
        found = re.search(NUMBER, guess)
        return float(found[0].replace(",", ".")) if found else None
    try:
        return float(guess)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
