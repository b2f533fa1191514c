#!/usr/bin/env bash
# diffusers 0.42.1: a model that is offloaded to disk saves a file without its weights.
#
# After `enable_group_offload(..., offload_to_disk_path=folder)` a model draws as before, but `save_pretrained`
# (also the pipeline's) writes placeholders: tensors of the right names, shapes and types with arbitrary numbers.
# No exception, no warning; the file has the full size and loads without a word. `state_dict()` gives the same
# placeholders, so a copy for an average of weights (EMA) or a hash is wrong as well.
#
# A good engineer's guess: the weights are gathered from the disk first, or saving raises, as it does for the same
# model under accelerate's `cpu_offload` ("Cannot copy out of meta tensor; no data!").
#
# Seen:
#     offloaded model draws as before:              True
#     names and shapes of the saved file agree:     True
#     tensors of the saved file that are the model's: 9 of 208
#     reloaded model draws the same:                False
#     warnings logged: 0
#     offloaded to memory instead: tensors that are the model's: 208 of 208
# (The 9 are constants, ones and zeros, that the arbitrary numbers happened to hold; another run gives another count.)
# Who trains or fuses under disk offloading and saves at the end loses the work.
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

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file


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


def run(unet):
    torch.manual_seed(1)
    latents, embeds = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 32)
    with torch.inference_mode():
        return unet(latents, 500, embeds).sample


def alike(a, b):
    return (a - b).abs().max().item() < 1e-3


def save(**disk):
    unet, folder = make_unet(10), tempfile.mkdtemp()
    unet.enable_group_offload(onload_device=torch.device("cpu"), offload_type="leaf_level", **disk)
    same = alike(run(unet), wanted)
    unet.save_pretrained(folder)
    return same, load_file(f"{folder}/diffusion_pytorch_model.safetensors"), folder


weights, wanted = make_unet(10).state_dict(), run(make_unet(10))
same, saved, folder = save(offload_to_disk_path=tempfile.mkdtemp())
full = {k: v.shape for k, v in saved.items()} == {k: v.shape for k, v in weights.items()}
kept = sum(torch.equal(saved[k], weights[k]) for k in weights)
reloaded = alike(run(UNet2DConditionModel.from_pretrained(folder)), wanted)
memory = save()[1]
kept_memory = sum(torch.equal(memory[k], weights[k]) for k in weights)
print("offloaded model draws as before:             ", same)
print("names and shapes of the saved file agree:    ", full)
print(f"tensors of the saved file that are the model's: {kept} of {len(weights)}")
print("reloaded model draws the same:               ", reloaded)
print("warnings logged:", len(Heard.records))
print(f"offloaded to memory instead: tensors that are the model's: {kept_memory} of {len(weights)}")
assert same and full and kept_memory == len(weights) and not Heard.records
assert kept < len(weights) // 2 and not reloaded, "saving gathers the weights now"
PYTHON
