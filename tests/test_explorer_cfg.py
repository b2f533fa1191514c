"""The base of all explorers, driven through the one of guidance and steps."""

import base64
import io
import re
import time
from collections.abc import Iterator

import psutil
import pytest
import torch
import traitlets
from explorer_tools import NEARLY, at_work, done, same
from PIL import Image

from sdlearn import load, widgets
from sdlearn.widgets import base, cfg, shared
from sdlearn.widgets.cfg import CfgExplorer

PROMPT = "a small blue boat on the right, on blue water, at night, under the moon"
QUICK = {"num_steps": 2, "prompt": PROMPT}


@pytest.fixture
def explorer() -> Iterator[CfgExplorer]:
    made = CfgExplorer(**QUICK)
    yield made
    made.close()
    assert made.wait(10)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the U-Net of the explorers' model was called."""
    counted: list[int] = []
    unet = base.shared_model("tiny").unet
    hook = unet.register_forward_pre_hook(lambda *_: counted.append(1))
    monkeypatch.setattr(unet, "_counted", hook, raising=False)
    yield counted
    hook.remove()


def test_it_shows_what_the_pipeline_draws(explorer: CfgExplorer):
    [expected] = load("tiny").generate(PROMPT, seeds=[7], num_steps=2, guidance_scale=3)
    assert same(explorer.facts["image"], expected)
    assert "data:image/png;base64," in explorer.panels["image"].value
    assert explorer.facts["title"] == "guidance 3, 2 steps, seed 7"


@pytest.mark.parametrize(
    ("name", "value", "argument"),
    [
        ("guidance_scale", 7.5, {"guidance_scale": 7.5}),
        ("num_steps", 3, {"num_steps": 3}),
        ("seed", 11, {"seeds": [11]}),
        ("scheduler", "euler_a", {"scheduler": "euler_a"}),
        ("negative_prompt", "a boat", {"negative_prompt": "a boat"}),
        ("prompt", "a red cat", {"prompt": "a red cat"}),
    ],
)
def test_every_setting_reaches_the_picture(explorer, name, value, argument):
    before = explorer.facts["image"]
    setattr(explorer, name, value)
    plain = {"prompt": PROMPT, "seeds": [7], "num_steps": 2, "guidance_scale": 3}
    [expected] = load("tiny").generate(**{**plain, **argument})
    assert same(done(explorer)["image"], expected)
    assert not same(before, expected)


def test_controls_and_settings_are_two_views_of_one_value(explorer: CfgExplorer):
    controls = explorer.controls
    controls["guidance_scale"].value = 6.0
    assert explorer.guidance_scale == 6
    explorer.seed = 5
    assert controls["seed"].value == 5
    assert done(explorer)["title"] == "guidance 6, 2 steps, seed 5"


def test_every_control_has_a_label(explorer: CfgExplorer):
    for control in explorer.controls.values():
        assert control.description


def test_text_counts_when_it_is_entered(explorer: CfgExplorer):
    controls = explorer.controls
    assert not controls["prompt"].continuous_update
    assert controls["guidance_scale"].continuous_update


def test_what_was_seen_is_shown_without_work(explorer: CfgExplorer, calls: list[int]):
    first = explorer.facts["image"]
    explorer.guidance_scale = 9
    done(explorer)
    assert len(calls) == 2 * (1 + cfg.OTHER_SEEDS)
    explorer.guidance_scale = 3
    assert same(done(explorer)["image"], first)
    assert len(calls) == 2 * (1 + cfg.OTHER_SEEDS)


@pytest.mark.slow
def test_what_was_seen_with_other_loras_is_drawn_again(
    explorer: CfgExplorer, calls: list[int], monkeypatch: pytest.MonkeyPatch
):
    explorer.guidance_scale = 1.0
    done(explorer)
    monkeypatch.setitem(explorer.sd.lora_weights, "style", 0.5)
    del calls[:]
    explorer.guidance_scale = 3.0  # seen, but without the LoRA
    done(explorer)
    assert calls


def test_no_more_is_kept_than_there_is_room_for(explorer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "UPDATES_KEPT", 3)
    for seed in range(6):
        explorer.seed = seed
        done(explorer)
    assert len(explorer._seen) == 3


def test_many_quick_changes_end_on_the_last(explorer: CfgExplorer, calls: list[int]):
    for i in range(200):
        explorer.guidance_scale = i / 10
    explorer.guidance_scale = 4.2
    assert done(explorer)["title"] == "guidance 4.2, 2 steps, seed 7"
    [expected] = load("tiny").generate(PROMPT, seeds=[7], num_steps=2, guidance_scale=4.2)
    assert same(explorer.facts["image"], expected)
    assert len(calls) < 100  # nearly all of them were cancelled


def shown_of(explorer: CfgExplorer) -> list[str]:
    """The titles of the images that are shown from now on, without previews on a busy machine."""
    titles: list[str] = []

    def note(change) -> None:
        found = re.findall(r'alt="([^"]+)"', change["new"])
        titles.extend(title for title in found if not title.endswith(": a preview"))

    explorer.panels["image"].observe(note, "value")
    return titles


def test_a_quick_image_comes_first_and_the_whole_run_last(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared, "QUICK_SECONDS", 60)
    made = CfgExplorer(prompt=PROMPT, num_steps=9)
    titles = shown_of(made)
    made.guidance_scale = 5.0
    done(made)
    assert titles == ["guidance 5, 5 steps, seed 7, ddim (quick)", "guidance 5, 9 steps, seed 7"]
    [expected] = load("tiny").generate(PROMPT, seeds=[7], num_steps=9, guidance_scale=5)
    assert same(made.facts["image"], expected)
    titles.clear()
    made.guidance_scale = 3.0  # seen before
    made.guidance_scale = 5.0
    done(made)
    assert not any("quick" in title for title in titles)
    made.close()


def test_what_is_quick_is_a_run_of_five_steps(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared, "QUICK_SECONDS", 60)
    made = CfgExplorer(prompt=PROMPT, num_steps=9)
    made.guidance_scale = 5.0
    done(made)
    quick = made.quick(made.current_settings())
    assert quick is not None
    assert quick.facts == {}
    how = {"num_steps": 5, "guidance_scale": 5, "scheduler": "ddim"}
    [expected] = load("tiny").generate(PROMPT, seeds=[7], **how)
    [png] = re.findall(r"base64,([^\"]+)", quick.panels["image"])
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        assert same(image, expected)
    made.close()


def test_while_a_slider_moves_each_image_is_drawn_and_the_last_change_wins(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(shared, "QUICK_SECONDS", 60)
    made = CfgExplorer(prompt=PROMPT, num_steps=30)
    titles = shown_of(made)
    wanted = [f"guidance {5 + i / 2:g}, 5 steps, seed 7, ddim (quick)" for i in range(8)]
    ends = time.monotonic() + 60
    for i, title in enumerate(wanted):
        made.guidance_scale = 5 + i / 2
        while title not in titles and time.monotonic() < ends:
            time.sleep(0.001)  # the hand goes on as soon as it sees something
    done(made)
    assert [title for title in titles if "quick" in title] == wanted
    assert titles[-1] == "guidance 8.5, 30 steps, seed 7"
    made.close()


def test_a_slow_model_has_no_quick_images(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared, "QUICK_SECONDS", -1)
    made = CfgExplorer(prompt=PROMPT, num_steps=7)
    titles = shown_of(made)
    made.guidance_scale = 5.0
    assert done(made)["title"] == "guidance 5, 7 steps, seed 7"
    assert not any("quick" in title for title in titles)
    assert made.quick(made.current_settings()) is None
    monkeypatch.setattr(shared, "QUICK_SECONDS", 60)
    assert made.quick(made.current_settings()) is None  # after two slow runs it does not try again
    made.close()


@pytest.mark.slow
def test_memory_stays_flat(explorer: CfgExplorer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "UPDATES_KEPT", 10)
    explorer.num_steps = 1
    explorer.guidance_scale = 1  # without the curve: matplotlib's garbage comes and goes in lumps
    process, used = psutil.Process(), []
    for seed in range(100):
        explorer.seed = seed
        done(explorer)
        used.append(process.memory_info().rss)
    assert used[-1] - used[30] < 20e6


@pytest.mark.slow
def test_the_judge_reads_what_the_prompt_names():
    made = CfgExplorer(prompt="a red house at night", num_steps=20)
    assert made.facts["verdict"] == {"subject": True, "colour": True, "time": True}
    assert made.panels["verdict"].value.count("✓") == 3
    made.guidance_scale = 0  # so it knows nothing of the prompt
    seen = done(made)["verdict"]
    assert list(seen) == ["subject", "colour", "time"]
    assert not all(seen.values())
    assert made.panels["verdict"].value.count("✗") == list(seen.values()).count(False)
    made.prompt = "a red dragon"
    assert done(made)["verdict"] == {}
    assert made.panels["verdict"].value == ""


def test_a_model_of_another_world_is_not_judged(explorer: CfgExplorer):
    foreign = load("tiny")
    foreign.folder = None  # where its judge would be
    made = CfgExplorer(foreign, **QUICK)
    assert made.facts["verdict"] == {}
    assert same(made.facts["image"], explorer.facts["image"])


def test_the_gap_is_that_of_the_two_predictions(explorer: CfgExplorer):
    sd = load("tiny")
    cond, uncond = sd.encode_text(PROMPT), sd.encode_text("")
    steps = sd.denoise(sd.init_latents([7]), cond, uncond, num_steps=2, guidance_scale=3)
    expected = [float((s.eps_cond - s.eps_uncond).square().mean().sqrt()) for s in steps]
    torch.testing.assert_close(explorer.facts["gap"], expected, **NEARLY)
    assert "rms of eps_cond" in explorer.panels["gap"].value
    explorer.guidance_scale = 1
    assert done(explorer)["gap"] == []
    assert explorer.panels["gap"].value == ""


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("  ", r"prompt must say what to draw; got '  '"),
        ("a red house " * 40, r"the prompt has 122 tokens, .* cut off"),
    ],
)
def test_a_bad_prompt_is_told_and_the_next_one_works(explorer, prompt, sentence):
    explorer.prompt = prompt
    done(explorer)
    assert re.search(sentence, explorer.status)
    explorer.prompt = "a blue cat"
    done(explorer)
    assert explorer.status == ""
    [expected] = load("tiny").generate("a blue cat", seeds=[7], num_steps=2)
    assert same(explorer.facts["image"], expected)


@pytest.mark.parametrize(
    ("setting", "error", "sentence"),
    [
        ({"guidance_scale": 30}, traitlets.TraitError, "guidance_scale.*greater than 20"),
        ({"num_steps": 0}, traitlets.TraitError, "num_steps.*less than 1"),
        ({"scheduler": "magic"}, traitlets.TraitError, "scheduler.*magic"),
        ({"steps": 3}, ValueError, "a setting must be one of prompt, .*; got steps"),
        ({"prompt": " "}, ValueError, "prompt must say what to draw"),
    ],
)
def test_bad_settings_at_the_start_are_refused(setting, error, sentence):
    with pytest.raises(error, match=sentence):
        CfgExplorer(**{**QUICK, **setting})


def test_pin_keeps_a_picture(explorer: CfgExplorer):
    explorer.pin()
    explorer.seed = 1
    done(explorer)
    assert "pinned: guidance 3, 2 steps, seed 7" in explorer.panels["pinned"].value
    source = re.compile(r'src="([^"]+)"')
    pinned, now = (source.findall(explorer.panels[n].value)[0] for n in ("pinned", "image"))
    assert pinned != now


def test_strip_and_grid_are_filled_with_true_pictures(explorer, monkeypatch):
    monkeypatch.setattr(cfg, "STRIP_SCALES", (0.0, 5.0))
    explorer.strip()
    done(explorer)
    found = re.findall(r'alt="([^"]+)"', explorer.panels["sheet"].value)
    assert [text.split(":")[0] for text in found] == ["scale 0", "scale 5"]
    monkeypatch.setattr(cfg, "GRID_STEPS", (1, 2))
    monkeypatch.setattr(cfg, "GRID_SCALES", (1.0, 3.0))
    explorer.grid()
    done(explorer)
    found = re.findall(r'alt="([^"]+)" width', explorer.panels["sheet"].value)
    assert [text.split(":")[0] for text in found] == [
        f"scale {scale}, steps {steps}" for steps in (1, 2) for scale in (1, 3)
    ]
    sources = re.findall(r'src="([^"]+)"', explorer.panels["sheet"].value)
    assert len(set(sources)) == 4
    assert sources[3] in explorer.panels["sheet"].value


def test_a_change_cancels_a_strip(explorer: CfgExplorer):
    explorer.strip()
    explorer.seed = 3
    assert done(explorer)["title"] == "guidance 3, 2 steps, seed 3"
    assert explorer.status == ""


def test_text_of_the_learner_is_shown_and_not_obeyed(explorer: CfgExplorer):
    explorer.negative_prompt = "<b>fog</b>"
    done(explorer)
    explorer.pin()
    for panel in ("image", "pinned"):
        assert "<b>fog" not in explorer.panels[panel].value
        assert "&lt;b&gt;fog" in explorer.panels[panel].value


def test_where_nobody_can_click_it_is_one_picture_with_its_settings(explorer: CfgExplorer):
    data, metadata = explorer._repr_mimebundle_()
    alt = "guidance 3, 2 steps, seed 7"
    assert alt in data["text/plain"]
    assert alt in metadata["image/png"]["alt"]
    assert [kind for kind in data if kind.startswith("image/")] == ["image/png"]


@pytest.mark.slow
def test_where_somebody_can_click_the_cell_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "FIRST_IMAGE_TIMEOUT", 0.01)
    made = CfgExplorer(prompt=PROMPT, num_steps=10)
    assert made.busy
    assert "image" not in made.facts
    assert "image" in done(made)


def test_a_slow_picture_is_previewed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared, "PREVIEW_EVERY", -1)
    monkeypatch.setattr(shared, "PREVIEW_SHARE", 0)
    shown: list[str] = []
    made = CfgExplorer(**QUICK)
    made.panels["image"].observe(lambda change: shown.append(change["new"]), "value")
    made.seed = 9
    done(made)
    assert ["preview" in html for html in shown] == [True, True, False]


def test_closing_leaves_no_thread_and_no_explorer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "FIRST_IMAGE_TIMEOUT", 0)
    made = CfgExplorer(prompt=PROMPT, num_steps=50)
    assert at_work()
    made.close()
    assert made.wait(10)
    assert not at_work()
    assert "image" not in made.facts


def test_one_model_serves_all():
    assert CfgExplorer(**QUICK).sd is CfgExplorer(**QUICK).sd


def test_the_names_are_public():
    assert widgets.CfgExplorer is CfgExplorer
