"""The theatre: a generation that is watched, kept, and scrubbed through."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial

import explorer_tools
import numpy as np
import pytest
import torch
import traitlets
from explorer_tools import at_work, buttons, same
from PIL import Image

from sdlearn import load
from sdlearn.diffusion.schedulers import fresh_scheduler
from sdlearn.pipeline import StableDiffusion, to_pil
from sdlearn.widgets import base, shared, theatre
from sdlearn.widgets.shared import OWN
from sdlearn.widgets.theatre import DenoisingTheatre, channels_image

pytestmark = pytest.mark.slow  # many images, drawn by the shipped model

PROMPT = "a small blue boat on the right, on blue water, at night, under the moon"
QUICK = {"num_steps": 3, "prompt": PROMPT}
done = partial(explorer_tools.done, seconds=60)  # many steps are decoded


@pytest.fixture(scope="module")
def sd() -> StableDiffusion:
    """The shipped model for images of 64 pixels: another size, and quick."""
    small = load("tiny")
    small.size = (64, 64)
    return small


@pytest.fixture
def explorer(sd: StableDiffusion) -> Iterator[DenoisingTheatre]:
    made = DenoisingTheatre(sd, **QUICK, step=2)
    yield made
    made.close()
    assert made.wait(10)


@pytest.fixture
def calls(sd: StableDiffusion) -> Iterator[Counter]:
    """How often the explorers' model called its U-Net and its decoder."""
    counted: Counter = Counter()
    hooks = [
        part.register_forward_pre_hook(lambda *_, name=name: counted.update([name]))
        for name, part in (("unet", sd.unet), ("decoder", sd.vae.decoder))
    ]
    yield counted
    for hook in hooks:
        hook.remove()


def nearly(one: Image.Image, other: Image.Image) -> bool:
    """The same but for rounding."""
    return np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 2


def by_hand(sd, index: int, scheduler: str | None = None, num_steps: int = 3) -> tuple:
    """The step, and its latents as the U-Net gets them, which are on the scale of the paper."""
    steps = sd.denoise(
        sd.init_latents([7]),
        sd.encode_text(PROMPT),
        sd.encode_text(""),
        num_steps=num_steps,
        scheduler=scheduler,
        seeds=[7],
    )
    step = list(steps)[index]
    fresh = fresh_scheduler(scheduler, sd.scheduler, num_steps)
    t = fresh.timesteps[index]
    return step, fresh.scale_model_input(step.latents, t)


@pytest.mark.parametrize("scheduler", [None, "euler", "euler_a", "dpm++_karras", "unipc"])
def test_a_step_is_shown_on_the_scale_of_the_paper(explorer, sd, scheduler: str | None):
    explorer.scheduler = scheduler or OWN
    facts = done(explorer)
    step, x_t = by_hand(sd, 1, scheduler)
    assert nearly(facts["x_t"], to_pil(sd.decode(x_t))[0])
    assert nearly(facts["pred_x0"], to_pil(sd.decode(step.pred_x0))[0])
    assert same(facts["eps"], channels_image(step.eps[0]))
    assert facts["t"] == step.t == facts["steps"][1]
    assert "step 2 of 3" in explorer.panels["x_t"].value


def test_the_end_is_what_the_pipeline_draws():
    made = DenoisingTheatre(**QUICK)
    [expected] = load("tiny").generate(PROMPT, seeds=[7], num_steps=3)
    assert same(made.facts["image"], expected)
    assert made.facts["title"] == "guidance 3, seed 7"
    assert made.facts["x_t"].size == expected.size == (128, 128)


def test_a_model_of_another_size_works(explorer: DenoisingTheatre):
    assert explorer.facts["x_t"].size == explorer.facts["image"].size == (64, 64)


@pytest.mark.parametrize(
    ("name", "value", "argument"),
    [
        ("guidance_scale", 7.5, {"guidance_scale": 7.5}),
        ("num_steps", 2, {"num_steps": 2}),
        ("seed", 11, {"seeds": [11]}),
        ("scheduler", "euler_a", {"scheduler": "euler_a"}),
        ("prompt", "a red cat", {"prompt": "a red cat"}),
    ],
)
def test_every_setting_reaches_the_picture(explorer, sd, name, value, argument):
    before = explorer.facts["image"]
    setattr(explorer, name, value)
    plain = {"prompt": PROMPT, "seeds": [7], "num_steps": 3}
    [expected] = sd.generate(**{**plain, **argument})
    assert same(done(explorer)["image"], expected)
    assert not same(before, expected)


def test_every_step_has_its_own_pictures(explorer: DenoisingTheatre):
    seen = []
    for step in (1, 2, 3):
        explorer.step = step
        seen.append({**done(explorer)})
    assert [facts["t"] for facts in seen] == seen[0]["steps"]
    assert [facts["index"] for facts in seen] == [0, 1, 2]
    for name in ("x_t", "eps", "pred_x0"):
        assert len({facts[name].tobytes() for facts in seen}) == 3


def test_scrubbing_draws_nothing(explorer: DenoisingTheatre, calls: Counter):
    for step in (1, 3, 2, 1):
        explorer.step = step
        done(explorer)
    assert not calls


def test_an_earlier_generation_is_still_there(explorer: DenoisingTheatre, calls: Counter):
    explorer.seed = 1
    done(explorer)
    assert calls["unet"] == 3
    explorer.step = 3  # a view that was not seen of either
    explorer.seed = 7
    done(explorer)
    assert calls["unet"] == 3


def test_no_more_generations_are_kept_than_there_is_room_for(explorer: DenoisingTheatre):
    for seed in range(6):
        explorer.seed = seed
        done(explorer)
    assert explorer._generation.cache_info().currsize == theatre.GENERATIONS_KEPT


def test_a_generation_goes_on_when_the_step_is_changed(monkeypatch, sd, calls: Counter):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "FIRST_IMAGE_TIMEOUT", 0.1)
    made = DenoisingTheatre(sd, prompt=PROMPT, num_steps=30)
    assert calls["unet"] > 0
    assert "image" not in made.facts
    for step in (2, 3, 4):
        made.step = step
    done(made)
    assert calls["unet"] == 30
    assert made.facts["index"] == 3


def test_a_generation_is_seen_as_it_happens(monkeypatch: pytest.MonkeyPatch, explorer):
    monkeypatch.setattr(shared, "PREVIEW_EVERY", -1)
    monkeypatch.setattr(shared, "PREVIEW_SHARE", 0)
    shown: list[str] = []
    ends: list[str] = []
    explorer.panels["x_t"].observe(lambda change: shown.append(change["new"]), "value")
    explorer.panels["image"].observe(lambda change: ends.append(change["new"]), "value")
    explorer.seed = 9
    done(explorer)
    steps = [re.search(r"step \d of 3", html).group() for html in shown]
    assert steps == ["step 1 of 3", "step 2 of 3", "step 3 of 3", "step 2 of 3"]
    assert ["not yet" in html for html in ends] == [True, False]


@pytest.mark.parametrize(("scheduler", "count"), [("pndm", 5), ("heun", 7), ("ddim", 4)])
def test_slider_and_player_end_with_the_last_step(explorer, sd, scheduler: str, count: int):
    explorer.scheduler = scheduler or OWN
    explorer.num_steps = 4
    assert len(done(explorer)["steps"]) == count
    slider = explorer.controls["step"]
    assert slider.max == explorer.play.max == count
    explorer.step = count
    assert done(explorer)["index"] == count - 1
    step, x_t = by_hand(sd, count - 1, scheduler, 4)
    assert nearly(explorer.facts["x_t"], to_pil(sd.decode(x_t))[0])


def test_fewer_steps_take_the_shown_one_along(explorer: DenoisingTheatre):
    explorer.step = 3
    explorer.num_steps = 2
    assert done(explorer)["index"] == 1
    assert explorer.step == explorer.play.value == 2
    assert explorer.status == ""


def test_play_moves_the_step_and_speed_the_interval(explorer: DenoisingTheatre):
    explorer.play.value = 3  # as the front end does
    assert explorer.step == 3
    assert done(explorer)["index"] == 2
    explorer.step = 1
    assert explorer.play.value == 1
    explorer.speed.value = theatre.SPEEDS["fast"]
    assert explorer.play.interval == 150


def test_a_button_with_a_name_starts_and_stops(explorer: DenoisingTheatre):
    button = buttons(explorer)["play"]
    button.value = True
    assert explorer.play.playing
    assert button.description == "pause"
    explorer.play.playing = False  # as the front end says at the last step
    assert (button.value, button.description) == (False, "play")


def test_a_quick_end_stands_there_until_the_whole_run_is_finished(
    sd: StableDiffusion, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared, "QUICK_SECONDS", 60)
    made = DenoisingTheatre(sd, prompt=PROMPT, num_steps=7)
    ends: list[str] = []
    made.panels["image"].observe(
        lambda change: ends.extend(re.findall('alt="([^"]+)"', change["new"])), "value"
    )
    made.step = 3
    done(made)
    assert ends == []
    made.guidance_scale = 5.0
    done(made)
    assert ends == ["finished: guidance 5, seed 7 (quick)", "finished: guidance 5, seed 7"]
    made.close()


def test_the_step_reports_while_its_slider_moves(explorer: DenoisingTheatre):
    assert explorer.controls["step"].continuous_update


def test_every_control_has_a_label(explorer: DenoisingTheatre):
    for control in [*explorer.controls.values(), explorer.speed]:
        assert control.description


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("  ", r"prompt must say what to draw; got '  '"),
        ("a red house " * 40, r"the prompt has 122 tokens, .* cut off"),
    ],
)
def test_a_bad_prompt_is_told_and_the_next_one_works(explorer, sd, prompt, sentence):
    explorer.prompt = prompt
    done(explorer)
    assert re.search(sentence, explorer.status)
    explorer.prompt = "a blue cat"
    done(explorer)
    assert explorer.status == ""
    [expected] = sd.generate("a blue cat", seeds=[7], num_steps=3)
    assert same(explorer.facts["image"], expected)


def test_a_generation_that_fails_is_told_and_begun_again(explorer, sd, monkeypatch):
    whole = sd.unet.forward
    fails = [False, True]

    def forward(*arguments, **options):
        if fails and fails.pop(0):
            raise RuntimeError("out of memory")
        return whole(*arguments, **options)

    monkeypatch.setattr(sd.unet, "forward", forward)
    explorer.seed = 4
    done(explorer)
    assert explorer.status.startswith("not enough memory for an image of 64x64 pixels on cpu")
    explorer.step = 3
    [expected] = sd.generate(PROMPT, seeds=[4], num_steps=3)
    assert same(done(explorer)["image"], expected)
    assert explorer.status == ""


def test_a_step_beyond_the_last_is_told(explorer: DenoisingTheatre):
    explorer.step = 9
    done(explorer)
    assert explorer.status == "step must lie in 1..3; got 9"
    explorer.step = 3
    assert done(explorer)["index"] == 2


@pytest.mark.parametrize(
    ("setting", "error", "sentence"),
    [
        ({"step": 30}, ValueError, r"step must lie in 1\.\.3; got 30"),
        ({"step": 0}, traitlets.TraitError, "step.*less than 1"),
        ({"prompt": " "}, ValueError, "prompt must say what to draw"),
        ({"speed": 3}, ValueError, "a setting must be one of prompt, .*; got speed"),
    ],
)
def test_bad_settings_at_the_start_are_refused(sd, setting, error, sentence):
    with pytest.raises(error, match=sentence):
        DenoisingTheatre(sd, **{**QUICK, **setting})


def test_a_late_step_may_be_asked_for_at_the_start(sd: StableDiffusion):
    made = DenoisingTheatre(sd, step=22, num_steps=22, prompt=PROMPT)
    assert made.facts["index"] == 21


def test_channels_as_colours_by_hand():
    latents = torch.zeros(3, 2, 2)
    latents[0], latents[2] = 3, -3
    pixels = np.asarray(channels_image(latents)).astype(int)
    assert pixels.shape == (5, 5, 3)  # two rows of two, with a gap
    (purple, white, orange) = (pixels[0, 0], pixels[0, 4], pixels[4, 0])
    assert white.min() > 240
    assert purple[2] > purple[1]
    assert orange[0] > orange[2]
    for place in ((2, 0), (0, 2), (4, 4)):
        assert tuple(pixels[place]) == (128, 128, 128)


def test_where_nobody_can_click_it_is_one_picture_with_its_settings(explorer):
    data, metadata = explorer._repr_mimebundle_()
    assert "pred_x0, decoded, step 2 of 3; guidance 3" in data["text/plain"]
    assert metadata["image/png"]["alt"] == data["text/plain"]
    assert [kind for kind in data if kind.startswith("image/")] == ["image/png"]


def test_every_picture_has_a_text(explorer: DenoisingTheatre):
    for name, panel in explorer.panels.items():
        assert len(re.findall(r'<img [^>]*alt="[^"]+"', panel.value)) == (name != "numbers")


def test_closing_leaves_no_thread(monkeypatch: pytest.MonkeyPatch, sd: StableDiffusion):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "FIRST_IMAGE_TIMEOUT", 0)
    made = DenoisingTheatre(sd, prompt=PROMPT, num_steps=50)
    assert at_work()
    made.close()
    assert made.wait(10)
    assert not at_work()
    assert "image" not in made.facts
