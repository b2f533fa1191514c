"""Exercises of lesson 00: a first picture, its latent, and what the words do."""

from typing import Any

from PIL import Image

from ...viz import to_tensor
from ..exercises import Exercise, Mistakes, OpenExercise
from ..given import GIVEN, Given
from ..words import kind, listed

# Images to measure the size of a latent with: what they show does not matter.
FIRST = Given(lambda: [Image.new("RGB", (128, 128))], lambda mine, theirs: True)
WANTED = {"subject": "boat", "colour": "purple", "time": "night", "sky": "moon"}


def _not_images(answer: Any) -> str | None:
    """What to say to an answer that is not what `generate` gives."""
    if kind(answer) != "a list":
        return f"the list of images that sd.generate gives is expected, yours is {kind(answer)}"
    others = [kind(item) for item in answer if kind(item) != "an image"]
    return f"images are expected, but your list holds {others[0]}" if others else None


class Three(OpenExercise, name="start.three"):
    """`seeds` is a list, and there is one picture for each seed in it."""

    hints = (
        "Copy the call of sd.generate from section 2 and change the words.",
        "The words are a text in quotes, the seeds are a list: seeds=[1, 2, 3].",
        'answer = sd.generate("a small white cat, in the snow, by day", seeds=[1, 2, 3])',
    )

    def answer(self, *, sd: Any) -> Any:
        return sd.generate("a small white cat in the middle, in the snow, by day", seeds=[1, 2, 3])

    def judge(self, answer: Any) -> str | None:
        if problem := _not_images(answer):
            return problem
        if len(answer) != 3:
            return f"three seeds give three images; you have {len(answer)}"
        if len({image.tobytes() for image in answer}) < 3:
            return "two images are the same: give each a seed of its own"
        return None


class Numbers(Exercise, name="start.numbers"):
    """Each side becomes 8 times shorter, and 3 channels become 4. That is 48 times fewer, as for
    every picture: 384 * 256 * 3 / 48.
    """

    given = {**GIVEN, "first": FIRST}
    others = ("384 * 256 * 3 / 48",)
    hints = (
        "How many times shorter is each side of a latent? Compare 128 pixels with 16.",
        "8 times. So the latent is 48 wide and 32 high.",
        "Colour pictures have 3 channels, latents have 4: width times height times 4.",
    )

    def answer(self, *, sd: Any, viz: Any, first: Any) -> int:
        wide = viz.to_tensor(first[0].resize((384, 256)))
        in_latent = (384 // 8) * (256 // 8) * 4
        assert sd.encode_image(wide).numel() == in_latent  # measured
        return in_latent

    def mistakes(self) -> Mistakes:
        yield (384 // 8) * (256 // 8) * 3
        yield "that is 64 times fewer, with 3 channels as in a picture: a latent has 4"
        yield 384 * 256 / 64
        yield "that is one channel; the latent has 4 of them"
        yield 384 * 256 * 3
        yield "that is the picture itself; its latent is asked for"
        yield 384 * 256 * 4 / 8
        yield "you made one side 8 times shorter: both are, so the area becomes 64 times smaller"
        yield 384 * 256 * 3 / 8
        yield "both sides become 8 times shorter, not one of them"
        yield 16 * 16 * 4
        yield "that is the latent of 128 by 128; this picture is larger"

    def counterexample(self, answer: Any) -> str | None:
        picture = 384 * 256 * 3
        return (
            f"the picture has {picture:,}, {picture / answer:.3g} times as many; of 128 by 128 it "
            f"was {128 * 128 * 3:,} and {16 * 16 * 4:,}, 48 times as many"
        )


class Boat(OpenExercise, name="start.boat"):
    """What a sentence names is there in most images; the seed settles what it leaves out. Several
    seeds are several chances.
    """

    hints = (
        "Words of section 6 work best. Does your sentence name all that is asked for?",
        "Complete sentences are what the model learned from: name size, place and ground as well.",
        "Several seeds give it several chances: seeds=[1, 2, 3, 4]. One good picture is enough.",
    )

    def answer(self, *, sd: Any) -> Any:
        sentence = "a large purple boat on the right, on blue water, at night, under the moon"
        return sd.generate(sentence, seeds=[1, 2, 3, 4])

    def judge(self, answer: Any, *, judge: Any) -> str | None:
        if problem := _not_images(answer):
            return problem
        if not answer:
            return "your list is empty: give at least one seed"
        readings = [reading.words for reading in judge.read(to_tensor(answer))]
        wrong = [
            {wanted: words[name] for name, wanted in WANTED.items() if words[name] != wanted}
            for words in readings
        ]
        best = min(wrong, key=len)
        if not best:
            return None
        seen = listed(
            f"{'nothing' if word == 'none' else word} in place of {wanted}"
            for wanted, word in best.items()
        )
        return (
            f"in your best picture the judge sees {seen}: does your sentence say "
            f"{listed(best)}? If it does, try other seeds"
        )


EXERCISES = (Three(), Numbers(), Boat())
