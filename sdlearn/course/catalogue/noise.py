"""Exercises and questions of lesson 01: noise added to pictures (DDPM, arXiv 2006.11239)."""

from __future__ import annotations

from typing import Any

from ..exercises import Exercise, Mistake
from ..quiz import Question

__all__ = ["EXERCISES", "QUESTIONS"]


NOISING, PRODUCT, UNDOING = "x0, noise, alpha_bar", "betas", "x_t, noise, alpha_bar"


def _function(arguments: str, formula: str) -> str:
    """The source of an answer that returns `formula`."""
    return f"def answer({arguments}):\n    return {formula}\n"


def _mistakes(arguments: str, *told: str) -> tuple[Mistake, ...]:
    """Wrong formulas, each followed by what the learner is told of it."""
    pairs = zip(told[::2], told[1::2], strict=True)
    return tuple(Mistake(_function(arguments, formula), said) for formula, said in pairs)


def _noising_cases() -> list[tuple[Any, ...]]:
    """Pictures, noise and shares of the picture that no wrong formula gets right by chance."""
    from ...diffusion.seeds import randn

    shape = (3, 4, 4)
    return [(randn(shape, [i]), randn(shape, [i + 10]), ab) for i, ab in enumerate((0.9, 0.2))]


def _noised_cases() -> list[tuple[Any, ...]]:
    """The same as (x_t, noise, alpha_bar)."""
    from ...diffusion.equations import add_noise

    return [(add_noise(x0, noise, ab), noise, ab) for x0, noise, ab in _noising_cases()]


def _betas_cases() -> list[tuple[Any, ...]]:
    from ...diffusion.equations import betas

    return [(betas("linear", 20, beta_range=(0.05, 0.2)),), (betas("cosine", 10),)]


_ADD_NOISE = Exercise(
    name="noise.add_noise",
    solution=_function(NOISING, "alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise"),
    reason="Variances add up. The picture keeps the share alpha_bar of the variance and the noise "
    "has the rest, so what each is multiplied with is the root (DDPM eq. 4).",
    cases=_noising_cases,
    mistakes=_mistakes(
        NOISING,
        "alpha_bar**0.5 * noise + (1 - alpha_bar) ** 0.5 * x0",
        "you used sqrt(alpha_bar) on the noise: swap the two",
        "alpha_bar * x0 + (1 - alpha_bar) * noise",
        "alpha_bar and 1 - alpha_bar are shares of variance: multiply with their roots",
        "alpha_bar**0.5 * x0 + (1 - alpha_bar**0.5) * noise",
        "the noise needs the root of 1 - alpha_bar, not 1 minus the root",
        "x0 + (1 - alpha_bar) ** 0.5 * noise",
        "your picture stays at full strength: it fades by sqrt(alpha_bar)",
        "alpha_bar**0.5 * x0 + noise",
        "your noise always has full strength: multiply it with sqrt(1 - alpha_bar)",
    ),
    hints=(
        "It is a sum of two terms: the picture times one number, the noise times another.",
        "At alpha_bar = 1 the picture is left alone, at 0 only the noise is left.",
        "The picture's number is alpha_bar ** 0.5. The squares of the two numbers add up to 1.",
    ),
)

_ALPHA_BAR = Exercise(
    name="noise.alpha_bar",
    solution=_function(PRODUCT, "(1 - betas).cumprod(dim=0)"),
    reason="Each step leaves 1 - beta of the variance that the last step left, so the shares of "
    "all steps up to t are multiplied (DDPM, below eq. 4). cumprod gives that for every t at once.",
    cases=_betas_cases,
    mistakes=_mistakes(
        PRODUCT,
        "(1 - betas).sqrt().cumprod(dim=0)",
        "that is the product of the roots, sqrt(alpha_bar): leave the roots out",
        "1 - betas",
        "that is what one step alone leaves: multiply those of all steps up to t",
        "betas.cumprod(dim=0)",
        "you multiplied what each step adds: multiply what it leaves, 1 - beta",
        "1 - betas.cumsum(dim=0)",
        "you took the betas away one after the other: each takes its share of what is left",
        "1 - betas.cumprod(dim=0)",
        "first 1 - beta, then the product: you did it the other way round",
        "(1 - betas).prod()",
        "that is the last one only: there is an alpha_bar for every t",
    ),
    hints=(
        "A step with beta = 0.1 leaves 0.9 of the variance. What do two such steps leave?",
        "0.9 * 0.9. For every t, multiply the 1 - beta of all steps from the first to t.",
        "Tensors have a method for running products: values.cumprod(dim=0).",
    ),
)

_EVEN = Exercise(
    name="noise.even",
    solution="""\
answer = next(t for t, share in enumerate(alphas_cumprod) if share < 0.5)
""",
    reason="The ratio alpha_bar / (1 - alpha_bar) is 1 where alpha_bar is one half. In Stable "
    "Diffusion's schedule that is a good deal before the middle of the 1000 steps.",
    needs=("alphas_cumprod",),
    mistakes=(
        Mistake(
            "answer = 500",
            "half of the steps is not half of the noise: the steps differ in size",
        ),
        Mistake(
            "answer = int((alphas_cumprod >= 0.5).sum()) - 1",
            "there the picture is still the stronger one, by a little: one step more",
        ),
        Mistake(
            "answer = int((alphas_cumprod >= 0.25).sum())",
            "you compared the root of alpha_bar with one half: compare alpha_bar itself",
        ),
        Mistake(
            "answer = 0.5",
            "that is the alpha_bar at that place: the t that has it is wanted",
        ),
    ),
    hints=(
        "What is alpha_bar when alpha_bar / (1 - alpha_bar) is 1?",
        "It is 0.5. The values fall, so count how many are not below it.",
        "(alphas_cumprod >= 0.5) is a tensor of True and False; .sum() counts the True ones.",
    ),
)

_COPIES = Exercise(
    name="noise.copies",
    solution="""\
left = float(alphas_cumprod[-1])
answer = round((1 - left) / left)
""",
    reason="The mean of N copies has noise of variance (1 - alpha_bar) / N and a picture of "
    "variance alpha_bar. They are equal at N = (1 - alpha_bar) / alpha_bar, which is 1 / SNR.",
    needs=("alphas_cumprod",),
    mistakes=(
        Mistake(
            "left = float(alphas_cumprod[-1])\nanswer = round(((1 - left) / left) ** 0.5)",
            "that many times stronger is the noise, but averaging N copies weakens it only by "
            "the root of N: square your number",
        ),
        Mistake(
            "answer = round(1 / float(alphas_cumprod[-1]))",
            "close: the noise has the share 1 - alpha_bar, not 1",
        ),
        Mistake(
            "left = float(alphas_cumprod[-1])\nanswer = (1 - left) / left",
            "that is it, but copies come whole: round it",
        ),
    ),
    hints=(
        "Averaging N independent draws divides the variance of the noise by N.",
        "The picture is in every copy, so averaging leaves its variance alpha_bar as it is.",
        "Solve (1 - alpha_bar) / N = alpha_bar for N, with alpha_bar = alphas_cumprod[-1].",
    ),
)

_RECOVER = Exercise(
    name="noise.recover",
    solution=_function(UNDOING, "(x_t - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5"),
    reason="It is the formula of add_noise, solved for x0 (DDIM eq. 9). Subtracting the noise is "
    "only half of it: the noise must have the strength it has in x_t, and the picture is faded.",
    cases=_noised_cases,
    mistakes=_mistakes(
        UNDOING,
        "x_t - noise",
        "in x_t the noise has the strength sqrt(1 - alpha_bar): subtract that much of it",
        "x_t - (1 - alpha_bar) ** 0.5 * noise",
        "the noise is gone, but the picture is still faded: divide by sqrt(alpha_bar)",
        "(x_t - (1 - alpha_bar) ** 0.5 * noise) * alpha_bar**0.5",
        "the picture was multiplied with sqrt(alpha_bar): divide by it",
        "(x_t - noise) / alpha_bar**0.5",
        "the division is right; of the noise, subtract only sqrt(1 - alpha_bar) times as much",
        "(x_t - alpha_bar**0.5 * noise) / (1 - alpha_bar) ** 0.5",
        "you swapped the two roots: sqrt(1 - alpha_bar) belongs to the noise",
        "(x_t - (1 - alpha_bar) * noise) / alpha_bar",
        "the roots are missing, on the noise and below the line",
    ),
    hints=(
        "Write down x_t = sqrt(alpha_bar) * x0 + sqrt(1 - alpha_bar) * noise. x0 is wanted.",
        "Bring the noise to the other side first.",
        "Then divide by what x0 is multiplied with.",
    ),
)

EXERCISES = (_ADD_NOISE, _ALPHA_BAR, _EVEN, _COPIES, _RECOVER)

QUESTIONS = (
    Question(
        text="How do you get the noisy picture of t = 600?",
        choices=(
            (
                "600 small steps, there is no other way",
                "no: they lead there, but one weighted sum of picture and noise has the same "
                "distribution (section 3)",
            ),
            (
                "one weighted sum of the picture and of noise",
                "yes: sqrt(alpha_bar) times the picture plus sqrt(1 - alpha_bar) times the noise "
                "(section 3)",
            ),
            ("the U-Net adds the noise", "no: adding noise needs no network, removing it does"),
        ),
        right=1,
    ),
    Question(
        text="What is left of the picture at the last step of Stable Diffusion's schedule?",
        choices=(
            (
                "nothing, it is pure noise",
                "no: that is the popular claim, and it failed (section 8)",
            ),
            ("half of it", "no: picture and noise are even long before the last step (section 4)"),
            (
                "7 % of its strength, too little to see, enough to measure",
                "yes: sqrt(alpha_bar) is 0.068, and averaging brings the picture back (section 8)",
            ),
        ),
        right=2,
    ),
    Question(
        text="You know x_t and the exact noise in it. How do you get the picture back?",
        choices=(
            (
                "subtract sqrt(1 - alpha_bar) times the noise, divide by sqrt(alpha_bar)",
                "yes: the formula of noising, solved for x0 (section 9)",
            ),
            (
                "subtract the noise",
                "no: it is in x_t at another strength, and the picture is faded",
            ),
            ("not at all, noise destroys it", "no: only not knowing the noise makes it hard"),
        ),
        right=0,
    ),
)
