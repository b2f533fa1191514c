"""Folders from the wild: drawn as diffusers draws them, or refused in one sentence.

Each row is a small copy, with random weights, of something that people have: a public repository,
a bug report, a half-finished download.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AsymmetricAutoencoderKL,
    AutoencoderTiny,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from sdlearn import load
from sdlearn.models.layout import MODELS

PROMPT, STEPS = "a red house on the left", 2
UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3438167536\n"
HTML = b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title>"


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the model to edit."""
    copy = shutil.copytree(tiny_folder, tmp_path / "model")
    (copy / "checksums.json").unlink()
    return copy


def theirs(folder: Path, **how) -> np.ndarray:
    """The image that diffusers draws."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, **how)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(7)
    how = {"guidance_scale": 3.0, "num_inference_steps": STEPS, "generator": generator}
    return np.asarray(pipe(PROMPT, **how).images[0])


def ours(folder: Path) -> np.ndarray:
    sd = load(folder, device="cpu")
    return np.asarray(sd.generate(PROMPT, seeds=[7], num_steps=STEPS, guidance_scale=3.0)[0])


# Edits of a folder


def edit(path: Path, **fields) -> None:
    """Change fields of a JSON file; None removes one."""
    content = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not ...}))


def configure(part: str, **fields) -> Callable[[Path], None]:
    """A row that changes a part's config; `...` removes a field."""
    return lambda folder: edit(next((folder / part).glob("*config.json")), **fields)


def rename_weights(folder: Path, variant: str, parts=MODELS) -> None:
    for part in parts:
        path = folder / part / f"{MODELS[part]}.safetensors"
        path.rename(path.with_name(f"{MODELS[part]}.{variant}.safetensors"))


def rekey(path: Path, rename: Callable[[str], str]) -> None:
    tensors = {rename(name): tensor for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def shard(folder: Path, variant: str | None = None) -> None:
    """Write U-Net and text encoder again in many files and an index."""
    for cls, part in ((UNet2DConditionModel, "unet"), (CLIPTextModel, "text_encoder")):
        model = cls.from_pretrained(folder / part, dtype=torch.float32)
        (folder / part / f"{MODELS[part]}.safetensors").unlink()
        model.save_pretrained(folder / part, max_shard_size="300KB", variant=variant)
        assert len(list((folder / part).glob("*-of-*.safetensors"))) > 1
    if variant:
        rename_weights(folder, variant, ["vae"])


def new_unet(**changes) -> Callable[[Path], None]:
    """A row whose U-Net is another one."""

    def write(folder: Path) -> None:
        config = UNet2DConditionModel.load_config(folder / "unet") | changes
        with torch.random.fork_rng():
            torch.manual_seed(1)
            UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")

    return write


def new_vae(cls: type, **config) -> Callable[[Path], None]:
    """A row whose autoencoder is of another class."""

    def write(folder: Path) -> None:
        shutil.rmtree(folder / "vae")
        with torch.random.fork_rng():
            torch.manual_seed(1)
            cls(**config).save_pretrained(folder / "vae")
        edit(folder / "model_index.json", vae=["diffusers", cls.__name__])

    return write


def old_vae_names(folder: Path) -> None:
    """The names of before diffusers 0.15 for the attention in the middle."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(key: str) -> str:
        for new, name in old.items():
            key = key.replace(f"attentions.0.{new}", f"attentions.0.{name}")
        return key

    rekey(folder / "vae" / "diffusion_pytorch_model.safetensors", rename)
    assert "query" in str(load_file(folder / "vae" / "diffusion_pytorch_model.safetensors").keys())


def remove(*names: str) -> Callable[[Path], None]:
    """A row in which files or folders are missing."""

    def take(folder: Path) -> None:
        for name in names:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return take


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def pickle_weights(folder: Path) -> None:
    for part, stem in MODELS.items():
        path = folder / part / f"{stem}.safetensors"
        name = "pytorch_model.bin" if part == "text_encoder" else f"{stem}.bin"
        torch.save(load_file(path), path.with_name(name))
        path.unlink()


def pointers_beside_fp16(folder: Path) -> None:
    """As `git lfs pull --include "*fp16*"` leaves a clone."""
    rename_weights(folder, "fp16")
    for part, stem in MODELS.items():
        (folder / part / f"{stem}.safetensors").write_bytes(LFS)


FOUR = (8, 8, 8, 8)
TINY_VAE = {"encoder_block_out_channels": FOUR, "decoder_block_out_channels": FOUR}
BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 4}
BLOCKS |= {"up_block_types": ("UpDecoderBlock2D",) * 4, "norm_num_groups": 4}
WIDER_UP = {**BLOCKS, "down_block_out_channels": FOUR, "up_block_out_channels": (16,) * 4}
NO_LENGTH = configure("tokenizer", model_max_length=..., max_length=...)

DRAWN = {  # what → (how the folder is made, how diffusers is asked for it; None: as if not edited)
    "sharded": (shard, {}),
    "sharded fp16": (lambda folder: shard(folder, "fp16"), {"variant": "fp16"}),
    "bf16 only": (lambda folder: rename_weights(folder, "bf16"), {"variant": "bf16"}),
    "non_ema U-Net": (lambda f: rename_weights(f, "non_ema", ["unet"]), {"variant": "non_ema"}),
    "fp16 U-Net alone": (lambda f: rename_weights(f, "fp16", ["unet"]), {"variant": "fp16"}),
    "pointers beside fp16": (pointers_beside_fp16, {"variant": "fp16"}),
    "text keys without prefix": (
        lambda folder: rekey(folder / TEXT, lambda key: key.removeprefix("text_model.")),
        {},
    ),
    "old names in the VAE": (old_vae_names, {}),
    "no tokenizer_config.json": (remove("tokenizer/tokenizer_config.json"), None),
    "no model_max_length": (NO_LENGTH, None),
    "vocab.json and merges.txt": (remove("tokenizer/tokenizer.json"), {}),
    "rectangular": (configure("unet", sample_size=[8, 12]), {}),
    "AutoencoderTiny": (new_vae(AutoencoderTiny, **TINY_VAE), {}),
    "AsymmetricAutoencoderKL": (new_vae(AsymmetricAutoencoderKL, **WIDER_UP), {}),
    "no block in the middle": (new_unet(mid_block_type=None), {}),
    "heads as in SD 2": (new_unet(attention_head_dim=[2, 4], use_linear_projection=True), {}),
    "only cross-attention": (new_unet(only_cross_attention=True), {}),
    "states projected": (new_unet(encoder_hid_dim=128, cross_attention_dim=64), {}),
    "odd sides halved down": (new_unet(downsample_padding=0, sample_size=[9, 15]), {}),
    "another part": (lambda folder: edit(folder / "model_index.json", controlnet=[None, None]), {}),
}


@pytest.mark.parametrize("row", DRAWN)
def test_a_folder_is_drawn_as_diffusers_draws_it(folder, tiny_folder, row):
    make, how = DRAWN[row]
    make(folder)
    expected = theirs(tiny_folder) if how is None else theirs(folder, **how)
    assert np.array_equal(ours(folder), expected)


def refused(name: str, **fields) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "model_index.json", _class_name=name, **fields)


REFUSED = {  # what → (how the folder is made, what the sentence says)
    "pickles only": (pickle_weights, r"text_encoder, unet, vae only as pickles .* convert them: "),
    "pointer": (write(UNET, LFS), f"{UNET} is a Git LFS pointer .*'git lfs pull'"),
    "web page": (write(TEXT, HTML), f"{TEXT} is a web page .*by its direct link"),
    "config is a web page": (write("unet/config.json", HTML), "config.json is a web page"),
    "vocabulary is a pointer": (write("tokenizer/tokenizer.json", LFS), "tokenizer.json is a Git"),
    "no U-Net": (remove("unet"), "not complete; missing: unet/config.json, unet/diff"),
    "no weights": (remove(UNET), f"not complete; missing: {UNET}"),
    "no tokenizer": (remove("tokenizer"), "not complete; missing: tokenizer/tokenizer.json"),
    "half a tokenizer": (
        remove("tokenizer/tokenizer.json", "tokenizer/merges.txt"),
        "missing: tokenizer/tokenizer.json",
    ),
    "5 channels": (configure("unet", in_channels=5), "U-Net with 5 channels, .* a depth map; "),
    "7 channels": (configure("unet", in_channels=7), "U-Net with 7 channels, .* enlarges images"),
    "8 channels": (configure("unet", in_channels=8), "U-Net with 8 channels, .* by instruction"),
    "class labels": (configure("unet", class_embed_type="projection"), "needs class labels"),
    "numbered classes": (configure("unet", num_class_embeds=1000), "needs class labels"),
    "states of an image": (configure("unet", encoder_hid_dim_type="image_proj"), "image_proj"),
    "SDXL": (refused("StableDiffusionXLPipeline"), r"is SDXL \(StableDiffusionXLPipeline\)"),
    "two text encoders": (refused("Mine", text_encoder_2=["transformers", "X"]), "two text enc"),
    "SD 3": (refused("StableDiffusion3Pipeline"), "is Stable Diffusion 3"),
    "FLUX": (refused("FluxPipeline"), "is FLUX"),
    "DiT": (refused("Mine", transformer=["diffusers", "X"]), "diffusion transformer in place of"),
    "T5": (configure("text_encoder", model_type="t5"), "text encoder of another kind .*t5"),
    "VQ": (configure("vae", _class_name="VQModel"), "autoencoder of class VQModel"),
    "widths": (configure("unet", cross_attention_dim=96), "have width 128, and its U-Net takes 96"),
    "248 tokens": (configure("tokenizer", model_max_length=248), "is 248, and .* 77 positions"),
    "index is a list": (write("model_index.json", b"[]"), "model_index.json is damaged"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_a_folder_is_refused_in_a_sentence(folder, row):
    make, sentence = REFUSED[row]
    make(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as caught:
        load(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_shard_that_is_missing_is_named(folder):
    shard(folder)
    gone = sorted((folder / "unet").glob("*-of-*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=f"not complete; missing: unet/{gone.name}"):
        load(folder, device="cpu")


def test_what_is_read_is_said_where_it_is_not_what_was_asked_for(folder, capsys):
    rename_weights(folder, "non_ema", ["unet"])
    load(folder, device="cpu")
    assert f"sdlearn: {folder}: weights read: non_ema of unet\n" == capsys.readouterr().err


def test_a_model_without_a_size_of_its_own_is_asked_for_one(folder):
    edit(folder / "unet" / "config.json", sample_size=None)
    sd = load(folder, device="cpu")
    with pytest.raises(ValueError, match=r"height and width must be given, .*sample_size is null"):
        sd.generate(PROMPT)
    assert sd.generate(PROMPT, height=64, width=96, num_steps=1)[0].size == (96, 64)
    assert "images of any size" in repr(sd)
    sd.size = (64, 64)
    assert sd.generate(PROMPT, num_steps=1)[0].size == (64, 64)


def test_an_image_is_encoded_by_a_tiny_autoencoder(folder):
    DRAWN["AutoencoderTiny"][0](folder)
    sd = load(folder, device="cpu")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = sd.vae.encode(images * 2 - 1).latents
    assert torch.equal(sd.encode_image(images), expected)


def test_how_pickles_are_converted(folder):
    """What the sentence says is run as it stands."""
    expected = ours(folder)
    pickle_weights(folder)
    with pytest.raises(ValueError, match="convert them") as caught:
        load(folder, device="cpu")
    code = str(caught.value).partition("convert them: ")[2]
    new = folder.with_name("new")
    import diffusers

    eval(code, {"diffusers": diffusers, "folder": folder, "new_folder": new})
    assert np.array_equal(ours(new), expected)
