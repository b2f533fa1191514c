"""From a name to the parts of a model: find its folder, check it, and read the parts.

A model is a folder in the layout of Stable Diffusion 1.x. "tiny" lies in the package; "sd15" and
other hub ids come from the Hugging Face cache, and are downloaded when they are not there yet.
Only safetensors are read, never pickles, and no code from a hub is run. Every error is one sentence
that says what to do. Left out: which files a model consists of (`layout`), which kinds of models
are refused (`kinds`), the download (`hub`), and where in memory the parts go (`memory`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from packaging.version import Version

from ..diffusion.schedulers import load_scheduler
from ..util.files import sha256
from ..util.out_of_memory import is_out_of_memory
from . import single_file
from .hub import from_hub
from .kinds import VAES, check_kind
from .layout import pick_variant, read_json, require_complete
from .single_file import FILES, check_file

TINY = Path(__file__).parents[1] / "weights" / "tiny"
# The first that answers is taken; the original runwayml repository is gone since August 2024.
SD15 = (
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd-legacy/stable-diffusion-v1-5",
    "Comfy-Org/stable-diffusion-v1-5-archive",
)

NOT_TOLD = 10**6  # transformers puts a larger number where a tokenizer's longest text is not told


class Parts(NamedTuple):
    """The parts of a Stable Diffusion."""

    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler: Any

    def models(self) -> dict[str, Any]:
        """The parts that have weights, in the order in which they are called."""
        return {"text_encoder": self.text_encoder, "unet": self.unet, "vae": self.vae}


def find_folder(
    name: str | Path, dtype: torch.dtype = torch.float32, *, checker: bool = False
) -> Path:
    """The folder of "tiny", of "sd15", of a hub id such as "owner/name", or `name` itself.

    `name` may also be a checkpoint in one file, which is returned. With `checker` the hub is asked
    for the model's safety checker, too, if it has one. Raises `ValueError` for what is none of
    these or no model that sdlearn runs, `FileNotFoundError` for a folder that is not complete, a
    file that is not there or an id that the hub does not have, and `ConnectionError` without
    network.
    """
    if name == "tiny":
        return require_complete(TINY)
    if name == "sd15":
        return from_hub(SD15, dtype, checker=checker)
    path = Path(name).expanduser() if isinstance(name, (str, Path)) and str(name) else None
    if path and path.is_dir():
        return require_complete(check_kind(path))
    if path and path.is_file():
        return check_file(path)
    if path and path.suffix.lower() in FILES:
        raise FileNotFoundError(f"there is no file {str(path)!r} here; check the name")
    if isinstance(name, str) and _is_hub_id(name):
        return from_hub((name,), dtype, checker=checker)
    kinds = "'tiny', 'sd15', a folder or file that is there, or a hub id like 'owner/name'"
    raise ValueError(f"model must be {kinds}; got {name!r}")


def _is_hub_id(name: str) -> bool:
    owner, slash, model = name.partition("/")
    allowed = all(c.isalnum() or c in "-_." for c in owner + model)
    return bool(slash and owner.strip(".") and model.strip(".") and allowed)


def damaged_weights(folder: Path) -> list[str]:
    """The weight files in `folder` that differ from `checksums.json`; [] if there is no such file.

    Only weights are checked, so that a learner may edit a config and see what happens.
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


def load_parts(folder: Path, dtype: torch.dtype) -> Parts:
    """Every part of the model in `folder`, on the CPU, in `dtype`, in evaluation mode.

    `folder` may be a checkpoint in one file. Raises `ValueError` with the file's name when a file
    is damaged, or when a tensor is missing.
    """
    if folder.is_file():
        return _load_single_file(folder, dtype)
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers.models.clip.modeling_clip import CLIPTextModel

    if damaged := damaged_weights(folder):
        raise ValueError(
            f"damaged weights in {folder}: {', '.join(damaged)}; install sdlearn again "
            "(or delete checksums.json there if you changed them on purpose)"
        )
    vae = vae_class(folder / "vae")
    classes = {"text_encoder": CLIPTextModel, "unet": UNet2DConditionModel, "vae": vae}
    with quiet_libraries():
        models: dict[str, Any] = {
            part: load_model(cls, folder / part, dtype) for part, cls in classes.items()
        }
    positions = models["text_encoder"].config.max_position_embeddings
    tokenizer = _load_tokenizer(folder / "tokenizer", positions)
    config = read_json(folder / "scheduler" / "scheduler_config.json")
    named = read_json(folder / "model_index.json").get("scheduler") or [None, None]
    with quiet_libraries():
        scheduler = load_scheduler(config, named[1])
    _repair_sample_size(models["unet"])
    return Parts(tokenizer=tokenizer, scheduler=scheduler, **models)


def _repair_sample_size(unet: Any) -> None:
    """Configs of early releases state a size below SD 1.x's 64; diffusers' pipeline takes 64."""
    release = Version(unet.config.get("_diffusers_version", "0.9.0")).base_version
    size = unet.config.sample_size
    if Version(release) < Version("0.9.0.dev0") and isinstance(size, int) and size < 64:
        unet.register_to_config(sample_size=64)


def _load_single_file(path: Path, dtype: torch.dtype) -> Parts:
    with quiet_libraries(), explain_damage(path):
        found = single_file.read_file(path, dtype)
        tokenizer = single_file.clip_tokenizer()
    models = {part: _require_all(*read, path) for part, read in found.items()}
    return Parts(tokenizer, **models, scheduler=load_scheduler(single_file.SCHEDULER))


def _load_tokenizer(folder: Path, positions: int) -> Any:
    """The tokenizer in `folder`, for a text encoder that has so many positions, 77 in CLIP."""
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    with explain_damage(folder):
        tokenizer = CLIPTokenizer.from_pretrained(folder)
    if tokenizer.model_max_length > NOT_TOLD:
        tokenizer.model_max_length = positions
    if tokenizer.model_max_length > positions:
        raise ValueError(
            f"{folder} does not fit: its model_max_length is {tokenizer.model_max_length}, and the "
            f"text encoder has {positions} positions; write {positions} in tokenizer_config.json"
        )
    return tokenizer


def vae_class(folder: Path) -> Any:
    """diffusers' class of an autoencoder, by the name in its config."""
    import diffusers

    return getattr(diffusers, read_json(folder / "config.json").get("_class_name", VAES[0]))


def vae_scale_factor(vae: Any) -> int:
    """How many pixels of a side become one latent cell: 8 in Stable Diffusion 1.x."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def own_size(unet: Any, vae: Any) -> tuple[int, int] | None:
    """Height and width in pixels of the images that a model was trained on; None if not told."""
    sample = unet.config.sample_size  # a number, or one for each side
    if sample is None:
        return None
    height, width = (sample, sample) if isinstance(sample, int) else sample
    factor = vae_scale_factor(vae)
    return height * factor, width * factor


def load_model(cls: Any, folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    """A part from its folder, on the CPU; `cls` is diffusers' or transformers' class of it.

    Raises `ValueError` with the folder's name when something in it is damaged, and when a weight is
    missing: transformers would leave that one at random, with no more than a line in its log.
    """
    with explain_damage(folder):
        model, info = cls.from_pretrained(
            folder,
            dtype=dtype,
            variant=pick_variant(folder, dtype),
            use_safetensors=True,
            output_loading_info=True,
        )
    return _require_all(model, sorted(info["missing_keys"]), folder)


def _require_all(model: Any, missing: list[str], where: Path) -> Any:
    """`model`, ready for use; `ValueError` if tensors are `missing`."""
    if missing:
        raise ValueError(
            f"the weights in {where} do not fit: {len(missing)} tensors of {type(model).__name__} "
            f"are missing, {missing[0]!r} is one of them"
        )
    return model.eval().requires_grad_(False)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Turn off what the libraries show by themselves: progress bars, tables of keys, warnings."""
    from diffusers.utils import logging as diffusers
    from transformers.utils import logging as transformers

    libraries: tuple[Any, ...] = (diffusers, transformers)
    before = [(lib, lib.get_verbosity(), lib.is_progress_bar_enabled()) for lib in libraries]
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, verbosity, has_bar in before:
            library.set_verbosity(verbosity)
            if has_bar:
                library.enable_progress_bar()


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Add the file's name to what the libraries say about damaged weights or JSON."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is damaged and cannot be read ({reason})") from error
