#!/usr/bin/env bash
# diffusers 0.42.1 with peft 0.21.2: one image drawn with LoRA scale 0 resets the LoRA's strength to 1, for good.
#
# `pipe.set_adapters("style", 0.3)` sets a strength. `cross_attention_kwargs={"scale": s}` multiplies it for one call;
# after the call it is divided by s again. Zero cannot be divided out, so for s = 0 the library sets "the original
# value", and takes 1 for it. So the usual comparison "with and without the LoRA" changes all later images:
# 0.3 before, 1.0 after, with the same call and the same seed. It happens inside the first U-Net call, with one
# adapter or several, each of which gets 1. No exception, no warning; `get_active_adapters` shows no strengths.
#
# A good engineer's guess: `scale` acts on this call only (it is a keyword of the call, and with 0.5 it is so), and 0 is the documented value for "without the LoRA".
#
# Seen (the largest difference of latents, whose numbers are of size 1):
#     strength 0.3 drawn again after scale 0.5:   from strength 0.3 0.000, from strength 1 6.967
#     the image at scale 0:                       from the plain model 0.000
#     strength 0.3 drawn again after scale 0:     from strength 0.3 6.967, from strength 1 0.000
# Way round: `disable_lora()` and `enable_lora()`, or `set_adapters` once more after every call with scale 0.
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


pipe = make_pipeline()
plain = draw(pipe)
add_lora(pipe.unet)
full = draw(pipe)
pipe.set_adapters("style", 0.3)
wanted = draw(pipe)


def report(name, image):
    print(f"{name} from strength 0.3 {apart(image, wanted):.3f}, from strength 1 {apart(image, full):.3f}")


draw(pipe, cross_attention_kwargs={"scale": 0.5})
after_half = draw(pipe)
report("strength 0.3 drawn again after scale 0.5:  ", after_half)
zero = draw(pipe, cross_attention_kwargs={"scale": 0.0})
print(f"the image at scale 0:                       from the plain model {apart(zero, plain):.3f}")
after_zero = draw(pipe)
report("strength 0.3 drawn again after scale 0:    ", after_zero)
assert apart(wanted, full) > 0.1 and apart(after_half, wanted) < 1e-3 and torch.equal(zero, plain)
assert apart(after_zero, full) < 1e-3, "the strength survives scale 0 now"
PYTHON
