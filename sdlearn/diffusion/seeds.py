"""Seeds, generators and the noise that they give.

Noise is always drawn on the CPU, from one generator for each image. So a seed means the same noise
on every device, and an image does not depend on the batch it is generated in. There is no global
seeding anywhere in sdlearn. Only the noise is the same everywhere; the last bits of an image may
differ, because PyTorch does not promise equal results across devices and releases (see its notes
on reproducibility).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Generator, Tensor

from ..util.checks import check_whole

HIGHEST_SEED = 2**63 - 1


def check_seeds(seeds: Iterable[int]) -> list[int]:
    """`seeds` as a list of Python ints, at least one, each in 0..2**63 - 1.

    Raises `TypeError` for anything but whole numbers and `ValueError` for those out of range.
    """
    single = isinstance(seeds, (str, bytes)) or getattr(seeds, "ndim", 1) == 0  # a 0-d tensor
    if single or not isinstance(seeds, Iterable):
        raise TypeError(f"seeds must be a list of whole numbers such as [7]; got {seeds!r}")
    checked = [_check_seed(seed) for seed in seeds]
    if not checked:
        raise ValueError("seeds must hold at least one seed, one for each image; got none")
    return checked


def _check_seed(seed: int) -> int:
    number = check_whole("every seed must be a whole number", seed)
    if not 0 <= number <= HIGHEST_SEED:
        raise ValueError(f"every seed must lie in 0..2**63 - 1; got {number}")
    return number


def generators(seeds: Iterable[int]) -> list[Generator]:
    """One CPU generator for each seed."""
    return [Generator().manual_seed(seed) for seed in check_seeds(seeds)]


def randn(
    shape: Sequence[int],
    seeds: Iterable[int],
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Unit-variance noise, (B, *shape), from a generator of its own for each seed.

    `shape` is that of one image or latent. The noise is made on the CPU in `dtype` and then moved
    to `device`.

    >>> bool((randn((4, 16, 16), [7, 8])[1:] == randn((4, 16, 16), [8])).all())
    True
    """
    return _sample(shape, generators(seeds), dtype).to(device)


def generators_for(
    latents: Tensor, seeds: Iterable[int] | None, *, needed: bool = True
) -> list[Generator] | None:
    """The generator of each image, for a scheduler that adds fresh noise in its steps.

    The initial noise is drawn again and discarded, so that each generator continues after it.
    None where they are not `needed`; seeds that are given are checked all the same. `latents`
    (B, 4, h, w). Raises `ValueError` unless there is one seed for each of them.
    """
    if seeds is None:
        if needed:
            raise ValueError("seeds must be given for a scheduler that draws noise as it goes")
        return None
    made = generators(seeds)
    if len(made) != len(latents):
        raise ValueError(f"seeds must be one for each of {len(latents)} latents; got {len(made)}")
    _sample(latents.shape[1:], made, latents.dtype)  # the initial noise, discarded
    return made if needed else None


def _sample(shape: Sequence[int], sources: Sequence[Generator], dtype: torch.dtype) -> Tensor:
    return torch.cat([torch.randn((1, *shape), generator=g, dtype=dtype) for g in sources])
