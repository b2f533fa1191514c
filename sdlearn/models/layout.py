"""The layout of a model's folder, that of Stable Diffusion 1.x: required files, and which to read.

    model_index.json    scheduler/    tokenizer/    text_encoder/    unet/    vae/
    and with some models    safety_checker/    feature_extractor/

Weights are safetensors in full precision or in half ("fp16" in their name). Left out: where a
folder comes from (`loading`, `hub`).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

MODELS = {  # part → what the names of its weight files begin with
    "text_encoder": "model",
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
}
CHECKER = {"safety_checker": "model"}  # a part that not every model has
CONFIGS = ("model_index.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json")
CHECKER_CONFIGS = ("safety_checker/config.json", "feature_extractor/preprocessor_config.json")


def require_complete(folder: Path) -> Path:
    """`folder`, if every file of a model is in it; `FileNotFoundError` names what is missing."""
    if not (folder / "model_index.json").is_file():
        raise FileNotFoundError(
            f"{folder} is not a Stable Diffusion folder: it has no model_index.json; "
            "give the folder that holds unet/, vae/, text_encoder/, tokenizer/ and scheduler/"
        )
    missing = _missing(folder, MODELS, (*CONFIGS, *(f"{part}/config.json" for part in MODELS)))
    if missing:
        raise FileNotFoundError(f"{folder} is not complete; missing: {', '.join(missing)}")
    return folder


def _missing(folder: Path, models: dict[str, str], configs: tuple[str, ...]) -> list[str]:
    """The configs that are missing, and the weights that are there in neither precision."""
    return [path for path in configs if not (folder / path).is_file()] + [
        f"{part}/{stem}.safetensors"
        for part, stem in models.items()
        if not any((folder / part / weights_file(stem, v)).is_file() for v in (None, "fp16"))
    ]


def missing_from_checker(folder: Path) -> list[str]:
    """The files that a safety checker needs and that `folder` does not have."""
    return _missing(folder, CHECKER, CHECKER_CONFIGS)


def expects_checker(folder: Path) -> bool:
    """Whether the model's `model_index.json` names a safety checker.

    Raises `ValueError` when its `model_index.json` is damaged.
    """
    path = folder / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        return bool((index.get("safety_checker") or [None])[0])
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged and cannot be read ({error})") from error


def weight_variants(dtype: torch.dtype) -> tuple[str | None, str | None]:
    """Which weight files to look for, in this order: None is the file in full precision."""
    return (None, "fp16") if dtype == torch.float32 else ("fp16", None)


def pick_variant(folder: Path, dtype: torch.dtype) -> str | None:
    """Which of a part's weight files to read in `dtype`: "fp16", or None for the plain one.

    Raises `ValueError` when the same weights are there in shards as well: diffusers 0.42.1 would
    read the shards, transformers 5.23.0 the single file
    (findings/resave-sharded-old-text-encoder.sh).
    """
    stem = {**MODELS, **CHECKER}[folder.name]
    found = (v for v in weight_variants(dtype) if (folder / weights_file(stem, v)).is_file())
    variant = next(found, None)
    index = folder / ".".join(filter(None, (stem, "safetensors.index", variant, "json")))
    if index.is_file():
        raise ValueError(
            f"{folder} holds weights twice, in one file and in shards ({index.name}), and the "
            "libraries read different ones; delete those that are older"
        )
    return variant


def weights_file(stem: str, variant: str | None) -> str:
    """("model", "fp16") → "model.fp16.safetensors"."""
    return f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"
