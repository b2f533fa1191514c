"""An explorer and a cell on one model, in both orders: neither meets what the other does to it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from explorer_tools import done, same

from sdlearn import StableDiffusion, load
from sdlearn.inside import record_attention, without_skips
from sdlearn.widgets import CfgExplorer, TokenExplorer
from sdlearn.widgets.base import LiveExplorer

PROMPT = "a red house"
STEPS = 3


@pytest.fixture(scope="module")
def sd(tiny_folder: Path) -> StableDiffusion:
    return load(tiny_folder, device="cpu")


@pytest.fixture(params=[CfgExplorer, TokenExplorer])
def explorer(request: pytest.FixtureRequest, sd: StableDiffusion) -> Iterator[LiveExplorer]:
    made = request.param(sd, prompt=PROMPT, num_steps=STEPS, seed=1)
    yield made
    made.close()
    assert made.wait(30)


def plain(sd: StableDiffusion, seed: int):
    [image] = sd.generate(PROMPT, seeds=[seed], num_steps=STEPS)
    return image


def parts_of(sd: StableDiffusion) -> list:
    """What a block that watches or changes the U-Net might leave behind."""
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in sd.unet.modules()]
    return [sum(hooks), *sorted(type(one).__name__ for one in sd.unet.attn_processors.values())]


def test_a_recording_of_a_cell_has_its_own_calls_only(sd, explorer):
    cond, uncond = sd.encode_text(PROMPT), sd.encode_text("")
    with record_attention(sd.unet) as alone:
        sd.predict_noise(sd.init_latents([0]), 500, cond)
    with record_attention(sd.unet) as maps:
        steps = sd.denoise(sd.init_latents([0]), cond, uncond, num_steps=STEPS)
        for seed, _ in enumerate(steps, 20):
            explorer.seed = seed  # it is at work between the cell's steps and during them
        done(explorer)
    assert len(maps) == STEPS * len(alone)
    assert sorted({one.call for one in maps}) == list(range(STEPS))
    assert same(explorer.facts["image"], plain(sd, explorer.seed))


def test_a_recording_that_begins_while_an_explorer_is_at_work(sd, explorer):
    before = parts_of(sd)
    explorer.num_steps = 30
    with record_attention(sd.unet) as maps:
        sd.predict_noise(sd.init_latents([0]), 500, sd.encode_text(PROMPT))
    assert len({one.layer for one in maps}) == len(maps)
    explorer.num_steps = STEPS
    assert same(done(explorer)["image"], plain(sd, 1))
    assert parts_of(sd) == before


@pytest.mark.parametrize("kind", [CfgExplorer, TokenExplorer])
def test_a_change_of_a_cell_is_neither_shown_nor_kept(sd, kind: type):
    with without_skips(sd.unet):
        changed = plain(sd, 5)
        made = kind(sd, prompt=PROMPT, num_steps=STEPS, seed=5)  # in the thread of the cell
        first = made.facts["image"]
        made.seed = 6  # in the background
        second = done(made)["image"]
    assert not same(changed, plain(sd, 5))
    assert same(first, plain(sd, 5))
    assert same(second, plain(sd, 6))
    made.seed = 5  # remembered
    assert same(done(made)["image"], plain(sd, 5))
    made.close()


def test_a_generator_that_a_cell_leaves_half_way_holds_nobody_up(sd, explorer):
    steps = sd.denoise(sd.init_latents([0]), sd.encode_text(PROMPT), sd.encode_text(""))
    next(steps)
    explorer.seed = 7
    assert same(done(explorer)["image"], plain(sd, 7))
    del steps
    explorer.seed = 8
    assert same(done(explorer)["image"], plain(sd, 8))


def test_a_job_that_is_cancelled_half_way_leaves_the_model_as_it_was(sd, explorer):
    before = parts_of(sd)
    job = explorer.updates(explorer.current_settings())
    next(job)
    next(job)
    assert parts_of(sd) == before
    explorer.num_steps = 40
    explorer.wait(0.02)
    explorer.close()
    assert explorer.wait(30)
    del job
    assert parts_of(sd) == before


def test_two_changes_that_are_handled_at_once_end_on_the_last(sd, monkeypatch):
    """The first change is handled in the main thread, later ones in others."""
    made = CfgExplorer(sd, prompt=PROMPT, num_steps=1)
    run, started, go_on = made._latest.run, threading.Event(), threading.Event()

    def slow_run(job) -> None:
        if threading.current_thread() is handler:
            started.set()
            assert go_on.wait(10)
        run(job)

    monkeypatch.setattr(made._latest, "run", slow_run)
    handler = threading.Thread(target=lambda: setattr(made, "seed", 1))
    handler.start()
    assert started.wait(10)
    made.seed = 2
    assert done(made)["title"].endswith(", seed 2")
    go_on.set()
    handler.join()
    assert done(made)["title"].endswith(", seed 2")
    made.close()
