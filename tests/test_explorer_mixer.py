"""The mixer: between two prompts on a straight line, between two noises on an arc."""

import math
import re
from collections.abc import Iterator

import pytest
import torch
import traitlets
from explorer_tools import at_work, buttons, done, same

from sdlearn import load
from sdlearn.pipeline import Defaults
from sdlearn.widgets import base, shared
from sdlearn.widgets.mixer import PromptMixer, angle, lerp, slerp

pytestmark = pytest.mark.slow  # many images, drawn by the shipped model

PROMPT, OTHER = "a red house by day", "a blue boat at night"
NOISE = torch.randn(2, 1, 4, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base.shared_model("tiny"), "defaults", Defaults(num_steps=2))


@pytest.fixture
def explorer() -> Iterator[PromptMixer]:
    made = PromptMixer(prompt=PROMPT, other_prompt=OTHER)
    yield made
    made.close()
    assert made.wait(10)


@pytest.fixture
def calls(explorer: PromptMixer) -> Iterator[list[int]]:
    """How often the U-Net of the explorers' model was called since it was made."""
    counted: list[int] = []
    hook = explorer.sd.unet.register_forward_pre_hook(lambda *_: counted.append(1))
    yield counted
    hook.remove()


# The two ways


def test_by_hand():
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    torch.testing.assert_close(lerp(a, b, 0.5), torch.tensor([1.5, 1.5]))
    torch.testing.assert_close(slerp(a, b, 0.5), torch.tensor([3.0, 3.0]) / math.sqrt(2))
    third = torch.tensor([3 * math.sqrt(3) / 2, 1.5])  # 30 of 90 degrees
    torch.testing.assert_close(slerp(a, b, 1 / 3), third)
    assert float(angle(a, b)) == pytest.approx(math.pi / 2)


@pytest.mark.parametrize("way", [lerp, slerp])
def test_the_ends_are_exact(way):
    assert torch.equal(way(*NOISE, 0.0), NOISE[0])
    assert torch.equal(way(*NOISE, 1.0), NOISE[1])


def test_an_arc_keeps_the_length_and_goes_evenly():
    a, b = torch.nn.functional.normalize(NOISE.flatten(1)[:, :5], dim=1)
    points = [slerp(a, b, share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for point in points:
        assert float(point.norm()) == pytest.approx(1, abs=1e-5)
    steps = [float(angle(*pair)) for pair in zip(points, points[1:], strict=False)]
    assert steps == pytest.approx([float(angle(a, b)) / 4] * 4, abs=2e-3)


def test_halfway_a_straight_line_loses_spread():
    assert float(lerp(*NOISE, 0.5).std()) == pytest.approx(1 / math.sqrt(2), abs=0.03)
    assert float(slerp(*NOISE, 0.5).std()) == pytest.approx(1, abs=0.03)


def test_one_direction_is_no_arc_and_opposite_ones_are_refused():
    torch.testing.assert_close(slerp(NOISE[0], NOISE[0], 0.3), NOISE[0])
    a = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(slerp(a, 3 * a, 0.5), 2 * a)
    with pytest.raises(ValueError, match="a and b must not point in opposite directions"):
        slerp(a, -a, 0.5)


# The explorer


@pytest.mark.parametrize(
    ("mix", "mix_noise", "prompt", "seed"),
    [(0, 0, PROMPT, 7), (1, 0, OTHER, 7), (0, 1, PROMPT, 8), (1, 1, OTHER, 8)],
)
def test_at_its_ends_it_draws_what_the_pipeline_draws(explorer, mix, mix_noise, prompt, seed):
    explorer.mix, explorer.mix_noise = mix, mix_noise
    [expected] = load("tiny").generate(prompt, seeds=[seed], num_steps=2)
    assert same(done(explorer)["image"], expected)


@pytest.mark.parametrize("way", ["spherical", "linear"])
def test_between_them_it_draws_the_mixture(explorer: PromptMixer, way: str):
    explorer.mix, explorer.mix_noise, explorer.way = 0.25, 0.5, way
    sd = load("tiny")
    cond = 0.75 * sd.encode_text(PROMPT) + 0.25 * sd.encode_text(OTHER)
    one, other = sd.init_latents([7]), sd.init_latents([8])
    noise = {"linear": lerp, "spherical": slerp}[way](one, other, 0.5)
    *_, last = sd.denoise(noise, cond, sd.encode_text(""), num_steps=2)
    assert same(done(explorer)["image"], shared.first_image(sd, last.next_latents))
    assert explorer.facts["spread"] == pytest.approx(float(noise.std()))
    assert explorer.facts["title"] == f"text 0.25, noise 0.50 ({way}), seeds 7 and 8"
    assert f"<strong>{float(noise.std()):.2f}</strong>" in explorer.panels["why"].value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "a cat"),
        ("other_prompt", "a castle"),
        ("mix", 0.9),
        ("seed", 1),
        ("other_seed", 2),
        ("mix_noise", 0.8),
        ("way", "linear"),
    ],
)
def test_every_setting_reaches_the_picture(explorer: PromptMixer, name: str, value):
    explorer.mix_noise = 0.5
    before = done(explorer)["image"]
    setattr(explorer, name, value)
    assert not same(done(explorer)["image"], before)


def test_the_curves_show_both_ways_and_the_place_now(explorer: PromptMixer):
    explorer.mix_noise = 0.4
    done(explorer)
    [alt] = re.findall(r'alt="([^"]+)"', explorer.panels["spread"].value)
    assert re.search(r"linear: .*lowest 0\.(69|70|71)", alt)
    assert "spherical: " in alt
    assert "now" in alt
    assert "0.4" in alt


def test_the_angle_is_told(explorer: PromptMixer):
    assert done(explorer)["angle"] == pytest.approx(90, abs=3)
    assert "the spread is cos(45°) = 0.7" in explorer.panels["why"].value
    explorer.other_seed = 7
    assert done(explorer)["angle"] == 0
    assert "Both seeds are the same" in explorer.panels["why"].value


def test_what_was_seen_is_shown_without_work(explorer: PromptMixer, calls: list[int]):
    first = explorer.facts["image"]
    explorer.mix = 0.7
    done(explorer)
    assert len(calls) == 2
    explorer.mix = 0.5
    assert same(done(explorer)["image"], first)
    assert len(calls) == 2


def test_many_quick_changes_end_on_the_last(explorer: PromptMixer, calls: list[int]):
    for i in range(200):
        explorer.mix = i / 200
    explorer.mix = 0.35
    assert done(explorer)["title"] == "text 0.35, noise 0.00 (spherical), seeds 7 and 8"
    assert len(calls) < 200


@pytest.mark.slow
@pytest.mark.parametrize(("button", "name"), [("texts", "text"), ("noises", "noise")])
def test_a_strip_goes_from_one_end_to_the_other(explorer, button: str, name: str):
    explorer.mix = 0.0
    done(explorer)
    buttons(explorer)[f"strip of {button}"].click()
    done(explorer)
    html = explorer.panels["strip"].value
    places = ("0.00", "0.17", "0.33", "0.50", "0.67", "0.83", "1.00")
    assert re.findall(r'alt="([^"]+)"', html) == [f"{name} {share}" for share in places]
    shown = re.findall(r'src="([^"]+)"', html)
    assert shown[0] in explorer.panels["image"].value
    ends = {"text": {"mix": 1.0}, "noise": {"mix_noise": 1.0}}[name]
    for setting, value in ends.items():
        setattr(explorer, setting, value)
    done(explorer)
    assert shown[-1] in explorer.panels["image"].value
    assert len(set(shown)) == 7


def test_a_strip_leaves_no_picture_undone(explorer: PromptMixer):
    explorer.mix = 0.85
    explorer.strip()
    assert done(explorer)["title"].startswith("text 0.85")
    assert explorer.panels["strip"].value.count("<img") == 7


def test_a_change_cancels_a_strip(explorer: PromptMixer):
    explorer.strip()
    while not explorer.panels["strip"].value:
        assert not explorer.wait(0.01)
    explorer.seed = 3
    assert "seeds 3 and 8" in done(explorer)["title"]
    assert explorer.panels["strip"].value.count("<img") < 7
    assert explorer.status == ""


@pytest.mark.parametrize("name", ["prompt", "other_prompt"])
def test_a_blank_prompt_is_told_and_the_next_one_works(explorer: PromptMixer, name: str):
    setattr(explorer, name, "  ")
    done(explorer)
    assert explorer.status.startswith("prompt must say what to draw; got '  '")
    setattr(explorer, name, "a cat")
    done(explorer)
    assert explorer.status == ""


def test_a_prompt_that_is_too_long_is_told(explorer: PromptMixer):
    explorer.other_prompt = "a red house " * 40
    done(explorer)
    assert re.search("the prompt has 122 tokens, .* cut off", explorer.status)


def test_bad_settings_are_refused(explorer: PromptMixer):
    with pytest.raises(traitlets.TraitError, match="way"):
        explorer.way = "cubic"
    with pytest.raises(traitlets.TraitError, match="mix"):
        explorer.mix = 1.5
    with pytest.raises(ValueError, match="prompt must say what to draw"):
        PromptMixer(prompt=" ")


def test_controls_and_settings_are_two_views_of_one_value(explorer: PromptMixer):
    controls = explorer.controls
    assert all(control.description for control in controls.values())
    controls["mix"].value = 0.65
    explorer.way = "linear"
    assert (explorer.mix, controls["way"].value) == (0.65, "linear")
    assert done(explorer)["title"] == "text 0.65, noise 0.00 (linear), seeds 7 and 8"


def test_where_nobody_can_click_it_is_one_picture_with_its_settings(explorer: PromptMixer):
    data, metadata = explorer._repr_mimebundle_()
    assert explorer.facts["title"] in metadata["image/png"]["alt"]
    assert [kind for kind in data if kind.startswith("image/")] == ["image/png"]


def test_a_cell_may_show_it_before_there_is_a_picture(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "FIRST_IMAGE_TIMEOUT", 0)
    made = PromptMixer(num_steps=50)
    while made.busy and not made.panels["why"].value:
        made.wait(0.01)
    data, _ = made._repr_mimebundle_()
    facts, busy = dict(made.facts), made.busy
    made.close()
    assert made.wait(10)
    assert (busy, facts) == (True, {})
    assert "image/png" not in data


def test_closing_leaves_no_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "FIRST_IMAGE_TIMEOUT", 0)
    made = PromptMixer(num_steps=50)
    assert made.busy
    made.close()
    assert made.wait(10)
    assert not at_work()
    assert "image" not in made.facts
