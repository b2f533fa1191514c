"""Graphs of a model's networks for ONNX Runtime, without the weights, and where they are kept.

    text_encoder   token ids (B, 77)                              → what the module returns
    unet           latents (B, C, h, w), timesteps (B,), and for each layer of cross-attention the
                   keys or values of the text (B, L, width)       → the prediction (B, C, h, w)
    vae_decoder    latents (B, C, h, w)                           → images (B, 3, H, W)

A graph lies beside a model, in its folder `graphs`, or in the user's cache, where `find_graph` puts
it when it has made it. Its name tells what it was made for: the config of the part, and the names
and shapes of all weights. So the graph of another model, or of one whose config was edited, is not
found. Those of the tiny model are made by `sdlearn train graphs`.

The exporter is torch's; it needs onnx and onnxscript, the extra "onnx". Every new graph is compared
with the module once. Left out: how graphs are run (`engine`).
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..util.files import cache_folder, write_atomically
from .engine import TEXT_LAYERS, Network
from .layout import read_json

__all__ = [
    "FOLDERS",
    "GRAPHS",
    "export_graph",
    "find_graph",
    "graph_name",
    "name_for",
    "network_of",
    "ready_graph",
]

GRAPHS = "graphs"  # the folder beside a model, and in the cache
FOLDERS = {"text_encoder": "text_encoder", "unet": "unet", "vae_decoder": "vae"}  # part → config's
FORMAT = 1  # one more when what stands at the top of this module changes
OPSET = 20
# Fields of a config that change nothing about the computation.
IRRELEVANT = ("architectures", "dtype", "torch_dtype", "transformers_version", "sample_size")
CLOSE = 1e-3  # to the module's result, as a share of its largest number; rounding is below 1e-5


def network_of(part: str, model: Any) -> nn.Module:
    """The module that a graph stands for, in the model's part of that folder."""
    return model.decoder if part == "vae_decoder" else model


def graph_name(part: str, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> str:
    """The file name of a part's graph; `shapes` are those of the weights, by their names."""
    fields = {k: v for k, v in config.items() if k[0] != "_" and k not in IRRELEVANT}
    weights = {name: list(shape) for name, shape in shapes.items()}
    told = json.dumps([FORMAT, part, fields, weights], sort_keys=True, default=str)
    return f"{part}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.onnx"


def name_for(part: str, model: Any, folder: Path) -> str:
    """The file name of the graph for a part of the model that was read from `folder`."""
    path = folder / FOLDERS[part] / "config.json"
    if path.is_file():
        config = read_json(path)
    else:  # the model is a checkpoint in one file
        config = model.config.to_dict() if part == "text_encoder" else dict(model.config)
    shapes = {name: w.shape for name, w in network_of(part, model).state_dict().items()}
    return graph_name(part, config, shapes)


def find_graph(part: str, model: Any, folder: Path) -> Path:
    """The graph for a part of the model that was read from `folder`, a folder or one file.

    When there is none yet it is made, which may take minutes, and kept in the user's cache; a
    sentence on stderr says so. Raises `ImportError` where the packages for that are missing, and
    `RuntimeError` or `ValueError` for a part that cannot be exported.
    """
    if found := ready_graph(part, model, folder):
        return found
    name, cache = name_for(part, model, folder), cache_folder(GRAPHS)
    _require_exporter()  # before anything is said
    label = part.replace("_", " ")
    print(f"sdlearn: exporting the {label} to ONNX, once; it is kept in {cache}", file=sys.stderr)
    cache.mkdir(parents=True, exist_ok=True)
    graph = export_graph(part, model)
    with write_atomically(cache / name) as partial:
        partial.write_bytes(graph)
    return cache / name


def ready_graph(part: str, model: Any, folder: Path) -> Path | None:
    """The graph for a part of the model that was read from `folder`, if it was made before."""
    name = name_for(part, model, folder)
    paths = (home / name for home in (folder / GRAPHS, cache_folder(GRAPHS)))
    return next((path for path in paths if path.is_file()), None)


def _require_exporter() -> None:
    """Raise `ImportError` where something is missing to export a graph."""
    if find_spec("onnxscript") is None:
        raise ImportError('it has no graphs, and to make them takes pip install "sdlearn[onnx]"')
    if not hasattr(torch.onnx, "ops"):
        raise ImportError(f"exporting needs torch 2.8 or newer; this is {torch.__version__}")


def export_graph(part: str, model: Any) -> bytes:
    """The graph of a part in float32 on the CPU.

    Raises `ImportError` without the exporter's packages, and `RuntimeError` for a part that cannot
    be exported, or whose graph gives other results than the module.
    """
    _require_exporter()
    network = network_of(part, model)
    # Layers are changed below, on a copy around the same weights.
    shared = (*network.parameters(), *network.buffers())
    twin = copy.deepcopy(network, {id(tensor): tensor for tensor in shared})
    vars(twin).pop("forward", None)
    exported = _Exported(part, twin)
    with torch.no_grad(), _quiet_exporter():
        inputs = exported.inputs(*_examples(part, model, 2))
        made = torch.onnx.export(
            exported,
            inputs,
            dynamo=True,
            optimize=False,  # `_simplify` does it, without folding weights into constants
            opset_version=OPSET,
            dynamic_shapes=(tuple(map(_free_sizes, inputs)),),
            verbose=False,
        )
        graph = _to_bytes(made.model, twin.state_dict())  # type: ignore[union-attr]
        _compare(part, model, graph)
    return graph


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without what the exporter says of packages that are not needed here."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _examples(part: str, model: Any, count: int) -> list[Tensor]:
    """Inputs of a part for `count` images, not square, and as small as can be."""
    config, source = model.config, torch.Generator().manual_seed(count)
    if part == "text_encoder":
        shape = count, config.max_position_embeddings
        return [torch.randint(config.vocab_size, shape, generator=source)]
    if part == "vae_decoder":
        return [torch.randn(count, config.latent_channels, 2, 3, generator=source)]
    side = 2 ** (len(config.block_out_channels) - 1)
    latents = torch.randn(count, config.in_channels, 2 * side, 3 * side, generator=source)
    texts = torch.randn(count, 77, config.cross_attention_dim, generator=source)
    return [latents, torch.rand(count, generator=source) * 999, texts]


def _free_sizes(x: Tensor) -> dict[int, Any]:
    """Any number of images, of any size; any number of text states, but not of token ids."""
    free = range(x.ndim) if x.is_floating_point() else range(1)
    fixed = {4: 1, 3: 2}.get(x.ndim)  # channels, or the width of a state
    return {i: torch.export.Dim.DYNAMIC for i in free if i != fixed}


class _Exported(nn.Module):
    """A part as a function of tensors in a row; a U-Net takes keys and values of the text."""

    def __init__(self, part: str, module: nn.Module) -> None:
        super().__init__()
        self.part = part
        self.module = module.eval()
        weights = sorted(name for name in module.state_dict() if name.endswith(TEXT_LAYERS))
        self.text_layers = [module.get_submodule(name.removesuffix(".weight")) for name in weights]
        for name, layer in module.named_modules():
            if part == "unet" and name.endswith((".attn1", ".attn2")):
                layer.set_processor(_FusedAttention())

    def inputs(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The inputs of `forward` for those of the module."""
        if not self.text_layers:
            return given
        return *given[:-1], *(layer(given[-1]) for layer in self.text_layers)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self.text_layers:
            sample, timestep, *answers = inputs
            for layer, answer in zip(self.text_layers, answers, strict=True):
                layer.forward = lambda _, answer=answer: answer
            inputs = sample, timestep, answers[0]
        return _call(self.part, self.module, *inputs)


class _FusedAttention:
    """An attention as one operation of ONNX Runtime instead of twenty, in diffusers' form.

    Only the traced shapes count: torch cannot compute it.
    """

    def __call__(
        self, layer: Any, x: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor:
        text = x if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = layer.to_q(x), layer.to_k(text), layer.to_v(text)  # (B, places, width)
        told = {"num_heads": layer.heads, "scale": layer.scale}
        name, like = "com.microsoft::MultiHeadAttention", {"dtype": x.dtype, "shape": query.shape}
        out = torch.onnx.ops.symbolic(name, (query, key, value), told, version=1, **like)
        return layer.to_out[0](out)


def _call(part: str, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
    """What the module of a part gives for the inputs of a `Network`."""
    if part == "vae_decoder":
        return (module(*inputs),)
    if part == "text_encoder":
        return module(*inputs, return_dict=False)
    sample, timestep, states = inputs
    return module(sample, timestep, encoder_hidden_states=states, return_dict=False)


def _to_bytes(model: Any, names: Iterable[str]) -> bytes:
    """An exported model, simplified, without the weights of these names.

    What the exporter notes of its work goes too: lines of source, and folders of this machine.
    """
    import onnx_ir as ir

    weights = _simplify(model, {f"module.{name}" for name in names})
    for weight in weights:
        weight.name = name = weight.name.removeprefix("module.")
        # There is no such file: `engine` gives the weights.
        nowhere = "weights", 0, 0
        weight.const_value = ir.ExternalTensor(
            *nowhere, weight.dtype, shape=weight.shape, name=name
        )
        model.graph.initializers[name] = weight
    inner = [v for node in model.graph for v in node.outputs if v not in model.graph.outputs]
    for value in inner:
        value.shape = value.type = None  # ONNX Runtime finds them out again
    for node in model.graph:
        node.name = None
    values = [*inner, *model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()]
    for noted in (model, model.graph, *model.graph, *values):
        noted.metadata_props.clear()
        noted.doc_string = None
    return ir.serde.serialize_model(model).SerializeToString()


def _simplify(model: Any, names: Set[str]) -> list[Any]:
    """Fold and fuse what does not depend on the weights; returns these, taken out of the graph.

    They are inputs meanwhile, so none of them can become a part of a constant.
    """
    import onnxscript

    graph = model.graph
    weights = [value for name, value in graph.initializers.items() if name in names]
    for weight in weights:
        del graph.initializers[weight.name]
        weight.const_value = None
        graph.inputs.append(weight)
    onnxscript.optimizer.optimize(model)
    del graph.inputs[-len(weights) :]
    return weights


def _compare(part: str, model: Any, graph: bytes) -> None:
    """Raise `RuntimeError` where a graph gives other results than the module, for two sizes."""
    network = network_of(part, model)
    runs = Network(graph, network.state_dict())
    for count in (1, 3):
        inputs = _examples(part, model, count)
        expected = _call(part, network, *inputs)
        for got, right in zip(runs(*inputs), expected, strict=True):
            apart = float((got - right).abs().max() / right.abs().max())
            if not apart < CLOSE:
                raise RuntimeError(f"the exported {part} is wrong by {apart:.1%}")
