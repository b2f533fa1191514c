"""A prediction that a learner typed, beside what was measured.

guessed(40, 28)                   "40 %, 12 too high"
guessed("about 28 %", 28)         "28 %, just right"
guessed(300, 500, unit="")        "300, 200 too low"
guessed(None, 28)                 "none"
"""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["guessed"]

NUMBER = r"-?\d*[.,]?\d+"
PER_CENT = " %"


def guessed(guess: Any, measured: float, unit: str = PER_CENT) -> str:
    """What is said of a guess, however it was typed; never an error.

    A guess may be a number, a tensor, or a text with a number in it; in per cent, a share below 1
    as well. What has no number is repeated as it was typed. `unit` is written behind the number.

    >>> guessed("about 30 %", 28), guessed(0.28, 28), guessed("hardly any", 28)
    ('30 %, 2 too high', '28 %, just right', 'hardly any')
    """
    if guess is None or guess is ... or isinstance(guess, str) and not guess.strip():
        return "none"
    number = _number(guess)
    if number is None or not math.isfinite(number):
        return str(guess)[:60]
    if unit == PER_CENT and 0 < number < 1 and "%" not in str(guess):
        number *= 100
    off = round(number) - round(float(measured))
    side = "high" if off > 0 else "low"
    return f"{number:.0f}{unit}, {f'{abs(off)} too {side}' if off else 'just right'}"


def _number(guess: Any) -> float | None:
    if isinstance(guess, str):
        found = re.search(NUMBER, guess)
        return float(found[0].replace(",", ".")) if found else None
    try:
        return float(guess)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
