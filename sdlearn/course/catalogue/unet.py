"""Exercises and questions of lesson 03: the noise that the U-Net guesses, and where it looks."""

from __future__ import annotations

from typing import Any

from ..exercises import Exercise, Mistake
from ..quiz import Question

__all__ = ["EXERCISES", "QUESTIONS"]

LOSS, PICTURE_ERROR = "noise, eps", "eps_error, alpha_bar"


def _function(arguments: str, formula: str) -> str:
    """The source of an answer that returns `formula`."""
    return f"def answer({arguments}):\n    return {formula}\n"


def _loss_cases() -> list[tuple[Any, ...]]:
    """Noise and guesses of it, off in a way that no wrong formula gets right by chance."""
    from ...diffusion.seeds import randn

    pairs = [(randn(shape, [1]), randn(shape, [2])) for shape in ((4, 4, 4), (2, 3))]
    return [(noise, 0.8 * noise + 0.3 * other + 0.1) for noise, other in pairs]


def _late(condition: str, word: str = "car", options: str = "") -> str:
    """The source of an answer that takes the map of `word` from the records of some calls."""
    return f"""\
late = [one for one in maps if {condition}]
answer = word_maps(late, token_positions(sd.tokenizer, prompt, "{word}"){options})
"""


def _middle(blocks: str) -> str:
    """The source of an answer that measures the guess without the skips of some blocks."""
    return f"""\
with without_skips(sd.unet, {blocks}):
    guessed = sd.predict_noise(noised(200), 200, cond)
answer = error(guessed)
"""


_LOSS = Exercise(
    name="unet.error",
    solution=_function(LOSS, "((eps - noise) ** 2).mean()"),
    reason="Differences above and below 0 count alike once they are squared, and the mean does not "
    "grow with the size of the picture (DDPM eq. 14).",
    cases=_loss_cases,
    mistakes=(
        Mistake(
            _function(LOSS, "(eps - noise).mean()"),
            "differences above and below 0 cancel: square them before you take the mean",
        ),
        Mistake(
            _function(LOSS, "(eps - noise).abs().mean()"),
            "that is the mean of the absolute differences: square them instead",
        ),
        Mistake(
            _function(LOSS, "((eps - noise) ** 2).sum()"),
            "that is the sum of the squares: it grows with the number of values, so take the mean",
        ),
        Mistake(
            _function(LOSS, "((eps - noise) ** 2).mean() ** 0.5"),
            "that is the root of the loss: leave the root out",
        ),
        Mistake(
            _function(LOSS, "(eps - noise).mean() ** 2"),
            "you squared the mean: square each difference first, then take the mean",
        ),
        Mistake(
            _function(LOSS, "(eps - noise) ** 2"),
            "the squares are right: now make one number of them, their mean",
        ),
    ),
    hints=(
        "Three steps: subtract, square, and make one number of many.",
        "A tensor is squared by ** 2 and has a method mean().",
        "Subtract first: (eps - noise). Then square that, and take the mean of it all.",
    ),
)

_PICTURE_ERROR = Exercise(
    name="unet.picture_error",
    solution=_function(PICTURE_ERROR, "(1 - alpha_bar) / alpha_bar * eps_error"),
    reason="Solving for x0 subtracts sqrt(1 - alpha_bar) times the guess and divides by "
    "sqrt(alpha_bar). So an error in the guess is multiplied by the ratio of the roots, and its "
    "square by the ratio itself, which is 1 over the signal-to-noise ratio.",
    cases=lambda: [(0.02, 0.6), (0.4, 0.9), (0.003, 0.05)],
    mistakes=(
        Mistake(
            _function(PICTURE_ERROR, "((1 - alpha_bar) / alpha_bar) ** 0.5 * eps_error"),
            "the error is squared, so the roots of the formula are squared as well: no root here",
        ),
        Mistake(
            _function(PICTURE_ERROR, "alpha_bar / (1 - alpha_bar) * eps_error"),
            "yours is upside down: with much noise, alpha_bar near 0, the picture's error is large",
        ),
        Mistake(
            _function(PICTURE_ERROR, "(1 - alpha_bar) * eps_error"),
            "one step is missing: x0 is divided by sqrt(alpha_bar) in the end",
        ),
        Mistake(
            _function(PICTURE_ERROR, "eps_error / alpha_bar"),
            "one factor is missing: the guess is multiplied by sqrt(1 - alpha_bar) first",
        ),
        Mistake(
            _function(PICTURE_ERROR, "eps_error"),
            "the two errors are equal only where alpha_bar is 0.5",
        ),
    ),
    hints=(
        "Look at the formula of section 2. What happens to eps on its way into the picture?",
        "eps is multiplied by sqrt(1 - alpha_bar) and divided by sqrt(alpha_bar). "
        "Any error in it takes the same way.",
        "The error is squared, so the number it is multiplied by is squared too. What is "
        "(sqrt(1 - alpha_bar) / sqrt(alpha_bar)) ** 2?",
    ),
    tolerance=1e-6,
)

_MIDDLE = Exercise(
    name="unet.middle",
    solution=_middle("[1]"),
    reason="The U-Net must run inside the `with` block; behind it all skip connections are on "
    "again. Without the middle level the error grows, but far less than without the finest.",
    needs=("sd", "without_skips", "noised", "cond", "uncond", "error"),
    mistakes=(
        Mistake(
            _middle("[2]"), "you switched off 16 x 16, the finest level: the middle is block 1"
        ),
        Mistake(
            _middle("[0]"), "you switched off 4 x 4, the coarsest level: the middle is block 1"
        ),
        Mistake(_middle("None"), "you switched off all levels: give a list with the middle one"),
        Mistake(
            "answer = error(sd.predict_noise(noised(200), 200, cond))",
            "all skip connections were on: predict_noise must stand inside the `with` block",
        ),
        Mistake(
            _middle("[1]").replace("noised(200), 200", "noised(300), 300"),
            "that is the error at t = 300: the task asks for 200",
        ),
        Mistake(
            _middle("[1]").replace("200, cond", "200, uncond"),
            "that is without words: give the U-Net `cond`",
        ),
    ),
    hints=(
        "Copy the `with` block of section 6. Which block is 8 x 8, and which t is asked for?",
        "with without_skips(sd.unet, [1]): and below it, indented, the call of predict_noise.",
        "guessed = sd.predict_noise(noised(200), 200, cond) inside the block, "
        "answer = error(guessed) after it.",
    ),
    tolerance=1e-5,
)

_LATE_MAP = Exercise(
    name="unet.late_map",
    solution=_late("one.call >= 15"),
    reason="Calls are counted from 0, so the last five of 20 are 15 to 19. In the last steps the "
    "layout has long been settled.",
    needs=("sd", "maps", "prompt", "word_maps", "token_positions"),
    mistakes=(
        Mistake(
            _late("True"), "that is the mean of all 20 steps: pick the records by their `call`"
        ),
        Mistake(
            _late("one.call < 5"), "those are the first five steps: the last five are asked for"
        ),
        Mistake(
            _late("one.call > 15"),
            "those are four steps: calls are counted from 0, so the last five begin with 15",
        ),
        Mistake(
            _late("one.call >= 15", options=", batch=0"),
            "that is the half of the batch without words: leave `batch` out",
        ),
        Mistake(_late("one.call >= 15", word="cat"), 'that is the map of "cat": take "car"'),
        Mistake(
            "late = [one for one in maps if one.call >= 15]\n"
            'answer = word_maps(late, prompt.replace(",", "").split().index("car"))',
            "count tokens, not words: the begin mark and the commas are tokens too",
        ),
    ),
    hints=(
        "Two parts: a shorter list of maps, and then word_maps as in section 9.",
        "[one for one in maps if ...] makes the list. The condition is about one.call.",
        'word_maps(late, token_positions(sd.tokenizer, prompt, "car")), where late holds the '
        "records with one.call >= 15.",
    ),
    tolerance=1e-6,
)

EXERCISES = (_LOSS, _PICTURE_ERROR, _MIDDLE, _LATE_MAP)

QUESTIONS = (
    Question(
        text="At t = 200 you subtract the guessed noise from x_t, just so, and decode. What do you "
        "see?",
        choices=(
            ("the clean picture", "no: for that you solve for x0, with the two roots (section 2)"),
            (
                "a picture spoilt by noise",
                "yes: the noise was mixed in at less than full strength, so you took away too much",
            ),
            ("the noise", "no: the noise is what you subtracted"),
        ),
        right=1,
    ),
    Question(
        text="At which timestep does the U-Net make the largest error in the noise?",
        choices=(
            ("at t = 999", "no: there nearly all of the input is noise, so it is easy to find"),
            (
                "in the middle",
                "no: the error falls from the first timestep to the last (section 4)",
            ),
            (
                "at t = 1",
                "yes: a little noise is hard to tell from the grain of the picture",
            ),
        ),
        right=2,
    ),
    Question(
        text='The attention map of "red" lies on a house. What does it prove?',
        choices=(
            (
                'that the U-Net looked at the state of "red" from there',
                "yes: that and no more",
            ),
            (
                'that the house is red because of the state of "red"',
                'no: the house stayed red when that state said "blue" (section 10)',
            ),
            (
                "that what is red is there and nowhere else",
                "no: the balloon's map lay nearly everywhere",
            ),
        ),
        right=0,
    ),
)
