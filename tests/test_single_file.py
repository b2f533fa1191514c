"""Checkpoints in one file: read offline as diffusers reads them, or named for what they are."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from sdlearn import load
from sdlearn.models import single_file

# Every level, block and head of SD 1.5, as narrow as can be.
NARROW = {
    "text_encoder": {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2},
    "unet": {"block_out_channels": (8, 8, 16, 16), "cross_attention_dim": 16},
    "vae": {"block_out_channels": (4, 4, 8, 8), "norm_num_groups": 2},
}
NARROW["unet"] |= {"norm_num_groups": 4, "sample_size": 8}
HOW = {"num_inference_steps": 2, "guidance_scale": 7.5, "height": 64, "width": 64}

# From diffusers' names to CompVis', written down from CompVis' own modules (ldm/modules).
UNET = [
    (r"conv_in", "input_blocks.0.0"),
    (r"time_embedding\.linear_1", "time_embed.0"),
    (r"time_embedding\.linear_2", "time_embed.2"),
    (r"conv_norm_out", "out.0"),
    (r"conv_out", "out.2"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
    (r"mid_block\.attentions\.0", "middle_block.1"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", lambda m: f"input_blocks.{down(m)}.0"),
    (r"down_blocks\.(\d)\.attentions\.(\d)", lambda m: f"input_blocks.{down(m)}.1"),
    (
        r"down_blocks\.(\d)\.downsamplers\.0\.conv",
        lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op",
    ),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"output_blocks.{up(m)}.0"),
    (r"up_blocks\.(\d)\.attentions\.(\d)", lambda m: f"output_blocks.{up(m)}.1"),
    (
        r"up_blocks\.(\d)\.upsamplers\.0",
        lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{1 if m[1] == '0' else 2}",
    ),
    (r"(?<!transformer_blocks\.0\.)norm1", "in_layers.0"),
    (r"conv1", "in_layers.2"),
    (r"time_emb_proj", "emb_layers.1"),
    (r"(?<!transformer_blocks\.0\.)norm2", "out_layers.0"),
    (r"conv2", "out_layers.3"),
    (r"conv_shortcut", "skip_connection"),
]
VAE = [
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"group_norm", "norm"),
    (r"to_([qkv])", r"\1"),
    (r"to_out\.0", "proj_out"),
]


def down(match: re.Match) -> int:
    return 3 * int(match[1]) + int(match[2]) + 1


def up(match: re.Match) -> int:
    return 3 * int(match[1]) + int(match[2])


def compvis(model: torch.nn.Module, prefix: str, table: list) -> dict[str, Tensor]:
    """The weights of a part under CompVis' names."""
    found = {}
    for name, tensor in model.state_dict().items():
        for pattern, new in table:
            name = re.sub(rf"\b{pattern}\b", new, name)
        square = ".attn_1." in name and "norm" not in name and tensor.ndim == 2
        found[prefix + name] = tensor[..., None, None] if square else tensor  # 1x1 convolutions
    return {name: tensor.contiguous() for name, tensor in found.items()}


def checkpoint(channels: int = 4) -> tuple[dict[str, Tensor], dict[str, torch.nn.Module]]:
    """A small random SD 1.x in CompVis' layout, and the models that are in it."""
    configs = single_file.CONFIGS
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = {
            "unet": UNet2DConditionModel(**configs["unet"] | {"in_channels": channels}),
            "vae": AutoencoderKL(**configs["vae"]),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**configs["text_encoder"])),
        }
    prefixes = single_file.PREFIXES
    text = {"text_model." + n: t for n, t in parts["text_encoder"].state_dict().items()}
    tensors = {
        **compvis(parts["unet"].eval(), prefixes["unet"], UNET),
        **compvis(parts["vae"].eval(), prefixes["vae"], VAE),
        **{prefixes["text_encoder"] + name: tensor for name, tensor in text.items()},
        # What else is in published files and is not read:
        "alphas_cumprod": torch.zeros(1000),
        "model_ema.decay": torch.zeros(()),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
    }
    return tensors, parts


@pytest.fixture
def narrow(monkeypatch) -> None:
    for part, fields in NARROW.items():
        monkeypatch.setitem(single_file.CONFIGS, part, single_file.CONFIGS[part] | fields)


@pytest.fixture
def file(narrow, tmp_path) -> Path:
    path = tmp_path / "v1-5-pruned.safetensors"
    save_file(checkpoint()[0], path)
    return path


def test_names_of_compvis_are_the_published_ones(narrow):
    """A few of v1-5-pruned.safetensors, as a check of the tables above."""
    names = {
        "model.diffusion_model.input_blocks.3.0.op.weight",
        "model.diffusion_model.input_blocks.7.0.skip_connection.weight",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.output_blocks.2.1.conv.weight",
        "model.diffusion_model.output_blocks.5.2.conv.weight",
        "model.diffusion_model.output_blocks.9.0.in_layers.0.weight",
        "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm3.bias",
        "first_stage_model.decoder.up.3.upsample.conv.weight",
        "first_stage_model.encoder.mid.attn_1.q.weight",
        "first_stage_model.quant_conv.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    }
    assert names <= set(checkpoint()[0])


def test_a_file_is_drawn_as_diffusers_draws_its_parts(file):
    _, parts = checkpoint()
    pipe = StableDiffusionPipeline(
        **parts,
        tokenizer=single_file.clip_tokenizer(),
        scheduler=PNDMScheduler.from_config(single_file.SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    prompt = "an astronaut riding a horse"
    expected = pipe(prompt, generator=torch.Generator().manual_seed(7), **HOW).images[0]
    sd = load(file, device="cpu")
    [image] = sd.generate(prompt, seeds=[7], num_steps=2, guidance_scale=7.5)
    assert image.size == (64, 64)
    assert np.array_equal(np.asarray(image), np.asarray(expected))
    assert sd.tokenizer(prompt).input_ids == [49406, 550, 18376, 6765, 320, 4558, 49407]


def test_an_inpainting_file_keeps_its_nine_channels(narrow, tmp_path):
    save_file(checkpoint(9)[0], tmp_path / "inpainting.safetensors")
    assert load(tmp_path / "inpainting.safetensors").unet.config.in_channels == 9


@pytest.mark.parametrize("part", single_file.PREFIXES)
def test_a_tensor_that_is_missing_is_an_error(file, part):
    tensors = load_file(file)
    names = [name for name in tensors if name.startswith(single_file.PREFIXES[part])]
    del tensors[names[len(names) // 2]]
    save_file(tensors, file)
    kind = {"text_encoder": "CLIPTextModel", "vae": "AutoencoderKL"}.get(part, "UNet2DCondition")
    with pytest.raises(ValueError, match=f"1 tensors of {kind}.* are missing, '.*' is one of them"):
        load(file, device="cpu")


def only(*names: str) -> Callable[[Path], None]:
    return lambda path: save_file({name: torch.zeros(1) for name in names}, path)


def without(part: str) -> Callable[[Path], None]:
    prefix = single_file.PREFIXES[part]

    def make(path: Path) -> None:
        save_file({n: t for n, t in checkpoint()[0].items() if not n.startswith(prefix)}, path)

    return make


REFUSED = {  # file → (how it is made, what the sentence says)
    "xl.safetensors": (only("conditioner.embedders.0.transformer.x"), "is SDXL in one file"),
    "sd3.safetensors": (only("model.diffusion_model.joint_blocks.0.x"), "is Stable Diffusion 3"),
    "flux.safetensors": (only("double_blocks.0.x"), "is FLUX in one file"),
    "sd2.safetensors": (only("cond_stage_model.model.ln_final.bias"), "2 in one file; give its fo"),
    "lora.safetensors": (only("lora_unet_x.alpha"), "is a LoRA"),
    "token.safetensors": (only("emb_params"), "is a learnt token"),
    "unet.safetensors": (only("down_blocks.0.x"), "holds one part of a model"),
    "any.safetensors": (only("x"), "is no Stable Diffusion"),
    "novae.safetensors": (without("vae"), "is not complete: it has no vae"),
    "edit.safetensors": (lambda path: save_file(checkpoint(8)[0], path), "edits images by instr"),
    "lfs.safetensors": (
        lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
        "is a Git LFS pointer",
    ),
    "page.safetensors": (lambda path: path.write_bytes(b"<!DOCTYPE html>"), "is a web page"),
    "cut.safetensors": (lambda path: path.write_bytes(b"\x99" * 50), "damaged and cannot be read"),
    "old.ckpt": (lambda path: path.write_bytes(b"PK"), "is a pickle, .* convert it: "),
    "image.png": (lambda path: path.write_bytes(b"PNG"), "is no model; give a folder"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_of_another_kind_is_refused_in_a_sentence(narrow, tmp_path, name):
    make, sentence = REFUSED[name]
    make(tmp_path / name)
    with pytest.raises(ValueError, match=sentence) as caught:
        load(tmp_path / name, device="cpu")
    assert "\n" not in str(caught.value)


def test_how_a_pickle_is_converted(file):
    """What the sentence says is run as it stands."""
    old = file.with_suffix(".ckpt")
    torch.save({"state_dict": load_file(file), "global_step": 1}, old)
    file.rename(file.with_name("kept"))
    with pytest.raises(ValueError, match="convert it") as caught:
        load(old)
    import safetensors.torch

    eval(
        str(caught.value).partition("convert it: ")[2], {"torch": torch, "safetensors": safetensors}
    )
    kept, new = load_file(file.with_name("kept")), load_file(file)
    assert all(torch.equal(new[name], tensor) for name, tensor in kept.items())


def test_a_file_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("models/x.safetensors", "./x.safetensors", r"C:\x.safetensors", "a/x.ckpt"):
        with pytest.raises(FileNotFoundError, match="there is no file .* here; check the name"):
            load(name)


def test_a_folder_with_nothing_but_a_checkpoint_names_it(file):
    with pytest.raises(FileNotFoundError, match=f"in one file, such as {file.name} there"):
        load(file.parent)
