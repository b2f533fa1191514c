"""Exercises of lesson 06: classifier-free guidance (arXiv 2207.12598)."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ...diffusion.guidance import apply_guidance
from ...diffusion.seeds import randn
from ...evaluation import judge_images
from ...world import Scene, Thing, full_caption
from ..exercises import Cases, Exercise, Mistakes, OpenExercise
from ..given import GIVEN, Given, model
from ..words import kind, plain

ENOUGH = 6  # right images of 8, for the hard exercise
PAIR = (Thing("car", "white", "medium", "left"), Thing("boat", "pink", "medium", "right"))
HARD = Scene(PAIR, "water", "day", "cloud", variant=618)


def _look(guidance_scale: float) -> tuple[list[Image.Image], int]:
    """Eight attempts at the hard scene, and how many are right, as lesson 06 counts them."""
    images = model().generate(
        full_caption(HARD), seeds=range(8), num_steps=10, guidance_scale=guidance_scale
    )
    return images, judge_images(GIVEN["judge"].make(), images, [HARD] * 8)["all_right"].right


class Guide(Exercise, name="guidance.guide"):
    """Start at the prediction without words and go guidance_scale times the way to the one with
    words. At 0 you stay, at 1 you arrive, and above 1 you go past it.
    """

    others = ("(1 - guidance_scale) * eps_uncond + guidance_scale * eps_cond",)
    hints = (
        "Two points and a line through them. Where must you be at scale 0, and where at scale 1?",
        "At 0 at eps_uncond, at 1 at eps_cond. The way from one to the other is their difference.",
        "Start at eps_uncond and add guidance_scale times (eps_cond - eps_uncond).",
    )

    def cases(self) -> Cases:
        """Two predictions at a usual scale, below 1 and at 0."""
        shape, scales = (4, 2, 3), (7.5, 0.5, 0.0)
        small = (torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0]), 3.0)
        return [
            small,
            *((randn(shape, [i]), randn(shape, [i + 10]), s) for i, s in enumerate(scales)),
        ]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"diffusion.apply_guidance": apply_guidance}

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
        yield guidance_scale * eps_cond
        yield (
            "that comes to guidance_scale * eps_cond, so at scale 0 nothing is left: are the "
            "brackets around eps_cond - eps_uncond missing?"
        )


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

    def counterexample(self, answer: Any) -> str | None:
        w, scale = next((w, s) for w, s in zip((-1, 0, 4), answer, strict=True) if s != w + 1)
        paper, ours = (1 + w) * 2 - w * 1, 1 + scale * (2 - 1)
        return (
            f"with eps_uncond = 1 and eps_cond = 2 their line at w = {w} gives {paper}, and ours "
            f"at scale {scale:g} gives {ours:g}"
        )


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
        yield [25, 4, 25, 8]
        yield "4 and 8 are the rows of one call: how many are they in all 25 calls together?"
        yield [25, 4, 50, 4]
        yield (
            "4 are the rows of one call, without guidance: with it, one call holds 8, and the rows "
            "of all calls are asked for"
        )
        yield [100, 25, 200, 25]
        yield "calls first, then rows: you have them the other way round"

    def counterexample(self, answer: Any) -> str | None:
        calls, rows, guided_calls, guided_rows = answer
        if (calls, guided_calls) != (25, 25):
            return "there are 25 steps, and one call in each"
        found = (
            f"{rows / calls:g} rows a call at guidance 1 and {guided_rows / guided_calls:g} at 7.5"
        )
        return f"that would be {found}, for four pictures"


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
        latents = model().init_latents([3])
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
        yield uncond + guidance_scale * (cond - avoided)
        yield "you start at the empty text: with a negative prompt the start is the negative one"
        yield cond
        yield "that is the prediction for the prompt alone: take the negative one, and guide"
        yield guidance_scale * cond
        yield "that comes to guidance_scale * cond: are the brackets around the difference missing?"
        wanted, unwanted, nothing = map(sd.encode_text, (prompt, negative, ""))
        for texts in (
            sd.predict_noise(latents, t, wanted - unwanted),
            sd.predict_noise(latents, t, unwanted + guidance_scale * (wanted - unwanted)),
            uncond + guidance_scale * (sd.predict_noise(latents, t, wanted - unwanted) - uncond),
            sd.predict_noise(latents, t, nothing + guidance_scale * (wanted - unwanted)),
        ):
            yield texts
            yield (
                "you subtract the texts: a difference of texts is no text that the U-Net knows, so "
                "subtract its two predictions"
            )


class Hard(OpenExercise, name="guidance.hard"):
    """Without a push a pair that training never showed often fails. With a strong one the colours
    go wrong. Only counting finds out where the middle is, and for each prompt anew.
    """

    given = {
        **GIVEN,
        "look": Given(lambda: _look, lambda mine, theirs: callable(mine)),
    }
    hints = (
        "look(7.5) draws eight attempts and counts the right ones. Look at the pictures, too.",
        "Let a loop do the work: for scale in (1, 2, 3, 5, 7.5): print(scale, look(scale)[1])",
        "Begin at the scale that the model takes by default, sd.defaults.guidance_scale, and go up "
        "and down from there.",
    )

    def answer(self, *, look: Any) -> float:
        return max((1, 2, 3, 5, 7.5), key=lambda scale: look(scale)[1])

    def judge(self, answer: Any, *, look: Any) -> str | None:
        """Draw what was asked for at the learner's guidance scale and count the right images."""
        scale = plain(answer)
        if kind(scale) == "a tensor" and scale.size == 1:
            scale = float(scale.reshape(()))
        if kind(scale) != "a number":
            return f"a number is expected, the guidance scale; yours is {kind(answer)}"
        right = look(scale)[1]
        if right >= ENOUGH:
            return None
        other = scale + 1 if scale <= 1 else (scale + 1) / 2
        there = look(other)[1]
        sense = "go that way" if there > right else "try both ways"
        return (
            f"{right} of 8 are right at {scale:g}, and {ENOUGH} are wanted; at {other:g} it is "
            f"{there}: {sense}"
        )


EXERCISES = (Guide(), Weights(), Rows(), Negative(), Hard())
