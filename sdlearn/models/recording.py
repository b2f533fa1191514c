"""One call of a module, recorded as a sequence of operations that C++ runs (TorchScript's `trace`).

They are the same operations in the same order, so the results are the same bits. One argument may
be declared steady, such as the text states of a U-Net: results that depend on it alone (the keys
and values of cross-attention) are computed once and kept while it has the same values.

Left out: when a recording may be replayed (`playback`).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Play", "record"]

Play = Callable[..., Any]  # of the tensors among a call's arguments, in their order


def record(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], steady: str | None = None
) -> Play | None:
    """`module.forward(*args, **kwargs)` as a function of the tensors among the arguments.

    What is no tensor stays as it is in this call. `steady` is the name of a tensor that comes by
    keyword. None if the result is more than tensors. The `forward` is that of the class, whatever
    took its place in `module`.
    """
    module = _copy_sharing_weights(module)
    values = (*args, *kwargs.values())
    inputs = tuple(v for v in values if isinstance(v, Tensor))

    def call(*tensors: Tensor) -> Any:
        given = iter(tensors)
        now = [next(given) if isinstance(v, Tensor) else v for v in values]
        named = dict(zip(kwargs, now[len(args) :], strict=True))
        return module.forward(*now[: len(args)], **named)

    text = kwargs.get(steady) if steady else None
    with _find_steady_layers(module, text) as layers:
        result = call(*inputs)
    if not isinstance(result, (Tensor, tuple)):
        return None
    if not layers:
        return _traced(call, inputs)

    def call_with_answers(*tensors: Tensor) -> Any:
        with _with_fixed_outputs(layers, tensors[len(inputs) :]):
            return call(*tensors[: len(inputs)])

    kept = _CachedOutputs(layers)
    place = next(i for i, x in enumerate(inputs) if x is text)
    play = _traced(call_with_answers, (*inputs, *kept(inputs[place])))
    return lambda *tensors: play(*tensors, *kept(tensors[place]))


def _copy_sharing_weights(module: nn.Module) -> nn.Module:
    """The same parts around the same tensors, with the forward of the class.

    Recording replaces the `forward` of layers. That is done on this copy, as another thread may be
    using the module meanwhile.
    """
    own = vars(module).get("forward"), module._forward_hooks, module._forward_pre_hooks
    shared = (*module.parameters(), *module.buffers(), *own)
    twin = copy.deepcopy(module, {id(x): x for x in shared})
    vars(twin).pop("forward", None)
    return twin


@contextmanager
def _find_steady_layers(module: nn.Module, x: Tensor | None) -> Iterator[list[nn.Module]]:
    """The layers that are given `x` and nothing else, in a list that fills in the context.

    Not those with weights made in inference mode: whether they were changed cannot be seen.
    """
    layers: list[nn.Module] = []

    def note(layer: nn.Module, args: tuple[Any, ...]) -> None:
        if (
            len(args) == 1
            and args[0] is x
            and not any(w.is_inference() for w in layer.parameters())
        ):
            layers.append(layer)

    hooks = [
        part.register_forward_pre_hook(note)
        for part in module.modules()
        if x is not None and not any(part.children())
    ]
    yield layers
    for hook in hooks:
        hook.remove()


@contextmanager
def _with_fixed_outputs(layers: Sequence[nn.Module], answers: Sequence[Tensor]) -> Iterator[None]:
    """While the context is open, each layer returns its given output instead of computing it."""
    for layer, answer in zip(layers, answers, strict=True):
        layer.forward = lambda _, answer=answer: answer
    yield
    for layer in layers:
        del layer.forward


class _CachedOutputs:
    """What layers make of a tensor; computed anew for another tensor or changed weights."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = layers
        self._weights = [weight for layer in layers for weight in layer.parameters()]
        self._last: tuple[Tensor, list[int], tuple[Tensor, ...]] | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        versions = [weight._version for weight in self._weights]
        last = self._last
        if last is None or last[1] != versions or not torch.equal(last[0], x):
            # In one go: another thread may come with another tensor.
            last = self._last = x.clone(), versions, tuple(layer(x) for layer in self._layers)
        return last[2]


def _traced(call: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Play:
    with warnings.catch_warnings():
        # TorchScript is deprecated; its heirs were no faster than plain Python here.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(call, inputs, check_trace=False, strict=False)
    _write_sizes_in(traced.graph)
    return traced


def _write_sizes_in(graph: Any) -> None:
    """Put sizes, which the inputs' shapes decide, in place of what computes them in every call."""
    torch._C._jit_pass_peephole(graph, False)
    numbers = torch._C._jit_pass_constant_propagation_immutable_types  # type: ignore[attr-defined]
    numbers(graph)  # never tensors: weights may change in place
    torch._C._jit_pass_peephole(graph, False)
    torch._C._jit_pass_dce(graph)
