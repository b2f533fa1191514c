"""Put trained parts together as a standard Stable Diffusion folder, fp16 safetensors.

`diffusers.StableDiffusionPipeline.from_pretrained(folder)` loads the result as it is. Beside the
standard parts lie `clip/` (both towers, for the lessons), `judge/` and `checksums.json`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPModel, CLIPTokenizer

from ..evaluation.judge import Judge, save_judge
from ..util.files import copy_mode_to_weights, sha256
from .unet import build_scheduler

README = "README.md"  # written by hand, not part of what training makes


def export(
    folder: Path,
    *,
    tokenizer: CLIPTokenizer,
    clip: CLIPModel,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    judge: Judge,
) -> None:
    """Write the model into `folder`; it is built beside it first and swapped in whole."""
    building = folder.with_name(folder.name + ".partial")
    shutil.rmtree(building, ignore_errors=True)
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=clip.half().text_model,
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,  # this world holds nothing to check for
    )
    pipeline.save_pretrained(building)
    clip.save_pretrained(building / "clip")
    save_judge(judge, building / "judge")
    copy_mode_to_weights(building, building / "model_index.json")
    if (folder / README).exists():
        shutil.copy2(folder / README, building)
    _forget_where_it_was_made(building)
    sums = json.dumps(checksums(building), indent=1)
    (building / "checksums.json").write_text(sums + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)


def _forget_where_it_was_made(folder: Path) -> None:
    """diffusers notes in a config the folder that the part was read from; it says nothing here."""
    for path in folder.glob("*/config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that training made, by path relative to `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in files
        if path.name not in (README, "checksums.json")
    }
