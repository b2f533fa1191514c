"""`sdlearn generate --prompts FILE`: a list of prompts, one process or many, stopped at will.

`accelerate launch` starts the processes; each draws its share of the batches. The main process
alone reads the list, looks at what is there and refuses what must be; the others are told its plan
before anything is drawn, so all of them share out the same work, whatever appears in the folder
meanwhile. What is planned, and why so, is in `jobs`; how a picture is drawn in `drawing`.

Left out: moving work from a slow process to a fast one. Nobody waits for anybody before the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..util.files import remove_partials
from . import drawing, jobs, output

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..pipeline import StableDiffusion, Step

__all__ = ["Plan", "run"]

STDIN = Path("-")
PATIENCE = timedelta(days=30)  # how long a process waits at the end for the slowest


@dataclass(frozen=True)
class Plan:
    """What was asked for and what of it is to be drawn."""

    prompts: list[jobs.Prompt]
    listed: list[jobs.Job]
    to_draw: set[jobs.Job]


def run(args: argparse.Namespace) -> int:
    """Draw what is not there yet, and say how many pictures that were."""
    state = _launched(args)
    plan = _agreed(state, lambda: make_plan(args))
    if plan is None:
        return 2  # the main process says why
    if not args.output.is_dir():
        raise FileNotFoundError(
            f"the folder {args.output} is not to be seen from here; all machines must share it"
        )
    if plan.to_draw:
        _draw_share(state, args, plan)
    _part(state)
    if state.is_main_process:
        drawn = len(plan.to_draw)
        print(f"{drawn} drawn, {len(plan.listed) - drawn} were there already, in {args.output}")
    return 0


def _launched(args: argparse.Namespace) -> Any:
    """The state of the processes that a launcher has started, or of this one alone."""
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    accelerator = Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != accelerator.num_processes:  # each would draw everything
        raise RuntimeError(
            f"{started} processes were started, but accelerate finds no GPUs for them; "
            "to use CPUs, set ACCELERATE_USE_CPU=true before 'accelerate launch'"
        )
    if started > 1 and args.device is not None:
        raise ValueError(
            "device is what 'accelerate launch' gives each process; leave --device out"
        )
    return accelerator.state


def make_plan(args: argparse.Namespace) -> Plan:
    """Everything that can be refused before a model is loaded is refused here.

    Makes the folder, and takes out of it what a process that was killed left half-written.
    """
    seeds = drawing.check_settings(args)
    if args.filmstrip:
        raise ValueError("filmstrip goes with one PROMPT, not with --prompts")
    folder = _check_folder(args.output)
    prompts = _read(args.prompts)
    listed = jobs.jobs_for(prompts, seeds, folder)
    to_draw = _to_draw(listed, args)
    folder.mkdir(exist_ok=True)
    for job in list(to_draw)[:1]:
        output.check_writable(job.path, force=True)
    remove_partials(folder, (job.path.name for job in listed))
    return Plan(prompts, listed, to_draw)


def _to_draw(listed: list[jobs.Job], args: argparse.Namespace) -> set[jobs.Job]:
    return jobs.missing(
        listed, lambda job: drawing.describe(args, job.prompt, job.seed), force=args.force
    )


def _check_folder(folder: Path | None) -> Path:
    if folder is None:
        raise ValueError("output must name a folder for the pictures of --prompts; add -o FOLDER")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output must be a folder with --prompts; {str(folder)!r} is a file")
    if not folder.parent.is_dir():
        raise ValueError(f"output's folder must exist; there is no folder {str(folder.parent)!r}")
    return folder


def _read(path: Path) -> list[jobs.Prompt]:
    if path == STDIN:
        return jobs.read_prompts(sys.stdin.buffer.read(), "standard input")
    return jobs.read_prompts(path.read_bytes(), str(path))


def _agreed(state: Any, make: Callable[[], Plan]) -> Plan | None:
    """The main process's plan, on every process.

    When there can be none, the main process raises why, and the others are given None.
    """
    from accelerate.utils import broadcast_object_list

    plan = problem = None
    if state.is_main_process:
        try:
            plan = make()
        except Exception as error:  # the others wait: they are told first
            problem = error
    [plan] = broadcast_object_list([plan])
    if plan is None:
        _part(state)
    if problem is not None:
        raise problem
    return plan


def _part(state: Any) -> None:
    """Let several processes end together: gloo aborts one whose partner is gone."""
    state.wait_for_everyone()
    state.destroy_process_group()


def _draw_share(state: Any, args: argparse.Namespace, plan: Plan) -> None:
    """Draw this process's batches; the main process shows a bar over its own."""
    from tqdm import tqdm

    sd = drawing.load_model(args, args.device or state.device)
    if state.is_main_process:
        _say_what_is_cut_off(sd, args, plan)
    batched = jobs.batches(plan.listed, drawing.batch_size(sd, args))
    mine = jobs.share(batched, plan.to_draw, state.process_index, state.num_processes)
    hidden = args.quiet or not state.is_main_process
    total = len(mine) * drawing.calls(sd, args)
    with (
        warnings.catch_warnings(),
        tqdm(total=total, unit="step", leave=False, file=sys.stderr, disable=hidden) as bar,
    ):
        warnings.filterwarnings("ignore", "the prompt has .* tokens")  # has been said
        uncond = sd.encode_text(args.negative)
        for number, batch in enumerate(mine, 1):
            bar.set_description(f"batch {number} of {len(mine)}", refresh=False)
            _draw_batch(sd, args, batch, plan.to_draw, uncond, bar)


def _say_what_is_cut_off(sd: StableDiffusion, args: argparse.Namespace, plan: Plan) -> None:
    """Warn once for each prompt that is too long, and name its line."""
    sd.tokenize(args.negative)
    texts = {job.prompt for job in plan.to_draw}
    for prompt in plan.prompts:
        if prompt.text in texts:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                sd.tokenize(prompt.text)
            for warning in caught:
                warnings.warn(f"line {prompt.line}: {warning.message}", stacklevel=2)


def _draw_batch(
    sd: StableDiffusion,
    args: argparse.Namespace,
    batch: list[jobs.Job],
    to_draw: set[jobs.Job],
    uncond: Tensor,
    bar: Any,
) -> None:
    """Draw a whole batch, and write of it what is not there yet; `uncond` (1, 77, D)."""
    states = sd.encode_text([job.prompt for job in batch]), uncond
    steps = drawing.denoise(sd, args, [job.seed for job in batch], states)
    drawn = drawing.pictures(sd, _counted(steps, bar))
    for job, (picture, _) in zip(batch, drawn, strict=True):
        if job in to_draw:
            _save(picture, args, job)


def _save(picture: Image, args: argparse.Namespace, job: jobs.Job) -> None:
    """Write a picture; one that another `sdlearn generate` wrote meanwhile must be the same."""
    try:
        drawing.save(picture, job.path, args, job.prompt, job.seed)
    except FileExistsError:
        if _to_draw([job], args):  # a link to nowhere is no picture
            raise


def _counted(steps: Iterable[Step], bar: Any) -> Iterator[Step]:
    for step in steps:
        yield step
        bar.update()
