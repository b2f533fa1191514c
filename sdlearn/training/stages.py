"""The stages of a whole training, in order; each is a generator of `StageProgress`.

world → vae → clip (with its tokenizer and the probe) → judge → unet → export.
A stage loads what earlier ones finished, trains from its checkpoint if there is one, and saves
its part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPModel, CLIPTokenizer

from ..evaluation.judge import Judge, load_judge, save_judge
from ..util.processes import this_process
from ..world import caption, scenes
from . import clip, judge, unet, vae
from .data import render_all
from .export import export
from .probe import probe_text_tower
from .run import StageProgress, TrainingRun
from .samples import write_strip, write_unet_sheet, write_vae_sheet


def world_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Render the images that everything is trained on."""
    counts = {"train": run.config.images, judge.SPLIT: run.config.judge_images}
    total, before = sum(counts.values()), 0
    for split, count in counts.items():
        with this_process().main_process_first():
            for done in render_all(run.images_path(split), count, split):
                yield StageProgress("world", before + done, total)
        before += count


def vae_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Train the autoencoder and even out its latent channels."""
    images = run.images("train")
    torch.manual_seed(0)  # the weights' start; all later chance comes step by step
    model = vae.build_vae()
    objective = vae.VAEObjective(model)
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.2x on a CPU
    for progress in run.train("vae", objective, partial(vae.make_batch, images)):
        yield progress
        write_vae_sheet(run, progress, images)
    model.cpu()
    vae.fold_normalisation(model, images[torch.arange(min(512, len(images)))])
    run.save("vae", model.save_pretrained)


def clip_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Train the tokenizer and CLIP, then probe what the text tower knows."""
    images = run.images("train")
    tokenizer = clip.train_tokenizer(caption(scene) for scene in scenes(max(2000, len(images))))
    torch.manual_seed(1)
    model = clip.build_clip(tokenizer)
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
    autoencoder = AutoencoderKL.from_pretrained(run.finished("vae")).eval()
    torch.manual_seed(2)
    model, images = Judge(), run.images(judge.SPLIT)
    restored, truth = judge.round_trips(autoencoder, images), judge.truth_table(len(images))
    make_batch = partial(judge.make_batch, images, restored, truth)
    yield from run.train("judge", judge.JudgeObjective(model), make_batch)
    run.save("judge", lambda folder: save_judge(model.cpu(), folder))


def unet_stage(run: TrainingRun) -> Iterator[StageProgress]:
    """Train the noise predictor on the latents of all images, computed once."""
    device = this_process().device
    autoencoder = AutoencoderKL.from_pretrained(run.finished("vae")).eval().to(device)
    tokenizer = CLIPTokenizer.from_pretrained(run.finished("tokenizer"))
    text_encoder = CLIPModel.from_pretrained(run.finished("clip")).text_model.eval().to(device)
    latents = unet.encode_all(autoencoder, run.images("train"))
    torch.manual_seed(3)
    model = unet.build_unet(text_encoder.config.hidden_size)
    objective = unet.UNetObjective(model, text_encoder)
    for progress in run.train("unet", objective, partial(unet.make_batch, latents, tokenizer)):
        yield progress
        write_unet_sheet(run, progress)
    write_strip(run, "unet")
    run.save("unet", model.cpu().save_pretrained)


def export_stage(run: TrainingRun, output: Path) -> Iterator[StageProgress]:
    """Put the finished parts together as a Stable Diffusion folder."""
    if this_process().is_main_process:
        export(
            output,
            tokenizer=CLIPTokenizer.from_pretrained(run.finished("tokenizer")),
            clip=CLIPModel.from_pretrained(run.finished("clip")),
            vae=AutoencoderKL.from_pretrained(run.finished("vae")),
            unet=UNet2DConditionModel.from_pretrained(run.finished("unet")),
            judge=load_judge(run.finished("judge")),
        )
    yield StageProgress("export", 1, 1)


STAGES: dict[str, Callable[[TrainingRun], Iterator[StageProgress]]] = {
    "world": world_stage,
    "vae": vae_stage,
    "clip": clip_stage,
    "judge": judge_stage,
    "unet": unet_stage,
}


def train_all(run: TrainingRun, output: Path) -> Iterator[StageProgress]:
    """Every stage in order, then the export to `output`."""
    for stage in STAGES.values():
        yield from stage(run)
    yield from export_stage(run, output)
