"""This process among those that `accelerate launch` started together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerate import PartialState


def this_process(**options: Any) -> PartialState:
    """Which process this is and how many there are; `options` as for `accelerate.PartialState`.

    A plain `PartialState()` overlooks ACCELERATE_USE_CPU (accelerate 1.15): without a GPU each
    process then believes that it is alone, and so does every `Accelerator` made afterwards.
    `RuntimeError` when more processes were started than know of each other.
    """
    import accelerate
    from accelerate.utils import parse_flag_from_env

    state = accelerate.PartialState(parse_flag_from_env("ACCELERATE_USE_CPU"), **options)
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != state.num_processes:  # each would do everything
        raise RuntimeError(
            f"{started} processes were started, but accelerate finds no GPUs for them; "
            "to use CPUs, set ACCELERATE_USE_CPU=true before 'accelerate launch'"
        )
    return state
