"""Models of random weights for the checks: Stable Diffusion 1.5's shapes, and a toy to rehearse.

What they draw is noise, never to be shown as a result.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from benchmarks.make_random import fill, write_random
from sdlearn.inside.architecture import SD15, Architecture
from sdlearn.models.loading import quiet_libraries

TOY = Architecture(
    "toy",
    {**SD15.text_encoder, "hidden_size": 32, "intermediate_size": 64, "projection_dim": 32}
    | {"num_attention_heads": 4, "num_hidden_layers": 2},
    {
        "sample_size": 8,
        "in_channels": 4,
        "block_out_channels": (16, 32),
        "cross_attention_dim": 32,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_head_dim": 4,
    },
    {**SD15.vae, "sample_size": 64, "block_out_channels": (8, 8, 16, 16)}
    | {"layers_per_block": 1, "norm_num_groups": 4},
)
STAND_INS = {each.name: each for each in (SD15, TOY)}
# The vision tower of the safety checker: that of SD 1.5 is CLIP ViT-L/14's (Radford et al. 2021,
# arXiv 2103.00020, table 20).
TOWERS: dict[str, dict[str, Any]] = {
    "sd15": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "projection_dim": 768,
    },
    "toy": {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "projection_dim": 8,
    },
}
FLAG_ALL, FLAG_NONE = -2.0, 2.0  # thresholds of a cosine


def write_stand_in(name: str, folder: Path, device: str) -> None:
    """Write a stand-in, in half precision as the hub's fp16 variant; the numbers are `device`'s."""
    write_random(STAND_INS[name], folder, device=device)


def write_checker(name: str, folder: Path, plain: Path, device: str) -> None:
    """Write the model of the folder `plain` again, with a safety checker that flags nothing.

    The other parts are links to those in `plain`.
    """
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tower = TOWERS[name]
    config = CLIPConfig(vision_config=tower, projection_dim=tower["projection_dim"])
    with torch.device("meta"):
        checker: Any = StableDiffusionSafetyChecker(config)
    for _ in fill(checker, torch.float16, Generator(device).manual_seed(1)):
        pass
    for thresholds in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        thresholds.data.fill_(FLAG_NONE)
    folder.mkdir()
    for part in plain.iterdir():
        if part.name != "model_index.json":
            (folder / part.name).symlink_to(part)
    with quiet_libraries():
        checker.save_pretrained(folder / "safety_checker", variant="fp16")
    side = tower["image_size"]
    sizes = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    CLIPImageProcessorPil(**sizes).save_pretrained(folder / "feature_extractor")
    index = json.loads((plain / "model_index.json").read_text(encoding="utf-8"))
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")


def write_lora(unet: Any, path: Path) -> None:
    """Write a random LoRA for the attention of a U-Net, with the names of diffusers."""
    from safetensors.torch import save_file

    source, tensors = Generator().manual_seed(3), {}
    for name, module in unet.named_modules():
        if name.endswith(("to_q", "to_out.0")):
            out, width = module.weight.shape
            down = torch.randn(4, width, generator=source) * 0.1
            tensors[f"unet.{name}.lora_A.weight"] = down
            tensors[f"unet.{name}.lora_B.weight"] = torch.randn(out, 4, generator=source) * 0.1
    save_file(tensors, path, {"format": "pt"})
