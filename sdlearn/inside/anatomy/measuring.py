"""One call of a module that has no weights, and what can be learned from it.

The module and its inputs live on torch's meta device. Work is counted by torch's own
`FlopCounterMode`. Scaled dot-product attention is one fused operation on most devices, and
whether the counter knows it depends on which; so torch's plain form is asked for here, two matrix
products, which is what every fused one computes. A causal mask saves no work in this count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from ..ablation import SKIPS
from .part import CROSS_ATTENTION, KINDS_OF_WORK, Part, Shape, Skip

__all__ = ["measure", "trace_skips"]

# What torch calls the operations that are counted; the two fused ones are sums of bmm.
KIND_OF_OPERATION = {
    "aten.convolution": "convolution",
    "aten.mm": "linear",
    "aten.addmm": "linear",
    "aten.bmm": "attention",
    "aten.baddbmm": "attention",
}


def measure(name: str, module: nn.Module, *args: Any, **kwargs: Any) -> Part:
    """The tree of `module`'s parts, from one call of it with these arguments."""
    calls: dict[nn.Module, tuple[tuple[Shape, ...], tuple[Shape, ...]]] = {}

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        calls[module] = (_shapes((args, kwargs)), _shapes(output))

    hooks = [part.register_forward_hook(note, with_kwargs=True) for part in module.modules()]
    counter = FlopCounterMode(display=False)
    with _removed_after(hooks), counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        module(*args, **kwargs)
    counts = counter.get_flop_counts()
    turns = {called: turn for turn, called in enumerate(calls)}

    def turn(child: tuple[str, nn.Module, str]) -> int:
        return turns.get(child[1], 0)

    def part(name: str, module: nn.Module, path: str) -> Part:
        return Part(
            name,
            _kind(module),
            sum(p.numel() for p in module.parameters()),
            *calls.get(module, ((), ())),
            _work(counts.get(path, {})),
            tuple(part(*child) for child in sorted(_children(module, path, calls), key=turn)),
        )

    return part(name, module, type(module).__name__)


@contextmanager
def _removed_after(hooks: Iterable[RemovableHandle]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _children(
    module: nn.Module, path: str, called: Iterable[nn.Module], prefix: str = ""
) -> Iterator[tuple[str, nn.Module, str]]:
    """Name, module and path of each part that has parameters; of a mere list, its entries."""
    for name, child in module.named_children():
        if isinstance(child, (nn.ModuleList, nn.Sequential)) and child not in called:
            yield from _children(child, f"{path}.{name}", called, f"{prefix}{name}.")
        elif any(True for _ in child.parameters()):
            yield f"{prefix}{name}", child, f"{path}.{name}"


def _kind(module: nn.Module) -> str:
    """The class of a module; for diffusers' attention, which of the two kinds it is."""
    crosses = getattr(module, "is_cross_attention", None)
    if crosses is None:
        return type(module).__name__
    return CROSS_ATTENTION if crosses else "SelfAttention"


def _work(counts: Mapping[Any, int]) -> dict[str, int]:
    work = dict.fromkeys(KINDS_OF_WORK, 0)
    for operation, flops in counts.items():
        work[KIND_OF_OPERATION[str(operation)]] += flops
    return work


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a tensor, or in tuples, lists and mappings of them, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)


def _shapes(value: Any) -> tuple[Shape, ...]:
    return tuple(tuple(tensor.shape) for tensor in _tensors(value))


def trace_skips(unet: nn.Module, *args: Any, **kwargs: Any) -> tuple[Skip, ...]:
    """The skip connections of diffusers' U-Net in the order in which they are taken up.

    Found by following the tensors themselves: an up block is called with tensors that something
    on the way down returned, and its resnets take them from the last to the first.
    """
    made: dict[int, tuple[str, Tensor]] = {}  # by id; kept, so that no id is used twice
    skips: list[Skip] = []

    def note_maker(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            tensors = list(_tensors(output))
            if len(tensors) == 1:  # blocks give several, each made by a part of theirs
                made[id(tensors[0])] = (name, tensors[0])

        return hook

    def note_taker(name: str) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            for i, state in enumerate(reversed(kwargs[SKIPS])):
                source = made[id(state)][0]
                skips.append(Skip(source, f"{name}.resnets.{i}", tuple(state.shape)))

        return hook

    hooks = [part.register_forward_hook(note_maker(n)) for n, part in unet.named_modules()]
    hooks += [
        block.register_forward_pre_hook(note_taker(f"up_blocks.{i}"), with_kwargs=True)
        for i, block in enumerate(unet.get_submodule("up_blocks").children())
    ]
    with _removed_after(hooks), torch.no_grad():
        unet(*args, **kwargs)
    return tuple(skips)
