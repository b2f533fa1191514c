"""The layout of a model's folder, that of Stable Diffusion 1.x: required files, and which to read.

    model_index.json    scheduler/    tokenizer/    text_encoder/    unet/    vae/
    and with some models    safety_checker/    feature_extractor/

Weights are safetensors, in one file or in shards that an index lists. A part may have them several
times, in variants that their names tell: "fp16", "bf16", "non_ema". Left out: where a folder comes
from (`loading`, `hub`), and what kind of model it holds (`kinds`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

MODELS = {  # part → what the names of its weight files begin with
    "text_encoder": "model",
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
}
CHECKER = {"safety_checker": "model"}  # a part that not every model has
CONFIGS = ("scheduler/scheduler_config.json", *(f"{part}/config.json" for part in MODELS))
CHECKER_CONFIGS = ("safety_checker/config.json", "feature_extractor/preprocessor_config.json")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))  # either is enough

HALVES = {torch.float16: "fp16", torch.bfloat16: "bf16"}  # dtype → the variant that is stored in it
HALVES_FIRST = {  # dtype → which variants to look for, in this order; None is full precision
    torch.float16: ("fp16", None, "bf16", "non_ema"),
    torch.bfloat16: ("bf16", "fp16", None, "non_ema"),
}
DIGITS = "[0-9]" * 5
TO_SAFETENSORS = (
    "diffusers.StableDiffusionPipeline.from_pretrained(folder, use_safetensors=False)"
    ".save_pretrained(new_folder)"
)


class Weights(NamedTuple):
    """One variant of a part's weights; None is the one without a mark, in full precision."""

    variant: str | None
    files: tuple[Path, ...]  # one, or the index and its shards

    @property
    def is_whole(self) -> bool:
        return all(path.is_file() and not stands_for(path) for path in self.files)


def weights_in(folder: Path) -> list[Weights]:
    """What there is of a part's weights, complete or not, `folder` being named as the part is.

    Raises `ValueError` for an index of shards that is damaged.
    """
    stem = {**MODELS, **CHECKER}[folder.name]
    one = re.compile(rf"{stem}(?:\.(\w+))?\.safetensors")
    index = re.compile(rf"{stem}\.safetensors\.index(?:\.(\w+))?\.json")
    found = []
    for path in sorted(folder.glob(f"{stem}*")):
        if match := one.fullmatch(path.name):
            found.append(Weights(match[1], (path,)))
        elif match := index.fullmatch(path.name):
            found.append(Weights(match[1], (path, *_shards(path))))
    return found


def _shards(index: Path) -> list[Path]:
    """The files that an index names; none for one that only stands for the index."""
    if stands_for(index):
        return []
    names = read_json(index).get("weight_map", {})
    if not isinstance(names, dict):
        raise ValueError(f"{index} is damaged: its weight_map is no table of files")
    return [index.parent / Path(str(name)).name for name in sorted(set(names.values()))]


def stands_for(path: Path) -> str | None:
    """What a file is, if it only stands for the one that was meant: a pointer, or a web page."""
    with path.open("rb") as file:
        head = file.read(200).lstrip().lower()
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer and not the file itself; 'git lfs pull' fetches that"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page and not the file itself; download that again, by its direct link"
    return None


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file of a model holds; `ValueError` with its name when it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__} instead of fields")
        return content
    except ValueError as error:
        what = stands_for(path)
        raise ValueError(
            f"{path} is {what}" if what else f"{path} is damaged and cannot be read ({error})"
        ) from error


def require_index(folder: Path) -> dict[str, Any]:
    """The content of `folder`'s `model_index.json`; `FileNotFoundError` if it has none."""
    path = folder / "model_index.json"
    if path.is_file():
        return read_json(path)
    files = sorted(file.name for file in folder.glob("*.safetensors"))
    advice = "give the folder that holds unet/, vae/, text_encoder/, tokenizer/ and scheduler/"
    if files:
        advice += f", or a checkpoint in one file, such as {files[0]} there, by its own name"
    raise FileNotFoundError(
        f"{folder} is not a Stable Diffusion folder: it has no model_index.json; {advice}"
    )


def require_complete(folder: Path) -> Path:
    """`folder`, if every file of a model is in it.

    Raises `FileNotFoundError` that names what is missing, and `ValueError` for a file that is
    there but does not hold what it should.
    """
    require_index(folder)
    missing = _missing(folder, MODELS, CONFIGS)
    if not any(_has_all(folder / "tokenizer", names) for names in TOKENIZERS):
        missing.append("tokenizer/tokenizer.json")
    for path in (*(folder / name for name in missing), *folder.glob("tokenizer/*.*")):
        if path.is_file() and (what := stands_for(path)):
            raise ValueError(f"{path} is {what}")
    pickled = {Path(name).parent.name for name in missing if _has_pickle(folder / name)}
    if pickled:
        raise ValueError(
            f"{folder} has weights of {', '.join(sorted(pickled))} only as pickles (.bin), which "
            "can run any code when they are read; if you trust their source, convert them: "
            + TO_SAFETENSORS
        )
    if missing:
        raise FileNotFoundError(f"{folder} is not complete; missing: {', '.join(missing)}")
    return folder


def _has_all(folder: Path, names: Iterable[str]) -> bool:
    return all((folder / name).is_file() for name in names)


def _has_pickle(weights: Path) -> bool:
    return weights.suffix == ".safetensors" and any(weights.parent.glob("*.bin"))


def _missing(folder: Path, models: dict[str, str], configs: tuple[str, ...]) -> list[str]:
    """The configs that are missing, and the weights of which no variant is complete."""
    missing = [path for path in configs if not (folder / path).is_file()]
    for part, stem in models.items():
        found = weights_in(folder / part)
        if not any(weights.is_whole for weights in found):
            files = found[0].files if found else (folder / part / weights_file(stem, None),)
            lacking = (path for path in files if not path.is_file() or stands_for(path))
            missing += [path.relative_to(folder).as_posix() for path in lacking]
    return missing


def missing_from_checker(folder: Path) -> list[str]:
    """The files that a safety checker needs and that `folder` does not have."""
    return _missing(folder, CHECKER, CHECKER_CONFIGS)


def expects_checker(folder: Path) -> bool:
    """Whether the model's `model_index.json` names a safety checker.

    Raises `ValueError` when its `model_index.json` is damaged.
    """
    index = folder / "model_index.json"  # a checkpoint in one file has none
    named = read_json(index).get("safety_checker") if index.is_file() else None
    return isinstance(named, list) and bool(named) and bool(named[0])


def weight_variants(dtype: torch.dtype) -> tuple[str | None, ...]:
    """The variants to look for, in this order: None is the one without a mark."""
    return HALVES_FIRST.get(dtype, (None, "non_ema", "fp16", "bf16"))


def pick_variant(folder: Path, dtype: torch.dtype) -> str | None:
    """Which variant of a part's weights to read in `dtype`; None is the one without a mark.

    Raises `ValueError` when the same weights are there in one file and in shards: diffusers 0.42.1
    would read the shards, transformers 5.23.0 the single file
    (findings/resave-sharded-old-text-encoder.sh).
    """
    found = [weights for weights in weights_in(folder) if weights.is_whole]
    known = weight_variants(dtype)
    variants = sorted(
        {weights.variant for weights in found},
        key=lambda name: (known.index(name) if name in known else len(known), name or ""),
    )
    variant = variants[0] if variants else None
    forms = [weights.files[0].name for weights in found if weights.variant == variant]
    if len(forms) > 1:
        raise ValueError(
            f"{folder} holds weights twice, in one file and in shards ({forms[-1]}), and the "
            "libraries read different ones; delete those that are older"
        )
    return variant


def unusual_variants(folder: Path, dtype: torch.dtype) -> str | None:
    """One sentence on parts that are read from another variant than `dtype` asks for, or None."""
    picked = {part: pick_variant(folder / part, dtype) for part in MODELS}
    unusual = {p: v for p, v in picked.items() if v not in (None, HALVES.get(dtype))}
    if not unusual:
        return None
    return "weights read: " + ", ".join(f"{variant} of {part}" for part, variant in unusual.items())


def weights_file(stem: str, variant: str | None) -> str:
    """("model", "fp16") → "model.fp16.safetensors"."""
    return f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"


def weights_patterns(part: str, stem: str, variant: str | None) -> list[str]:
    """Names of a variant's weights, in one file or in shards, for the hub."""
    marked = f"{stem}.{variant}" if variant else stem
    return [f"{part}/{marked}{shard}.safetensors" for shard in ("", f"-{DIGITS}-of-{DIGITS}")]
