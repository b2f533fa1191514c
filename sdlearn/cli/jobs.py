"""Which pictures a list of prompts asks for, which of them are there, and who draws the rest.

    lines of a file → prompts → jobs (prompt, seed, file) → batches → the share of one process

Nothing here draws, and nothing but `missing` looks at a disk. Two choices make pictures the same
byte for byte, however many processes draw them and however often they were stopped:

- A batch of another size may round otherwise in its last bits. So batches are cut from the whole
  list, before the work is shared out and before what is there already is taken off.
- A batch of which some pictures are there is drawn whole again, and only the others are written.
  That is at most one batch for each process that was stopped.

(On one kind of device: no library promises the same bits on two of them, or on a CPU with another
number of threads.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from .output import slug

__all__ = ["Job", "Prompt", "batches", "jobs_for", "missing", "read_prompts", "recorded", "share"]

WIDTH = 4  # digits of a prompt's number and of a seed in a file's name: 0003-a-red-house-seed0007


@dataclass(frozen=True)
class Prompt:
    """One prompt and the line that it stands on, the first line being 1."""

    text: str
    line: int


@dataclass(frozen=True)
class Job:
    """One picture to be had: of which prompt, with which seed, in which file."""

    prompt: str
    seed: int
    path: Path


def read_prompts(data: bytes, name: str) -> list[Prompt]:
    """The prompts in a file called `name`: UTF-8, one a line, without blank lines and # comments.

    Raises `ValueError` with the number of a line that is no text, and for a file without prompts.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")  # Windows may put a mark in front
    texts = [_text(line, f"line {number} of {name}") for number, line in enumerate(lines, 1)]
    prompts = [
        Prompt(text, number)
        for number, text in enumerate(texts, 1)
        if text and not text.startswith("#")
    ]
    if not prompts:
        raise ValueError(f"prompts must hold at least one prompt, one a line; {name} holds none")
    return prompts


def _text(line: bytes, where: str) -> str:
    """A line without the blanks around it, once it is known to be text."""
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"prompts must be UTF-8 text; {where} is not ({error.reason})") from error
    for character in text:
        if ord(character) < 32 and character != "\t":
            raise ValueError(f"prompts must be plain text; {where} holds {character!r}")
    return text


def jobs_for(prompts: Sequence[Prompt], seeds: Sequence[int], folder: Path) -> list[Job]:
    """Every prompt with every seed, in the order of the list, each with a file of its own.

    A file is named after the prompt's place among the prompts, so names sort as the list does and
    no two are the same; prompts may be added at the end, up to 9,999 without moving the others.
    """
    width = max(WIDTH, len(str(len(prompts))))
    return [
        Job(
            prompt.text,
            seed,
            folder / f"{number:0{width}}-{slug(prompt.text)}-seed{seed:0{WIDTH}}.png",
        )
        for number, prompt in enumerate(prompts, 1)
        for seed in seeds
    ]


def missing(
    jobs: Sequence[Job], describe: Callable[[Job], Mapping[str, str]], *, force: bool = False
) -> set[Job]:
    """The jobs that are not done: there is no picture yet that was drawn as `describe` says.

    What a picture was drawn with stands in its text chunks. Raises `FileExistsError` for a file
    that was drawn otherwise or is no whole PNG; with `force` it is to be drawn again. Raises
    `ValueError` for a folder in its place.
    """
    to_draw: set[Job] = set()
    for job in jobs:
        if job.path.is_dir():
            raise ValueError(f"output must be free for pictures; {job.path} is a folder")
        if job.path.exists():
            wanted, found = describe(job), recorded(job.path)
            differ = [key for key, value in wanted.items() if found.get(key) != value]
            if not differ:
                continue
            if not force:
                raise FileExistsError(_refusal(job.path, differ[0], found, wanted))
        to_draw.add(job)
    return to_draw


def _refusal(path: Path, key: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    was = f"{key} {found[key]!r} instead of {wanted[key]!r}" if key in found else f"no {key} in it"
    return (
        f"{path} is there already, with {was}; choose another folder, or add --force to draw anew "
        "what was drawn otherwise"
    )


def recorded(path: Path) -> dict[str, str]:
    """The text chunks of a PNG; none when it is no PNG, or not whole."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            chunks = {str(key): str(value) for key, value in image.info.items()}
            image.verify()
    except (OSError, SyntaxError, ValueError):
        return {}
    return chunks


def batches(jobs: Sequence[Job], size: int) -> list[list[Job]]:
    """All jobs, `size` at a time; the last batch may be shorter."""
    return [list(jobs[start : start + size]) for start in range(0, len(jobs), size)]


def share(
    batched: Sequence[list[Job]], to_draw: AbstractSet[Job], rank: int, ranks: int
) -> list[list[Job]]:
    """The batches that process `rank` of `ranks` draws: each in turn of those with work in them."""
    return [batch for batch in batched if not to_draw.isdisjoint(batch)][rank::ranks]
