"""Exercises and questions of lesson 05: the whole loop (DDIM, arXiv 2010.02502)."""

from __future__ import annotations

from typing import Any

from ..exercises import Exercise, Mistake
from ..quiz import Question

__all__ = ["EXERCISES", "QUESTIONS"]

GRID, STEP, LATENTS = "num_steps", "x_t, eps, alpha_bar, alpha_bar_prev", "latents"
CLEAN = "pred_x0 = (x_t - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5"
MIXED = "alpha_bar_prev**0.5 * pred_x0 + (1 - alpha_bar_prev) ** 0.5 * eps"
DECODED = "pixels = sd.vae.decode(latents / sd.vae.config.scaling_factor).sample"
SHOWN = "(pixels / 2 + 0.5).clamp(0, 1)"


def _function(arguments: str, *lines: str) -> str:
    """The source of an answer that returns the last of `lines`."""
    *before, result = lines
    return "\n    ".join([f"def answer({arguments}):", *before, f"return {result}"]) + "\n"


def _mistakes(arguments: str, *told: tuple[str, ...]) -> tuple[Mistake, ...]:
    """Wrong functions, line by line, each followed by what the learner is told of it."""
    return tuple(Mistake(_function(arguments, *lines), said) for *lines, said in told)


def _step_cases() -> list[tuple[Any, ...]]:
    """Two large steps and a small one: (x_t, eps, alpha_bar, alpha_bar_prev)."""
    from ...diffusion.seeds import randn

    bars = ((0.1, 0.3), (0.2, 0.7), (0.9, 0.95))
    return [(randn((4, 3, 3), [i]), randn((4, 3, 3), [i + 10]), *ab) for i, ab in enumerate(bars)]


def _decode_cases() -> list[tuple[Any, ...]]:
    """Weak and strong latents, so that the pixels of the strong ones leave the range."""
    from ...diffusion.seeds import randn

    return [(strength * randn((4, 8, 8), [7]),) for strength in (0.5, 3.0)]


_SHAPE = Exercise(
    name="pipeline.shape",
    solution="answer = (1, 4, 128 // 8, 256 // 8)\n",
    reason="A latent has 4 channels, and one number of each stands for 8 by 8 pixels. Rows come "
    "before columns, so the height comes before the width.",
    mistakes=(
        Mistake("answer = (1, 3, 16, 32)", "3 channels are red, green and blue: a latent has 4"),
        Mistake("answer = (1, 4, 32, 16)", "rows come first: height before width"),
        Mistake("answer = (1, 4, 128, 256)", "a latent has an eighth of the height and width"),
        Mistake("answer = (1, 3, 128, 256)", "that is the picture: the loop runs on its latent"),
        Mistake("answer = (4, 16, 32)", "the number of pictures comes first, here 1"),
    ),
    hints=(
        "The order is pictures, channels, height, width.",
        "The VAE makes height and width 8 times smaller. It has 4 channels.",
        "128 / 8 rows of 256 / 8 numbers, in 4 channels, for 1 picture.",
    ),
)

_GRID = Exercise(
    name="pipeline.grid",
    solution=_function(GRID, "[999 - i * 1000 // num_steps for i in range(num_steps)]"),
    reason="The loop must begin where there is hardly anything but noise, at 999, and then go down "
    'in strides of 1000 / num_steps ("trailing", Lin et al. 2023, arXiv 2305.08891, table 2).',
    cases=lambda: [(20,), (4,), (1,)],
    mistakes=_mistakes(
        GRID,
        (
            "[1000 - i * 1000 // num_steps for i in range(num_steps)]",
            "off by one: there are 1000 timesteps and the first is 0, so the last is 999",
        ),
        (
            "[(i + 1) * 1000 // num_steps - 1 for i in range(num_steps)]",
            "the numbers are right, their order is not: the loop begins with the noisiest",
        ),
        (
            "[i * 1000 // num_steps for i in reversed(range(num_steps))]",
            'that is the grid called "leading": it ends at 0 and does not begin at 999',
        ),
        (
            "last = max(1, num_steps - 1)",
            "[round(999 - i * 999 / last) for i in range(num_steps)]",
            'that is "linspace", from 999 to 0: the strides of "trailing" are 1000 / num_steps',
        ),
        (
            "last = max(1, num_steps - 1)",
            "[round(i * 999 / last) for i in range(num_steps)]",
            "linspace from 0 up to 999 goes from clean to noisy: begin at 999 and go down",
        ),
        (
            "[999 - i * 1000 // num_steps for i in range(num_steps + 1)]",
            "that is one too many: the last stride only leads to the clean picture",
        ),
    ),
    hints=(
        "The list for 4 steps is [999, 749, 499, 249].",
        "The first is 999. The stride is 1000 // num_steps.",
        "[999 - i * stride for i in range(num_steps)]",
    ),
)

_DDIM = Exercise(
    name="pipeline.ddim_step",
    solution=_function(STEP, CLEAN, MIXED),
    reason="First solve the formula of noising for the clean latents, with the alpha_bar of where "
    "you are. Then mix them with the same noise, with that of where you go (DDIM eq. 12).",
    cases=_step_cases,
    mistakes=_mistakes(
        STEP,
        (
            CLEAN,
            "alpha_bar_prev * pred_x0 + (1 - alpha_bar_prev) * eps",
            "the roots are missing where you mix: sqrt(alpha_bar_prev), sqrt(1 - alpha_bar_prev)",
        ),
        (
            CLEAN.replace("**0.5", "").replace(" ** 0.5", ""),
            MIXED,
            "the roots are missing in pred_x0: sqrt(1 - alpha_bar) and sqrt(alpha_bar)",
        ),
        (
            CLEAN,
            MIXED.replace("_prev", ""),
            "with one alpha_bar for both you are back at x_t: mix with alpha_bar_prev",
        ),
        (
            CLEAN.replace("alpha_bar", "alpha_bar_prev"),
            MIXED.replace("_prev", ""),
            "you swapped the two: pred_x0 needs the alpha_bar of t, the mixing alpha_bar_prev",
        ),
        (CLEAN, "pred_x0", "that jumps to pred_x0, the end: mix noise in again, that of eps"),
        (
            CLEAN,
            "alpha_bar_prev**0.5 * pred_x0",
            "pred_x0 is faded as it should be, but its noise is missing: add that of eps",
        ),
        ("x_t - eps", "no scheduler subtracts the noise: find pred_x0, mix it with eps again"),
    ),
    hints=(
        "Two lines: what would the clean latents be, and how noisy are they one step on?",
        "pred_x0 is (x_t - sqrt(1 - alpha_bar) * eps) / sqrt(alpha_bar), as in lesson 01.",
        "Then add noise as ever: sqrt(alpha_bar_prev) * pred_x0 + sqrt(1 - alpha_bar_prev) * eps.",
    ),
)

_DECODE = Exercise(
    name="pipeline.decode",
    solution=_function(LATENTS, DECODED, SHOWN),
    reason="The loop runs on latents that were multiplied with the scaling factor, to bring them "
    "near the size of the noise. The decoder wants them as the encoder made them, and gives "
    "pixels from -1 to 1.",
    cases=_decode_cases,
    needs=("sd",),
    mistakes=_mistakes(
        LATENTS,
        (
            DECODED.replace("latents /", "latents *"),
            SHOWN,
            "the encoder's latents were multiplied with the scaling factor: divide by it",
        ),
        (
            "pixels = sd.vae.decode(latents).sample",
            SHOWN,
            "the decoder wants latents of full size: divide by the scaling factor",
        ),
        (DECODED, "pixels", "pixels go from -1 to 1: halve them, add 0.5 and clamp"),
        (DECODED, "pixels / 2 + 0.5", "some pixels are beyond black or white: .clamp(0, 1)"),
        (DECODED, "pixels.clamp(0, 1)", "pixels go from -1 to 1: first halve them and add 0.5"),
    ),
    hints=(
        "Latents in the loop are scaling_factor times those that the encoder made.",
        "So divide: latents / sd.vae.config.scaling_factor.",
        "Its pixels go from -1 to 1: (pixels / 2 + 0.5).clamp(0, 1).",
    ),
    tolerance=1e-3,
)

_CALLS = Exercise(
    name="pipeline.calls",
    solution="answer = 5 * 2 * (2 * 30 - 1)\n",
    reason="Heun looks at both ends of each stride, but not after the last one: 2 * 30 - 1 calls. "
    "Guidance puts each of the 5 pictures into the batch twice, without and with the text.",
    mistakes=(
        Mistake("answer = 5 * 2 * 30", "Heun calls the U-Net nearly twice a step"),
        Mistake("answer = 5 * 2 * 2 * 30", "close: Heun's last step needs one call only"),
        Mistake("answer = 2 * 30 - 1", "these are the calls: how many latents are in each?"),
        Mistake("answer = 5 * (2 * 30 - 1)", "you have counted only 5 latents a call: it is 10"),
    ),
    hints=(
        "Count the calls first, then the latents in each.",
        "N steps of Heun are 2N - 1 calls.",
        "5 pictures, each without and with the text, are 10 latents a call.",
    ),
)

EXERCISES = (_SHAPE, _GRID, _DDIM, _DECODE, _CALLS)


def _question(text: str, right: int, *choices: tuple[str, str]) -> Question:
    return Question(text=text, choices=choices, right=right)


QUESTIONS = (
    _question(
        "What does one DDIM step do?",
        1,
        (
            "it subtracts the predicted noise",
            "no: that leaves a faded pred_x0, and no noise to go on with (section 4)",
        ),
        ("it finds pred_x0 and mixes it with eps again", "yes: equation 12 (section 5)"),
        ("it draws fresh noise", "no: DDIM draws none after the first latents (section 12)"),
    ),
    _question(
        "One picture, 50 steps, guidance 7.5, PNDM. What does the U-Net do?",
        2,
        ("50 calls on one latent each", "no: guidance doubles the batch"),
        ("100 calls", "no: both halves go through it in one call"),
        ("51 calls on two latents each", "yes: one call more than steps (section 11)"),
    ),
    _question(
        "Why is the grid of timesteps trailing?",
        0,
        (
            "it begins at 999, where training's noisiest latents are",
            "yes: a generation begins with noise (section 3)",
        ),
        ("it needs fewer U-Net calls", "no: each grid of N timesteps is N calls"),
        ("it ends at t = 0", "no: linspace does, and trailing ends above it (section 3)"),
    ),
)
