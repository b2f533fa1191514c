"""Models from the Hugging Face hub: from its cache, or downloaded into it.

The configs come first, and tell whether the rest is worth it; then one variant of the weights, all
in safetensors, no pickles and no code. Every error is one sentence that says what to do. Left out:
reading the files (`loading`).
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import torch

from . import layout
from .kinds import check_kind

SD15_SIZES = "2.7 GB in half precision, 5.5 GB in full"


def from_hub(ids: tuple[str, ...], dtype: torch.dtype, *, checker: bool = False) -> Path:
    """The folder of the first of `ids` that the cache or the hub has.

    With `checker` also the model's safety checker is asked for, if it has one. Raises
    `FileNotFoundError` when the hub has none of them, `ConnectionError` without network.
    """
    from huggingface_hub.errors import LocalEntryNotFoundError

    without = None  # a model that was downloaded without its safety checker
    for repo in ids:
        try:
            folder = _fetch(repo, dtype, checker, local_files_only=True)
        except (LocalEntryNotFoundError, FileNotFoundError):
            continue  # not in the cache, or not complete
        expected = checker and layout.expects_checker(folder)
        if not (expected and layout.missing_from_checker(folder)):
            return folder
        without = without or folder
    try:
        return _download(ids, dtype, checker)
    except OSError:
        if without is None:
            raise
        return without


def _download(ids: tuple[str, ...], dtype: torch.dtype, checker: bool) -> Path:
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    for repo in ids:
        try:
            return _fetch(repo, dtype, checker)
        except RepositoryNotFoundError:
            continue
        except PermissionError:  # of the cache's folder; it names the file
            raise
        except (LocalEntryNotFoundError, OSError) as error:
            raise _hub_error(repo, error) from error
    raise FileNotFoundError(f"the hub has no model {ids[0]!r} that you may read; check the name")


def _fetch(repo: str, dtype: torch.dtype, checker: bool, **how: Any) -> Path:
    """A repository's folder, with the first variant of the weights that is there for every part."""
    from huggingface_hub import snapshot_download

    parts = {**layout.MODELS, **layout.CHECKER} if checker else layout.MODELS
    configs = ["model_index.json", "defaults.json", "*/*.json", "*/*.txt"]
    check_kind(Path(snapshot_download(repo, allow_patterns=configs, **how)), repo)
    incomplete = None
    for variant in layout.weight_variants(dtype):
        weights = (layout.weights_patterns(*part, variant) for part in parts.items())
        wanted = [*configs, *(pattern for patterns in weights for pattern in patterns)]
        try:
            folder = Path(snapshot_download(repo, allow_patterns=wanted, **how))
            return layout.require_complete(folder)
        except FileNotFoundError as error:
            incomplete = incomplete or error
    assert incomplete is not None
    raise incomplete


def _hub_error(repo: str, error: Exception) -> OSError:
    """What the hub's library or `require_complete` says, as one sentence that says what to do."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return OSError(f"no room on the disk for {repo!r} (SD 1.5 needs {SD15_SIZES}); free some")
    if isinstance(error, FileNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return FileNotFoundError(f"{repo!r} is no Stable Diffusion 1.x in safetensors: {error}")
    return ConnectionError(
        f"cannot reach the hub to download {repo!r}, and it is neither a folder here nor in the "
        "cache; connect to the network, or use the model 'tiny', which needs none"
    )
