"""The safety checker: on by default where a model has one, the same as diffusers', and a switch."""

import json
import shutil
import warnings
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from sdlearn import load
from sdlearn.cli import main
from sdlearn.models.loading import find_folder

PROMPT = "a large red house on the left, on green grass"
ALL, NONE = -2.0, 2.0  # thresholds of a cosine
HOW = {"seeds": [7, 8], "num_steps": 2}


def name_it(folder: Path) -> None:
    """Let the model say that a safety checker belongs to it."""
    path = folder / "model_index.json"
    index = json.loads(path.read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    path.write_text(json.dumps(index))


def add_checker(folder: Path, threshold: float) -> Path:
    """A small random safety checker that flags what comes closer than `threshold`."""
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    tower |= {"num_attention_heads": 2, "projection_dim": 8}
    config = CLIPConfig(
        text_config=tower,
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = StableDiffusionSafetyChecker(config)
        torch.nn.init.normal_(model.concept_embeds)
        torch.nn.init.normal_(model.special_care_embeds)
    model.concept_embeds_weights.data.fill_(threshold)
    model.special_care_embeds_weights.data.fill_(NONE)
    model.save_pretrained(folder / "safety_checker")
    size = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size).save_pretrained(
        folder / "feature_extractor"
    )
    name_it(folder)
    return folder


@pytest.fixture
def model(tiny_folder, tmp_path) -> Path:
    """A copy of the model to add to; without a safety checker."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def pixels(images) -> np.ndarray:
    return np.stack([np.asarray(image) for image in images])


def test_a_model_that_has_one_uses_it(model):
    sd = load(add_checker(model, ALL), device="cpu")
    with pytest.warns(UserWarning, match="made 2 of 2 images black; .*safety_checker=False"):
        assert pixels(sd.generate(PROMPT, **HOW)).max() == 0


def test_pictures_that_are_not_flagged_stay_as_they_are(model):
    plain = load(model, device="cpu")
    sd = load(add_checker(model, NONE), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked = sd.generate(PROMPT, **HOW)
    assert np.array_equal(pixels(checked), pixels(plain.generate(PROMPT, **HOW)))


def test_the_switch_for_teachers(model):
    plain = load(model, device="cpu")
    sd = load(add_checker(model, ALL), device="cpu", safety_checker=False)
    assert sd.safety_checker is None
    assert np.array_equal(pixels(sd.generate(PROMPT, **HOW)), pixels(plain.generate(PROMPT, **HOW)))


def between(model: Path) -> float:
    """A threshold that flags one of the two images and not the other."""
    sd = load(add_checker(model, NONE), device="cpu")
    checker = sd.safety_checker.model
    seen = sd.safety_checker.processor(sd.generate(PROMPT, **HOW), return_tensors="pt").pixel_values
    towards = checker.visual_projection(checker.vision_model(seen)[1])
    closest = torch.nn.functional.cosine_similarity(
        towards[:, None], checker.concept_embeds[None], dim=2
    ).amax(1)
    assert closest[0] != closest[1]
    return float(closest.mean())


@pytest.mark.parametrize("threshold", [ALL, NONE, None], ids=["all", "none", "one of two"])
def test_flagged_is_what_diffusers_flags(model, threshold):
    threshold = between(model) if threshold is None else threshold
    add_checker(model, threshold)
    pipe = StableDiffusionPipeline.from_pretrained(model, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        [PROMPT] * 2,
        generator=[torch.Generator().manual_seed(seed) for seed in (7, 8)],
        num_inference_steps=2,
        guidance_scale=3.0,
    )
    black = [not image.any() for image in pixels(theirs.images)]
    assert sum(black) == {ALL: 2, NONE: 0}.get(threshold, 1)
    assert theirs.nsfw_content_detected == black
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = load(model, device="cpu").generate(PROMPT, **HOW)
    assert np.array_equal(pixels(ours), pixels(theirs.images))


def test_every_picture_that_comes_out_is_checked_and_latents_are_left_alone(model):
    sd = load(add_checker(model, ALL), device="cpu")
    latents = sd.init_latents([1])
    copy = latents.clone()
    with pytest.warns(UserWarning, match="made 1 of 1 images black"):
        assert sd.decode(latents).max() == 0
    assert torch.equal(latents, copy)


def test_weights_named_as_in_sd15_are_read(model):
    """The published file is from before transformers 5 and has "vision_model." twice."""
    path = add_checker(model, NONE) / "safety_checker" / "model.safetensors"
    weights = load_file(path)
    old = {name.replace("vision_model.", "vision_model." * 2): w for name, w in weights.items()}
    assert old.keys() != weights.keys()
    save_file(old, path, metadata={"format": "pt"})
    read = load(model, device="cpu").safety_checker.model.state_dict()
    assert all(torch.equal(read[name], weight) for name, weight in weights.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_it_has_the_dtype_of_the_others_and_loads_quietly(model, dtype, capfd):
    add_checker(model, NONE)
    capfd.readouterr()  # transformers' bar over the saving
    sd = load(model, device="cpu", dtype=dtype)
    out, err = capfd.readouterr()
    assert out + err == ""
    assert {p.dtype for p in sd.safety_checker.model.parameters()} == {dtype}
    assert sd.decode(sd.init_latents([0])).dtype == dtype


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_it_comes_and_goes_with_the_other_parts(model, offload, monkeypatch):
    from sdlearn.models import memory

    monkeypatch.setattr(memory, "choose_plan", lambda *a, **k: memory.MemoryPlan(offload))
    sd = load(add_checker(model, ALL), device="cpu")
    with pytest.warns(UserWarning, match="made 2 of 2"):
        assert pixels(sd.generate(PROMPT, **HOW)).max() == 0
    device = next(sd.safety_checker.model.vision_model.parameters()).device.type
    assert device == ("meta" if offload == "sequential" else "cpu")


def test_a_model_without_one_needs_none(tiny_folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(tiny_folder, device="cpu").safety_checker is None
        assert load("tiny", device="cpu").safety_checker is None


def test_one_that_is_insisted_on_must_be_there(model, tiny_folder):
    with pytest.raises(
        ValueError, match=r"safety_checker=True needs a model that has one; mis"
    ) as e:
        load(tiny_folder, safety_checker=True)
    assert "safety_checker/model.safetensors" in str(e.value)
    assert load(add_checker(model, NONE), device="cpu", safety_checker=True).safety_checker


@pytest.mark.parametrize(
    "gone", ["safety_checker/model.safetensors", "feature_extractor/preprocessor_config.json"]
)
def test_a_model_that_should_have_one_is_loaded_with_a_warning(model, gone):
    (add_checker(model, ALL) / gone).unlink()
    with pytest.warns(UserWarning, match=f"images are not checked.*missing in .*: {gone}; load"):
        assert load(model, device="cpu").safety_checker is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(model, device="cpu", safety_checker=False)


def test_a_damaged_one_is_named(model):
    path = add_checker(model, NONE) / "safety_checker" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="safety_checker is damaged and cannot be read"):
        load(model, device="cpu")


@pytest.mark.parametrize("rename", [lambda n: f"other.{n}", lambda n: n.replace("concept", "my")])
def test_weights_under_other_names_are_refused(model, rename):
    """transformers 5.23 would leave them at random: two loads would flag different images."""
    path = add_checker(model, NONE) / "safety_checker" / "model.safetensors"
    weights = load_file(path)
    save_file({rename(name): w for name, w in weights.items()}, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"weights in .*safety_checker do not fit: .* missing"):
        load(model, device="cpu")


@pytest.mark.parametrize("bad", ["no", 0, "False"])
def test_a_switch_that_is_none(bad):
    with pytest.raises(TypeError, match=f"safety_checker must be True, False or None; got {bad!r}"):
        load(safety_checker=bad)


def test_the_command_line_has_the_switch(model, folder, capsys):
    add_checker(model, ALL)
    words = ["generate", PROMPT, "--model", str(model), "--steps", "2", "--quiet", "-o"]
    assert main([*words, "black.png"]) == 0
    assert "sdlearn: the safety checker made 1 of 1 images black" in capsys.readouterr().err
    assert main([*words, "drawn.png", "--no-safety-checker"]) == 0
    assert capsys.readouterr().err == ""
    assert pixels_of("black.png").max() == 0
    assert pixels_of("drawn.png").max() > 0


def pixels_of(path: str) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


class Hub:
    """A hub whose repository has a safety checker; the cache was filled without it."""

    def __init__(self, cached: Path, online: Path | None) -> None:
        self.cached, self.online, self.asked = cached, online, []

    def __call__(self, repo: str, *, allow_patterns, local_files_only=False) -> str:
        self.asked.append((local_files_only, allow_patterns))
        if local_files_only:
            return str(self.cached)
        if self.online is None:
            raise LocalEntryNotFoundError("offline")
        return str(self.online)


@pytest.fixture
def without(model, tmp_path) -> Path:
    """A model that should have a safety checker, but was downloaded without."""
    folder = Path(shutil.copytree(model, tmp_path / "without"))
    name_it(folder)
    return folder


def test_the_hub_is_asked_for_it_when_it_is_wanted(model, without, monkeypatch):
    hub = Hub(without, add_checker(model, NONE))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert find_folder("me/mine", checker=False) == without
    assert not any("safety_checker" in p for p in hub.asked[-1][1])
    assert find_folder("me/mine", checker=True) == model
    local, patterns = hub.asked[-1]
    assert not local
    assert "safety_checker/model.safetensors" in patterns
    assert load("me/mine", device="cpu").safety_checker is not None
    assert load("me/mine", device="cpu", safety_checker=False).safety_checker is None


def test_a_cache_without_it_is_good_enough_when_the_hub_has_none_either(without, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Hub(without, without))
    with pytest.warns(UserWarning, match="images are not checked"):
        assert load("me/mine", device="cpu").safety_checker is None


def test_a_cache_without_it_is_good_enough_without_network(without, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Hub(without, None))
    with pytest.warns(UserWarning, match="images are not checked"):
        assert load("me/mine", device="cpu").safety_checker is None
