"""The explorer of noise: the formula on pixels and on latents, and the charts with their marks."""

import base64
import io
import re
import time
from collections.abc import Iterator
from datetime import datetime, timezone

import numpy as np
import pytest
import torch
import traitlets
from explorer_tools import at_work, done, same
from PIL import Image

from sdlearn import diffusion, load, viz
from sdlearn.diffusion.seeds import randn
from sdlearn.pipeline import to_pil
from sdlearn.widgets import base, shared
from sdlearn.widgets.noise import OWN, NoiseExplorer, chart_of, level_html, schedules_of
from sdlearn.widgets.picker import to_square
from sdlearn.world import render

CAT = render(NoiseExplorer.SCENE)
OTHER = Image.new("RGB", (300, 200), (0, 0, 255))


@pytest.fixture
def explorer() -> Iterator[NoiseExplorer]:
    made = NoiseExplorer()
    yield made
    made.close()
    assert made.wait(10)


@pytest.fixture
def calls() -> Iterator[dict[str, int]]:
    """How often the explorers' model encoded and decoded."""
    vae, counted = base.shared_model("tiny").vae, {"encoder": 0, "decoder": 0}

    def count(name: str):
        def hook(*_):
            counted[name] += 1

        return getattr(vae, name).register_forward_pre_hook(hook)

    hooks = [count(name) for name in counted]
    yield counted
    for hook in hooks:
        hook.remove()


def file_of(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def upload(explorer: NoiseExplorer, name: str, data: bytes) -> None:
    now = datetime.now(timezone.utc)
    file = {"name": name, "type": "", "size": len(data), "last_modified": now}
    explorer.upload.value = ({**file, "content": memoryview(data)},)


def by_hand(sd, picture, *, t=300, seed=7, alpha_bars=None) -> tuple[Image.Image, Image.Image]:
    """Noise on the pixels and on the latents."""
    alpha_bar = (sd.scheduler.alphas_cumprod if alpha_bars is None else alpha_bars)[t]
    x0 = viz.to_tensor(to_square(picture, sd.image_size))
    latents = sd.encode_image(x0)
    x_t = diffusion.add_noise(x0 * 2 - 1, randn(x0.shape[1:], [seed]), alpha_bar)
    noised = diffusion.add_noise(latents, randn(latents.shape[1:], [seed]), alpha_bar)
    return to_pil((x_t / 2 + 0.5).clamp(0, 1))[0], to_pil(sd.decode(noised))[0]


def assert_shown(facts: dict, expected: tuple[Image.Image, Image.Image]) -> None:
    assert same(facts["noised_pixels"], expected[0])
    assert same(facts["noised_latents"], expected[1])


OWN_LEVELS = tuple(diffusion.alphas_cumprod(diffusion.betas()).tolist())
COSINE = diffusion.alphas_cumprod(diffusion.betas("cosine"))


@pytest.mark.parametrize(
    ("setting", "argument"),
    [
        ({}, {}),
        ({"t": 0}, {"t": 0}),
        ({"t": 999}, {"t": 999}),
        ({"seed": 3}, {"seed": 3}),
        ({"schedule": "cosine"}, {"alpha_bars": COSINE}),
    ],
)
def test_it_shows_noise_on_pixels_and_on_latents(explorer, setting: dict, argument: dict):
    for name, value in setting.items():
        setattr(explorer, name, value)
    assert_shown(done(explorer), by_hand(base.shared_model("tiny"), CAT, **argument))


def test_the_numbers_are_those_of_the_schedule(explorer: NoiseExplorer):
    levels = base.shared_model("tiny").scheduler.alphas_cumprod
    explorer.t = 500
    facts = done(explorer)
    assert facts["alpha_bar"] == pytest.approx(float(levels[500]))
    assert facts["snr"] == pytest.approx(float(levels[500] / (1 - levels[500])))
    assert f"{float(levels[500]):.4f}" in explorer.panels["numbers"].value
    explorer.schedule = "cosine"
    assert done(explorer)["alpha_bar"] == pytest.approx(float(COSINE[500]))


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK", "I;16"])
@pytest.mark.parametrize("size", [(3, 2), (40, 300)])
def test_any_picture_is_brought_to_the_size_of_the_model(mode: str, size: tuple[int, int]):
    picture = Image.new(mode, size, 3)
    made = NoiseExplorer(image=picture)
    assert same(made.image, to_square(picture, 128))
    assert same(made.facts["image"], to_square(picture, 128))


def test_a_picture_set_from_code_is_noised(explorer: NoiseExplorer):
    explorer.image = OTHER
    assert_shown(done(explorer), by_hand(base.shared_model("tiny"), OTHER))
    explorer.image = CAT
    assert_shown(done(explorer), by_hand(base.shared_model("tiny"), CAT))


def test_what_is_no_picture_is_refused_and_the_last_stays(explorer: NoiseExplorer):
    with pytest.raises(ValueError, match="image must be a PIL image; got str"):
        explorer.image = "cat.jpg"
    assert same(explorer.image, CAT)
    with pytest.raises(ValueError, match="image must be a PIL image; got int"):
        NoiseExplorer(image=7)


def test_an_uploaded_picture_is_noised(explorer: NoiseExplorer):
    upload(explorer, "sea.png", file_of(OTHER))
    assert_shown(done(explorer), by_hand(base.shared_model("tiny"), OTHER))
    assert explorer.upload.value == ()  # the same name may come again


def test_a_bad_upload_is_refused_in_one_sentence_and_it_goes_on(explorer: NoiseExplorer):
    upload(explorer, "<b>notes</b>.txt", b"not a picture")
    assert same(done(explorer)["image"], CAT)
    assert explorer.status.startswith("<b>notes</b>.txt was not taken: the file must be an image")
    assert "&lt;b&gt;notes" in explorer._line.value
    upload(explorer, "sea.png", file_of(OTHER))
    assert same(done(explorer)["image"], to_square(OTHER))
    assert explorer.status == ""


def test_what_was_seen_is_shown_without_work(explorer: NoiseExplorer, calls: dict[str, int]):
    first = explorer.facts["noised_latents"]
    explorer.t = 400
    done(explorer)
    explorer.t = 300
    assert same(done(explorer)["noised_latents"], first)
    assert calls == {"encoder": 0, "decoder": 1}


def test_a_picture_is_encoded_once(explorer: NoiseExplorer, calls: dict[str, int]):
    for picture in (OTHER, CAT):
        explorer.image = picture
        for t in (100, 200, 350):
            explorer.t = t
            done(explorer)
    assert calls["encoder"] == 1  # the first picture was encoded before


def test_it_follows_a_slider_while_that_moves(explorer: NoiseExplorer):
    shown: list[str] = []
    explorer.panels["latents"].observe(lambda change: shown.append(change["new"]), "value")
    for t in range(400, 460):
        explorer.t = t
        time.sleep(1 / 60)
    during = len(shown)
    assert during >= 3
    assert_shown(done(explorer), by_hand(base.shared_model("tiny"), CAT, t=459))
    assert "t = 459" in explorer.panels["latents"].value
    assert "t = 459" in explorer.panels["pixels"].value
    assert "t = 459" in explorer.panels["snr"].value


def test_the_sliders_range_is_the_models_and_it_reports_while_it_moves(explorer: NoiseExplorer):
    slider = explorer.controls["t"]
    assert (slider.min, slider.max, slider.continuous_update) == (0, 999, True)
    slider.value = 77
    assert explorer.t == 77


def test_every_control_has_a_label(explorer: NoiseExplorer):
    labels = [control.description for control in [*explorer.controls.values(), explorer.upload]]
    assert labels == ["timestep t", "seed", "schedule", "your image"]


def test_a_timestep_beyond_the_last_is_told_and_the_next_one_works(explorer: NoiseExplorer):
    explorer.t = 1000
    done(explorer)
    assert explorer.status == "t must lie in 0..999; got 1000"
    explorer.t = 999
    assert done(explorer)["title"] == f"t = 999, schedule: {OWN}, seed 7"
    assert explorer.status == ""


@pytest.mark.parametrize(
    ("setting", "error", "sentence"),
    [
        ({"t": 1000}, ValueError, r"t must lie in 0\.\.999; got 1000"),
        ({"t": -1}, traitlets.TraitError, "t.*less than 0"),
        ({"schedule": "magic"}, traitlets.TraitError, "schedule.*magic"),
        ({"noise": 3}, ValueError, "a setting must be one of t, .*; got noise"),
    ],
)
def test_bad_settings_at_the_start_are_refused(setting, error, sentence):
    with pytest.raises(error, match=sentence):
        NoiseExplorer(**setting)


def test_a_model_of_another_size_works():
    small = load("tiny")
    small.size = (64, 64)
    made = NoiseExplorer(small, image=OTHER, t=600)
    assert made.facts["noised_latents"].size == (64, 64)
    assert_shown(made.facts, by_hand(small, OTHER, t=600))


BLUE, GREEN = (0, 114, 178), (0, 158, 115)  # of the first and the third curve


@pytest.mark.parametrize("panel", ["alpha_bar", "snr"])
@pytest.mark.parametrize(("schedule", "colour"), [(OWN, BLUE), ("cosine", GREEN)])
def test_a_mark_lies_on_its_curve(panel: str, schedule: str, colour: tuple):
    chart, schedules = chart_of(panel, OWN_LEVELS), schedules_of(torch.tensor(OWN_LEVELS))
    data = base64.b64decode(chart.png)
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    height, width, _ = pixels.shape
    for t in range(40, 960, 90):
        alpha_bar = schedules[schedule][t]
        value = alpha_bar if panel == "alpha_bar" else diffusion.snr(alpha_bar)
        left, top = chart.place(t, float(value))
        x, y = round(left / 100 * width), round(top / 100 * height)
        near = pixels[y - 4 : y + 5, x - 4 : x + 5]
        assert np.abs(near - colour).max(axis=-1).min() < 30, t


def test_a_mark_beyond_the_chart_stands_at_its_edge():
    chart = chart_of("snr", OWN_LEVELS)
    assert chart.place(999, 1e-9) == chart.place(999, 1e-4)
    assert chart.place(0, float("inf"))[1] < chart.place(0, 1000)[1]


def test_the_charts_say_in_words_where_the_mark_is(explorer: NoiseExplorer):
    assert OWN_LEVELS[300] == pytest.approx(0.5905, abs=5e-5)  # SNR 1.442
    assert "Marked: alpha_bar 0.591 at t = 300." in explorer.panels["alpha_bar"].value
    assert "Marked: SNR 1.44 at t = 300." in explorer.panels["snr"].value
    for name, panel in explorer.panels.items():
        assert panel.value.count("<img") == panel.value.count('alt="') == (name != "numbers")


def test_the_models_own_schedule_is_not_drawn_twice():
    alt = chart_of("alpha_bar", OWN_LEVELS).alt
    assert re.findall(r"(\S+): [\d.]+ at 0", alt) == ["own", "linear", "cosine"]


def test_the_numbers_of_a_level_by_hand():
    html = level_html(12, 0.36)  # 0.6 of the picture, 0.8 of the noise
    for text in ("12", "0.3600", "0.562", "= 0.600", "= 0.800", "36.0 % are image, 64.0 % noise"):
        assert text in html
    assert "no noise" in level_html(0, 1.0)


def test_the_clean_image_stands_beside(explorer: NoiseExplorer):
    explorer.t = 900
    done(explorer)
    assert 'alt="the clean image"' in explorer.panels["clean"].value
    assert shared.png_of(CAT) in explorer.panels["clean"].value


def test_where_nobody_can_click_it_is_one_picture_with_its_settings(explorer: NoiseExplorer):
    data, metadata = explorer._repr_mimebundle_()
    assert f"noise on pixels, t = 300, schedule: {OWN}, seed 7;" in data["text/plain"]
    assert "the clean image; noise" in data["text/plain"]
    assert metadata["image/png"]["alt"] == data["text/plain"]
    assert [kind for kind in data if kind.startswith("image/")] == ["image/png"]


def test_closing_leaves_no_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "FIRST_IMAGE_TIMEOUT", 0)
    made = NoiseExplorer()
    assert at_work()
    made.close()
    assert made.wait(10)
    assert not at_work()
    assert made.panels["snr"].value == ""
