"""The light path from the shell to the PNG: the same images, without diffusers and transformers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from sdlearn import load
from sdlearn.cli import main
from sdlearn.diffusion import SCHEDULERS
from sdlearn.evaluation.prompts import find_prompts
from sdlearn.models.light import Tokenizer, load_light
from sdlearn.models.loading import TINY
from sdlearn.models.tokenizing import padded_ids, text_of, token_ids
from sdlearn.pipeline import StableDiffusion

PROMPT = "a large red house on the left, on green grass"
NOT_NEEDED = {"diffusers", "transformers", "peft", "accelerate", "huggingface_hub", "torchvision"}
NOT_NEEDED |= {"matplotlib", "scipy", "sympy", "onnx", "IPython", "ipywidgets", "torch._dynamo"}


@pytest.fixture(scope="module")
def fast():
    return load("tiny", device="cpu", compile=True)


@pytest.fixture(scope="module")
def quick():
    parts = load_light(TINY)
    assert parts is not None
    return StableDiffusion("tiny", **parts._asdict(), device=torch.device("cpu"), folder=TINY)


def pixels(images) -> np.ndarray:
    return np.stack([np.asarray(image, dtype=int) for image in images])


# The same images


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
def test_images_are_those_of_the_compiled_model(fast, quick, name):
    how = {"scheduler": name, "num_steps": 4, "seeds": [7], "height": 32, "width": 64}
    ours, theirs = (pixels(sd.generate(PROMPT, **how)) for sd in (quick, fast))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    "how",
    [
        {"seeds": [1, 2, 3], "negative_prompt": "a blue boat"},
        {"guidance_scale": 1},
        {"guidance_scale": 0},
        {"height": 64, "width": 96, "num_steps": 7},
    ],
    ids=str,
)
def test_at_other_settings_too(fast, quick, how):
    how = {"num_steps": 3, **how}
    assert np.array_equal(*(pixels(sd.generate(PROMPT, **how)) for sd in (quick, fast)))


@pytest.fixture(scope="module")
def tokenizers():
    return CLIPTokenizer.from_pretrained(TINY / "tokenizer"), Tokenizer(TINY / "tokenizer")


TEXTS = [
    "",
    "A BIG  blue\tboat!!",
    "naïve café ☃ 雪, don't",
    "a (red:1.5) house",
    "<|endoftext|> a cat",
    "a red house " * 40,
]


@pytest.mark.filterwarnings("ignore")
def test_the_tokenizer_reads_as_that_of_transformers_does(tokenizers):
    theirs, ours = tokenizers
    texts = [*TEXTS, *(prompt.text for prompt in find_prompts("handwritten", 1000))]
    for to_longest in (False, True):
        assert torch.equal(*(padded_ids(t, texts, to_longest=to_longest) for t in tokenizers))
    for text in texts:
        ids = token_ids(ours, text)
        assert ids == token_ids(theirs, text)
        assert text_of(ours, ids[1:-1]) == text_of(theirs, ids[1:-1])


def test_a_prompt_that_is_cut_off_is_told_of_in_the_same_words(tokenizers):
    said = []
    for tokenizer in tokenizers:
        with pytest.warns(UserWarning, match="the prompt has 122 tokens") as caught:
            padded_ids(tokenizer, TEXTS[-1])
        said.append(str(caught[0].message))
    assert said[0] == said[1]


# When it is taken


def draw(*words: str) -> np.ndarray:
    assert main(["generate", PROMPT, "--steps", "2", "--quiet", "-o", "a.png", *words]) == 0
    with Image.open("a.png") as image:
        return np.asarray(image, dtype=int)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which models `sdlearn generate` loaded as `load` does, with all that is to see in them."""
    seen: list[str] = []

    def noted(name: str, **how: object) -> StableDiffusion:
        seen.append(name)
        return load(name, **how)

    monkeypatch.setattr("sdlearn.pipeline.load", noted)
    return seen


@pytest.mark.usefixtures("folder")
def test_the_command_takes_it_and_exact_takes_torch(loaded: list[str]):
    torchs = pixels(load("tiny", device="cpu").generate(PROMPT, num_steps=2))[0]
    ours = draw("--device", "cpu")
    assert loaded == []
    exact = draw("--device", "cpu", "--exact", "--force")
    assert loaded == ["tiny"]
    assert np.array_equal(exact, torchs)
    assert abs(ours - torchs).max() <= 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "words",
    [
        ["--size", "40x32"],  # five cells do not halve twice
        ["--dtype", "bfloat16"],
        ["--memory", "8GB"],
        ["--image", "begin.png"],
    ],
    ids=lambda words: words[0],
)
def test_what_asks_for_more_is_loaded_as_a_whole(loaded: list[str], words: list[str]):
    Image.new("RGB", (128, 128), "green").save("begin.png")
    draw("--device", "cpu", *words)
    assert loaded == ["tiny"]


def edit(folder: Path, name: str, **changes: object) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def without_graphs(folder: Path) -> None:
    shutil.rmtree(folder / "graphs")


def with_other_layers(folder: Path) -> None:
    edit(folder, "unet/config.json", norm_eps=1e-4)


def with_a_checker(folder: Path) -> None:
    edit(folder, "model_index.json", safety_checker=["diffusers", "Checker"])


def with_another_solver(folder: Path) -> None:
    edit(folder, "model_index.json", scheduler=["diffusers", "PNDMScheduler"])


def with_zero_snr(folder: Path) -> None:
    edit(folder, "scheduler/scheduler_config.json", rescale_betas_zero_snr=True)


def with_damaged_weights(folder: Path) -> None:
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))


def with_a_damaged_tokenizer(folder: Path) -> None:
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")


def with_a_damaged_graph(folder: Path) -> None:
    for path in (folder / "graphs").iterdir():
        path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    "change",
    [
        without_graphs,
        with_other_layers,
        with_a_checker,
        with_another_solver,
        with_zero_snr,
        with_damaged_weights,
        with_a_damaged_tokenizer,
        with_a_damaged_graph,
    ],
)
def test_a_model_that_is_unusual_or_damaged_is_left_to_load(tmp_path: Path, change):
    folder = shutil.copytree(TINY, tmp_path / "model")
    assert load_light(folder) is not None
    change(folder)
    assert load_light(folder) is None


def test_without_onnx_runtime_it_is_left_to_load(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert load_light(TINY) is None


@pytest.mark.slow
def test_from_the_shell_nothing_is_imported_that_an_image_does_not_need(folder: Path):
    words = ["generate", PROMPT, "--steps", "2", "--quiet", "--device", "cpu", "-o", "a.png"]
    code = f"from sdlearn.cli import main; import sys; main({words!r}); print(*sys.modules)"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert NOT_NEEDED & set(done.stdout.split()) == set()
    assert (folder / "a.png").is_file()
