"""Exercises of lesson 03: the noise that the U-Net guesses, and where it looks."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from ...diffusion.equations import add_noise
from ...diffusion.seeds import randn
from ...inside import AttentionMap, record_attention, token_positions, without_skips, word_maps
from ...viz import to_tensor
from ...world import Scene, Thing, full_caption, render
from ..comparing import difference
from ..exercises import Cases, Exercise, Mistakes
from ..given import GIVEN, Given, imported, model

# What lesson 03 makes at its beginning, and for the maps of section 9.
HOUSE = Thing("house", "red", size="large", position="left")
SCENE = Scene((HOUSE,), ground="grass", time="sunset", sky="rainbow", variant=175)
PROMPT = "a white cat left of a blue car, on the sand, by day, under a balloon"


@lru_cache(maxsize=1)
def _latent() -> Tensor:
    return model().encode_image(to_tensor(render(SCENE)))


def _noise() -> Tensor:
    return model().init_latents(seeds=[7])


def _noised(t: int) -> Tensor:
    return add_noise(_latent(), _noise(), model().scheduler.alphas_cumprod[t])


def _error(eps: Tensor) -> float:
    return ((eps - _noise()) ** 2).mean().item()


@lru_cache(maxsize=1)
def _maps() -> list[AttentionMap]:
    sd = model()
    with record_attention(sd.unet) as maps:
        states = sd.encode_text(PROMPT), sd.encode_text("")
        for _ in sd.denoise(sd.init_latents(seeds=[7]), *states):
            pass
    return maps


def _same_at(make: Callable[[], Any]) -> Callable[[Any, Any], bool]:
    """Whether two functions give the same for what `make` makes."""

    def same(mine: Any, theirs: Any) -> bool:
        argument = make()
        return difference(mine(argument), theirs(argument), 1e-3) is None

    return same


def _same_maps(mine: Any, theirs: list[AttentionMap]) -> bool:
    if len(mine) != len(theirs):
        return False
    one, other = (maps[-1].probabilities for maps in (mine, theirs))
    return difference(one, other, 1e-3) is None


NAMES = {
    **GIVEN,
    "cond": Given(lambda: model().encode_text(full_caption(SCENE))),
    "uncond": Given(lambda: model().encode_text("")),
    "noised": Given(lambda: _noised, _same_at(lambda: 200)),
    "error": Given(lambda: _error, _same_at(lambda: _noise() / 2 + 0.1)),
    "maps": Given(_maps, _same_maps),
    "prompt": Given(lambda: PROMPT),
    "without_skips": imported(without_skips),
    "word_maps": imported(word_maps),
    "token_positions": imported(token_positions),
}


class Error(Exercise, name="unet.error"):
    """Differences above and below 0 count alike once they are squared, and the mean does not grow
    with the size of the picture (DDPM eq. 14).
    """

    hints = (
        "Three steps: subtract, square, and make one number of many.",
        "A tensor is squared by ** 2 and has a method mean().",
        "Subtract first: (eps - noise). Then square that, and take the mean of it all.",
    )

    def cases(self) -> Cases:
        """Noise and guesses of it, off in a way that no wrong formula gets right by chance."""
        small = (torch.tensor([1.0, -1.0]), torch.tensor([0.5, -2.0]))
        pairs = [(randn(shape, [1]), randn(shape, [2])) for shape in ((4, 4, 4), (2, 3))]
        return [small, *((noise, 0.8 * noise + 0.3 * other + 0.1) for noise, other in pairs)]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"mse_loss": mse_loss}

    def answer(self, noise: Tensor, eps: Tensor) -> Tensor:
        return ((eps - noise) ** 2).mean()

    def mistakes(self, noise: Tensor, eps: Tensor) -> Mistakes:
        yield (eps - noise).mean()
        yield "differences above and below 0 cancel: square them before you take the mean"
        yield (eps - noise).abs().mean()
        yield "that is the mean of the absolute differences: square them instead"
        yield ((eps - noise) ** 2).sum()
        yield "that is the sum of the squares: it grows with the number of values, so take the mean"
        yield ((eps - noise) ** 2).mean() ** 0.5
        yield "that is the root of the loss: leave the root out"
        yield (eps - noise).mean() ** 2
        yield "you squared the mean: square each difference first, then take the mean"
        yield (eps - noise) ** 2
        yield "the squares are right: now make one number of them, their mean"
        yield (eps - noise).std()
        yield "std measures from the mean difference, and 0 is wanted: square, then take the mean"


class PictureError(Exercise, name="unet.picture_error"):
    """Solving for x0 subtracts sqrt(1 - alpha_bar) times the guess and divides by sqrt(alpha_bar).
    So an error in the guess is multiplied by the ratio of the roots, and its square by the ratio
    itself, which is 1 over the signal-to-noise ratio.
    """

    tolerance = 1e-6
    others = ("eps_error * (1 - alpha_bar) / alpha_bar", "eps_error / alpha_bar - eps_error")
    hints = (
        "Look at the formula of section 2. What happens to eps on its way into the picture?",
        "eps is multiplied by sqrt(1 - alpha_bar) and divided by sqrt(alpha_bar). "
        "Any error in it goes the same way.",
        "The error is squared, so the number it is multiplied by is squared too. What is "
        "(sqrt(1 - alpha_bar) / sqrt(alpha_bar)) ** 2?",
    )

    def cases(self) -> Cases:
        return [tuple(torch.tensor(pair)) for pair in ((0.06, 0.75), (0.4, 0.9), (0.003, 0.05))]

    def answer(self, eps_error: Tensor, alpha_bar: Tensor) -> Tensor:
        return (1 - alpha_bar) / alpha_bar * eps_error

    def mistakes(self, eps_error: Tensor, alpha_bar: Tensor) -> Mistakes:
        yield ((1 - alpha_bar) / alpha_bar) ** 0.5 * eps_error
        yield "the error is squared, so the roots of the formula are squared as well: no root here"
        yield ((1 - alpha_bar) / alpha_bar) ** 2 * eps_error
        yield "you squared too much: 1 - alpha_bar and alpha_bar are the squares already"
        yield alpha_bar / (1 - alpha_bar) * eps_error
        yield "yours is upside down: where alpha_bar is near 0, the picture's error is large"
        yield (1 - alpha_bar) * eps_error
        yield "one step is missing: x0 is divided by sqrt(alpha_bar) in the end"
        yield eps_error / alpha_bar
        yield "one factor is missing: the guess is multiplied by sqrt(1 - alpha_bar) first"
        yield eps_error
        yield "the two errors are equal only where alpha_bar is 0.5"


class Middle(Exercise, name="unet.middle"):
    """The U-Net must run inside the `with` block; behind it all skip connections are on again.
    Without the middle level the error grows, but far less than without the finest.
    """

    given = NAMES
    tolerance = 1e-5
    decimals = 2
    hints = (
        "Copy the `with` block of section 6. Which block is 8 x 8, and which t is asked for?",
        "with without_skips(sd.unet, [1]): and below it, indented, the call of predict_noise.",
        "guessed = sd.predict_noise(noised(200), 200, cond) inside the block, "
        "answer = error(guessed) after it.",
    )

    def answer(self, *, sd: Any, without_skips: Any, noised: Any, cond: Any, error: Any) -> float:
        with without_skips(sd.unet, [1]):
            guessed = sd.predict_noise(noised(200), 200, cond)
        return error(guessed)

    def mistakes(
        self, *, sd: Any, without_skips: Any, noised: Any, cond: Any, uncond: Any, error: Any
    ) -> Mistakes:
        with without_skips(sd.unet, [1]):
            eps = sd.predict_noise(noised(200), 200, cond)
        yield eps
        yield "that is the guess itself: its error is asked for, error(...)"
        yield float((eps - _noise()).abs().mean())
        yield "that is a mean of absolute differences: `error` takes the mean of the squares"

        def measured(blocks: list[int] | None, t: int = 200, text: Any = cond) -> Any:
            with without_skips(sd.unet, blocks):
                return error(sd.predict_noise(noised(t), t, text))

        yield measured([2])
        yield "you switched off 16 x 16, the finest level: the middle is block 1"
        yield measured([0])
        yield "you switched off 4 x 4, the coarsest level: the middle is block 1"
        yield measured(None)
        yield "you switched off all levels: give a list with the middle one"
        yield error(sd.predict_noise(noised(200), 200, cond))
        yield "all skip connections were on: predict_noise must stand inside the `with` block"
        yield measured([1], t=300)
        yield "that is the error at t = 300: the task asks for 200"
        yield measured([1], text=uncond)
        yield "that is without words: give the U-Net `cond`"

    def counterexample(
        self, answer: Any, *, sd: Any, noised: Any, cond: Any, error: Any
    ) -> str | None:
        on = error(sd.predict_noise(noised(200), 200, cond))
        return (
            f"with all skip connections on the error at t = 200 is {on:.3g}, yours is {answer:.3g}"
        )


class LateMap(Exercise, name="unet.late_map"):
    """Calls are counted from 0, so the last five of 20 are 15 to 19. In the last steps the layout
    has long been settled.
    """

    given = NAMES
    tolerance = 1e-6
    decimals = 5
    hints = (
        "Two parts: a shorter list of maps, and then word_maps as in section 9.",
        "[one for one in maps if ...] makes the list. The condition is about one.call.",
        'word_maps(late, token_positions(sd.tokenizer, prompt, "car")), where late holds the '
        "records with one.call >= 15.",
    )

    def answer(
        self, *, sd: Any, maps: Any, prompt: str, word_maps: Any, token_positions: Any
    ) -> Tensor:
        late = [one for one in maps if one.call >= 15]
        return word_maps(late, token_positions(sd.tokenizer, prompt, "car"))

    def mistakes(
        self, *, sd: Any, maps: Any, prompt: str, word_maps: Any, token_positions: Any
    ) -> Mistakes:
        late = [one for one in maps if one.call >= 15]
        car, cat = (token_positions(sd.tokenizer, prompt, word) for word in ("car", "cat"))
        yield word_maps(maps, car)
        yield "that is the mean of all 20 steps: pick the records by their `call`"
        yield word_maps([one for one in maps if one.call < 5], car)
        yield "those are the first five steps: the last five are asked for"
        yield word_maps([one for one in maps if one.call > 15], car)
        yield "those are four steps: calls are counted from 0, so the last five begin with 15"
        yield word_maps(late, car, batch=0)
        yield "that is the half of the batch without words: leave `batch` out"
        yield word_maps(late, cat)
        yield 'that is the map of "cat": take "car"'
        yield word_maps(late, prompt.replace(",", "").split().index("car"))
        yield "count tokens, not words: the begin mark and the commas are tokens too"


EXERCISES = (Error(), PictureError(), Middle(), LateMap())
