"""Training: the loop's promises (resume, shares), the parts' invariants, the whole chain."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import accelerate
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import CLIPTokenizer

from sdlearn.cli import main, train
from sdlearn.evaluation import labels, psnr
from sdlearn.training import clip, judge, loop, probe, run, samples, unet, vae
from sdlearn.training.data import RenderedImages, render_all
from sdlearn.training.muon import orthogonal
from sdlearn.world import caption, full_caption, is_held_out, scene_at, scenes
from sdlearn.world.scene import COLOURS

CONFIG = loop.TrainingConfig(steps=6, batch_size=4, lr=1e-2, warmup=2, save_every=3)


class Line(nn.Module):
    """The smallest thing that `train_model` can train: y = w x."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3, 1))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        error = (x @ self.w - x.sum(dim=1, keepdim=True)).square().mean()
        return {"loss": error, "error": error}


def make_batch(generator: torch.Generator) -> loop.Batch:
    return {"x": torch.randn(4, 3, generator=generator)}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> RenderedImages:
    path = tmp_path_factory.mktemp("images") / "train.u8"
    assert list(render_all(path, 16)) == list(range(1, 17))
    return RenderedImages(path)


@pytest.fixture(scope="module")
def tokens() -> CLIPTokenizer:
    return clip.train_tokenizer(caption(scene) for scene in scenes(1500))


def test_learning_rate_rises_stays_and_falls_to_zero() -> None:
    config = loop.TrainingConfig(steps=100, batch_size=1, lr=1.0, warmup=10, decay=0.4)
    rates = [loop.learning_rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[59] == 1.0
    assert rates[80] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.025)


def test_train_model_yields_a_record_a_step_and_learns() -> None:
    model = Line()
    records = list(loop.train_model(model, make_batch, replace(CONFIG, steps=300, lr=0.1, ema=0.9)))
    assert [r.step for r in records] == list(range(1, 301))
    assert records[-1].loss < 1e-3 < records[0].loss
    assert set(records[0].parts) == {"error"}
    assert torch.allclose(model.w, torch.ones_like(model.w), atol=0.05)


@pytest.mark.parametrize("optimizer", loop.OPTIMIZERS)
def test_a_run_that_resumes_equals_one_that_does_not(tmp_path: Path, optimizer: str) -> None:
    config = replace(CONFIG, optimizer=optimizer)
    whole, halted = Line(), Line()
    expected = list(loop.train_model(whole, make_batch, config))
    run = loop.train_model(halted, make_batch, config, tmp_path / "c.pt")
    first = [next(run) for _ in range(4)]  # saved after 3, killed after 4
    run.close()
    resumed = Line()
    rest = list(loop.train_model(resumed, make_batch, config, tmp_path / "c.pt"))
    assert [r.step for r in rest] == [4, 5, 6]
    assert [r.loss for r in first[:3] + rest] == [r.loss for r in expected]
    assert torch.equal(resumed.w, whole.w)


def test_muon_moves_all_directions_alike() -> None:
    """Whatever the gradient's singular values were, those of the step are near 1."""
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    matrix[1] = 0.9 * matrix[0] + 0.1 * matrix[1]  # nearly alike: a direction of small gradients
    for step in (orthogonal(matrix), orthogonal(matrix.T)):
        assert (torch.linalg.svdvals(step) - 1).abs().max() < 0.5
    with torch.autocast("cpu", torch.bfloat16):
        assert orthogonal(matrix).dtype == torch.bfloat16


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    list(loop.train_model(Line(), make_batch, CONFIG, path))
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="belongs to another model; delete it"):
        list(loop.train_model(model, make_batch, CONFIG, path))


def test_the_average_is_what_training_leaves_and_what_the_checkpoint_holds(tmp_path: Path) -> None:
    trained, loaded = Line(), Line()
    list(loop.train_model(trained, make_batch, CONFIG, tmp_path / "c.pt"))
    loop.load_average(tmp_path / "c.pt", loaded)
    assert torch.equal(trained.w, loaded.w)


def test_images_are_rendered_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "p.u8"
    half = render_all(path, 4)
    next(half)
    assert not path.exists(), "a half-written file must not take the name"
    assert list(render_all(path, 4)) == [1, 2, 3, 4]
    assert list(render_all(path, 4)) == [4], "a complete file is kept"
    batch = RenderedImages(path)[torch.tensor([2, 0])]
    assert batch.shape == (2, 3, 128, 128)
    assert -1 <= batch.min() < batch.max() <= 1


def test_folding_evens_out_the_channels_and_keeps_the_round_trip(rendered: RenderedImages) -> None:
    torch.manual_seed(0)
    model = vae.build_vae().eval()
    images = rendered[torch.arange(8)]
    with torch.no_grad():
        before = model.encode(images).latent_dist
        picture = model.decode(before.mode()).sample
        vae.fold_normalisation(model, images)
        after = model.encode(images).latent_dist
        again = model.decode(after.mode()).sample
    scaled = after.mode() * model.config.scaling_factor
    assert torch.allclose(scaled.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(scaled.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-4)
    assert torch.allclose(picture, again, atol=1e-3)
    ratio = after.mode().std(dim=(0, 2, 3)) / before.mode().std(dim=(0, 2, 3))
    spread = (after.std / before.std).mean(dim=(0, 2, 3))
    assert torch.allclose(ratio, spread, rtol=1e-3), "the posterior is scaled with the mean"


def test_psnr_of_a_known_error() -> None:
    class Shift(nn.Module):  # restores every image 0.2 too bright: mse 0.01 on [0, 1]
        def __init__(self) -> None:
            super().__init__()
            self.p = nn.Parameter(torch.zeros(1))
            self.latent_dist = self.sample = None

        def encode(self, x: torch.Tensor) -> Shift:
            self.latent_dist, self.x = self, x
            return self

        def mode(self) -> torch.Tensor:
            return self.x

        def decode(self, z: torch.Tensor) -> Shift:
            self.sample = z + 0.2
            return self

    images = torch.zeros(2, 3, 8, 8)
    restored = vae.round_trip(Shift(), images)
    for one, other in zip((images + 1) / 2, (restored + 1) / 2, strict=True):
        assert psnr(one, other) == pytest.approx(20.0, abs=1e-4)


def test_tokenizer_keeps_known_words_whole_and_splits_others(
    tokens: CLIPTokenizer,
) -> None:
    assert tokens.tokenize("a Purple lighthouse") == ["a</w>", "purple</w>", "lighthouse</w>"]
    pieces = tokens.tokenize("dragon é")
    assert len(pieces) > 3
    assert tokens.unk_token_id not in tokens.convert_tokens_to_ids(pieces)
    ids = tokens("a cat", padding="max_length").input_ids
    assert len(ids) == clip.MAX_TOKENS == 77
    assert ids[0] == tokens.bos_token_id == len(tokens) - 2
    assert set(ids[3:]) == {tokens.eos_token_id} == {len(tokens) - 1}


def test_tokenizer_survives_saving(tokens: CLIPTokenizer, tmp_path: Path) -> None:
    tokens.save_pretrained(tmp_path)
    again = CLIPTokenizer.from_pretrained(tmp_path)
    for text in ("", "a red house", "zürich & 3 dragons"):
        assert again(text).input_ids == tokens(text).input_ids


def test_a_near_miss_differs_from_its_scene_in_what_captions_say() -> None:
    rng = random.Random(0)
    for scene in scenes(300):
        wrong = clip.near_miss(scene, rng)
        assert wrong.variant == scene.variant
    swaps = [clip.near_miss(scene_at(i, "pairs"), rng) for i in range(200)]
    kept = [
        {t.colour for t in wrong.things} == {t.colour for t in scene_at(i, "pairs").things}
        for i, wrong in enumerate(swaps)
    ]
    assert sum(kept) > 140, "most near misses of a pair keep the words and change the binding"


def test_clip_batches_are_captions_beside_near_misses(
    rendered: RenderedImages, tokens: CLIPTokenizer
) -> None:
    batch = clip.make_batch(rendered, tokens, 8, torch.Generator().manual_seed(0))
    again = clip.make_batch(rendered, tokens, 8, torch.Generator().manual_seed(0))
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert batch["images"].shape == (8, 3, 128, 128)
    for near_misses in batch["near_miss_ids"].split(8):
        assert (batch["ids"] != near_misses).any(dim=1).all()
    assert len(batch["near_miss_ids"]) == 8 * clip.NEAR_MISSES_EACH


def test_a_held_out_combination_is_never_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a wrong answer only, it would be learned as what is never true."""
    shown: list[bool] = []
    monkeypatch.setattr(clip, "caption", lambda s: shown.append(is_held_out(s)) or caption(s))
    rng = random.Random(0)
    for row in range(300):
        clip._caption_and_near_misses(row, rng)
    assert len(shown) >= 300 * (1 + clip.NEAR_MISSES_EACH)
    assert not any(shown)


def test_clip_pools_the_true_end_of_text(tokens: CLIPTokenizer) -> None:
    model = clip.build_clip(tokens).eval()
    ids = tokens(["a red house", "a cat"], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        out = model.text_model(ids)
    ends = (ids == tokens.eos_token_id).int().argmax(dim=1)
    assert torch.equal(out.pooler_output, out.last_hidden_state[torch.arange(2), ends])
    short = tokens(["a red house", "a cat"], padding=True, return_tensors="pt").input_ids
    with torch.no_grad():  # padding to the longest pools the same state
        assert torch.allclose(model.text_model(short).pooler_output, out.pooler_output, atol=1e-5)


def test_probe_reads_what_is_there_and_not_what_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(600, 8, generator=generator)
    told = ["red" if s > 0 else "blue" for s in states[:, 3].tolist()]
    noise = torch.randint(2, (600,), generator=generator).tolist()
    untold = ["red" if n else "blue" for n in noise]
    assert probe.probe(states[:300], told[:300], states[300:], told[300:]) > 0.9
    assert 0.35 < probe.probe(states[:300], untold[:300], states[300:], untold[300:]) < 0.65


def test_unet_objective_by_hand(tokens: CLIPTokenizer) -> None:
    """A U-Net that always answers zero has error mean(noise²), weighted by min(SNR, 5) / SNR."""

    class Zero(nn.Module):
        def forward(self, x: torch.Tensor, t: torch.Tensor, encoder_hidden_states: torch.Tensor):
            self.sample = torch.zeros_like(x)
            return self

    tower = clip.build_clip(tokens).text_model
    objective = unet.UNetObjective(Zero(), tower)
    noise = torch.full((2, 4, 2, 2), 3.0)
    t = torch.tensor([0, 999])
    ids = tokens(["", "a cat"], padding="max_length", return_tensors="pt").input_ids
    losses = objective(torch.zeros(2, 4, 2, 2), ids, noise, t)
    snr = 0.99915 / 0.00085  # at t = 0; at 999 the weight is 1
    assert losses["eps_error"] == pytest.approx(9.0)
    assert losses["loss"] == pytest.approx(9 * (5 / snr + 1) / 2, rel=1e-3)
    assert not any(p.requires_grad for p in tower.parameters()), "the text tower is frozen"


def test_unet_batches_drop_captions_and_word_them_anew(tokens: CLIPTokenizer) -> None:
    latents = torch.arange(4.0)[:, None, None, None].expand(4, 4, 2, 2)
    batch = unet.make_batch(latents, 70, tokens, 2000, torch.Generator().manual_seed(0))
    dropped = batch["ids"][:, 1] == tokens.eos_token_id
    assert 0.08 < dropped.float().mean() < 0.12
    words = tokens.batch_decode(batch["ids"][~dropped], skip_special_tokens=True)
    rows = batch["x0"][~dropped, 0, 0, 0].int().tolist()
    for row, text in zip(rows, words, strict=True):
        named = [colour for colour in COLOURS if f" {colour} " in f" {text} "]
        assert set(named) - {"white", "yellow", "green", "blue"} <= {
            thing.colour for thing in scene_at(70 + row).things
        }, "grounds are white, yellow, green or blue; every other colour is a thing's"
    assert len({text for row, text in zip(rows, words, strict=True) if row == 0}) > 50
    assert batch["t"].min() == 0
    assert batch["t"].max() == 999


def test_judge_batches_pair_images_with_their_truth(rendered: RenderedImages) -> None:
    restored = torch.zeros(8, 3, 128, 128, dtype=torch.uint8)
    truth = torch.arange(16)[:, None].repeat(1, len(judge.ATTRIBUTES))
    batch = judge.make_batch(rendered, restored, truth, 8, torch.Generator().manual_seed(0))
    assert batch["images"].shape == (8, 3, 128, 128)
    assert (batch["truth"][:4, 0] < 8).all(), "the first half are plain renders"
    assert (batch["truth"][4:, 0] >= 8).all(), "the second half are round trips of others"
    assert batch["images"][4:].mean() < 0.1 < batch["images"][:4].mean()


def test_truth_table_names_the_scene() -> None:
    table = judge.truth_table(200)
    rows = [
        {name: words[n] for (name, words), n in zip(judge.ATTRIBUTES.items(), row, strict=True)}
        for row in table.tolist()
    ]
    drawn = [scene_at(i, "all") for i in range(200)]
    for row, scene in zip(rows, drawn, strict=True):
        assert (row.pop("sky_items") == "0") == (scene.sky == "none")
        assert row.items() <= labels(scene).items()
    twice = [i for i, n in enumerate(table[:, list(judge.ATTRIBUTES).index("sky_items")]) if n == 2]
    assert 5 <= len(twice) <= 30


def test_full_captions_are_what_the_probe_reads() -> None:
    assert all(scene.time in probe._attributes(scene).values() for scene in scenes(20))
    assert len({full_caption(scene) for scene in scenes(50)}) == 50


def test_the_strip_shows_early_sheets_and_the_last(tmp_path: Path) -> None:
    steps = (500, 1000, 1500, 2000, 2500, 3000)
    for i, step in enumerate(steps):
        Image.new("RGB", (64, 20), (40 * i, 0, 0)).save(tmp_path / f"unet-{step:05d}.png")
    training = run.TrainingRun(tmp_path, samples=tmp_path)
    for _ in range(2):  # a second time the strip is not taken for a sheet
        samples.write_strip(training, "unet")
    strip = Image.open(tmp_path / "unet-strip.png")
    rows = [strip.getpixel((strip.width - 1, y))[0] // 40 for y in (10, 32, 54)]
    assert [steps[row] for row in rows] == [500, 1000, 3000]
    assert strip.height == 3 * 20 + 2 * 2


def config_of(*words: str) -> run.RunConfig:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return train._config(parser.parse_args(["all", *words]))


def test_a_round_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^round must be a whole number from 0; got -1$"):
        config_of("--round", "-1")
    assert config_of("--round", "2").round == 2


def test_a_folder_to_begin_with_that_is_missing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "nowhere"
    words = ["train", "unet", "--smoke", "--workdir", str(tmp_path / "work"), "--from"]
    assert main([*words, str(missing)]) != 0
    told = capsys.readouterr().err
    assert f"from must be the folder of a model; there is no folder {missing}" in told
    assert "Traceback" not in told
    assert not (tmp_path / "work").exists()


def test_the_command_changes_the_config() -> None:
    config = config_of("--images", "32", "--lr", "0.5", "--steps", "7")
    assert config.images == 32
    assert {(part.lr, part.steps) for part in config.parts.values()} == {(0.5, 7)}
    assert config_of() == run.FULL


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("images", "0"),
        ("images", "-3"),
        ("steps", "0"),
        ("batch_size", "-1"),
        ("lr", "nan"),
        ("lr", "inf"),
        ("decay", "0.0"),
    ],
)
def test_numbers_that_cannot_be_trained_with_are_refused(option: str, value: str) -> None:
    message = f"^{option} must be a finite number above 0; got {value}$"
    with pytest.raises(ValueError, match=message):
        config_of(f"--{option.replace('_', '-')}", value)


@pytest.mark.parametrize("shown", [True, False])
def test_each_stage_has_one_bar(
    shown: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = SimpleNamespace(is_main_process=shown, num_processes=1)
    monkeypatch.setattr(accelerate, "PartialState", lambda *_, **__: process)
    steps = {"vae": range(1, 4), "unet": range(8, 11)}  # the second goes on after a stop
    train._show(
        run.StageProgress(stage, done, done_at_last[-1], {"loss": 0.5})
        for stage, done_at_last in steps.items()
        for done in done_at_last
    )
    *lines, _ = capsys.readouterr().err.split("\n")
    ends = [line.split("\r")[-1] for line in lines]  # a bar draws over itself until it is closed
    assert [end.split("|")[0] for end in ends] == ["vae: 100%", "unet: 100%"] * shown
    assert [re.findall(r"\d+/\d+", end) for end in ends] == [["3/3"], ["10/10"]] * shown


@pytest.mark.slow
def test_the_whole_chain_at_toy_length(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sdlearn", "train", "all", "--smoke"]
    paths = ["--workdir", str(tmp_path / "w"), "--output", str(tmp_path / "out")]
    paths += ["--samples", str(tmp_path / "samples")]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    sums = json.loads((tmp_path / "out" / "checksums.json").read_text())
    assert "unet/diffusion_pytorch_model.safetensors" in sums
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert len({file.stat().st_mode for file in files}) == 1  # whoever reads one, reads all
    assert (tmp_path / "samples" / "unet-00004.png").exists()
    assert (tmp_path / "samples" / "unet-strip.png").exists()
    from sdlearn import load

    image = load(str(tmp_path / "out")).generate("a red house", seeds=[0], num_steps=2)[0]
    assert image.size == (128, 128)


@pytest.mark.slow
def test_two_processes_see_the_batches_of_one(tmp_path: Path) -> None:
    """`accelerate launch` on two CPU processes ends with the weights of one process."""
    script = tmp_path / "train_line.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from sdlearn.training import loop\n"
        "from sdlearn.util.processes import this_process\n"
        "from test_training import CONFIG, Line, make_batch\n"
        "state = this_process()\n"
        "list(loop.train_model(Line(), make_batch, CONFIG, Path(sys.argv[1])))\n"
        "assert state.num_processes == 2\n"
        "state.wait_for_everyone()\n"
        "state.destroy_process_group()\n"
    )
    # On CPUs accelerate wants MPI for several processes, unless it is told to use its launcher of
    # processes for GPUs, torchrun, and then not to use GPUs.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    launch += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    launch += ["--dynamo_backend", "no", "--main_process_port", "0"]
    path = tmp_path / "two.pt"
    done = subprocess.run(
        [*launch, str(script), str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    alone, pair = Line(), Line()
    list(loop.train_model(alone, make_batch, CONFIG))
    loop.load_average(path, pair)
    assert torch.allclose(alone.w, pair.w, atol=1e-6)
