"""A model of random weights has the shapes of the real one, loads like it, and is written whole."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextModel

from benchmarks import make_random
from benchmarks.make_random import main, write_random
from sdlearn import load
from sdlearn.inside import ARCHITECTURES, Part, anatomy
from sdlearn.models.loading import TINY
from sdlearn.util.files import sha256

NARROW = ARCHITECTURES["sd15-narrow"]
CLASSES = {"text_encoder": CLIPTextModel, "unet": UNet2DConditionModel, "vae": AutoencoderKL}
WEIGHTS = (
    "text_encoder/model",
    "unet/diffusion_pytorch_model",
    "vae/diffusion_pytorch_model",
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("folder")]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("random") / "narrow"
    write_random(NARROW, path)
    return path


def files(folder: Path) -> dict[str, str]:
    """Path in the folder → checksum."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in found}


# The architecture


def structure(part: Part) -> tuple:
    return part.name, part.kind, tuple(structure(child) for child in part.children)


def test_the_narrow_sibling_is_built_like_sd15_and_a_hundredth_of_its_size():
    small, large = anatomy("sd15-narrow"), anatomy("sd15")
    for name, part in large.parts.items():
        assert structure(small.parts[name]) == structure(part)
        assert small.parts[name].inputs[0] == part.inputs[0]
    assert len(small.cross_attentions) == 16
    places = [[(skip.source, skip.target) for skip in found.skips] for found in (small, large)]
    assert places[0] == places[1]
    assert 95 < large.parts["unet"].parameters / small.parts["unet"].parameters < 105
    assert small.parameters == 14_267_251


# The folder


def test_the_files_are_named_as_the_hub_names_them(narrow: Path):
    assert set(files(narrow)) == {
        "README.md",
        "model_index.json",
        "scheduler/scheduler_config.json",
        *(f"tokenizer/{file.name}" for file in (TINY / "tokenizer").iterdir()),
        *(f"{part}/config.json" for part in CLASSES),
        *(f"{stem}.fp16.safetensors" for stem in WEIGHTS),
    }


def test_weights_may_be_read_by_whoever_may_read_the_configs(narrow: Path):
    for stem in WEIGHTS:
        weights = narrow / f"{stem}.fp16.safetensors"
        assert weights.stat().st_mode == (weights.parent / "config.json").stat().st_mode


def test_the_folder_says_that_it_is_noise_and_whose_tokenizer_it_has(narrow: Path):
    text = " ".join((narrow / "README.md").read_text(encoding="utf-8").split())
    assert "never trained: its 14,267,251 weights are random numbers (seed 0)" in text
    assert "Never show its images as a result" in text
    assert "it is that of sdlearn's tiny model" in text


def test_every_parameter_of_the_architecture_is_there_and_no_other(narrow: Path):
    expected = anatomy("sd15-narrow")
    assert anatomy(narrow).parts == expected.parts
    for part, cls in CLASSES.items():
        model, report = cls.from_pretrained(
            narrow / part, variant="fp16", use_safetensors=True, output_loading_info=True
        )
        assert sum(p.numel() for p in model.parameters()) == expected.parts[part].parameters
        assert {name: list(keys) for name, keys in report.items() if keys} == {}


def test_weights_keep_the_size_of_what_goes_through_them(narrow: Path):
    tensors = load_file(narrow / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    for name, tensor in tensors.items():
        if name.endswith("bias"):
            assert not tensor.any(), name
        elif "norm" in name:
            assert (tensor == 1).all(), name
    kernel = tensors["down_blocks.0.resnets.0.conv1.weight"].float()  # (32, 32, 3, 3)
    assert float(kernel.std()) == pytest.approx((32 * 9) ** -0.5, rel=0.03)
    assert abs(float(kernel.mean())) < 0.002


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(narrow: Path):
    write_random(NARROW, "again")
    write_random(NARROW, "other", seed=1)
    assert files(Path("again")) == files(narrow)
    before, after = files(narrow), files(Path("other"))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"README.md", *(f"{stem}.fp16.safetensors" for stem in WEIGHTS)}


def test_full_precision_has_plain_names_and_the_numbers_before_rounding(narrow: Path):
    Path("full").mkdir()
    write_random(NARROW, "full", dtype=torch.float32)
    for stem in WEIGHTS:
        full = load_file(Path("full") / f"{stem}.safetensors")
        half = load_file(narrow / f"{stem}.fp16.safetensors")
        assert full.keys() == half.keys()
        assert {t.dtype for t in full.values()} == {torch.float32}
        assert all(torch.equal(full[name].half(), half[name]) for name in full)
    assert load("full", device="cpu").dtype == torch.float32


# The model


def test_it_draws_what_diffusers_draws(narrow: Path):
    pipe = StableDiffusionPipeline.from_pretrained(
        narrow, variant="fp16", safety_checker=None, dtype=torch.float32
    )
    pipe.set_progress_bar_config(disable=True)
    how = {"height": 64, "width": 96, "guidance_scale": 7.5}
    seeds = [torch.Generator().manual_seed(7)]
    [theirs] = pipe("a red house", num_inference_steps=2, generator=seeds, **how).images
    sd = load(narrow, device="cpu")
    assert (sd.dtype, sd.image_size) == (torch.float32, 512)
    [ours] = sd.generate("a red house", seeds=[7], num_steps=2, **how)
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    assert ours.size == (96, 64)
    assert np.asarray(ours).std() > 10  # not one colour


def test_the_words_matter(narrow: Path):
    sd = load(narrow, device="cpu")
    latents = sd.init_latents([0], height=64, width=64)
    states = sd.encode_text(["a red house", "a blue boat at night"])
    one, two = (sd.predict_noise(latents, 500, state[None]) for state in states)
    assert (one - two).abs().max() > 0.1


def test_it_stays_finite_in_half_precision(narrow: Path):
    sd = load(narrow, device="cpu", dtype=torch.float16)
    [*_, last] = sd.denoise(
        sd.init_latents([0], height=64, width=64),
        sd.encode_text("a red house"),
        num_steps=2,
        guidance_scale=1,
    )
    assert last.next_latents.dtype == torch.float16
    assert last.next_latents.isfinite().all()
    assert sd.decode(last.next_latents).isfinite().all()
    assert 0.1 < last.eps.float().std() < 10


def test_the_scheduler_is_that_of_sd15(narrow: Path):
    scheduler = load(narrow, device="cpu").scheduler
    assert type(scheduler).__name__ == "PNDMScheduler"
    scheduler.set_timesteps(50)
    assert scheduler.timesteps[:3].tolist() == [981, 961, 961]  # "leading", offset 1, one twice
    assert scheduler.timesteps[-1] == 1
    assert len(scheduler.timesteps) == 51


def test_every_id_of_the_tokenizer_has_its_row_in_the_table(narrow: Path):
    sd = load(narrow, device="cpu")
    assert len(sd.tokenizer) <= sd.text_encoder.config.vocab_size == 49408


# Refusals, and nothing left behind


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        (
            {"dtype": torch.bfloat16},
            ValueError,
            "dtype must be torch.float16 or torch.float32; got",
        ),
        ({"dtype": "fp16"}, ValueError, "dtype must be torch.float16 or torch.float32; got 'fp16'"),
        ({"seed": -1}, ValueError, "every seed must lie in 0"),
        ({"seed": "x"}, TypeError, "every seed must be a whole number; got 'x'"),
        ({"folder": "full"}, FileExistsError, "folder must be new or empty; there is something in"),
        ({"folder": "file"}, FileExistsError, "folder must be new or empty; there is something in"),
        ({"folder": "no/such"}, ValueError, "folder's own folder must exist; there is no folder"),
    ],
)
def test_bad_input_is_refused_and_writes_nothing(
    how: dict, error: type, message: str, folder: Path
):
    Path("full").mkdir()
    Path("full/mine").touch()
    Path("file").touch()
    with pytest.raises(error, match=message):
        write_random(NARROW, **{"folder": "noise", **how})
    assert set(files(folder)) == {"full/mine", "file"}


def test_the_folder_where_you_are_is_not_swapped_for_another(folder: Path):
    with pytest.raises(ValueError, match="folder must not be where you are, nor a whole disk"):
        write_random(NARROW, ".")


def test_the_room_on_the_disk_is_looked_at_first(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    with pytest.raises(OSError, match=r"need 28.5 MB of disk, and 1.00 MB are free in .*free some"):
        write_random(NARROW, "noise")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("existed", [False, True])
def test_after_a_failure_half_way_nothing_is_left(
    folder: Path, existed: bool, monkeypatch: pytest.MonkeyPatch
):
    def save(self: AutoencoderKL, path: Path, **how: object) -> None:
        [partial] = (p for p in folder.iterdir() if p.name != "noise")
        assert (partial / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file()
        raise OSError(errno.ENOSPC, "No space left on device")

    if existed:
        Path("noise").mkdir()
    monkeypatch.setattr(AutoencoderKL, "save_pretrained", save)
    with pytest.raises(OSError, match="No space left"):
        write_random(NARROW, "noise")
    assert [p.name for p in folder.rglob("*")] == (["noise"] if existed else [])


# The command


def test_the_command_writes_the_folder_and_says_where(
    narrow: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["sd15-narrow", "noise"]) == 0
    out, err = capsys.readouterr()
    assert out == "noise\n"
    assert "unet:" in err
    assert files(Path("noise")) == files(narrow)


def test_the_command_passes_its_options_on():
    words = ["--dtype", "fp32", "--seed", "3"]
    assert main(["sd15-narrow", "noise", *words]) == 0
    write_random(NARROW, "same", dtype=torch.float32, seed=3)
    assert files(Path("noise")) == files(Path("same"))


def test_the_command_refuses_in_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]):
    Path("noise").touch()
    assert main(["sd15-narrow", "noise"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "python -m benchmarks.make_random: folder must be new or empty; there is something in"
    )


def test_ctrl_c_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def stopped(items, label, total):
        for i, item in enumerate(items):
            if (label, i) == ("unet", 100):
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(make_random, "progress_bar", stopped)
    assert main(["sd15-narrow", "noise"]) == 130
    assert list(folder.iterdir()) == []


# Full size: 2.1 GB on the disk, 6 GB of memory


WRITE = """
from benchmarks.make_random import write_random
from sdlearn.inside import SD15

write_random(SD15, "noise")
"""
STEP = """
import torch
from sdlearn import load

sd = load("noise", device="cpu")
parts = {"text_encoder": sd.text_encoder, "unet": sd.unet, "vae": sd.vae}
loaded = peak()
highest = 0.0

def look(module, inputs, output):
    global highest
    if torch.is_tensor(output):
        highest = max(highest, float(output.abs().max()))

for model in parts.values():
    for module in model.modules():
        module.register_forward_hook(look)
noise, cond = sd.init_latents([0]), sd.encode_text("a red house")
step = next(sd.denoise(noise, cond, num_steps=2, guidance_scale=1))
image = sd.decode(step.next_latents)
answer = {
    "parameters": {n: sum(p.numel() for p in m.parameters()) for n, m in parts.items()},
    "dtypes": sorted({str(p.dtype) for m in parts.values() for p in m.parameters()}),
    "loaded": loaded,
    "shapes": [list(step.next_latents.shape), list(image.shape)],
    "finite": bool(step.next_latents.isfinite().all() and image.isfinite().all()),
    "highest": highest,
}
"""


def measured(code: str) -> dict:
    """Run `code` in a process of its own: its `answer`, with its peak of memory in GB."""
    before = (
        "import json, resource, sys\n"
        "def peak():\n"
        "    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    return most / (1e9 if sys.platform == 'darwin' else 1e9 / 1024)\n"
        "answer = {}\n"
    )
    after = "\nprint(json.dumps({**answer, 'peak': peak()}))"
    done = subprocess.run(
        [sys.executable, "-c", before + code + after], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "newly initialized" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no getrusage")
def test_full_size_on_a_cpu(folder: Path):
    try:
        written = measured(WRITE)
        size = sum(path.stat().st_size for path in Path("noise").rglob("*"))
        found = measured(STEP)
    finally:
        shutil.rmtree("noise", ignore_errors=True)
    assert size == pytest.approx(2.13e9, rel=0.01)
    assert written["peak"] < 3
    assert found["parameters"] == {
        "text_encoder": 123_060_480,
        "unet": 859_520_964,
        "vae": 83_653_863,
    }
    assert found["dtypes"] == ["torch.float32"]
    assert found["shapes"] == [[1, 4, 64, 64], [1, 3, 512, 512]]
    assert found["finite"]
    assert found["highest"] < 1000  # half precision reaches 65,504
    assert found["loaded"] < 7
    assert found["peak"] < 9
