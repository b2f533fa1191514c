"""From a name to the parts of a model: which folder, is it whole, and the parts read from it.

A model is a folder in the layout of Stable Diffusion 1.x. "tiny" lies in the package; "sd15" and
other hub ids come from the Hugging Face cache, and are downloaded when they are not there yet.
Only safetensors are read, never pickles, and no code from a hub is run. Whatever goes wrong is
one sentence that says what to do. Left out: the safety checker, which is not loaded.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .files import sha256
from .schedulers import load_scheduler

__all__ = ["SD15", "TINY", "Parts", "find_folder", "load_parts", "no_bars", "verify"]

TINY = Path(__file__).parent / "weights" / "tiny"
# The first that answers is taken; the original runwayml repository is gone since August 2024.
SD15 = (
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd-legacy/stable-diffusion-v1-5",
    "Comfy-Org/stable-diffusion-v1-5-archive",
)
SD15_SIZES = "2.7 GB in half precision, 5.5 GB in full"
MODELS = {  # part → what the names of its weight files begin with
    "text_encoder": "model",
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
}
CONFIGS = ("model_index.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json")


class Parts(NamedTuple):
    """What a Stable Diffusion consists of."""

    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler: Any


def find_folder(name: str | Path, dtype: torch.dtype = torch.float32) -> Path:
    """The folder of "tiny", of "sd15", of a hub id such as "owner/name", or `name` itself.

    Raises `ValueError` for what is none of these, `FileNotFoundError` for a folder that is no
    complete model or an id that the hub does not have, and `ConnectionError` without network.
    """
    if name == "tiny":
        return _checked(TINY)
    if name == "sd15":
        return _from_hub(SD15, dtype)
    if isinstance(name, (str, Path)) and str(name) and Path(name).expanduser().is_dir():
        return _checked(Path(name).expanduser())
    if isinstance(name, str) and _is_hub_id(name):
        return _from_hub((name,), dtype)
    raise ValueError(
        f"model must be 'tiny', 'sd15', a folder, or a hub id like 'owner/name'; got {name!r}"
    )


def _is_hub_id(name: str) -> bool:
    owner, slash, model = name.partition("/")
    allowed = all(c.isalnum() or c in "-_." for c in owner + model)
    return bool(slash and owner.strip(".") and model.strip(".") and allowed)


def _checked(folder: Path) -> Path:
    """`folder`, if every file of a model is in it."""
    if not (folder / "model_index.json").is_file():
        raise FileNotFoundError(
            f"{folder} is not a Stable Diffusion folder: it has no model_index.json; "
            "give the folder that holds unet/, vae/, text_encoder/, tokenizer/ and scheduler/"
        )
    wanted = [*CONFIGS, *(f"{part}/config.json" for part in MODELS)]
    missing = [path for path in wanted if not (folder / path).is_file()]
    missing += [
        f"{part}/{stem}.safetensors"
        for part, stem in MODELS.items()
        if _variant(folder / part, stem, torch.float32) is _NOTHING
    ]
    if missing:
        raise FileNotFoundError(f"{folder} is not complete; missing: {', '.join(missing)}")
    return folder


_NOTHING = "nothing"


def _variant(folder: Path, stem: str, dtype: torch.dtype) -> str | None:
    """Which of a part's weight files to read: "fp16", None for the plain one, or _NOTHING."""
    for variant in _variants(dtype):
        if (folder / _file(stem, variant)).is_file():
            return variant
    return _NOTHING


def _variants(dtype: torch.dtype) -> tuple[str | None, str | None]:
    """Full precision prefers the plain file, half precision the one half as large."""
    return (None, "fp16") if dtype == torch.float32 else ("fp16", None)


def _file(stem: str, variant: str | None) -> str:
    return f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"


def verify(folder: Path) -> list[str]:
    """The weight files in `folder` that are not what `checksums.json` says, [] without that file.

    Only weights are held to it: a learner may edit a config and see what happens.
    """
    sums = folder / "checksums.json"
    if not sums.is_file():
        return []
    known = json.loads(sums.read_text(encoding="utf-8"))
    return [
        name
        for name, expected in known.items()
        if name.endswith(".safetensors")
        and not ((folder / name).is_file() and sha256(folder / name) == expected)
    ]


def load_parts(folder: Path, device: torch.device, dtype: torch.dtype) -> Parts:
    """Every part of the model in `folder`, on `device`, in `dtype`, ready to run, not to train.

    Raises `ValueError` with the file's name when a file is damaged.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers.models.clip.modeling_clip import CLIPTextModel
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    damaged = verify(folder)
    if damaged:
        raise ValueError(
            f"damaged weights in {folder}: {', '.join(damaged)}; install sdlearn again "
            "(or delete checksums.json there if you changed them on purpose)"
        )
    classes = {"text_encoder": CLIPTextModel, "unet": UNet2DConditionModel, "vae": AutoencoderKL}
    with no_bars():
        models = {
            part: _load_model(cls, folder / part, MODELS[part], device, dtype)
            for part, cls in classes.items()
        }
    with _says_which_is_damaged(folder / "tokenizer"):
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    path = folder / "scheduler" / "scheduler_config.json"
    with _says_which_is_damaged(path):
        config = json.loads(path.read_text(encoding="utf-8"))
    return Parts(tokenizer=tokenizer, scheduler=load_scheduler(config), **models)


def _load_model(
    cls: Any, folder: Path, stem: str, device: torch.device, dtype: torch.dtype
) -> torch.nn.Module:
    with _says_which_is_damaged(folder):
        model = cls.from_pretrained(
            folder, dtype=dtype, variant=_variant(folder, stem, dtype), use_safetensors=True
        )
    return model.to(device).eval().requires_grad_(False)


@contextmanager
def no_bars() -> Iterator[None]:
    """Without transformers' bar over the loading of a model's tensors, gone before it is seen."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


@contextmanager
def _says_which_is_damaged(path: Path) -> Iterator[None]:
    """Name the file in whatever the libraries say about damaged weights or JSON."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        if "out of memory" in str(error) or "can't allocate" in str(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is damaged and cannot be read ({reason})") from error


def _from_hub(ids: tuple[str, ...], dtype: torch.dtype) -> Path:
    """The folder of the first of `ids` that the cache or the hub has."""
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    for repo in ids:
        try:
            return _fetch(repo, dtype, local_files_only=True)
        except (LocalEntryNotFoundError, FileNotFoundError):
            continue  # not here yet, or not whole
    for repo in ids:
        try:
            return _fetch(repo, dtype)
        except RepositoryNotFoundError:
            continue
        except (LocalEntryNotFoundError, OSError) as error:
            raise _hub_error(repo, error) from error
    raise FileNotFoundError(f"the hub has no model {ids[0]!r} that you may read; check the name")


def _fetch(repo: str, dtype: torch.dtype, **how: Any) -> Path:
    """A repository's folder, with the variant of the weights that suits, else the other one."""
    from huggingface_hub import snapshot_download

    incomplete = None
    for variant in _variants(dtype):
        weights = [f"{part}/{_file(stem, variant)}" for part, stem in MODELS.items()]
        wanted = ["model_index.json", "*/*.json", "*/*.txt", *weights]
        try:
            return _checked(Path(snapshot_download(repo, allow_patterns=wanted, **how)))
        except FileNotFoundError as error:
            incomplete = error
    assert incomplete is not None
    raise incomplete


def _hub_error(repo: str, error: Exception) -> OSError:
    """What the hub's library says, as one sentence that says what to do."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return OSError(f"no room on the disk for {repo!r} (SD 1.5 needs {SD15_SIZES}); free some")
    if isinstance(error, FileNotFoundError) and "not complete" in str(error):
        return FileNotFoundError(f"{repo!r} is no Stable Diffusion 1.x in safetensors: {error}")
    return ConnectionError(
        f"cannot reach the hub to download {repo!r}, and it is neither a folder here nor in the "
        "cache; connect to the network, or use the model 'tiny', which needs none"
    )
