"""What the checks share: the setting, the card, and pipelines that stay loaded."""

from __future__ import annotations

import gc
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import PNDMScheduler

from benchmarks import measuring
from benchmarks.contestants import CONTESTANTS, Contestant, compile_ours
from benchmarks.gpu_check.setting import Setting
from benchmarks.gpu_check.standin import write_checker, write_stand_in
from benchmarks.gpu_check.worker import NotHere
from benchmarks.make_random import SCHEDULER
from benchmarks.records import Calls, Task
from benchmarks.script import commit, processor
from sdlearn.inside.anatomy import Anatomy, anatomy
from sdlearn.models.memory import gigabytes
from sdlearn.pipeline import StableDiffusion
from sdlearn.util.out_of_memory import is_out_of_memory

PACKAGES = ("torch", "triton", "diffusers", "transformers", "accelerate", "peft", "numpy")
GUIDANCE = {"tiny": 3.0}  # by model; others have SD 1.5's own
FEW = 4  # steps where their number does not matter

T = TypeVar("T")


class Bench:
    """Loaded when first asked for, and kept until `clear`."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.meter: Any = Card() if setting.device == "cuda" else NoCard()
        self.folder = Path(setting.folder)
        self._loaded: dict[tuple[str, str, str, str], Contestant] = {}
        self._limits: dict[str, float] = {}
        self.compile_seconds: dict[str, float] = {}  # way → of ours, with the first image

    def machine(self) -> dict[str, Any]:
        """What results must say of where they come from."""
        versions = {"python": platform.python_version()}
        for name in PACKAGES:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                continue
        where = {"processor": processor(), "cores": os.cpu_count(), "versions": versions}
        return {**self.meter.card(), **where, "date": date.today().isoformat(), "commit": commit()}

    @cached_property
    def stand_in(self) -> str:
        """The folder of the stand-in, written if it is not there yet."""
        folder = self.folder / self.setting.stand_in
        if not folder.is_dir():
            write_stand_in(self.setting.stand_in, folder, self.setting.device)
        return str(folder)

    @cached_property
    def with_checker(self) -> str:
        """The folder of the stand-in with a safety checker."""
        folder = self.folder / f"{self.setting.stand_in}-checked"
        shutil.rmtree(folder, ignore_errors=True)  # one that was not finished
        write_checker(self.setting.stand_in, folder, Path(self.stand_in), self.setting.device)
        return str(folder)

    def task(self, model: str | None = None, **changes: Any) -> Task:
        """An image of the stand-in or of `model`."""
        guidance = GUIDANCE.get(model or "", 7.5)
        s = self.setting
        task = Task(model or self.stand_in, s.device, s.dtype, s.steps, guidance)
        return replace(task, **changes)

    def enter(self, who: str, task: Task, way: str = "eager") -> Contestant:
        """One of `CONTESTANTS`, loaded for a task, and compiled in one of the `WAYS`."""
        key = who, task.model, task.dtype, way
        if key not in self._loaded:
            contestant = CONTESTANTS[who](task)
            if way != "eager":
                begin = self.now()
                compile_in_a_way(contestant.pipeline, way, self.setting.backend)
                contestant.draw(task)
                self.compile_seconds[f"{who}, {way}"] = self.now() - begin
            self._loaded[key] = contestant
        return self._loaded[key]

    def keep(self, *wanted: tuple[str, str]) -> None:
        """Let go of all contestants but those with a name and a way in `wanted`."""
        for key in [key for key in self._loaded if (key[0], key[3]) not in wanted]:
            del self._loaded[key]
        self.meter.empty()

    def has(self, who: str, task: Task, way: str) -> bool:
        """Whether a contestant is loaded already."""
        return (who, task.model, task.dtype, way) in self._loaded

    def ours(self, task: Task) -> StableDiffusion:
        """Our pipeline, loaded for a task."""
        return self.enter("sdlearn", task).pipeline

    def now(self) -> float:
        """Seconds on a clock, after the card has done what it was given."""
        measuring.settler(self.setting.device)()
        return time.perf_counter()

    def flop_limit(self, dtype: str) -> float:
        """FLOP a second of the product of two large matrices."""
        if dtype not in self._limits:
            kind = getattr(torch, dtype)
            seconds = self.setting.limit_seconds
            self._limits[dtype] = measuring.matmul_limit(self.setting.device, kind, seconds)
        return self._limits[dtype]

    def calls(self, task: Task) -> Calls:
        """The calls of the stand-in's U-Net for a task: one for each timestep, with guidance."""
        scheduler = PNDMScheduler(**SCHEDULER)
        scheduler.set_timesteps(task.steps)
        count = len(scheduler.timesteps)
        return Calls(count, 2 * count * task.batch)

    @cached_property
    def anatomy(self) -> Anatomy:
        """The work of the stand-in's parts."""
        return anatomy(self.stand_in)

    def clear(self) -> None:
        """Let go of all models and compiled code."""
        self._loaded.clear()
        if self.compile_seconds:
            torch.compiler.reset()
            self.compile_seconds.clear()
        self.meter.empty()


def compile_in_a_way(pipeline: Any, way: str, backend: str) -> None:
    """Compile a pipeline: "whole" is U-Net and decoder, "regional" the U-Net's repeated blocks.

    diffusers' gets the layout that its documentation advises for that, which ours has already.
    """
    ours = isinstance(pipeline, StableDiffusion)
    if not ours:
        for part in (pipeline.unet, pipeline.vae):
            part.to(memory_format=torch.channels_last)
    if way == "regional":
        torch._dynamo.config.recompile_limit = 64  # a block has another size on each level
        pipeline.unet.compile_repeated_blocks(fullgraph=True, backend=backend)
    elif ours:
        compile_ours(pipeline)
    else:
        pipeline.unet.compile(backend=backend)
        pipeline.vae.decoder.compile(backend=backend)


class Card:
    """The memory of the card that torch sees first; sizes in bytes."""

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise ValueError("torch sees no NVIDIA card here; --rehearse runs on the CPU")
        torch.cuda.init()
        self.total = torch.cuda.get_device_properties(0).total_memory

    def card(self) -> dict[str, Any]:
        """Name and driver, as the driver gives them, and what torch was built for."""
        return {
            "card": torch.cuda.get_device_name(0),
            "driver": driver_version(),
            "memory": self.total,
            "capability": ".".join(map(str, torch.cuda.get_device_capability(0))),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }

    def empty(self) -> None:
        """Give back all memory that nothing holds, and begin a new peak."""
        gc.collect()  # modules and hooks refer to each other
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def held(self) -> int:
        """What tensors hold now."""
        return torch.cuda.memory_allocated()

    def peak_of(self, action: Callable[[], T]) -> tuple[T, int]:
        """What `action` gives, and the most that tensors held meanwhile, weights included."""
        self.empty()
        value = action()
        torch.cuda.synchronize()
        return value, torch.cuda.max_memory_allocated()

    def reserved(self) -> int:
        """The most that torch took from the driver since the last `empty`."""
        return torch.cuda.max_memory_reserved()

    def beside(self) -> int:
        """What the driver and torch's kernels take on the card beside all tensors."""
        free, total = torch.cuda.mem_get_info()
        return total - free - torch.cuda.memory_reserved()

    @contextmanager
    def cap(self, limit: int) -> Iterator[None]:
        """Torch may take `limit` bytes from the driver while the context is open, not more.

        Raises `NotHere` for more than the card has, and `RuntimeError` if torch takes more.
        """
        if limit > self.total:
            raise NotHere(f"the card has {gigabytes(self.total)}, less than {gigabytes(limit)}")
        self.empty()
        torch.cuda.set_per_process_memory_fraction(limit / self.total)
        try:
            self._must_refuse(limit)
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)

    def _must_refuse(self, limit: int) -> None:
        """Raise `RuntimeError` if torch takes more than `limit`."""
        try:
            torch.empty(limit + 2**21, dtype=torch.uint8, device="cuda")
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self.empty()
        else:
            raise RuntimeError(f"torch takes more than the cap of {gigabytes(limit)}")


class NoCard:
    """In place of `Card` on the CPU: memory is not measured there."""

    def card(self) -> dict[str, Any]:
        return {"card": "no GPU"}

    def empty(self) -> None:
        gc.collect()

    def peak_of(self, action: Callable[[], T]) -> tuple[T, None]:
        return action(), None

    def held(self) -> int:
        raise NotHere("needs a GPU")

    reserved = beside = held

    def cap(self, limit: int) -> Any:
        raise NotHere("needs a GPU")


def driver_version() -> str | None:
    """The version of the NVIDIA driver, if its program is there to tell it."""
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split("\n")[0].strip() or None
