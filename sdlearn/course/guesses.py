"""A prediction that a learner typed, beside what was measured.

guessed(40, 28)        "40 %, 12 too high"
guessed("about 28 %", 28)
guessed(None, 28)      "none"
"""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["guessed"]

NUMBER = r"-?\d+(?:[.,]\d+)?"


def guessed(guess: Any, measured: float) -> str:
    """What is said of a guess in per cent, however it was typed; never an error.

    A guess may be a number, a tensor, a share below 1, or a text with a number in it. What has no
    number is repeated as it was typed.

    >>> guessed("about 30 %", 28), guessed(0.28, 28), guessed("hardly any", 28)
    ('30 %, 2 too high', '28 %, just right', 'hardly any')
    """
    if guess is None or guess is ... or isinstance(guess, str) and not guess.strip():
        return "none"
    number = _number(guess)
    if number is None or not math.isfinite(number):
        return str(guess)[:60]
    off = round(number) - round(float(measured))
    side = "high" if off > 0 else "low"
    return f"{number:.0f} %, {f'{abs(off)} too {side}' if off else 'just right'}"


def _number(guess: Any) -> float | None:
    """The number in a guess, in per cent."""
    if isinstance(guess, str):
        found = re.search(NUMBER, guess)
        return float(found[0].replace(",", ".")) if found else None
    try:
        number = float(guess)
        return 100 * number if 0 < number < 1 else number
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
