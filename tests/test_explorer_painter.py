"""Latents are painted on, and the decoder shows what that does."""

import io
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import reduce

import pytest
import torch
import traitlets
from explorer_tools import at_work, buttons, done, same
from PIL import Image

from sdlearn import load, render, viz
from sdlearn.pipeline import to_pil
from sdlearn.widgets import base
from sdlearn.widgets.painter import LatentPainter, Stroke, paint, share_nearby

STROKE = {"channel": 3, "amount": -1.5, "row": 9, "column": 2, "size": 4}


@pytest.fixture
def explorer() -> Iterator[LatentPainter]:
    made = LatentPainter(**STROKE)
    yield made
    made.close()
    assert made.wait(10)


@pytest.fixture
def calls() -> Iterator[list[int]]:
    """How often the decoder of the explorers' model was called."""
    counted: list[int] = []
    decoder = base.shared_model("tiny").vae.decoder
    hook = decoder.register_forward_pre_hook(lambda *_: counted.append(1))
    yield counted
    hook.remove()


# The maths


def numbers() -> torch.Tensor:
    return torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).view(2, 3, 4, 5)


def test_a_square_is_painted_and_nothing_else():
    painted = paint(numbers(), Stroke(2, 1.5, row=2, column=3, size=2))
    expected = numbers()
    expected[:, 1, 1:3, 2:4] += 1.5
    torch.testing.assert_close(painted, expected, rtol=0, atol=0)


def test_size_0_is_everywhere():
    painted = paint(numbers(), Stroke(3, -2.0, row=4, column=5))
    assert (painted - numbers()).sum().item() == -2 * 2 * 20
    assert ((painted - numbers())[:, 2] == -2).all()


def test_a_square_ends_where_the_latent_ends():
    painted = paint(numbers(), Stroke(1, 1.0, row=4, column=4, size=5))
    assert (painted - numbers()).nonzero().tolist() == [
        [b, 0, 3, column] for b in (0, 1) for column in (3, 4)
    ]


def test_what_was_given_stays_as_it_is():
    latents = numbers()
    paint(latents, Stroke(1, 4.0))
    torch.testing.assert_close(latents, numbers(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("stroke", "sentence"),
    [
        (Stroke(0, 1.0), r"channel must lie in 1\.\.3; got 0"),
        (Stroke(4, 1.0), r"channel must lie in 1\.\.3; got 4"),
        (Stroke(1, 1.0, row=5), r"row must lie in 1\.\.4; got 5"),
        (Stroke(1, 1.0, column=0), r"column must lie in 1\.\.5; got 0"),
        (Stroke(1, 1.0, size=6), r"size must lie in 0\.\.5; got 6"),
        (Stroke(1, 1.0, size=-1), r"size must lie in 0\.\.5; got -1"),
    ],
)
def test_strokes_outside_are_refused(stroke: Stroke, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        paint(numbers(), stroke)


def test_a_stroke_reads_as_a_sentence():
    assert str(Stroke(2, 1.5)) == "channel 2, +1.5 everywhere"
    assert str(Stroke(4, -3.0, 5, 6, 7)) == "channel 4, −3 in 7 x 7 cells from row 5, column 6"


def test_a_margin_stays_inside():
    assert Stroke(1, 1.0, row=1, column=3, size=2).area(margin=1) == (slice(0, 3), slice(1, 5))


def test_how_much_of_a_change_is_nearby():
    before = Image.new("RGB", (32, 32))
    after = before.copy()
    after.paste((90, 90, 90), (8, 8, 12, 12))  # 16 pixels in a cell of the square
    after.paste((90, 90, 90), (28, 28, 32, 32))  # and 16 in the far corner
    stroke = Stroke(1, 1.0, row=3, column=3, size=1)
    assert share_nearby(before, after, stroke, cell=4) == pytest.approx(0.5)
    assert share_nearby(before, after, Stroke(1, 1.0), cell=4) == pytest.approx(1)
    assert share_nearby(before, before, stroke, cell=4) is None


# The explorer


def test_it_shows_what_the_decoder_makes_of_the_painted_latents(explorer: LatentPainter):
    sd = explorer.sd
    latents = sd.encode_image(viz.to_tensor(render(LatentPainter.SCENE)))
    expected = latents.clone()
    expected[:, 2, 8:12, 1:5] -= 1.5
    torch.testing.assert_close(explorer.facts["latents"], expected)
    [before, after] = to_pil(torch.cat([sd.decode(latents), sd.decode(expected)]))
    assert same(explorer.facts["image"], after)
    assert same(explorer.facts["before"], before)
    assert not same(before, after)
    assert explorer.facts["strokes"] == (Stroke(**STROKE),)


@pytest.mark.parametrize(
    ("name", "value"), [("channel", 1), ("amount", 3.0), ("row", 2), ("column", 9), ("size", 0)]
)
def test_every_setting_reaches_the_picture(explorer: LatentPainter, name: str, value: float):
    before = explorer.facts["image"]
    setattr(explorer, name, value)
    assert done(explorer)["strokes"] == (Stroke(**{**STROKE, name: value}),)
    assert not same(before, explorer.facts["image"])
    assert explorer.controls[name].value == value


def test_sliders_are_labelled_and_followed_while_they_move(explorer: LatentPainter):
    for control in explorer.controls.values():
        assert control.description
        assert control.continuous_update
    explorer.controls["amount"].value = 2.5
    assert explorer.amount == 2.5
    assert done(explorer)["strokes"][-1].amount == 2.5


def test_channels_are_shown_with_their_ranges_and_the_stroke_is_marked(explorer: LatentPainter):
    shown = explorer.panels["channels"].value
    for number, values in enumerate(explorer.facts["latents"][0], 1):
        limits = f"{values.min():.1f} to {values.max():.1f}".replace("-", "−")
        assert f'alt="channel {number}, {limits}' in shown
    assert shown.count("; marked: ") == shown.count("position: absolute") == 1
    assert "top: 50%; height: 25%; left: 6.25%; width: 25%" in shown
    explorer.amount = 0
    done(explorer)
    assert "marked" not in explorer.panels["channels"].value


def test_the_sentence_says_where_the_change_is(explorer: LatentPainter):
    share = explorer.facts["nearby"]
    assert share > 0.4
    assert (
        explorer.status == f"{100 * share:.0f} % of the change lies within one cell of the square."
    )
    explorer.size = 0
    done(explorer)
    assert explorer.status == "The channel changes everywhere, and so does the image."
    explorer.amount = 0
    assert same(done(explorer)["image"], explorer.facts["before"])
    assert explorer.status == "Nothing is added yet: move “add to it”."


# Strokes that are kept


def test_kept_strokes_add_up(explorer: LatentPainter):
    after_one = explorer.facts["image"]
    buttons(explorer)["keep"].click()
    assert same(done(explorer)["before"], after_one)
    assert same(explorer.facts["image"], after_one)
    assert (explorer.amount, explorer.strokes) == (0, (Stroke(**STROKE),))
    explorer.channel, explorer.amount, explorer.size = 1, 2.0, 0
    facts = done(explorer)
    assert same(facts["before"], after_one)
    assert facts["strokes"] == (Stroke(**STROKE), Stroke(1, 2.0, 9, 2, 0))
    start = explorer.sd.encode_image(viz.to_tensor(render(LatentPainter.SCENE)))
    torch.testing.assert_close(facts["latents"], reduce(paint, facts["strokes"], start))
    assert f"<li>{Stroke(**STROKE)}</li>" in explorer.panels["strokes"].value


def test_nothing_is_kept_where_nothing_is_added(explorer: LatentPainter):
    explorer.amount = 0
    explorer.keep()
    assert done(explorer)["strokes"] == explorer.strokes == ()
    assert explorer.panels["strokes"].value == ""


def test_undo_takes_one_stroke_back_and_reset_all(explorer: LatentPainter):
    original = explorer.facts["before"]
    explorer.keep()
    kept = done(explorer)["image"]
    explorer.amount = 3.0
    done(explorer)
    buttons(explorer)["undo"].click()  # first the present stroke
    assert same(done(explorer)["image"], kept)
    explorer.undo()
    assert same(done(explorer)["image"], original)
    explorer.undo()
    assert done(explorer)["strokes"] == ()
    for explorer.amount in (1.0, 2.0):
        explorer.keep()
    buttons(explorer)["reset"].click()
    assert done(explorer)["strokes"] == explorer.strokes == ()
    assert same(explorer.facts["image"], original)


def test_no_view_between_shows_a_stroke_twice(
    explorer: LatentPainter, monkeypatch: pytest.MonkeyPatch
):
    states: list[tuple] = []
    monkeypatch.setattr(
        explorer, "refresh", lambda: states.append((explorer.amount, len(explorer.strokes)))
    )
    explorer.keep()
    assert set(states) == {(0, 1)}


# The picture


@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_a_picture_of_any_kind_may_be_set(explorer: LatentPainter, mode: str):
    explorer.image = Image.new(mode, (300, 77), 0)
    assert (explorer.image.mode, explorer.image.size) == ("RGB", (128, 128))
    sd = explorer.sd
    latents = sd.encode_image(viz.to_tensor(explorer.image))
    assert same(done(explorer)["before"], to_pil(sd.decode(latents))[0])


def test_a_picture_may_be_given_at_the_start():
    grey = Image.new("L", (50, 60), 128)
    made = LatentPainter(image=grey, amount=0)
    assert same(made.image, Image.new("RGB", (128, 128), (128, 128, 128)))
    assert made.facts["strokes"] == ()


def test_what_is_no_picture_is_refused(explorer: LatentPainter):
    with pytest.raises(ValueError, match="image must be a PIL image; got str"):
        explorer.image = "cat.jpg"
    explorer.amount = 1.0
    assert done(explorer)["strokes"][-1].amount == 1


def upload(explorer: LatentPainter, name: str, data: bytes) -> None:
    now = datetime.now(timezone.utc)
    file = {"name": name, "type": "", "size": len(data), "last_modified": now}
    buttons(explorer)["your image"].value = ({**file, "content": memoryview(data)},)


def test_an_uploaded_picture_is_taken_and_the_strokes_are_gone(explorer: LatentPainter):
    explorer.keep()
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (0, 0, 255)).save(file, "PNG")
    upload(explorer, "sea.png", file.getvalue())
    assert done(explorer)["strokes"] == ()
    blue = Image.new("RGB", (128, 128), (0, 0, 255))
    assert same(explorer.image, blue)
    [expected] = to_pil(explorer.sd.decode(explorer.sd.encode_image(viz.to_tensor(blue))))
    assert same(explorer.facts["image"], expected)
    assert buttons(explorer)["your image"].value == ()


def test_a_bad_upload_is_refused_and_the_picture_stays(explorer: LatentPainter):
    before = explorer.image
    upload(explorer, "<b>notes</b>.txt", b"not a picture")
    assert explorer.status.startswith("<b>notes</b>.txt was not taken: the file must be an image")
    assert explorer.image is before


# What all explorers promise


def test_what_was_seen_is_shown_without_work(explorer: LatentPainter, calls: list[int]):
    first = explorer.facts["image"]
    explorer.amount = 1.0
    done(explorer)
    assert len(calls) == 1  # the picture before is not decoded again
    explorer.amount = STROKE["amount"]
    assert same(done(explorer)["image"], first)
    assert len(calls) == 1


def test_many_quick_changes_end_on_the_last(explorer: LatentPainter, calls: list[int]):
    for i in range(200):
        explorer.amount = -4 + i / 25
    assert done(explorer)["strokes"] == (Stroke(**{**STROKE, "amount": -4 + 199 / 25}),)
    assert len(calls) < 100


def test_a_setting_outside_is_told_and_the_next_one_works(explorer: LatentPainter):
    explorer.channel = 9
    done(explorer)
    assert explorer.status == "channel must lie in 1..4; got 9"
    explorer.channel = 1
    assert done(explorer)["strokes"][-1].channel == 1
    assert "got 9" not in explorer.status


@pytest.mark.parametrize(
    ("setting", "error", "sentence"),
    [
        ({"amount": 9.0}, traitlets.TraitError, "amount.*greater than 4"),
        ({"channel": 5}, ValueError, r"channel must lie in 1\.\.4; got 5"),
        ({"size": 17}, ValueError, r"size must lie in 0\.\.16; got 17"),
        ({"brush": 3}, ValueError, "a setting must be one of channel, .*; got brush"),
        ({"image": 3}, ValueError, "image must be a PIL image; got int"),
    ],
)
def test_bad_settings_at_the_start_are_refused(setting, error, sentence):
    with pytest.raises(error, match=sentence):
        LatentPainter(**setting)


def test_where_nobody_can_click_it_is_one_picture_with_its_settings(explorer: LatentPainter):
    data, metadata = explorer._repr_mimebundle_()
    assert str(Stroke(**STROKE)) in data["text/plain"]
    assert str(Stroke(**STROKE)) in metadata["image/png"]["alt"]
    assert set(data) == {"image/png", "text/plain"}


def test_closing_leaves_no_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    made = LatentPainter()
    made.amount = 1.0
    made.close()
    assert made.wait(10)
    assert not at_work()


def test_a_model_of_another_size(tiny_folder, monkeypatch: pytest.MonkeyPatch):
    sd = load(tiny_folder)
    monkeypatch.setattr(sd, "size", (64, 64))
    made = LatentPainter(sd, size=8)
    assert made.facts["latents"].shape == (1, 4, 8, 8)
    assert made.facts["image"].size == (64, 64)
    assert made.controls["row"].max == 8


def test_a_still_shows_the_picture_before_and_after(explorer: LatentPainter):
    assert re.search(r"before.*after: channel 3", explorer._repr_mimebundle_()[0]["text/plain"])


def test_the_sentence_does_not_flicker(explorer: LatentPainter):
    told: list[str] = []
    explorer._line.observe(lambda change: told.append(change["new"]), "value")
    explorer.amount = 3.0
    done(explorer)
    assert "" not in [re.sub("<[^>]*>", "", line) for line in told]
