#!/usr/bin/env bash
# diffusers 0.42.1 with peft 0.21.2: `unfuse_lora` takes out the strength of now, not the one that was fused,
# and leaves the LoRA weaker than it was.
#
# 1. `fuse_lora(lora_scale=0.5)` multiplies the LoRA's strength itself; `unfuse_lora` does not give it back. After
#    fuse and unfuse the LoRA draws at half strength, after three rounds at an eighth.
# 2. `set_adapters("style", 1.0)` while fused changes nothing in sight (fused layers do not look at it), but
#    `unfuse_lora` then subtracts 1.0 of the LoRA where 0.5 was added. The *base weights* are wrong from then on, also
#    after `unload_lora_weights`: the plain model now holds minus one half of the LoRA, and `save_pretrained` keeps it.
#    `set_adapters` is what one calls to repair 1.
# No exception, no warning.
#
# A good engineer's guess: unfuse undoes fuse ("Reverses the effect of fuse_lora").
#
# Seen (latents; `like x` is the strength of a fresh LoRA that gives the same image to 0.001):
#     round 1: fused like [0.5], unfused like [0.5]
#     round 2: fused like [0.25], unfused like [0.25]
#     round 3: fused like [0.125], unfused like [0.125]
#     fuse at 0.5, unfuse, unload:              from the plain model 0.000
#     fuse at 0.5, set 1.0, unfuse, unload:     from the plain model 2.225
#     the same with a strength of 1.0 for both: from the plain model 0.000
# Way round: set the strength before fusing, touch nothing until unfused, set it again after.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 accelerate==1.15.0 peft==0.21.2 \
    safetensors==0.8.0 tokenizers==0.23.3 huggingface_hub==2.4.0 numpy==2.4.6
cd "$dir"
export HF_HUB_OFFLINE=1 HF_HOME="$dir/hf" TOKENIZERS_PARALLELISM=false PYTHONWARNINGS=ignore
"$dir/venv/bin/python" - <<'PYTHON'
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig
from transformers import CLIPTextConfig, CLIPTextModel


def make_unet(seed):
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    ).eval()


def make_pipeline():
    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(16,), norm_num_groups=8, sample_size=8)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=54, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
            num_attention_heads=4, bos_token_id=52, eos_token_id=53, pad_token_id=53,
        )
    ).eval()
    pipe = StableDiffusionPipeline(
        vae=vae, text_encoder=text_encoder, tokenizer=None, unet=make_unet(0),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            clip_sample=False, steps_offset=1,
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, **kwargs):
    embeds = torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(1))
    return pipe(
        prompt_embeds=embeds, negative_prompt_embeds=embeds * 0, num_inference_steps=4,
        generator=torch.Generator().manual_seed(2), output_type="latent", **kwargs,
    ).images


def apart(a, b):
    return (a - b).abs().max().item()


def add_lora(unet):
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v"]), "style")
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.3)  # stands for a trained LoRA


def with_lora(strength=None):
    pipe = make_pipeline()
    add_lora(pipe.unet)
    if strength is not None:
        pipe.set_adapters("style", strength)
    return pipe


fresh = {strength: draw(with_lora(strength)) for strength in (1.0, 0.5, 0.25, 0.125)}
plain = draw(make_pipeline())


def like(pipe):
    image = draw(pipe)
    return [strength for strength, wanted in fresh.items() if apart(image, wanted) < 1e-3]


pipe = with_lora()
assert like(pipe) == [1.0]
for i, expected in enumerate((0.5, 0.25, 0.125), 1):
    pipe.fuse_lora(components=["unet"], lora_scale=0.5)
    fused = like(pipe)
    pipe.unfuse_lora(components=["unet"])
    unfused = like(pipe)
    print(f"round {i}: fused like {fused}, unfused like {unfused}")
    assert fused == unfused == [expected], "unfusing gives the strength back now"


def residue(fused_at, set_to=None):
    pipe = with_lora(fused_at)
    pipe.fuse_lora(components=["unet"])
    if set_to is not None:
        before = draw(pipe)
        pipe.set_adapters("style", set_to)
        assert torch.equal(draw(pipe), before)
    pipe.unfuse_lora(components=["unet"])
    pipe.unload_lora_weights()
    return apart(draw(pipe), plain)


clean, changed, same = residue(0.5), residue(0.5, 1.0), residue(1.0, 1.0)
print(f"fuse at 0.5, unfuse, unload:              from the plain model {clean:.3f}")
print(f"fuse at 0.5, set 1.0, unfuse, unload:     from the plain model {changed:.3f}")
print(f"the same with a strength of 1.0 for both: from the plain model {same:.3f}")
assert clean < 1e-3 and same < 1e-3
assert changed > 0.1, "unfusing takes out what was fused now"
PYTHON
