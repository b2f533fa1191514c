"""Exercises of lesson 07: what the words of a prompt do, and how texts are put together."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...world import parse_prompt
from ..exercises import Cases, Exercise, Mistakes, OpenExercise
from ..given import model
from ..words import kind, listed

MEANT = {"subject": "house", "colour": "red", "ground": "sand", "time": "night"}


class Share(Exercise, name="prompts.share"):
    """A picture counts if everything is right in it that was asked for. What else it shows does not
    matter.
    """

    others = (
        "sum(all(seen[name] == asked[name] for name in asked) for seen in readings)"
        " / len(readings)",
    )
    hints = (
        "First decide of a single picture: is every attribute of `asked` as it should be?",
        "all(seen[name] == word for name, word in asked.items()) is True or False for one picture.",
        "Add these up over all pictures (True counts as 1), and divide by len(readings).",
    )

    def cases(self) -> Cases:
        """Few pictures and many, one attribute and two; the pictures show more than is asked."""
        seen = [
            {"subject": "cat", "colour": "red", "time": "day"},
            {"subject": "cat", "colour": "blue", "time": "day"},
            {"subject": "boat", "colour": "red", "time": "day"},
            {"subject": "boat", "colour": "pink", "time": "night"},
        ]
        both = {"subject": "cat", "colour": "red"}
        return [(seen, both), (seen[:2], {"colour": "red"}), (seen[1:], {"time": "day"})]

    def answer(self, readings: Sequence[dict[str, str]], asked: dict[str, str]) -> float:
        right = 0
        for seen in readings:
            right += all(seen[name] == word for name, word in asked.items())
        return right / len(readings)

    def mistakes(self, readings: Sequence[dict[str, str]], asked: dict[str, str]) -> Mistakes:
        rows = [[seen[name] == word for name, word in asked.items()] for seen in readings]
        whole = sum(map(all, rows))
        yield sum(map(sum, rows)) / sum(map(len, rows))
        yield (
            "that is the share of attributes: a picture with half of them is half right there, and "
            "here it is wrong"
        )
        yield sum(map(any, rows)) / len(rows)
        yield "one right attribute is not enough: `all` of what was asked for, not `any`"
        yield whole
        yield "that is how many pictures are right: divide by how many there are"
        yield 100 * whole / len(rows)
        yield "that is per cent: a share lies between 0 and 1, so do not multiply by 100"
        yield 1 - whole / len(rows)
        yield "that is the share of wrong pictures"
        yield sum(seen == asked for seen in readings) / len(rows)
        yield (
            "a reading holds more than was asked for, so it never equals `asked`: compare only the "
            "attributes in `asked`"
        )
        yield whole / len(asked)
        yield "divide by the number of pictures, not by that of attributes"


class Known(OpenExercise, name="prompts.known"):
    """Captions have a few words for each of the four, such as red, cottage, beach and dark. A word
    that no caption has may be a synonym to you, but the model never met it.
    """

    hints = (
        "What is meant? Something to live in, in a colour, on some ground, at some time of day.",
        "Scarlet is a red, a dwelling is a house. Dunes are made of sand. When are the stars out?",
        "A red house on the sand, at night: in these words, or in other words of the captions.",
    )

    def answer(self) -> str:
        return "a red house on the sand, at night"

    def judge(self, answer: Any) -> str | None:
        """Find the words of captions in it, as the world's own parser does."""
        if kind(answer) != "a text":
            return f"a sentence in quotes is expected, yours is {kind(answer)}"
        found = parse_prompt(answer)
        if "second_subject" in found:
            return f"it names two things, a {found['subject']} and a {found['second_subject']}"
        if missing := [name for name in MEANT if name not in found]:
            return f"no word in it is one that captions have for the {listed(missing)}"
        wrong = [(found[name], word) for name, word in MEANT.items() if found[name] != word]
        if wrong:
            return "; ".join(f"it says {mine}, but {word} is meant" for mine, word in wrong)
        return None


class Mix(Exercise, name="prompts.mix"):
    """Text states are numbers, so a weighted mean of two of them is easy to compute. At share 0 it
    is the first text, at 1 the second, and the weights add up to 1.
    """

    tolerance = 1e-3
    others = ("sd.encode_text(one) + share * (sd.encode_text(other) - sd.encode_text(one))",)
    hints = (
        "Texts cannot be multiplied, but their states can: sd.encode_text(one) is a tensor.",
        "What must come out at share 0, and what at share 1?",
        "(1 - share) times the states of `one`, plus share times the states of `other`.",
    )

    def cases(self) -> Cases:
        return [
            ("a red house", "a white cat", 0.25),
            ("a boat at night", "a boat by day", 0.9),
            ("a red house", "a blue house", 0.0),
        ]

    def answer(self, one: str, other: str, share: float, *, sd: Any) -> Tensor:
        return (1 - share) * sd.encode_text(one) + share * sd.encode_text(other)

    def mistakes(self, one: str, other: str, share: float, *, sd: Any) -> Mistakes:
        first, second = map(sd.encode_text, (one, other))
        yield share * first + (1 - share) * second
        yield "the shares are swapped: at share 0 the first text must come out, and at 1 the second"
        yield first + share * second
        yield "at share 1 all of the first text is still there: its weight must be 1 - share"
        yield (first + second) / 2
        yield "that is always halfway: `share` must say how much of the second text there is"
        yield first + second
        yield "a sum is twice as large as the states of a text: take a mean, weighted by `share`"
        for glue in (" ", ", ", " and ", ""):
            yield sd.encode_text(f"{one}{glue}{other}")
            yield "you join the words to one prompt: encode each text on its own, then mix states"
        yield sd.encode_text(one if share < 0.5 else other)
        yield "you choose one of the two texts: mix their states"


class Sum(Exercise, name="prompts.sum"):
    """Begin at the prediction for the empty text. Every text adds its own difference from there,
    times its scale. With one text this is guidance, and a negative scale leads away from a text.
    """

    tolerance = 1e-3
    hints = (
        'You need one prediction for the empty text "", and one for each of the prompts.',
        "sd.predict_noise(latents, t, sd.encode_text(prompt)) minus that for the empty text is the "
        "direction of a prompt.",
        "Start at the prediction for the empty text. In a loop, add scale times each direction.",
    )

    def cases(self) -> Cases:
        latents = model().init_latents([3])
        return [
            (latents, 600, ["a white cat on the left", "a rainbow"], [3.0, 2.0]),
            (latents, 900, ["a red boat at night", "a cloud"], [4.0, -1.0]),
        ]

    def answer(
        self, latents: Tensor, t: int, prompts: list[str], scales: list[float], *, sd: Any
    ) -> Tensor:
        empty = sd.predict_noise(latents, t, sd.encode_text(""))
        eps = empty
        for prompt, scale in zip(prompts, scales, strict=True):
            eps = eps + scale * (sd.predict_noise(latents, t, sd.encode_text(prompt)) - empty)
        return eps

    def mistakes(
        self, latents: Tensor, t: int, prompts: list[str], scales: list[float], *, sd: Any
    ) -> Mistakes:
        def predicted(text: str) -> Tensor:
            return sd.predict_noise(latents, t, sd.encode_text(text))

        empty, eps = predicted(""), [predicted(prompt) for prompt in prompts]
        ways = [scale * (one - empty) for scale, one in zip(scales, eps, strict=True)]
        yield sum(ways)
        yield "these are only the ways: add them to where they start, the empty text's prediction"
        yield sum(empty + way for way in ways)
        yield "every text brings its own start: begin at the empty text's prediction once"
        yield empty + sum(ways) / len(ways)
        yield "you take the mean of the ways: each text adds the whole of its own"
        yield sum(scale * one for scale, one in zip(scales, eps, strict=True))
        yield "you add whole predictions: only their differences from the empty text are multiplied"
        yield empty + sum(scale * one for scale, one in zip(scales, eps, strict=True))
        yield "take the empty text's prediction away from each prediction before you multiply"
        yield empty - sum(ways)
        yield "your differences point away from the texts: each is the prompt's minus the empty's"
        yield empty + ways[-1]
        yield "only the last text has a say: add to what you have so far, eps = eps + ..."
        yield empty + ways[0]
        yield "only the first text has a say: is `return` inside the loop?"
        joined = predicted(", ".join(prompts))
        yield empty + scales[0] * (joined - empty)
        yield "you join the texts to one prompt: each needs a prediction of its own"
        nothing, texts = sd.encode_text(""), map(sd.encode_text, prompts)
        states = [scale * (text - nothing) for scale, text in zip(scales, texts, strict=True)]
        yield sd.predict_noise(latents, t, nothing + sum(states))
        yield "you add the states of the texts: add what the U-Net predicts for each of them"


EXERCISES = (Share(), Known(), Mix(), Sum())
