"""Exercises and questions of lesson 06: classifier-free guidance (arXiv 2207.12598)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..answers import kind
from ..exercises import Exercise, Mistake
from ..quiz import Question

__all__ = ["EXERCISES", "QUESTIONS"]

GUIDING = "eps_uncond, eps_cond, guidance_scale"
AVOIDING = "latents, t, prompt, negative, guidance_scale"
ENOUGH = 4  # right pictures of 8, for the hard one


def _function(arguments: str, *lines: str) -> str:
    """The source of an answer: some lines, the last of which is a formula to return."""
    *before, formula = lines
    body = "".join(f"    {line}\n" for line in (*before, f"return {formula}"))
    return f"def answer({arguments}):\n{body}"


def _guided(*told: str) -> tuple[Mistake, ...]:
    """Wrong formulas, each followed by what the learner is told of it."""
    pairs = zip(told[::2], told[1::2], strict=True)
    return tuple(Mistake(_function(GUIDING, formula), said) for formula, said in pairs)


def _avoiding(push: str, away: str, formula: str) -> str:
    """The source of an answer with the predictions `a`, for `push`, and `b`, for `away`."""
    return _function(
        AVOIDING,
        f"a = sd.predict_noise(latents, t, sd.encode_text({push}))",
        f"b = sd.predict_noise(latents, t, sd.encode_text({away}))",
        formula,
    )


def _values(*told: str) -> tuple[Mistake, ...]:
    """Wrong values as source, each followed by what the learner is told of it."""
    pairs = zip(told[::2], told[1::2], strict=True)
    return tuple(Mistake(f"answer = {value}", said) for value, said in pairs)


def _prediction_cases() -> list[tuple[Any, ...]]:
    """Two predictions at a usual scale, below 1 and at 0."""
    from ...diffusion.seeds import randn

    scales = (7.5, 0.5, 0.0)
    return [(randn((4, 2, 3), [i]), randn((4, 2, 3), [i + 10]), s) for i, s in enumerate(scales)]


def _prompt_cases() -> list[tuple[Any, ...]]:
    from ...diffusion.seeds import randn

    latents = randn((4, 16, 16), [3])
    return [
        (latents, 600, "a white cat on green grass", "at night", 7.5),
        (latents, 900, "a red boat on blue water", "under a rainbow", 3.0),
    ]


def _hard_one(answer: Any, names: Mapping[str, Any]) -> str | None:
    """Draw what was asked for at the learner's guidance scale and let the judge count."""
    if kind(answer) != "a number":
        return f"a number is expected, the guidance scale; yours is {kind(answer)}"
    _, right = names["look"](answer)
    if right >= ENOUGH:
        return None
    if answer <= 1:
        return f"{right} of 8 are right: these words need a push, so go above 1"
    return f"{right} of 8 are right, and {ENOUGH} are wanted: try scales between 1 and 7.5"


_GUIDE = Exercise(
    name="guidance.guide",
    solution=_function(GUIDING, "eps_uncond + guidance_scale * (eps_cond - eps_uncond)"),
    reason="Start at the prediction without words and go guidance_scale times the way to the one "
    "with words. At 0 you stay, at 1 you arrive, and above 1 you go past it.",
    cases=_prediction_cases,
    mistakes=_guided(
        "eps_cond + guidance_scale * (eps_uncond - eps_cond)",
        "cond and uncond are swapped, so more guidance would lead away from the words",
        "eps_cond + guidance_scale * (eps_cond - eps_uncond)",
        "you started at eps_cond: that is the paper's form, whose weight is w = guidance_scale - 1",
        "eps_uncond + (guidance_scale - 1) * (eps_cond - eps_uncond)",
        "that mixes two conventions: from eps_uncond it is the whole guidance_scale",
        "eps_uncond + guidance_scale * eps_cond",
        "you added all of eps_cond: only its difference from eps_uncond is multiplied",
        "eps_uncond + guidance_scale * (eps_uncond - eps_cond)",
        "your difference points away from the words: it is eps_cond - eps_uncond",
        "guidance_scale * (eps_cond - eps_uncond)",
        "that is the way only: add it to where it starts, eps_uncond",
    ),
    hints=(
        "Two points and a line through them. Where must you be at scale 0, and where at scale 1?",
        "At 0 at eps_uncond, at 1 at eps_cond. The way from one to the other is their difference.",
        "Start at eps_uncond and add guidance_scale times (eps_cond - eps_uncond).",
    ),
)

_WEIGHTS = Exercise(
    name="guidance.weights",
    solution="""\
answer = [w + 1 for w in (-1, 0, 4)]
""",
    reason="(1 + w) eps_cond - w eps_uncond is the same line, counted from eps_cond instead of "
    "eps_uncond, so w is one less than our scale (Ho and Salimans 2022, equation 6).",
    mistakes=_values(
        "[-1, 0, 4]",
        "these are the weights themselves; their 0 means no guidance, and ours for that is 1",
        "[-2, -1, 3]",
        "the other way round: w is one less than the scale",
        "[0, 0, 4]",
        "at w = 0 eps_cond is left as it is. Which of our scales does that?",
        "[0, 1, 4]",
        "the first two are right; the third is a step of 1 further as well",
    ),
    hints=(
        "Put w = 0 into (1 + w) eps_cond - w eps_uncond. What is left, and at which scale is it?",
        "eps_cond is left, our scale 1. Now put in w = -1.",
        "eps_uncond is left, our scale 0. So each scale is one more than the weight.",
    ),
)

_ROWS = Exercise(
    name="guidance.rows",
    solution="""\
answer = [25, 25 * 4, 25, 25 * 4 * 2]
""",
    reason="One call for each step. A call holds one row for each picture, and with guidance two, "
    "one for each of the two predictions.",
    mistakes=_values(
        "[25, 100, 50, 200]",
        "the rows are right, but both predictions come from one call on a batch twice as long",
        "[25, 25, 25, 50]",
        "the calls are right; the rows are those of one picture, and there are four",
        "[100, 100, 100, 200]",
        "the rows are right, but four pictures go through the U-Net in one call",
        "[25, 200, 25, 200]",
        "at guidance 1 the prediction without words has no say, so it is not computed",
    ),
    hints=(
        "The U-Net is called once in each step, whatever the guidance. All pictures go in at once.",
        "At guidance 1, each of the 25 calls holds 4 rows: one for each picture.",
        "At 7.5, each of the 25 calls holds 8 rows: every picture without words and with words.",
    ),
)

_NEGATIVE = Exercise(
    name="guidance.negative",
    solution=_avoiding("prompt", "negative", "b + guidance_scale * (a - b)"),
    reason="The negative prompt takes the place of the empty one, and nothing else changes. No "
    "equation of guidance asks that the starting point be the empty text.",
    cases=_prompt_cases,
    needs=("sd",),
    mistakes=(
        Mistake(
            _avoiding("prompt", '""', "b + guidance_scale * (a - b)"),
            "your negative prompt has no say: it belongs where the empty one is",
        ),
        Mistake(
            _avoiding("prompt", "negative", "a + guidance_scale * (b - a)"),
            "you started at the prompt and went towards what should be avoided: swap the two",
        ),
        Mistake(
            _avoiding("prompt", "negative", "a + guidance_scale * (a - b)"),
            "you started at the prompt: start at the negative one",
        ),
        Mistake(
            _avoiding("f'{prompt}, {negative}'", '""', "b + guidance_scale * (a - b)"),
            "so the model is asked for what it should avoid: encode the two texts on their own",
        ),
    ),
    hints=(
        "You need two predictions. For which two texts?",
        "sd.predict_noise(latents, t, sd.encode_text(prompt)), and the same for negative.",
        "Then guidance as before, with the negative prediction in the place of eps_uncond.",
    ),
    tolerance=1e-3,
)

_HARD = Exercise(
    name="guidance.hard",
    solution="""\
answer = max((1, 2, 3, 5, 7.5), key=lambda scale: look(scale)[1])
""",
    reason="Without a push the model falls back on what is usual. With a strong one the colours "
    "overshoot. Where the middle is, only counting finds out, and for each prompt anew.",
    needs=("look",),
    mistakes=(
        Mistake("answer = 7.5", "of 8 are right, and 4 are wanted"),
        Mistake("answer = 1", "these words need a push, so go above 1"),
        Mistake("answer = look(1)", "a number is expected, the guidance scale"),
    ),
    hints=(
        "look(7.5) draws eight attempts and counts the right ones. Look at the pictures, too.",
        "Let a loop do the work: for scale in (1, 2, 3, 5, 7.5): print(scale, look(scale)[1])",
        "Neither 1 nor 7.5 will do. The best scale lies between them, near the model's usual one.",
    ),
    judge=_hard_one,
)

EXERCISES = (_GUIDE, _WEIGHTS, _ROWS, _NEGATIVE, _HARD)

QUESTIONS = (
    Question(
        text="At guidance scale 1, what does the prompt do?",
        choices=(
            ("next to nothing", "no: that is the popular claim, and it failed (section 5)"),
            (
                "all that the model learned: the prediction with words is used as it is",
                "yes: scale 1 is plain conditional sampling (sections 3 and 5)",
            ),
            ("it is followed word for word", "no: it is followed often, and not always"),
        ),
        right=1,
    ),
    Question(
        text="What does a negative prompt do inside?",
        choices=(
            ("it takes the place of the empty prompt", "yes: see section 8"),
            ("it is subtracted from the prompt's text states", "no: texts are never subtracted"),
            ("it erases what it names from the picture", "no: it is a direction, not a rubber"),
        ),
        right=0,
    ),
    Question(
        text="Why not always choose the highest guidance?",
        choices=(
            ("it takes longer", "no: every scale above 1 costs the same"),
            (
                "the words are pulled less",
                "no: they are pulled harder, and colours overshoot (section 5)",
            ),
            (
                "pictures grow alike, and the push goes beyond what pictures are",
                "yes: diversity falls, colours go wrong, surfaces break (sections 5 and 6)",
            ),
        ),
        right=2,
    ),
)
