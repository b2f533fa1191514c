"""A module's work recorded once, then played back without Python in between: same bits, sooner.

Around every operation Python and torch's bookkeeping take their time, for the tiny U-Net a fifth
of the whole. So the operations of one call are recorded (`recording`) and from then on run
from C++. For the U-Net what depends on the text alone is computed once for an image.

A recording is replayed only for tensors of the same shapes and dtypes and the same settings, and
only while the module's parts have no hooks and keep their attention processors, weights and
submodules. Weights that are changed in place are noticed. In all other cases, and where gradients
are needed, the module runs as it is written or is recorded again. Two changes are not noticed: a
`forward` that is assigned to one of the parts, and an in-place change of a weight's `.data`.
Left out: GPUs, where torch.compile gains far more (`compiling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .recording import Play, record

__all__ = ["Playback"]

MOST_RECORDINGS = 8  # of other shapes and settings; they share the weights and are small
PLAIN = (bool, str, type(None))  # settings; numbers may be another in every call


class Playback:
    """Takes the place of a module's `forward`: `unet.forward = Playback(unet)`.

    `steady` names a tensor that comes by keyword and is the same in many calls.
    """

    def __init__(self, module: nn.Module, steady: str | None = None) -> None:
        self._module = module
        self._steady = steady
        self._parts = _Parts(module)
        self._state: list[Any] = []
        self._recordings: dict[tuple, Play | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without the recordings, which are of these very weights."""
        return vars(self) | {"_state": [], "_recordings": {}}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        values = (*args, *kwargs.values())
        if torch.is_grad_enabled() or self._parts.watched() or not _can_be_recorded(values):
            return self._as_written(*args, **kwargs)
        self._forget_if_changed()
        if self._parts.adapted:
            return self._as_written(*args, **kwargs)
        kinds = ((v.shape, v.dtype, v.device) if isinstance(v, Tensor) else v for v in values)
        key = (len(args), *kwargs, *kinds, self._module.training)
        if key not in self._recordings:
            if len(self._recordings) == MOST_RECORDINGS:
                self._recordings.pop(next(iter(self._recordings)))  # the oldest
            self._recordings[key] = record(self._module, args, kwargs, self._steady)
        play = self._recordings[key]
        if play is None:
            return self._as_written(*args, **kwargs)
        return play(*(v for v in values if isinstance(v, Tensor)))

    def _as_written(self, *args: Any, **kwargs: Any) -> Any:
        return type(self._module).forward(self._module, *args, **kwargs)

    def _forget_if_changed(self) -> None:
        state = self._parts.state()
        if state != self._state:
            self._recordings.clear()
            self._parts = _Parts(self._module)
            self._state = self._parts.state()


class _Parts:
    """What a recording of a module depends on, besides the inputs."""

    def __init__(self, module: nn.Module) -> None:
        parts = list(module.modules())
        # The hooks of the module itself are run by torch, before and after `forward`.
        self._hooks = [h for p in parts[1:] for h in (p._forward_hooks, p._forward_pre_hooks)]
        homes = [home for p in parts for home in (p._parameters, p._buffers)]
        self._tensors = _Places(homes)
        self._children = _Places([p._modules for p in parts])
        # diffusers' way to look into an attention, or to change it.
        self._processors = [(p, p.processor) for p in parts if hasattr(p, "processor")]
        # Whether there is a LoRA (peft), whose strength is a number that a recording would keep.
        self.adapted = any(hasattr(p, "lora_A") for p in parts)

    def watched(self) -> bool:
        """Whether hooks or other attention processors are installed, which a replay would skip."""
        return any(self._hooks) or any(p.processor is not own for p, own in self._processors)

    def state(self) -> list[Any]:
        """A list that is a different one after a part or a tensor was replaced."""
        addresses = [t if t is None else t.data_ptr() for t in self._tensors.now()]
        return addresses + self._children.now()


class _Places:
    """The present values of fixed keys of some dicts, looked up in a fraction of a millisecond."""

    def __init__(self, homes: Sequence[dict[str, Any]]) -> None:
        self._homes = [home for home in homes for _ in home]
        self._names = [name for home in homes for name in home]

    def now(self) -> list[Any]:
        return list(map(dict.get, self._homes, self._names))


def _can_be_recorded(values: Sequence[Any]) -> bool:
    known = all(isinstance(value, (Tensor, *PLAIN)) for value in values)
    return known and not torch.is_autocast_enabled("cpu")
