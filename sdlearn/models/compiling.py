"""Faster calls of the networks, by another engine than torch's own.

On a GPU, torch.compile generates new code. It is much faster, but takes a minute or more for the
first image of each size and number, and rounds differently: an image may differ by a grey level.
Code that watches or changes layers (`sdlearn.inside`) runs the plain model (`as_written`).

On the CPU, ONNX Runtime runs text encoder, U-Net and decoder in float32 (`engine`). It rounds
differently, too. The graphs of the tiny model lie beside its weights; those of other models are
made at the first time, with the extra "onnx" (`graphs`). The engine has the weights in a form of
its own, so they take their memory twice. The command line and the explorers ask for it only where
nothing is left to be made: `compile=None`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .engine import Engine
from .graphs import FOLDERS, find_graph, network_of, ready_graph

__all__ = ["as_written", "check_compile", "compile_if_ready", "compile_parts"]


def check_compile(wanted: bool | None) -> None:
    """Raise `TypeError` for a `compile` that is neither True nor False nor None."""
    if not (wanted is None or isinstance(wanted, bool)):
        raise TypeError(f"compile must be True, False or None; got {wanted!r}")


def compile_parts(
    parts: Mapping[str, Any], folder: Path, device: torch.device, offload: str
) -> None:
    """Make "text_encoder", "unet" and "vae" of the model in `folder` faster in place.

    Where that is not possible on the CPU, a sentence on stderr says why, and torch runs the part as
    it is written. Raises `ValueError` when weights are moved to the device and back
    (`MemoryPlan.offload`), as compiled code needs them to stay in place.
    """
    if offload != "none":
        raise ValueError(
            "compile=True needs all parts on the device, and the memory is too little for that; "
            "give more memory, or leave compile out"
        )
    if device.type == "cpu":
        try:
            _require_engine(parts)
            _use_engine(parts, {p: find_graph(p, parts[h], folder) for p, h in FOLDERS.items()})
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            print(f"sdlearn: compile=True leaves this model to torch: {reason}", file=sys.stderr)
    else:
        parts["unet"].compile()
        parts["vae"].decoder.compile()


def compile_if_ready(parts: Mapping[str, Any], folder: Path, device: torch.device) -> None:
    """Make the parts faster in place where that takes no time: on a CPU, with graphs that exist.

    Elsewhere nothing happens, and nothing is said.
    """
    try:
        if device.type == "cpu":
            _require_engine(parts)
            ready = {part: ready_graph(part, parts[h], folder) for part, h in FOLDERS.items()}
            graphs = {part: graph for part, graph in ready.items() if graph is not None}
            if len(graphs) == len(FOLDERS):
                _use_engine(parts, graphs)
    except (ImportError, RuntimeError):
        return


def _require_engine(parts: Mapping[str, Any]) -> None:
    """Raise `ImportError` or `RuntimeError` where ONNX Runtime cannot run the parts."""
    import onnxruntime  # noqa: F401

    if parts["unet"].dtype != torch.float32:
        raise RuntimeError(f"on a CPU it wants float32, and this is {parts['unet'].dtype}")
    if parts["unet"].config.time_cond_proj_dim:
        raise RuntimeError("a distilled U-Net has one input more than our graphs")


def _use_engine(parts: Mapping[str, Any], graphs: Mapping[str, Path]) -> None:
    """Let ONNX Runtime run all three networks."""
    for part, graph in graphs.items():
        model = parts[FOLDERS[part]]
        levels = len(model.config.block_out_channels) if part == "unet" else 1
        network = network_of(part, model)
        network.forward = Engine(network, part, graph, factor=2 ** (levels - 1))


_eager_lock = threading.Lock()
_eager_blocks = 0


@contextmanager
def as_written() -> Iterator[None]:
    """While any of these blocks is open, what torch.compile made runs eagerly, with all hooks.

    The stance of torch.compile is one for the whole process, so the blocks are counted: they may
    be closed in any order.
    """
    global _eager_blocks
    with _eager_lock:
        _eager_blocks += 1
        torch.compiler.set_stance("force_eager")
    try:
        yield
    finally:
        with _eager_lock:
            _eager_blocks -= 1
            if not _eager_blocks:
                torch.compiler.set_stance("default")
