"""The stages of a whole training, in order; each is a generator of `StageProgress`.

world → vae → clip (with its tokenizer and the probe) → judge → unet → export.
A stage loads what earlier ones finished, trains from its checkpoint if there is one, and saves
its part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPModel, CLIPTokenizer

from ..evaluation.judge import Judge, load_judge, save_judge
from ..util.images import to_tensor
from ..util.processes import this_process
from ..world import caption, full_caption, render, scenes
from . import clip, judge, unet, vae
from .data import ALL, render_all
from .export import export
from .probe import probe_text_tower
from .run import StageProgress, TrainingRun
from .samples import write_strip, write_unet_sheet, write_vae_sheet

DIARY_SCENES = 64


def world_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Render the images that everything is trained on."""
    yield from _render(run, "train", run.config.images)
    yield from _render(run, ALL, run.config.judge_images)


def _render(run: TrainingRun, split: str, count: int) -> Iterator[StageProgress]:
    """Render a split's images, unless they are there."""
    first = run.first_scene if split == "train" else 0
    with this_process().main_process_first():
        for done in render_all(run.images_path(split), count, split, first):
            yield StageProgress("world", done, count)


def vae_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Train the autoencoder and even out its latent channels."""
    images = run.images(ALL)
    torch.manual_seed(0)  # the weights' start; all later chance comes step by step
    model = run.begin(AutoencoderKL, "vae") or vae.build_vae()
    objective = vae.VAEObjective(model)
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.2x on a CPU
    for progress in run.train("vae", objective, partial(vae.make_batch, images)):
        yield progress
        write_vae_sheet(run, progress, images)
    model.cpu()
    vae.fold_normalisation(model, images[torch.arange(min(512, len(images)))])
    run.save("vae", model.save_pretrained)


def decoder_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Train the finished autoencoder's decoder further; its latents stay what they are."""
    images = run.images(ALL)
    model = run.load(AutoencoderKL, "vae")
    latents = unet.encode_all(model, images) / model.config.scaling_factor
    objective = vae.DecoderObjective(model)
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    make_batch = partial(vae.make_decoder_batch, images, latents)
    yield from run.train("decoder", objective, make_batch)
    run.save("vae", model.cpu().save_pretrained)


def clip_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Train the tokenizer and CLIP, then probe what the text tower knows."""
    images = run.images("train")
    if run.start:
        tokenizer = CLIPTokenizer.from_pretrained(run.start / "tokenizer")
    else:
        captions = map(caption, scenes(max(2000, len(images))))
        tokenizer = clip.train_tokenizer(captions)
    torch.manual_seed(1)
    model = run.begin(CLIPModel, "clip") or clip.build_clip(tokenizer)
    model.set_attn_implementation("eager")  # in halves on a CPU 10 times as quick backwards
    make_batch = partial(clip.make_batch, images, tokenizer)
    yield from run.train("clip", clip.CLIPObjective(model), make_batch)
    model.cpu()
    found = probe_text_tower(model.text_model, tokenizer, run.config.probe_captions)
    print("\n".join(f"probe {name}: {accuracy:.1%}" for name, accuracy in found.items()))
    _require_knowledge(found, run.config.pass_mark)
    run.save("tokenizer", tokenizer.save_pretrained)
    run.save("clip", model.save_pretrained)


def _require_knowledge(found: dict[str, float], pass_mark: float) -> None:
    taught = [name for name in found if not name.startswith("held_out")]
    worst = min(taught, key=lambda name: found[name])
    if found[worst] < pass_mark:
        raise RuntimeError(
            f"the text tower knows '{worst}' in {found[worst]:.1%} of the captions and needs "
            f"{pass_mark:.0%}; train it longer with 'sdlearn train clip --steps N'"
        )


def judge_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Train the judge on renders and on round trips of other renders."""
    autoencoder = run.load(AutoencoderKL, "vae")
    torch.manual_seed(2)
    model, images = Judge(), run.images(ALL)
    restored, truth = judge.round_trips(autoencoder, images), judge.truth_table(len(images))
    make_batch = partial(judge.make_batch, images, restored, truth)
    yield from run.train("judge", judge.JudgeObjective(model), make_batch)
    run.save("judge", lambda folder: save_judge(model.cpu(), folder))


def unet_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Train the noise predictor on the latents of all images, computed once."""
    yield from _render(run, "train", run.config.images)
    device = this_process().device
    autoencoder = run.load(AutoencoderKL, "vae").to(device)
    tokenizer = CLIPTokenizer.from_pretrained(run.finished("tokenizer"))
    text_encoder = run.load(CLIPModel, "clip").text_model.to(device)
    latents = unet.encode_all(autoencoder, run.images("train"))
    make_batch = partial(unet.make_batch, latents, run.first_scene, tokenizer)
    torch.manual_seed(3)
    model = run.begin(UNet2DConditionModel, "unet")
    model = model or unet.build_unet(text_encoder.config.hidden_size)
    model.set_attn_processor(AttnProcessor())  # in halves on a CPU 10 times as quick backwards
    objective = unet.UNetObjective(model, text_encoder)
    for progress in run.train("unet", objective, make_batch):
        yield progress
        write_unet_sheet(run, progress)
    write_strip(run, "unet")
    _write_loss_by_timestep(run, objective.cpu(), autoencoder.cpu(), tokenizer)
    run.save("unet", model.cpu().save_pretrained)


def _write_loss_by_timestep(
    run: TrainingRun,
    objective: unet.UNetObjective,
    autoencoder: AutoencoderKL,
    tokenizer: CLIPTokenizer,
) -> None:
    """The round's diary: the loss at twenty timesteps on scenes that training never shows."""
    if not this_process().is_main_process:
        return
    unseen = list(scenes(DIARY_SCENES, "test"))
    images = to_tensor([render(scene) for scene in unseen]) * 2 - 1
    latents = unet.encode_all(autoencoder, images)
    captions = [full_caption(scene) for scene in unseen]
    ids = tokenizer(captions, padding="max_length", return_tensors="pt").input_ids
    found = unet.loss_by_timestep(objective, latents, ids, range(24, unet.NUM_TIMESTEPS, 50))
    path = run.folder / "log" / "unet-by-timestep.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def export_stage(run: TrainingRun, output: Path) -> Iterator[StageProgress]:
    """Put the finished parts together as a Stable Diffusion folder."""
    if this_process().is_main_process:
        export(
            output,
            tokenizer=CLIPTokenizer.from_pretrained(run.finished("tokenizer")),
            clip=run.load(CLIPModel, "clip"),
            vae=run.load(AutoencoderKL, "vae"),
            unet=run.load(UNet2DConditionModel, "unet"),
            judge=load_judge(run.finished("judge")),
        )
    yield StageProgress("export", 1, 1)


STAGES: dict[str, Callable[[TrainingRun], Iterator[StageProgress]]] = {
    "world": world_stage,
    "vae": vae_stage,
    "decoder": decoder_stage,
    "clip": clip_stage,
    "judge": judge_stage,
    "unet": unet_stage,
}


def train_all(run: TrainingRun, output: Path) -> Iterator[StageProgress]:
    """Every stage in order, then the export to `output`."""
    for name, stage in STAGES.items():
        if name != "decoder":  # for later, when a U-Net stands on the latents
            yield from stage(run)
    yield from export_stage(run, output)
