"""Exercises and questions of lesson 00: a first picture, its latent, and what the words do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..answers import kind
from ..exercises import Exercise, Mistake
from ..quiz import Question

__all__ = ["EXERCISES", "QUESTIONS"]

WANTED = {"subject": "boat", "colour": "purple", "time": "night", "sky": "moon"}


def _not_pictures(answer: Any) -> str | None:
    """What to say to an answer that is not what `generate` gives."""
    if kind(answer) != "a list":
        return f"the list of pictures that sd.generate gives is expected, yours is {kind(answer)}"
    others = [kind(item) for item in answer if kind(item) != "a picture"]
    return f"pictures are expected, in your list is {others[0]}" if others else None


def _three_pictures(answer: Any, names: Mapping[str, Any]) -> str | None:
    if problem := _not_pictures(answer):
        return problem
    if len(answer) != 3:
        return f"three seeds give three pictures; the number of yours is {len(answer)}"
    if len({picture.tobytes() for picture in answer}) < 3:
        return "two pictures are the same: give each a seed of its own"
    return None


def _purple_boat(answer: Any, names: Mapping[str, Any]) -> str | None:
    from ...viz import to_tensor

    if problem := _not_pictures(answer):
        return problem
    if not answer:
        return "your list is empty: give at least one seed"
    readings = [reading.words for reading in names["judge"].read(to_tensor(answer))]
    wrong = [[f"{n} {words[n]}" for n in WANTED if words[n] != WANTED[n]] for words in readings]
    best = min(wrong, key=len)
    if not best:
        return None
    return f"your best picture shows the judge {', '.join(best)}: say these, or try other seeds"


_THREE = Exercise(
    name="start.three",
    solution="""\
answer = sd.generate("a small white cat in the middle, in the snow, by day", seeds=[1, 2, 3])
""",
    reason="`seeds` is a list, and there is one picture for each seed in it.",
    needs=("sd", "first"),
    mistakes=(
        Mistake("answer = first", "three seeds give three pictures; the number of yours is 1"),
        Mistake("answer = first * 3", "two pictures are the same: give each a seed of its own"),
        Mistake("answer = first[0]", "the list of pictures that sd.generate gives is expected"),
    ),
    hints=(
        "Copy the call of sd.generate from section 2 and change the words.",
        "The words are a text in quotes, the seeds are a list: seeds=[1, 2, 3].",
        'answer = sd.generate("a small white cat, in the snow, by day", seeds=[1, 2, 3])',
    ),
    judge=_three_pictures,
)

_NUMBERS = Exercise(
    name="start.numbers",
    solution="""\
answer = (384 // 8) * (256 // 8) * 4

wide = viz.to_tensor(first[0].resize((384, 256)))
assert sd.encode_image(wide).numel() == answer  # measured
""",
    reason="Each side becomes 8 times shorter, and 3 channels become 4. That is 48 times fewer, as "
    "for every picture: 384 * 256 * 3 / 48.",
    needs=("sd", "viz", "first"),
    mistakes=(
        Mistake(
            "answer = 384 * 256 * 3 / 64",
            "the often-read 64 counts the area alone, but the 3 channels also become 4",
        ),
        Mistake("answer = 384 * 256 / 64", "that is one channel; the latent has 4 of them"),
        Mistake("answer = 384 * 256 * 3", "that is the picture itself; its latent is asked for"),
        Mistake(
            "answer = 384 * 256 * 4 / 8",
            "you made one side 8 times shorter: both are, so the area becomes 64 times smaller",
        ),
        Mistake("answer = 384 * 256 * 3 / 8", "both sides become 8 times shorter, not one of them"),
        Mistake("answer = 16 * 16 * 4", "that is the latent of 128 by 128; this picture is larger"),
    ),
    hints=(
        "How many times shorter is each side of a latent? Compare 128 pixels with 16.",
        "8 times. So the latent is 48 wide and 32 high.",
        "Colour pictures have 3 channels, latents have 4: width times height times 4.",
    ),
)

_BOAT = Exercise(
    name="start.boat",
    solution="""\
sentence = "a large purple boat on the right, on blue water, at night, under the moon"
answer = sd.generate(sentence, seeds=[1, 2, 3, 4])
""",
    reason="What a sentence names, it settles; what it leaves out, the seed settles. Several seeds "
    "are several chances.",
    needs=("sd", "judge", "first"),
    mistakes=(
        Mistake("answer = first", "subject house, colour red"),
        Mistake("answer = []", "your list is empty: give at least one seed"),
    ),
    hints=(
        "Words of section 6 work best. Does your sentence name all that is asked for?",
        "Complete sentences are what the model learned from: name size, place and ground as well.",
        "Several seeds give it several chances: seeds=[1, 2, 3, 4]. One good picture is enough.",
    ),
    judge=_purple_boat,
)

EXERCISES = (_THREE, _NUMBERS, _BOAT)

QUESTIONS = (
    Question(
        text="You run `generate` twice on one computer, with the same words, steps, guidance and "
        "seed. How do the two pictures compare?",
        choices=(
            ("they are equal in every byte", "yes: chance enters only by the seed (section 2)"),
            ("they are alike", "no: chance enters only by the seed, and the seed is the same"),
            ("they have nothing in common", "no: that would be another seed (section 2)"),
        ),
        right=0,
    ),
    Question(
        text="What does the U-Net give back?",
        choices=(
            ("a cleaner picture", "no: the scheduler takes the step towards less noise"),
            (
                "the noise in its input",
                "yes: the scheduler takes the step, and the VAE makes the pixels (section 5)",
            ),
            ("pixels", "no: it works on latents, and the VAE makes the pixels"),
        ),
        right=1,
    ),
    Question(
        text="At which guidance scale do the words have no say?",
        choices=(
            ("1", "no: there you get the prediction with words, as it is"),
            ("3", "no: there the difference that the words make is even exaggerated"),
            ("0", "yes: only the prediction without words is left (section 7)"),
        ),
        right=2,
    ),
)
