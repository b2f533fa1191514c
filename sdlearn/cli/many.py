"""Many prompts into one folder: `sdlearn generate --prompts FILE`, by one process or by several.

    lines of a file → jobs (prompt, seed, file) → batches → the share of one process

`accelerate launch` starts the processes. The main process alone reads the list and looks into the
folder; the others are told its plan before anything is drawn, so all of them split the same work.
Two choices make the images the same byte for byte, however many processes draw them and however
often they were stopped (on one kind of device, with one number of threads):

- A batch of another size may round differently in the last bits. So batches are cut from the whole
  list, before the work is split and before what is there already is left out.
- A batch of which some images are missing is drawn whole again, and only those are written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..util.files import remove_partials
from . import drawing, output
from .drawing import Job

if TYPE_CHECKING:
    from ..pipeline import StableDiffusion

WIDTH = 4  # digits of a prompt's number and of a seed in a file's name: 0003-a-red-house-seed0007
PATIENCE = timedelta(days=30)  # how long a process waits at the end for the slowest one


def run(args: argparse.Namespace) -> int:
    """Draw what is not there yet, and say how many images that were."""
    from accelerate.utils import broadcast_object_list

    state = _process_state(args)
    sd: StableDiffusion | None = None
    plan: Any = None  # or the exception that tells why there is none
    if state.is_main_process:
        try:
            plan = make_plan(args)
            if not all(plan.values()):
                # before the others: it may have to be downloaded
                sd = drawing.load_model(args, args.device or state.device)
            args.output.mkdir(exist_ok=True)
            remove_partials(args.output, (job.path.name for job in plan))
        except Exception as error:  # the others wait: they are told before it is raised
            plan = error
    [plan] = broadcast_object_list([plan])
    refused = isinstance(plan, Exception)
    if not refused:
        _draw_share(sd, state, args, plan)
    state.wait_for_everyone()  # gloo aborts a process whose partner is gone
    state.destroy_process_group()
    if state.is_main_process:
        if refused:
            raise plan
        there = sum(plan.values())
        print(f"{len(plan) - there} drawn, {there} were there already, in {args.output}")
    return 2 if refused else 0


def _process_state(args: argparse.Namespace) -> Any:
    """The processes that a launcher has started, or this one alone, as accelerate knows them."""
    from ..util.processes import this_process

    state = this_process(timeout=PATIENCE)
    if state.num_processes > 1 and args.device is not None:
        raise ValueError("device is chosen by 'accelerate launch'; leave --device out")
    return state


def make_plan(args: argparse.Namespace) -> dict[Job, bool]:
    """Every job that was asked for, and whether it is done.

    Raises for whatever can be refused without the model.
    """
    seeds = drawing.check_settings(args)
    if args.filmstrip:
        raise ValueError("filmstrip goes with one PROMPT, not with --prompts")
    folder = args.output
    if folder is None:
        raise ValueError("output must name a folder for the images of --prompts; add -o FOLDER")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output must be a folder with --prompts; {str(folder)!r} is a file")
    if not folder.parent.is_dir():
        raise ValueError(f"output's folder must exist; there is no folder {str(folder.parent)!r}")
    jobs = make_jobs(read_prompts(args.prompts), seeds, folder)
    drawing.fill_in_defaults(args)
    return {job: is_done(job, args) for job in jobs}


def read_prompts(path: Path) -> list[str]:
    """The prompts in a UTF-8 file, one a line, without blank lines and # comments.

    The path "-" stands for standard input. Raises `ValueError` with the number of a line that is
    no text, and for a file without prompts.
    """
    is_stdin = str(path) == "-"
    name = "standard input" if is_stdin else path
    try:
        text = (sys.stdin.buffer.read() if is_stdin else path.read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        where = f"line {number} of {name} is not ({error.reason})"
        raise ValueError(f"prompts must be UTF-8 text; {where}") from error
    lines = [line.strip() for line in text.split("\n")]
    for number, line in enumerate(lines, 1):
        if control := [c for c in line if ord(c) < 32 and c != "\t"]:
            where = f"line {number} of {name} holds {control[0]!r}"
            raise ValueError(f"prompts must be plain text; {where}")
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise ValueError(f"prompts must hold at least one prompt, one a line; {name} holds none")
    return prompts


def make_jobs(prompts: Sequence[str], seeds: Sequence[int], folder: Path) -> list[Job]:
    """Every prompt with every seed, in the order of the list, each with a file of its own.

    A file is named after the prompt's place among the prompts, so names sort as the list does and
    no two are the same. Up to 9,999 prompts, more can be added at the end without renaming any.
    """
    width = max(WIDTH, len(str(len(prompts))))
    stems = [f"{n:0{width}}-{output.slug(prompt)}" for n, prompt in enumerate(prompts, 1)]
    return [
        Job(prompt, seed, folder / f"{stem}-seed{seed:0{WIDTH}}.png")
        for prompt, stem in zip(prompts, stems, strict=True)
        for seed in seeds
    ]


def is_done(job: Job, args: argparse.Namespace) -> bool:
    """Whether the image is there, drawn as `args` ask: that stands in its text chunks.

    Raises `FileExistsError` for a file that was drawn otherwise or is no complete PNG, unless
    `args.force` lets it be drawn again.
    """
    if not job.path.exists():
        return False
    found = output.read_png_text(job.path)
    wanted = drawing.describe(job, args)
    differ = [key for key, value in wanted.items() if found.get(key) != value]
    if differ and not args.force:
        key = differ[0]
        instead = f"{key} {found.get(key)!r} instead of {wanted[key]!r}"
        was = instead if key in found else f"no {key} in it"
        raise FileExistsError(
            f"{job.path} is there already, with {was}; choose another folder, or add --force to "
            "draw anew what was drawn otherwise"
        )
    return not differ


def _draw_share(
    sd: StableDiffusion | None, state: Any, args: argparse.Namespace, plan: dict[Job, bool]
) -> None:
    """Draw this process's share of the batches that are not done, and write what is missing."""
    if not args.output.is_dir():
        raise FileNotFoundError(
            f"the folder {args.output} is not to be seen from here; all machines must share it"
        )
    if all(plan.values()):
        return
    drawing.fill_in_defaults(args)  # only the main process has checked the settings
    sd = sd or drawing.load_model(args, args.device or state.device)
    args.quiet |= not state.is_main_process
    jobs, size = list(plan), drawing.batch_size(sd, args)
    batches = [jobs[start : start + size] for start in range(0, len(jobs), size)]
    unfinished = [batch for batch in batches if not all(plan[job] for job in batch)]
    with state.split_between_processes(unfinished) as mine:
        for number, batch in enumerate(mine, 1):
            drawn = drawing.draw(sd, args, batch, f"batch {number} of {len(mine)}")
            for job, (image, _) in zip(batch, drawn, strict=True):
                if not plan[job]:
                    _save(image, job, args)


def _save(image: Any, job: Job, args: argparse.Namespace) -> None:
    """Write an image; one that another `sdlearn generate` wrote meanwhile must be the same."""
    try:
        drawing.save(image, job, args)
    except FileExistsError:
        if not is_done(job, args):  # such as a link to nowhere
            raise
