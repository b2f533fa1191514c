#!/usr/bin/env bash
# diffusers 0.42.1: group offloading to a folder on disk takes whatever lies in the folder already.
#
# `enable_group_offload(..., offload_to_disk_path=folder)` writes a file for each group of layers and names it
# after the layer ("conv_in", ...), not after the model. A file that exists is not written again but read. So:
# 1. A second model with the same layer names (another checkpoint, the same one after training, tomorrow's run)
#    that is given the same folder computes with the weights of the first, bit for bit.
# 2. `pipe.enable_group_offload(..., offload_to_disk_path=folder)` gives all parts of the pipeline one folder.
#    The layers of a ControlNet and of its U-Net have the same names, so one of them runs with layers of the other,
#    in a new, empty folder, in a single documented call.
# No exception, no warning. The names came in with pull request #11767 (2025); no report of this was found.
#
# A good engineer's guess: the folder is a swap space; a model puts its own weights there, and overwrites old ones.
#
# Seen (the largest difference of outputs, whose numbers are of size 1; other random weights give other values):
#     model A, folder new:          from A 0.000, from B 1.700
#     model B, folder of A:         from A 0.000, from B 1.700   <- B draws with A's weights
#     model B, folder of its own:   from A 1.700, from B 0.000
#     U-Net + ControlNet, a folder for each:    from no offloading 0.000
#     U-Net + ControlNet, one call, new folder: from no offloading 3.204
#     warnings logged: 0
# Way round: an empty folder for each model of each run (tempfile.TemporaryDirectory).
# The script keeps the layers on the CPU; the code that reads and writes the files is the same for CUDA.
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
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler
from diffusers import StableDiffusionControlNetPipeline, UNet2DConditionModel


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


def apart(a, b):
    return (a - b).abs().max().item()


def run(unet):
    torch.manual_seed(1)
    latents, embeds = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 32)
    with torch.inference_mode():
        return unet(latents, 500, embeds).sample


def offload(model, folder):
    model.enable_group_offload(
        onload_device=torch.device("cpu"), offload_type="leaf_level", offload_to_disk_path=folder
    )
    return model


out_a, out_b = run(make_unet(10)), run(make_unet(11))
folder = tempfile.mkdtemp()
found = {
    "model A, folder new:       ": run(offload(make_unet(10), folder)),
    "model B, folder of A:      ": run(offload(make_unet(11), folder)),
    "model B, folder of its own:": run(offload(make_unet(11), tempfile.mkdtemp())),
}
for name, out in found.items():
    print(f"{name}   from A {apart(out, out_a):.3f}, from B {apart(out, out_b):.3f}")
first, second, alone = found.values()
assert apart(first, out_a) < 1e-3 and apart(alone, out_b) < 1e-3
assert torch.equal(second, first) and apart(second, out_b) > 0.1, "B computes with its own weights now"


def make_pipeline():
    torch.manual_seed(0)
    controlnet = ControlNetModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
        conditioning_embedding_out_channels=(16,),
    ).eval()
    for weight in controlnet.controlnet_down_blocks.parameters():
        torch.nn.init.normal_(weight, std=0.1)  # a new ControlNet has zeros here, a trained one has not
    pipe = StableDiffusionControlNetPipeline(
        vae=AutoencoderKL(block_out_channels=(16,), norm_num_groups=8, sample_size=8),
        text_encoder=None, tokenizer=None, unet=make_unet(10), controlnet=controlnet,
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            clip_sample=False, steps_offset=1,
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe):
    embeds = torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(1))
    return pipe(
        image=torch.full((1, 3, 8, 8), 0.5), height=8, width=8,
        prompt_embeds=embeds, negative_prompt_embeds=embeds * 0, num_inference_steps=4,
        generator=torch.Generator().manual_seed(2), output_type="latent",
    ).images


plain = draw(make_pipeline())
pipe = make_pipeline()
for part in (pipe.unet, pipe.controlnet):
    offload(part, tempfile.mkdtemp())
each = draw(pipe)
pipe = make_pipeline()
pipe.enable_group_offload(
    onload_device=torch.device("cpu"), offload_type="leaf_level", offload_to_disk_path=tempfile.mkdtemp()
)
together = draw(pipe)
print(f"U-Net + ControlNet, a folder for each:    from no offloading {apart(each, plain):.3f}")
print(f"U-Net + ControlNet, one call, new folder: from no offloading {apart(together, plain):.3f}")
print("warnings logged:", len(Heard.records))
assert apart(each, plain) < 1e-3
assert apart(together, plain) > 0.1, "U-Net and ControlNet no longer share files"
assert not Heard.records, Heard.records
PYTHON
