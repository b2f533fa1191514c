#!/usr/bin/env bash
# diffusers 0.42.1 with accelerate 1.15.0 and peft 0.21.2: under offloading, `fuse_lora` loses the LoRA.
#
# With sequential CPU offloading (accelerate's `cpu_offload`, which `pipe.enable_sequential_cpu_offload()` calls for
# every part) or with group offloading to disk, the weights in the model are placeholders between calls.
# `fuse_lora` adds the LoRA to the placeholders and marks the layers as fused, so that the LoRA's own branch is
# skipped from then on. The real weights come back at the next call, without the LoRA: the image is the plain
# model's, bit for bit. After `unload_lora_weights`, the usual next step, the LoRA is gone altogether.
# No exception, no warning, and `pipe.fused_loras` says it is fused. `load_lora_weights` and `set_adapters` work under
# sequential offloading, so nothing prepares for this.
#
# A good engineer's guess: fused under offloading is fused, as under `enable_group_offload` to memory; or it raises.
#
# Seen (the largest difference of latents, whose numbers are of size 1):
#     effect of the LoRA: 7.724
#     no offloading:    with LoRA, from LoRA 0.000; fused, from LoRA 0.000, from plain 7.724; fused_loras {'style'}
#     group, to memory: with LoRA, from LoRA 0.000; fused, from LoRA 0.000, from plain 7.724; fused_loras {'style'}
#     sequential:       with LoRA, from LoRA 0.000; fused, from LoRA 7.724, from plain 0.000; fused_loras {'style'}
#     group, to disk:   with LoRA, from LoRA 0.000; fused, from LoRA 7.724, from plain 0.000; fused_loras {'style'}
#     warnings logged: 0
# Way round: fuse before offloading.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 accelerate==1.15.0 peft==0.21.2 \
    safetensors==0.8.0 tokenizers==0.23.3 huggingface_hub==2.4.0 numpy==2.4.6
cd "$dir"
export HF_HUB_OFFLINE=1 HF_HOME="$dir/hf" TOKENIZERS_PARALLELISM=false PYTHONWARNINGS=ignore
"$dir/venv/bin/python" - <<'PYTHON'
import logging
import tempfile

import accelerate
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig
from transformers import CLIPTextConfig, CLIPTextModel


class Heard(logging.Handler):
    records = []

    def emit(self, record):
        if record.levelno >= logging.WARNING:
            self.records.append(record.getMessage())


for library in ("diffusers", "transformers", "peft", "accelerate"):
    logging.getLogger(library).addHandler(Heard())


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


def sequential(pipe):
    # What pipe.enable_sequential_cpu_offload() does; that method itself insists on an accelerator.
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        accelerate.cpu_offload(part, execution_device=torch.device("cpu"), offload_buffers=True)


def group(pipe, **disk):
    pipe.unet.enable_group_offload(onload_device=torch.device("cpu"), offload_type="leaf_level", **disk)


plain = draw(make_pipeline())
pipe = make_pipeline()
add_lora(pipe.unet)
styled = draw(pipe)
print(f"effect of the LoRA: {apart(styled, plain):.3f}")
ways = {
    "no offloading:   ": lambda pipe: None,
    "group, to memory:": group,
    "sequential:      ": sequential,
    "group, to disk:  ": lambda pipe: group(pipe, offload_to_disk_path=tempfile.mkdtemp()),
}
seen = {}
for name, offload in ways.items():
    pipe = make_pipeline()
    add_lora(pipe.unet)
    offload(pipe)
    with_lora = draw(pipe)
    pipe.fuse_lora(components=["unet"])
    fused = draw(pipe)
    seen[name] = fused
    print(
        f"{name} with LoRA, from LoRA {apart(with_lora, styled):.3f}; fused, from LoRA "
        f"{apart(fused, styled):.3f}, from plain {apart(fused, plain):.3f}; fused_loras {pipe.fused_loras}"
    )
    assert apart(with_lora, styled) < 1e-3 and pipe.fused_loras
print("warnings logged:", len(Heard.records))
free, memory, seq, disk = seen.values()
assert apart(styled, plain) > 0.1 and apart(free, styled) < 1e-3 and apart(memory, styled) < 1e-3
assert apart(seq, plain) < 1e-3 and apart(disk, plain) < 1e-3, "fusing reaches the offloaded weights now"
assert not Heard.records, Heard.records
PYTHON
