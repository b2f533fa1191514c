"""What explorers have for a class: tasks, a presenter's size, code, GIFs, painting, stills."""

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import traitlets
from explorer_tools import buttons, done, same
from PIL import Image

from sdlearn import load, render, viz, widgets
from sdlearn.evaluation import pixel_distance
from sdlearn.widgets import base, cfg, shared, sharing
from sdlearn.widgets.base import LiveExplorer
from sdlearn.widgets.page import PRESENTER, ROOT
from sdlearn.widgets.painter import LatentPainter, Stroke, paint
from sdlearn.widgets.pointer import parse_drag
from sdlearn.widgets.tasks import UNDECIDED, TaskCard
from sdlearn.world import scenes

QUICK: dict[str, dict[str, Any]] = {
    "CfgExplorer": {"num_steps": 2},
    "DenoisingTheatre": {"num_steps": 4},
    "LatentPainter": {},
    "NoiseExplorer": {},
    "PromptMixer": {"num_steps": 2},
    "SketchExplorer": {"num_steps": 5},
    "TokenExplorer": {"num_steps": 2},
}


@pytest.fixture
def make() -> Iterator[Callable[..., Any]]:
    """Makes explorers by the name of their class, quick ones, and closes them."""
    made: list[LiveExplorer] = []

    def one(name: str, **settings: Any) -> LiveExplorer:
        made.append(getattr(widgets, name)(**{**QUICK[name], **settings}))
        return made[-1]

    yield one
    for explorer in made:
        explorer.close()
        assert explorer.wait(10)


# Tasks


def test_nothing_is_revealed_before_a_prediction():
    pressed: list[int] = []
    card = TaskCard("Why?", ("so", "thus"), lambda: pressed.append(1))
    assert card.prediction.options == (UNDECIDED, "so", "thus")
    assert card.button.disabled
    card.prediction.value = "thus"
    assert not card.button.disabled
    card.button.click()
    assert pressed == [1]


@pytest.mark.parametrize(
    ("predicted", "told"),
    [("thus", "You predicted: thus. Measured: so. 3 &lt; 4"), ("so", "As you predicted. Measured")],
)
def test_what_was_measured_stands_beside_the_prediction(predicted: str, told: str):
    card = TaskCard("Why?", ("so", "thus"), lambda: None)
    card.prediction.value = predicted
    card.tell(("so",), "3 < 4")
    assert told in card.answer.value
    card.prediction.value = UNDECIDED
    assert card.answer.value == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_every_explorer_asks_and_measures(name: str, make: Callable[..., Any]):
    explorer = make(name)
    assert explorer.QUESTION.endswith("?")
    explorer.task.prediction.value = explorer.CHOICES[-1]
    explorer.task.button.click()
    facts = done(explorer, 120)
    assert facts["right"]
    assert set(facts["right"]) <= set(explorer.CHOICES)
    assert re.search(r"\d", facts["told"])
    assert facts["right"][0] in explorer.task.answer.value
    assert explorer.status == ""


def test_halfway_is_read_off_the_schedule(make: Callable[..., Any]):
    explorer = make("NoiseExplorer")
    explorer.start_reveal()
    half = float(explorer.sd.scheduler.alphas_cumprod[500])
    assert f"alpha_bar is {half:.3f}" in done(explorer)["told"]
    explorer.schedule = "cosine"
    done(explorer)
    explorer.start_reveal()
    assert done(explorer)["right"] == ("50 %",)  # by construction: cos²(π/4)


@pytest.mark.slow
def test_a_prompt_that_the_judge_cannot_read_has_no_answer(make: Callable[..., Any]):
    explorer = make("CfgExplorer", prompt="a dragon")
    explorer.start_reveal()
    assert explorer.wait(30)
    assert explorer.status.startswith("the judge cannot read this prompt")
    assert explorer.task.answer.value == ""


@pytest.mark.slow
def test_the_theatre_measures_distances_to_the_end(make: Callable[..., Any]):
    explorer = make("DenoisingTheatre")
    explorer.start_reveal()
    told, right, end = (done(explorer, 60)[name] for name in ("told", "right", "image"))
    first = int(re.search(r"From step (\d) of 4 on", told)[1])
    gaps = []
    for explorer.step in range(1, 5):
        gaps.append(shared.distance(done(explorer)["pred_x0"], end))
    assert [gap < gaps[0] / 2 for gap in gaps].index(True) + 1 == first
    assert right == (explorer.CHOICES[first - 1],)


# Damage and diversity


def test_latents_that_are_pushed_away_from_those_of_images_are_damaged():
    sd = load("tiny")
    latents = sd.encode_image(viz.to_tensor(render(next(scenes(1, "test")))))
    image, pushed = shared.first_image(sd, latents), 2 * latents
    far = cfg.damage_of(sd, pushed, shared.first_image(sd, pushed))
    assert 0 < cfg.damage_of(sd, latents, image) < far / 2
    again = sd.encode_image(viz.to_tensor(image))
    assert cfg.damage_of(sd, again, image) < 1e-5  # nothing is missed


@pytest.mark.slow
def test_too_much_guidance_does_damage(make: Callable[..., Any]):
    explorer = make("CfgExplorer", num_steps=10, guidance_scale=3)
    usual = cfg.damage_in_world(explorer.sd)
    assert explorer.facts["damage"] < 2 * usual
    assert f"drawings: {usual:.2f})" in explorer.panels["damage"].value
    before = explorer.facts["damage"]
    explorer.guidance_scale = 20
    assert done(explorer)["damage"] > 2 * before


def test_damage_and_diversity_stand_beside_the_verdict(make: Callable[..., Any]):
    explorer = make("CfgExplorer", num_steps=1)
    facts = explorer.facts
    assert f"<strong>{facts['damage']:.2f}</strong>" in explorer.panels["damage"].value
    seeds = [explorer.seed + i for i in range(4)]
    drawn = load("tiny").generate(explorer.prompt, seeds=seeds, num_steps=1)
    pairs = zip([facts["image"], *facts["others"]], drawn, strict=True)
    assert all(same(*pair) for pair in pairs)
    expected = pixel_distance(viz.to_tensor(drawn))
    assert facts["diversity"] == pytest.approx(expected, abs=2e-3)
    assert f"{facts['diversity']:.3f}" in explorer.panels["seeds"].value


# Page, presenter, code, GIF


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_no_panel_is_forgotten_and_one_image_is_large(name: str, make: Callable[..., Any]):
    explorer = make(name)
    parts = list(base._widgets_in(explorer))
    for panel in explorer.panels.values():
        assert parts.count(panel) == 1
    large = [part for part in parts if "sdlearn-main" in part._dom_classes]
    assert large or "sdlearn-main" in explorer.panels["attention"].value


def test_a_presenter_may_have_it_larger(make: Callable[..., Any]):
    explorer = make("NoiseExplorer", presenter=True)
    assert {ROOT, PRESENTER} <= set(explorer._dom_classes)
    buttons(explorer)["presenter"].value = False
    assert not explorer.presenter
    assert PRESENTER not in explorer._dom_classes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("CfgExplorer", {"num_steps": 1}),
        ("CfgExplorer", {"prompt": 'a "red" cat', "guidance_scale": 7.5, "seed": 3}),
        ("DenoisingTheatre", {"step": 2, "scheduler": "euler_a"}),
        ("LatentPainter", {"amount": -1.5, "strokes": (Stroke(1, 2.0, 3, 4, 2, ((5, 5),)),)}),
        ("NoiseExplorer", {"t": 700, "schedule": "cosine"}),
        ("PromptMixer", {"mix": 0.25, "way": "linear"}),
        ("TokenExplorer", {"prompt": "a blue boat", "word": "boat"}),
    ],
)
def test_the_line_of_code_makes_the_same_explorer(name: str, settings: dict, make: Callable):
    explorer = make(name, **settings)
    again = eval(explorer.code, {"widgets": widgets})
    try:
        assert again.current_settings() == explorer.current_settings()
    finally:
        again.close()
    explorer.show_code()
    assert sharing.code_html(explorer.code) in explorer.taken_away.value
    explorer.show_code()
    assert explorer.taken_away.value == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "address"),
    [
        ("CfgExplorer", {"prompt": "a “red” cat & more", "guidance_scale": 7.5, "seed": 3}, None),
        ("LatentPainter", {"amount": -1.5, "strokes": (Stroke(1, 2.0),)}, "?amount=-1.5"),
        ("NoiseExplorer", {"t": 700, "schedule": "cosine"}, "?t=700&schedule=cosine"),
        ("NoiseExplorer", {}, ""),
    ],
)
def test_the_end_of_an_address_makes_the_same_explorer(
    name: str, settings: dict, address: str | None, make: Callable, monkeypatch: pytest.MonkeyPatch
):
    explorer = make(name, **settings)
    assert address is None or explorer.address == address
    query = explorer.address.removeprefix("?")
    monkeypatch.setenv("QUERY_STRING", f"{query}&theme=dark&token=x&strokes=1&image=2")
    again = type(explorer).from_address()
    kept = {name: value for name, value in settings.items() if name != "strokes"}
    assert {name: getattr(again, name) for name in kept} == kept
    again.close()
    explorer.show_code()
    assert ("the address" in explorer.taken_away.value) == bool(address != "")


def test_the_line_of_code_names_the_model(tiny_folder):
    made = LatentPainter(tiny_folder, size=4)
    assert made.code.startswith(f"widgets.LatentPainter({str(tiny_folder)!r}, ")
    assert "size=4" in made.code
    made.close()
    loaded = LatentPainter(load(tiny_folder))
    assert loaded.code.startswith("widgets.LatentPainter(sd")
    loaded.close()


def frames(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "GIF"
        return image.n_frames


def test_a_gif_holds_every_image():
    images = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green", "blue")]
    assert frames(sharing.gif(images, ["one", "two", "three"])) == 3
    with pytest.raises(ValueError, match="at least one image; got none"):
        sharing.gif([], [])
    with pytest.raises(ValueError, match="each of 3 frames needs a caption; got 1"):
        sharing.gif(images, ["one"])


@pytest.mark.slow
def test_strip_and_film_can_be_stored(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cfg, "STRIP_SCALES", (0.0, 5.0, 20.0))
    explorer = make("CfgExplorer")
    explorer.show_gif()
    assert explorer.status == "there is no strip yet: make one first"
    explorer.strip()
    done(explorer, 60)
    assert frames(explorer.gif()) == 3
    explorer.show_gif()
    assert 'download="strip.gif" href="data:image/gif;base64,' in explorer.taken_away.value
    stage = make("DenoisingTheatre")
    assert frames(stage.gif()) == 4


# The mixer's ends


@pytest.mark.slow
def test_both_prompts_stand_beside_their_mixture(make: Callable[..., Any]):
    explorer = make("PromptMixer")
    sd = load("tiny")
    for name, prompt in (("first", explorer.prompt), ("other", explorer.other_prompt)):
        [expected] = sd.generate(prompt, seeds=[7], num_steps=2)
        assert same(explorer.facts[name], expected)
        assert f"the {name} prompt" in explorer.panels[name].value
    assert "the first prompt" in explorer._repr_mimebundle_()[0]["text/plain"]


# The pointer


def test_a_drag_is_read():
    assert parse_drag("17:3,4;3,5") == ("17", ((3, 4), (3, 5)))


def test_where_squares_overlap_the_amount_is_added_once():
    latents = viz.to_tensor(Image.new("RGB", (6, 6)))
    painted = paint(latents, Stroke(2, 1.0, 1, 1, 2, ((1, 2), (4, 4))))
    expected = latents.clone()
    expected[:, 1, 0:2, 0:3] += 1
    expected[:, 1, 3:5, 3:5] += 1
    assert painted.equal(expected)
    with pytest.raises(ValueError, match=r"column must lie in 1\.\.6; got 9"):
        paint(latents, Stroke(2, 1.0, 1, 1, 2, ((1, 9),)))


@pytest.mark.slow
def test_dragging_paints_and_the_next_drag_is_another_stroke(make: Callable[..., Any]):
    explorer = make("LatentPainter", size=3, amount=1.0)
    started = explorer.facts["strokes"]
    explorer.pad.line.value = "1:5,5"
    explorer.pad.line.value = "1:5,5;5,6;1,1"  # the middle of the brush
    painted = Stroke(2, 1.0, 4, 4, 3, ((4, 5), (1, 1)))
    assert done(explorer)["strokes"] == (*started, painted)
    assert "2 more places" in explorer.panels["channels"].value
    explorer.pad.line.value = "2:8,8"
    assert done(explorer)["strokes"] == (*started, painted, Stroke(2, 1.0, 7, 7, 3))
    explorer.undo()
    assert done(explorer)["strokes"] == (*started, painted)
    explorer.pad.line.value = "3:9,9"  # with the last amount that was not 0
    assert done(explorer)["strokes"][-1] == Stroke(2, 1.0, 8, 8, 3)
    explorer.row = 2  # by hand: a plain square again
    assert done(explorer)["strokes"][-1] == Stroke(2, 1.0, 2, 8, 3)


# The still that a notebook keeps


class Handle:
    """Stands for IPython's handle of a display; notes what it is given."""

    def __init__(self) -> None:
        self.shown: list[dict] = []

    def update(self, data: dict, **_options: Any) -> None:
        self.shown.append(data)


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a cell in which somebody can move controls displays."""
    seen: list[Any] = []

    def display(data: dict, *, raw: bool, display_id: bool = False) -> Handle | None:
        assert raw
        seen.append(Handle() if display_id else data)
        return seen[-1] if display_id else None

    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "display", display)
    return seen


def test_a_notebook_keeps_the_last_image_beside_the_explorer(make: Callable, displayed: list):
    explorer = make("LatentPainter")
    explorer._ipython_display_()
    live, still = displayed
    assert "application/vnd.jupyter.widget-view+json" in live
    assert "image/png" not in live
    explorer.amount = 3.0
    done(explorer)
    *_, last = still.shown
    assert set(last) == {"image/png", "text/plain"}
    assert "after: channel 2, +3" in last["text/plain"]


def test_a_page_that_nobody_saves_keeps_none(make, displayed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VOILA_BASE_URL", "/")
    make("LatentPainter")._ipython_display_()
    assert len(displayed) == 1


def test_where_nobody_can_click_ipython_shows_the_image_alone(make: Callable[..., Any]):
    with pytest.raises(NotImplementedError):
        make("LatentPainter")._ipython_display_()


def test_presenter_is_no_setting(make: Callable[..., Any]):
    assert "presenter" not in make("LatentPainter").settings
    with pytest.raises(traitlets.TraitError, match="presenter"):
        LatentPainter(presenter="large")
