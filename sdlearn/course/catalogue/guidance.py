"""Exercises of lesson 06: classifier-free guidance (arXiv 2207.12598)."""

from typing import Any

from torch import Tensor

from ...diffusion.seeds import randn
from ..answers import kind
from ..exercises import Cases, Exercise, Mistakes, OpenExercise

ENOUGH = 4  # right images of 8, for the hard exercise


class Guide(Exercise, name="guidance.guide"):
    """Start at the prediction without words and go guidance_scale times the way to the one with
    words. At 0 you stay, at 1 you arrive, and above 1 you go past it.
    """

    hints = (
        "Two points and a line through them. Where must you be at scale 0, and where at scale 1?",
        "At 0 at eps_uncond, at 1 at eps_cond. The way from one to the other is their difference.",
        "Start at eps_uncond and add guidance_scale times (eps_cond - eps_uncond).",
    )

    def cases(self) -> Cases:
        """Two predictions at a usual scale, below 1 and at 0."""
        shape, scales = (4, 2, 3), (7.5, 0.5, 0.0)
        return [(randn(shape, [i]), randn(shape, [i + 10]), s) for i, s in enumerate(scales)]

    def answer(self, eps_uncond: Tensor, eps_cond: Tensor, guidance_scale: float) -> Tensor:
        return eps_uncond + guidance_scale * (eps_cond - eps_uncond)

    def mistakes(self, eps_uncond: Tensor, eps_cond: Tensor, guidance_scale: float) -> Mistakes:
        yield eps_cond + guidance_scale * (eps_uncond - eps_cond)
        yield "cond and uncond are swapped, so more guidance would lead away from the words"
        yield eps_cond + guidance_scale * (eps_cond - eps_uncond)
        yield "you started at eps_cond, as the paper does: its weight is w = guidance_scale - 1"
        yield eps_uncond + (guidance_scale - 1) * (eps_cond - eps_uncond)
        yield "that mixes two conventions: from eps_uncond it is the whole guidance_scale"
        yield eps_uncond + guidance_scale * eps_cond
        yield "you added all of eps_cond: only its difference from eps_uncond is multiplied"
        yield eps_uncond + guidance_scale * (eps_uncond - eps_cond)
        yield "your difference points away from the words: it is eps_cond - eps_uncond"
        yield guidance_scale * (eps_cond - eps_uncond)
        yield "that is only the way: add it to where it starts, eps_uncond"


class Weights(Exercise, name="guidance.weights"):
    """(1 + w) eps_cond - w eps_uncond is the same line, counted from eps_cond instead of
    eps_uncond, so w is one less than our scale (Ho and Salimans 2022, equation 6).
    """

    hints = (
        "Put w = 0 into (1 + w) eps_cond - w eps_uncond. What is left, and at which scale is it?",
        "eps_cond is left, our scale 1. Now put in w = -1.",
        "eps_uncond is left, our scale 0. So each scale is one more than the weight.",
    )

    def answer(self) -> list[int]:
        return [w + 1 for w in (-1, 0, 4)]

    def mistakes(self) -> Mistakes:
        yield [-1, 0, 4]
        yield "these are the weights themselves; their 0 means no guidance, and ours for that is 1"
        yield [-2, -1, 3]
        yield "the other way round: w is one less than the scale"
        yield [0, 0, 4]
        yield "at w = 0 eps_cond is left as it is. Which of our scales does that?"
        yield [0, 1, 4]
        yield "the first two are right; the third is a step of 1 further as well"


class Rows(Exercise, name="guidance.rows"):
    """One call for each step. A call holds one row for each picture, and with guidance two, one for
    each of the two predictions.
    """

    hints = (
        "The U-Net is called once in each step, whatever the guidance. All pictures go in at once.",
        "At guidance 1, each of the 25 calls holds 4 rows: one for each picture.",
        "At 7.5, each of the 25 calls holds 8 rows: every picture without words and with words.",
    )

    def answer(self) -> list[int]:
        return [25, 25 * 4, 25, 25 * 4 * 2]

    def mistakes(self) -> Mistakes:
        yield [25, 100, 50, 200]
        yield "the rows are right, but both predictions come from one call on a batch twice as long"
        yield [25, 25, 25, 50]
        yield "the calls are right; the rows are those of one picture, and there are four"
        yield [100, 100, 100, 200]
        yield "the rows are right, but four pictures go through the U-Net in one call"
        yield [25, 200, 25, 200]
        yield "at guidance 1 the prediction without words has no say, so it is not computed"


class Negative(Exercise, name="guidance.negative"):
    """The negative prompt takes the place of the empty one, and nothing else changes. No equation
    of guidance asks that the starting point be the empty text.
    """

    tolerance = 1e-3
    hints = (
        "You need two predictions. For which two texts?",
        "sd.predict_noise(latents, t, sd.encode_text(prompt)), and the same for negative.",
        "Then guidance as before, with the negative prediction in the place of eps_uncond.",
    )

    def cases(self) -> Cases:
        latents = randn((4, 16, 16), [3])
        return [
            (latents, 600, "a white cat on green grass", "at night", 7.5),
            (latents, 900, "a red boat on blue water", "under a rainbow", 3.0),
        ]

    def answer(
        self, latents: Tensor, t: int, prompt: str, negative: str, guidance_scale: float, *, sd: Any
    ) -> Tensor:
        cond = sd.predict_noise(latents, t, sd.encode_text(prompt))
        avoided = sd.predict_noise(latents, t, sd.encode_text(negative))
        return avoided + guidance_scale * (cond - avoided)

    def mistakes(
        self, latents: Tensor, t: int, prompt: str, negative: str, guidance_scale: float, *, sd: Any
    ) -> Mistakes:
        texts = (prompt, negative, "", f"{prompt}, {negative}")
        cond, avoided, uncond, both = (
            sd.predict_noise(latents, t, sd.encode_text(text)) for text in texts
        )
        yield uncond + guidance_scale * (cond - uncond)
        yield "your negative prompt has no say: it belongs where the empty one is"
        yield cond + guidance_scale * (avoided - cond)
        yield "you started at the prompt and went towards what should be avoided: swap the two"
        yield cond + guidance_scale * (cond - avoided)
        yield "you started at the prompt: start at the negative one"
        yield uncond + guidance_scale * (both - uncond)
        yield "so the model is asked for what it should avoid: encode the two texts on their own"


class Hard(OpenExercise, name="guidance.hard"):
    """Without a push the model falls back on what is usual. With a strong one the colours
    overshoot. Only counting finds out where the middle is, and for each prompt anew.
    """

    hints = (
        "look(7.5) draws eight attempts and counts the right ones. Look at the pictures, too.",
        "Let a loop do the work: for scale in (1, 2, 3, 5, 7.5): print(scale, look(scale)[1])",
        "Neither 1 nor 7.5 will do. The best scale lies between them, near the model's usual one.",
    )

    def answer(self, *, look: Any) -> float:
        return max((1, 2, 3, 5, 7.5), key=lambda scale: look(scale)[1])

    def judge(self, answer: Any, *, look: Any) -> str | None:
        """Draw what was asked for at the learner's guidance scale and count the right images."""
        if kind(answer) != "a number":
            return f"a number is expected, the guidance scale; yours is {kind(answer)}"
        _, right = look(answer)
        if right >= ENOUGH:
            return None
        if answer <= 1:
            return f"{right} of 8 are right: these words need a push, so go above 1"
        return f"{right} of 8 are right, and {ENOUGH} are wanted: try scales between 1 and 7.5"


EXERCISES = (Guide(), Weights(), Rows(), Negative(), Hard())
