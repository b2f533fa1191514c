"""Put trained parts together as a standard Stable Diffusion folder, fp16 safetensors.

`diffusers.StableDiffusionPipeline.from_pretrained(folder)` loads the result as it is, with older
libraries, too (`for_every_stack`). Beside the standard parts lie `clip/` (both towers, for the
lessons), `judge/` and `checksums.json`, and after `export_graphs` also `graphs/`, for ONNX Runtime.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPModel, CLIPTokenizer

from ..evaluation.judge import Judge, save_judge
from ..models.defaults import write_defaults
from ..models.graphs import FOLDERS, GRAPHS, export_graph, name_for
from ..models.loading import load_parts
from ..util.files import copy_mode_to_weights, sha256
from .unet import build_scheduler

README = "README.md"  # written by hand, not part of what training makes
OF_READING = ("_name_or_path", "is_local", "local_files_only")  # fields of configs


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
    write_defaults(building)
    for_every_stack(building)
    copy_mode_to_weights(building, building / "model_index.json")
    if (folder / README).exists():
        shutil.copy2(folder / README, building)
    if (folder / GRAPHS).is_dir():  # new weights of the same shapes fit them
        shutil.copytree(folder / GRAPHS, building / GRAPHS)
    _forget_where_it_was_read(building)
    write_json(building / "checksums.json", checksums(building))
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)


def export_graphs(folder: Path) -> None:
    """Write the graphs of the model in `folder` that `load(folder, compile=True)` runs.

    They replace those that are there. Raises `ImportError` without the extra "onnx".
    """
    parts = load_parts(folder, torch.float32)
    made = {}
    for part, home in FOLDERS.items():
        model = getattr(parts, home)
        made[name_for(part, model, folder)] = export_graph(part, model)
    shutil.rmtree(folder / GRAPHS, ignore_errors=True)
    (folder / GRAPHS).mkdir()
    for name, graph in made.items():
        (folder / GRAPHS / name).write_bytes(graph)
    write_json(folder / "checksums.json", checksums(folder))


def for_every_stack(folder: Path) -> None:
    """Write the text part in `folder` so that older libraries read it, too, and read it right.

    transformers 5 takes the type of the text encoder's weights from its config, or else from the
    file, while diffusers makes the other parts float32: half and full precision then meet in the
    U-Net, which raises. transformers 4 calls the field `torch_dtype`, leaves weights without the
    prefix `text_model.` at random without raising, and reads the tokenizer from two files.
    """
    path = folder / "text_encoder" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**config, "dtype": "float32", "torch_dtype": "float32"})
    _prefix_keys(folder / "text_encoder" / "model.safetensors", "text_model.")
    tokenizer = folder / "tokenizer"
    model = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    write_json(tokenizer / "vocab.json", model["vocab"])
    merges = "".join(f"{' '.join(pair)}\n" for pair in model["merges"])
    (tokenizer / "merges.txt").write_text(f"#version: 0.2\n{merges}", encoding="utf-8")


def _prefix_keys(weights: Path, prefix: str) -> None:
    """Begin the name of every tensor in a file with `prefix`; names that have it stay."""
    tensors = load_file(weights)
    renamed = {prefix + name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    save_file(renamed, weights, metadata={"format": "pt"})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that a person can read and compare."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def _forget_where_it_was_read(folder: Path) -> None:
    """Libraries note in a config where and how the part was read, which says nothing here.

    The same model, exported in another place or without a network, then has the same files.
    """
    for path in folder.glob("*/*config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        kept = {name: value for name, value in config.items() if name not in OF_READING}
        if kept != config:
            write_json(path, kept)


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that training made, by path relative to `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in files
        if path.name not in (README, "checksums.json")
    }
