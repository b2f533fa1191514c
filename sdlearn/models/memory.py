"""How a model fits into a device's memory: where its parts are kept, and what is done in slices.

    offload        the parts                                             needs memory for
    "none"         all stay on the device                                all parts + the work
    "model"        one at a time is moved there when it is called        the largest part + the work
    "sequential"   one layer at a time is moved there; this is slow      the work

A plan is chosen from numbers alone and then applied with the hooks of accelerate and the switches
of diffusers. It is an estimate and not an enforced limit: a call that needs more memory than there
is raises `MemoryError` (`util.out_of_memory`). On the CPU, and on mps, which shares the memory of
the CPU, all parts stay where they are, because there is no other place for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from .loading import own_size

GB = 10**9
UNITS = {"MB": 10**6, "GB": GB}
# Published, not measured by us: peaks of diffusers' pipeline with SD 1.x at 512x512 in fp16 with
# SDPA and without safety checker: 4,050 MB for one image, 10,782 for eight (RTX 3060, the Stable
# Diffusion README of onnxruntime), of which 2.13 GB are weights; below 2 GB with sequential
# offloading (diffusers' documentation of 2022). We take MB for MiB. No plan for cuda slices the
# attention, because that would replace SDPA, which needs less memory.
ONE_IMAGE = 4_050 * 2**20 - 2_132_470_614  # above the weights, most of it for the VAE's decoder
NEXT_IMAGE = (10_782 - 4_050) * 2**20 // 7  # nearly all of it is saved when the VAE slices
SEQUENTIAL = 2 * GB
MANY = 8  # images for which there must be room, or the VAE decodes them one by one


@dataclass(frozen=True)
class MemoryPlan:
    """Where the parts are kept between their calls, and what is done in slices."""

    offload: str = "none"  # "none", "model" or "sequential"
    vae_slicing: bool = False  # decode the images of a batch one after the other
    vae_tiling: bool = False  # decode what is larger than the model's own size in tiles
    attention_slicing: bool = False  # compute the heads of an attention in turns; not on cuda
    limit: int | None = None  # bytes that the plan was made for
    reason: str = "all parts stay on the device"

    def __str__(self) -> str:
        return self.reason


ALL_ON_DEVICE = MemoryPlan()


def parse_memory(memory: str | int | None) -> int | str | None:
    """`memory` in bytes, of "8GB", "500 MB" or a number of bytes; "auto" and None stay as they are.

    A GB is 10**9 bytes. Raises `TypeError` or `ValueError` for anything else.
    """
    if memory is None or memory == "auto":
        return memory
    if isinstance(memory, bool) or not isinstance(memory, (str, int)):
        raise TypeError(f"memory must be like '8GB', 'auto', or a number of bytes; got {memory!r}")
    if isinstance(memory, str):
        return parse_size("memory", memory, ", or 'auto' for what is free")
    if memory <= 0:
        raise ValueError(f"memory must be more than nothing, such as '8GB'; got {memory}")
    return memory


def parse_size(name: str, text: str, otherwise: str = "") -> int:
    """ "8GB" → 8000000000. Raises `ValueError` that names the argument, and what else it may be."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MB|GB)", text.strip().upper())
    if match is None:
        raise ValueError(f"{name} must be like '8GB' or '500MB'{otherwise}; got {text!r}")
    size = int(float(match[1]) * UNITS[match[2]])
    if size == 0:
        raise ValueError(f"{name} must be more than nothing, such as '8GB'; got {text!r}")
    return size


def plan_memory(
    models: Mapping[str, Any], memory: int | str | None, device: torch.device
) -> MemoryPlan:
    """Choose a plan for a model's parts, by their names; `memory` as `parse_memory` gives it.

    "auto" and None mean all that is free on the device; a number of bytes is reduced to that.
    "unet" and "vae" must be among the `models`.
    """
    free = free_memory(device)
    asked = memory if isinstance(memory, int) else None
    limit = min((size for size in (asked, free) if size is not None), default=None)
    weights = {name: model.get_memory_footprint() for name, model in models.items()}
    unet = models["unet"]
    height, width = own_size(unet, models["vae"]) or (512, 512)
    scale = height * width / 512**2 * unet.dtype.itemsize / 2
    plan = choose_plan(weights, limit, device.type, scale=scale)
    if asked is not None and free is not None and free < asked:
        less = f"{gigabytes(asked)} were asked for, {gigabytes(free)} are free"
        plan = replace(plan, reason=f"{plan.reason}; {less}")
    return plan


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free for new tensors on a GPU; None on the CPU, where we do not plan."""
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    if device.type != "cuda":
        return None
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + cached


def choose_plan(
    weights: Mapping[str, int], limit: int | None, device_type: str, *, scale: float = 1.0
) -> MemoryPlan:
    """The fastest plan that needs no more than `limit` bytes, or the most frugal one.

    `weights` are the bytes of each part. `scale` is the memory for the work on one image, as a
    multiple of that of SD 1.x at 512x512 in half precision. Only on cuda can parts be offloaded.
    """
    if limit is None:
        return ALL_ON_DEVICE
    for need, plan in _plans(weights, scale, device_type):
        if need <= limit:
            enough = f"{plan.reason}; about {gigabytes(need)} of {gigabytes(limit)}"
            return replace(plan, limit=limit, reason=enough)
    scarce = f"{plan.reason}; {gigabytes(limit)} may be too little"
    return replace(plan, limit=limit, reason=scarce)


def _plans(weights: Mapping[str, int], scale: float, kind: str) -> list[tuple[float, MemoryPlan]]:
    """Plans and the bytes that each of them needs, the fastest first."""
    every, largest = sum(weights.values()), max(weights.values())
    one, more = scale * ONE_IMAGE, scale * NEXT_IMAGE
    stay = ALL_ON_DEVICE
    sliced = replace(stay, vae_slicing=True, reason=f"{stay.reason}, images decoded one by one")
    frugal = replace(sliced, vae_tiling=True)
    plans = [(every + one + (MANY - 1) * more, stay), (every + one, sliced)]
    if kind != "cuda":
        reason = f"{sliced.reason} and large ones in tiles, attention in slices"
        return [*plans, (math.inf, replace(frugal, attention_slicing=True, reason=reason))]
    model = replace(frugal, offload="model", reason="parts come to the device one at a time")
    layers = replace(frugal, offload="sequential", reason="layers come one at a time, slowly")
    return [*plans, (largest + one, model), (scale * SEQUENTIAL, layers)]


def apply_plan(models: Mapping[str, Any], plan: MemoryPlan, device: torch.device) -> None:
    """Carry out `plan`: move a model's parts, or install the hooks that move them.

    `models` are modules on the CPU, in the order in which they are called, "unet" and "vae" among
    them.
    """
    unet, vae = models["unet"], models["vae"]
    if device.type == "cuda":  # the layout in which its convolutions are fastest
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    if plan.vae_slicing and hasattr(vae, "use_slicing"):
        vae.enable_slicing()
    if plan.vae_tiling and hasattr(vae, "use_tiling"):
        vae.enable_tiling()
    if plan.attention_slicing:
        unet.set_attention_slice("auto")
    if plan.offload == "none":
        for model in models.values():
            model.to(device)
    elif plan.offload == "model":
        _one_part_at_a_time(models.values(), device)
    else:
        from accelerate import cpu_offload

        for model in models.values():  # a layer's weights are on "meta" but for its own call
            has_own_weights = bool(model._parameters)  # then its buffers must move with them
            cpu_offload(model, device, offload_buffers=has_own_weights)


def _one_part_at_a_time(models: Iterable[Any], device: torch.device) -> None:
    """Move a part to the device when it is called, and the part before it back to the CPU."""
    from accelerate.hooks import CpuOffload, UserCpuOffloadHook, add_hook_to_module

    class CpuOffloadWithRollback(CpuOffload):
        """Undoes a move that failed half way: accelerate would not move the rest next time."""

        def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().pre_forward(module, *args, **kwargs)
            except BaseException:
                self.init_hook(module)
                raise

    device = torch.empty(0, device=device).device  # with its index, which the hooks compare
    hooks: list[Any] = []
    for model in models:
        before = hooks[-1] if hooks else None
        hook = CpuOffloadWithRollback(device, before)
        add_hook_to_module(model, hook, append=True)
        hooks.append(UserCpuOffloadHook(model, hook))
    hooks[0].hook.prev_module_hook = hooks[-1]  # the next image begins with the first part


def gigabytes(size: float) -> str:
    """5e9 → "5.0 GB", and with two digits below 1 GB."""
    return f"{size / GB:.{2 if size < GB else 1}f} GB"
