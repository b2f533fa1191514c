"""The stages of a whole training, in order; each is a generator of `Progress`.

world → vae → clip (with its tokenizer and the probe) → judge → unet → export.
A stage loads what earlier ones finished, trains from its checkpoint if there is one, and saves
its part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from accelerate import PartialState
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPModel, CLIPTokenizer

from ..evaluation.judge import Judge, load_judge, save_judge
from ..world import caption, scenes
from . import clip, judge, unet, vae
from .data import Pictures, render_all
from .diary import unet_page, vae_page, write_strip
from .export import export
from .probe import probe_text_tower
from .tokenizer import train_tokenizer
from .workshop import Progress, TrainingRun

__all__ = ["STAGES", "train_all"]


def world_stage(shop: TrainingRun) -> Iterator[Progress]:
    """Render the pictures that everything is trained on."""
    counts = {"train": shop.plan.pictures, judge.SPLIT: shop.plan.judge_images}
    total, before = sum(counts.values()), 0
    for split, count in counts.items():
        with PartialState().main_process_first():
            for done in render_all(shop.pictures(split), count, split):
                yield Progress("world", before + done, total, {})
        before += count


def vae_stage(shop: TrainingRun) -> Iterator[Progress]:
    """Train the autoencoder and even out its latent channels."""
    pictures = _pictures(shop, "train")
    torch.manual_seed(0)  # the weights' start; all later randomness is drawn step by step
    model = vae.build_vae()
    records = vae.train_vae(model, pictures, shop.plan.recipes["vae"], shop.checkpoint("vae"))
    for progress in shop.log("vae", records):
        yield progress
        vae_page(shop, progress, pictures)
    model.cpu()
    vae.fold_normalisation(model, pictures[torch.arange(min(512, len(pictures)))])
    shop.save("vae", model.save_pretrained)


def clip_stage(shop: TrainingRun) -> Iterator[Progress]:
    """Train the tokenizer and CLIP, then probe what the text tower knows."""
    pictures = _pictures(shop, "train")
    tokenizer = train_tokenizer(caption(scene) for scene in scenes(max(2000, len(pictures))))
    torch.manual_seed(1)
    model = clip.build_clip(tokenizer)
    recipe = shop.plan.recipes["clip"]
    yield from shop.log(
        "clip", clip.train_clip(model, tokenizer, pictures, recipe, shop.checkpoint("clip"))
    )
    model.cpu()
    _require_knowledge(
        probe_text_tower(model.text_model, tokenizer, shop.plan.probe_captions), shop
    )
    shop.save("tokenizer", tokenizer.save_pretrained)
    shop.save("clip", model.save_pretrained)


def _require_knowledge(found: dict[str, float], shop: TrainingRun) -> None:
    print("\n".join(f"probe {name}: {accuracy:.1%}" for name, accuracy in found.items()))
    taught = [name for name in found if not name.startswith("held_out")]
    worst = min(taught, key=lambda name: found[name])
    if found[worst] < shop.plan.pass_mark:
        raise RuntimeError(
            f"the text tower knows '{worst}' in {found[worst]:.1%} of the captions and needs "
            f"{shop.plan.pass_mark:.0%}; train it longer with 'sdlearn train clip --steps N'"
        )


def judge_stage(shop: TrainingRun) -> Iterator[Progress]:
    """Train the judge on renders and on round trips of other renders."""
    autoencoder = AutoencoderKL.from_pretrained(shop.need("vae")).eval()
    torch.manual_seed(2)
    model = Judge()
    recipe, checkpoint = shop.plan.recipes["judge"], shop.checkpoint("judge")
    pictures = _pictures(shop, judge.SPLIT)
    yield from shop.log(
        "judge", judge.train_judge(model, autoencoder, pictures, recipe, checkpoint)
    )
    shop.save("judge", lambda folder: save_judge(model.cpu(), folder))


def unet_stage(shop: TrainingRun) -> Iterator[Progress]:
    """Train the noise predictor on the latents of all pictures, computed once."""
    pictures = _pictures(shop, "train")
    device = PartialState().device
    autoencoder = AutoencoderKL.from_pretrained(shop.need("vae")).eval().to(device)
    tokenizer = CLIPTokenizer.from_pretrained(shop.need("tokenizer"))
    text_encoder = CLIPModel.from_pretrained(shop.need("clip")).text_model.eval().to(device)
    latents = unet.encode_images(autoencoder, pictures)
    torch.manual_seed(3)
    model = unet.build_unet(text_encoder.config.hidden_size)
    recipe, checkpoint = shop.plan.recipes["unet"], shop.checkpoint("unet")
    records = unet.train_unet(model, text_encoder, tokenizer, latents, recipe, checkpoint)
    for progress in shop.log("unet", records):
        yield progress
        unet_page(shop, progress)
    write_strip(shop, "unet")
    shop.save("unet", model.cpu().save_pretrained)


def export_stage(shop: TrainingRun, output: Path) -> Iterator[Progress]:
    """Put the finished parts together as a Stable Diffusion folder."""
    if PartialState().is_main_process:
        export(
            output,
            tokenizer=CLIPTokenizer.from_pretrained(shop.need("tokenizer")),
            clip=CLIPModel.from_pretrained(shop.need("clip")),
            vae=AutoencoderKL.from_pretrained(shop.need("vae")),
            unet=UNet2DConditionModel.from_pretrained(shop.need("unet")),
            judge=load_judge(shop.need("judge")),
        )
    yield Progress("export", 1, 1, {})


def _pictures(shop: TrainingRun, split: str) -> Pictures:
    if not shop.pictures(split).exists():
        raise FileNotFoundError(f"no pictures in {shop.folder}; run 'sdlearn train world' first")
    return Pictures(shop.pictures(split))


STAGES: dict[str, Callable[[TrainingRun], Iterator[Progress]]] = {
    "world": world_stage,
    "vae": vae_stage,
    "clip": clip_stage,
    "judge": judge_stage,
    "unet": unet_stage,
}


def train_all(shop: TrainingRun, output: Path) -> Iterator[Progress]:
    """Every stage in order, then the export to `output`."""
    for stage in STAGES.values():
        yield from stage(shop)
    yield from export_stage(shop, output)
