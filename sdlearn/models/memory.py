"""What fits into a device's memory: where a model's parts lie, and what helps when it is short.

    offload        the parts                                        wants room for
    "none"         all stay on the device                           all parts + the work
    "model"        each comes when it is its turn, the last leaves  the largest part + the work
    "sequential"   each layer comes and goes; slow                  the work

A plan is chosen from numbers alone and then carried out with the hooks of accelerate and the
switches of diffusers. It is an estimate, not a limit that is enforced: what asks for more than
there is ends in one sentence (`sdlearn.util.out_of_memory`). On the CPU,
and on mps, which shares its memory,
all parts stay: there is no other place for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

__all__ = [
    "ALL_ON_DEVICE",
    "MemoryPlan",
    "bytes_of",
    "choose_plan",
    "plan_memory",
    "free_memory",
    "gigabytes",
    "parse_memory",
    "parse_size",
    "apply_plan",
]

GB = 10**9
UNITS = {"MB": 10**6, "GB": GB}
# Published, not measured here: peaks of diffusers' pipeline with SD 1.x at 512x512 in fp16, SDPA,
# without safety checker: 4,050 MB for one picture, 10,782 for eight (RTX 3060, the Stable Diffusion
# README of onnxruntime), with 2.13 GB of weights in it; below 2 GB with sequential offloading
# (diffusers' documentation of 2022). MB is read as MiB here. Sliced attention is none of cuda's
# plans: it would take the place of SDPA, which wants less.
ONE_PICTURE = 4_050 * 2**20 - 2_132_470_614  # above the weights, most of it for the VAE's decoder
NEXT_PICTURE = (10_782 - 4_050) * 2**20 // 7  # nearly all of it goes when the VAE slices
SEQUENTIAL = 2 * GB
MANY = 8  # pictures at once for which there should be room before the VAE decodes them together


@dataclass(frozen=True)
class MemoryPlan:
    """Where the parts lie between their calls, and what is done in slices."""

    offload: str = "none"  # "none", "model" or "sequential"
    vae_slicing: bool = False  # decode one picture of a batch after the other
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
    """Choose a plan for a model's parts and carry it out; `memory` as `parse_memory` gives it.

    "auto" is what is free on the device, which is also meant by None, and a number is for no more
    than that. `models` as for `apply_plan`.
    """
    free = free_memory(device)
    asked = memory if isinstance(memory, int) else None
    limit = min((size for size in (asked, free) if size is not None), default=None)
    weights = {name: bytes_of(model) for name, model in models.items()}
    unet, factor = models["unet"], 2 ** (len(models["vae"].config.block_out_channels) - 1)
    pixels = (unet.config.sample_size * factor) ** 2
    scale = pixels / 512**2 * unet.dtype.itemsize / 2
    plan = choose_plan(weights, limit, device.type, scale=scale)
    if asked is not None and free is not None and free < asked:
        less = f"{gigabytes(asked)} were asked for, {gigabytes(free)} are free"
        plan = replace(plan, reason=f"{plan.reason}; {less}")
    apply_plan(models, plan, device)
    return plan


def free_memory(device: torch.device) -> int | None:
    """Bytes that a device has for new tensors, None for the CPU, which the system looks after."""
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    if device.type != "cuda":
        return None
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + cached


def bytes_of(model: torch.nn.Module) -> int:
    """What a part's parameters and buffers take."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def choose_plan(
    weights: Mapping[str, int], limit: int | None, device_type: str, *, scale: float = 1.0
) -> MemoryPlan:
    """The fastest plan that wants no more than `limit` bytes, or the most frugal if none does.

    `weights` are the bytes of each part. `scale` is the work for a picture, as a multiple of that
    of SD 1.x at 512x512 in half precision. Only on cuda is there another place for the parts.
    """
    if limit is None:
        return ALL_ON_DEVICE
    for need, plan in _plans(weights, scale, device_type):
        if need <= limit:
            enough = f"{plan.reason}; about {gigabytes(need)} of {gigabytes(limit)}"
            return replace(plan, limit=limit, reason=enough)
    scarce = f"{plan.reason}; {gigabytes(limit)} may be too little"
    return replace(plan, limit=limit, reason=scarce)


def _plans(
    weights: Mapping[str, int], scale: float, device_type: str
) -> list[tuple[float, MemoryPlan]]:
    """Plans and what each of them wants, in bytes, the fastest first."""
    every, largest = sum(weights.values()), max(weights.values())
    one, more = scale * ONE_PICTURE, scale * NEXT_PICTURE
    stay = ALL_ON_DEVICE
    sliced = replace(stay, vae_slicing=True, reason=f"{stay.reason}, pictures decoded one by one")
    frugal = replace(sliced, vae_tiling=True)
    plans = [(every + one + (MANY - 1) * more, stay), (every + one, sliced)]
    if device_type != "cuda":
        reason = f"{sliced.reason} and large ones in tiles, attention in slices"
        return [*plans, (math.inf, replace(frugal, attention_slicing=True, reason=reason))]
    model = replace(frugal, offload="model", reason="parts come to the device one at a time")
    layers = replace(frugal, offload="sequential", reason="layers come one at a time, slowly")
    return [*plans, (largest + one, model), (scale * SEQUENTIAL, layers)]


def apply_plan(models: Mapping[str, Any], plan: MemoryPlan, device: torch.device) -> None:
    """Put a model's parts where `plan` wants them, in the order in which they are called.

    `models` are modules on the CPU, "unet" and "vae" among them.
    """
    unet, vae = models["unet"], models["vae"]
    if device.type == "cuda":  # the layout that its convolutions are fastest in
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    if plan.vae_slicing:
        vae.enable_slicing()
    if plan.vae_tiling:
        vae.enable_tiling()
    if plan.attention_slicing:
        unet.set_attention_slice("auto")
    if plan.offload == "none":
        for model in models.values():
            model.to(device)
    elif plan.offload == "model":
        _one_part_at_a_time(models.values(), device)
    else:
        _one_layer_at_a_time(models.values(), device)


def _one_part_at_a_time(models: Iterable[Any], device: torch.device) -> None:
    """A part comes when it is called, and the one before it in the round goes."""
    from accelerate.hooks import CpuOffload, UserCpuOffloadHook, add_hook_to_module

    class WholeOrNot(CpuOffload):
        """Takes back what came when the move breaks off: accelerate would not move the rest."""

        def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().pre_forward(module, *args, **kwargs)
            except BaseException:
                self.init_hook(module)
                raise

    device = torch.empty(0, device=device).device  # with its number, which the hooks compare
    hooks: list[Any] = []
    for model in models:
        before = hooks[-1] if hooks else None
        hook = WholeOrNot(device, before)
        add_hook_to_module(model, hook, append=True)
        hooks.append(UserCpuOffloadHook(model, hook))
    hooks[0].hook.prev_module_hook = hooks[-1]  # the next picture begins with the first part


def _one_layer_at_a_time(models: Iterable[Any], device: torch.device) -> None:
    """A layer's weights come when it is called and go after it; meanwhile they are on "meta"."""
    from accelerate import cpu_offload

    for model in models:
        root = bool(model._parameters)  # weights of no layer: their buffers go with them
        cpu_offload(model, device, offload_buffers=root)


def gigabytes(size: float) -> str:
    """5e9 → "5.0 GB", and with two digits below 1 GB."""
    return f"{size / GB:.{2 if size < GB else 1}f} GB"
