"""The networks of a model in ONNX Runtime, on the CPU: faster than torch, and nearly the same.

Results differ by rounding, and images by one grey level at most.

`Network` is a graph with weights: tensors in, tensors out. `Engine` stands in for a module's
`forward` and calls the network wherever that gives what the module would. In all other cases the
module runs as it is written: where gradients are wanted; where hooks, another attention processor
or an attribute such as FreeU's are on one of its parts; while parts are replaced, as by a LoRA; in
training mode, under autocast, and for weights, shapes and types that the graph does not take.
Changed weights are noticed, and so is another number of torch's threads: the network is made anew,
which takes a fraction of a second. (Those of the last two numbers of threads are kept.)

What is not noticed: hooks for all modules at once (`register_module_forward_hook`), modes that
watch torch's operations (`FlopCounterMode`), and a weight changed in place through `.data` in so
few places that the one which is compared stays the same.

Left out: where graphs come from (`graphs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..util.out_of_memory import is_out_of_memory

__all__ = ["TEXT_LAYERS", "Engine", "Network"]

# The layers of cross-attention that see nothing but the text (diffusers' names of their weights).
TEXT_LAYERS = (".attn2.to_k.weight", ".attn2.to_v.weight")
MOST_NETWORKS = 2  # of one module: explorers use one thread less than the cells beside them
TYPES = {"tensor(float)": torch.float32, "tensor(int64)": torch.int64}  # those of our graphs
# Part → its tensors in their order, and what else a call must say.
ACCEPTED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "text_encoder": (("input_ids",), {"return_dict": False}),
    "unet": (("sample", "timestep", "encoder_hidden_states"), {"return_dict": False}),
    "vae_decoder": (("sample",), {}),
}


class Network:
    """A graph of `graphs` with its weights.

    The graph of a U-Net takes the keys and values of the text in the place of the text's states.
    They are computed here, and only for a text that is another one than in the last call: a picture
    takes many calls with one text.

    Raises `ValueError` for a graph that is damaged or does not fit the weights, by their names,
    types and shapes, and `RuntimeError` where ONNX Runtime fails, as without memory.
    """

    def __init__(self, graph: Path | bytes, weights: Mapping[str, Tensor]) -> None:
        names = sorted(name for name in weights if name.endswith(TEXT_LAYERS))
        self._text_weights = [weights[name].detach() for name in names]
        others = {name: value for name, value in weights.items() if name not in names}
        self._session = _open_session(graph, others)
        self._inputs = self._session.get_inputs()
        self._last: tuple[Tensor, list[Tensor]] | None = None  # a text, its keys and values

    def accepts(self, *inputs: Tensor) -> bool:
        """Whether tensors have the types, dimensions and sizes that the graph was made for."""
        count = len(inputs[0])
        if self._text_weights:
            *inputs, states = inputs  # type: ignore[assignment]
            if states.ndim != 3 or len(states) != count or states.dtype != torch.float32:
                return False
            if states.shape[2] != self._text_weights[0].shape[1]:
                return False
        return count > 0 and all(
            x.dtype == TYPES[told.type]
            and x.ndim == len(told.shape)
            and len(x) == count
            and all(isinstance(n, str) or n == m for n, m in zip(told.shape, x.shape, strict=True))
            for told, x in zip(self._inputs, inputs, strict=False)
        )

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The results, for the tensors that the module would be given, on the CPU."""
        if self._text_weights:
            *inputs, states = inputs  # type: ignore[assignment]
            inputs = *inputs, *self._keys_and_values(states)
        names = (told.name for told in self._inputs)
        arrays = (x.detach().contiguous().numpy() for x in inputs)
        try:
            results = self._session.run(None, dict(zip(names, arrays, strict=True)))
        except Exception as error:  # classes of its own, which nobody else knows
            raise RuntimeError(f"ONNX Runtime: {error}") from error
        return tuple(map(torch.from_numpy, results))

    def _keys_and_values(self, states: Tensor) -> list[Tensor]:
        """Of text states (B, L, D), for each layer its keys or values (B, L, width)."""
        last = self._last
        if last is None or not torch.equal(last[0], states):
            made = [F.linear(states, weight) for weight in self._text_weights]
            last = self._last = states.clone(), made  # in one go, for other threads
        return last[1]


def _open_session(graph: Path | bytes, weights: Mapping[str, Tensor]) -> Any:
    """A session with as many threads as torch has now; they sleep while there is nothing to do."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # those of its builds for Windows
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # it would keep what the largest image took
    options.log_severity_level = 4  # errors are raised; they would be printed as well
    # `add_initializer` would take other weights, too, and mix them with those in the graph.
    arrays = (weight.detach().contiguous().numpy() for weight in weights.values())
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays]
    options.add_external_initializers(list(weights), values)
    content = graph.read_bytes() if isinstance(graph, Path) else graph
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if is_out_of_memory(error):
            raise RuntimeError(f"ONNX Runtime: {error}") from error
        name = graph if isinstance(graph, Path) else "the graph"
        raise ValueError(f"{name} is damaged, or does not fit the weights ({error})") from error


class _Now(NamedTuple):
    """A network and what tells that its weights are still the module's."""

    state: list[Any]
    samples: list[Tensor]  # views of one number of each weight
    numbers: Tensor  # what they were
    network: Network | None  # None where the graph does not take the weights

    def is_stale(self) -> bool:
        """Whether weights were changed through `.data`, which has no version."""
        return not torch.equal(torch.cat(self.samples), self.numbers)


class Engine:
    """Takes the place of a module's `forward`: `unet.forward = Engine(unet, "unet", graph)`.

    `part` is a key of `ACCEPTED`. Calls are passed on where both sides of the first tensor are
    multiples of `factor`: others the graph of a U-Net refuses, although it declares any size.
    """

    def __init__(
        self, module: nn.Module, part: str, graph: Path | bytes, *, factor: int = 1
    ) -> None:
        self._module = module
        self._part = part
        self._graph = graph
        self._factor = factor
        self._watch = _Watch(module)
        self._kinds = _kinds(module)
        self._made: dict[int, _Now] = {}  # number of threads → the network with so many

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without the network, which has these very weights."""
        return vars(self) | {"_made": {}}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")):
            inputs = self._bind(args, kwargs)
            if inputs is not None and self._watch.is_undisturbed():
                network = self._network()
                if network is not None and network.accepts(*inputs):
                    results = network(*inputs)
                    return results[0] if self._part == "vae_decoder" else results
        return type(self._module).forward(self._module, *args, **kwargs)

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor] | None:
        """The tensors of a call in their order; None for a call that says anything else."""
        names, settings = ACCEPTED[self._part]
        told = {name: value for name, value in kwargs.items() if value is not None}
        given = dict(zip(names, args, strict=False)) | told
        if len(args) > len(names) or given.keys() != {*names, *settings}:
            return None
        if any(given[name] is not value for name, value in settings.items()):
            return None
        first = given[names[0]]
        if "timestep" in names and isinstance(first, Tensor):
            t = torch.as_tensor(given["timestep"])
            if t.numel() not in (1, len(first)) or t.ndim > 1:
                return None
            given["timestep"] = t.float().expand(len(first))
        tensors = [given[name] for name in names]
        if any(type(x) is not Tensor or x.device.type != "cpu" for x in tensors):
            return None
        fits = not any(side % self._factor for side in first.shape[2:])
        return tensors if fits else None

    def _network(self) -> Network | None:
        """The network with the module's present weights."""
        tensors = self._watch.tensors()
        addresses = [0 if t is None else t.data_ptr() for t in tensors]
        versions = [0 if t is None or t.is_inference() else t._version for t in tensors]
        state, threads = [*addresses, *versions], torch.get_num_threads()
        now = self._made.get(threads)
        if now is not None and (now.state != state or now.is_stale()):
            self._made.clear()  # the others are as old
            now = None
        if now is None:
            samples = [_middle_number(t) for t in tensors if t is not None]
            weights = self._module.state_dict()
            fits = _kinds(self._module) == self._kinds
            network = Network(self._graph, weights) if fits else None
            if len(self._made) >= MOST_NETWORKS:
                self._made.pop(next(iter(self._made)), None)  # the oldest
            now = self._made[threads] = _Now(state, samples, torch.cat(samples), network)
        return now.network


def _kinds(module: nn.Module) -> dict[str, tuple]:
    """Name → type, device and shape of every weight."""
    return {name: (t.dtype, t.device, t.shape) for name, t in module.state_dict().items()}


def _middle_number(weight: Tensor) -> Tensor:
    """A view of the number in the middle of a tensor, (1,)."""
    return weight.detach()[tuple(size // 2 for size in weight.shape)][None]


class _Watch:
    """What others may have done to a module's parts since this was made."""

    def __init__(self, module: nn.Module) -> None:
        parts = list(module.modules())
        # Hooks on the module itself are run by torch, before and after `forward`.
        self._hooks = [h for p in parts[1:] for h in (p._forward_hooks, p._forward_pre_hooks)]
        # diffusers' way to look into an attention, or to change it.
        self._processors = [(p, p.processor) for p in parts if hasattr(p, "processor")]
        self._parts = parts
        self._attributes = [len(vars(p)) for p in parts[1:]]
        self._children = _places([p._modules for p in parts])
        self._child_now = _values(self._children)
        self._tensors = _places([home for p in parts for home in (p._parameters, p._buffers)])

    def is_undisturbed(self) -> bool:
        """Whether nobody watches or changes what the parts compute."""
        return (
            not any(self._hooks)
            and all(p.processor is own for p, own in self._processors)
            and [len(vars(p)) for p in self._parts[1:]] == self._attributes
            and _values(self._children) == self._child_now
            and not any(p.training for p in self._parts)
        )

    def tensors(self) -> list[Tensor | None]:
        """All weights as they are now."""
        return _values(self._tensors)


Places = tuple[list[dict[str, Any]], list[str]]  # dicts, and a key of each


def _places(homes: Sequence[dict[str, Any]]) -> Places:
    return [home for home in homes for _ in home], [name for home in homes for name in home]


def _values(places: Places) -> list[Any]:
    """What stands in the places, looked up in a fraction of a millisecond."""
    return list(map(dict.get, *places))
