"""The diary of the shipped U-Net: what eight prompts gave after how many steps of training.

Each page shows the same prompts from the same seeds. `python images/make.py diary` makes the pages
that come with sdlearn of all sheets that the rounds of training have left (`samples`); their steps
are counted through all rounds, of which each began where the one before had ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..util.images import GAP
from ..world import IMAGE_SIZE
from .samples import PROMPTS

__all__ = ["PROMPTS", "Page", "diary"]

FOLDER = Path(__file__).parents[1] / "weights" / "diary"
MOST = 8  # pages
QUALITY = 92  # of JPEG: no difference can be seen, and a page takes a quarter of its bytes


@dataclass(frozen=True)
class Page:
    """What `PROMPTS` gave after so many steps."""

    steps: int  # of all rounds
    images: list[Image.Image]


def diary(folder: Path = FOLDER) -> list[Page]:
    """All pages, the earliest first. Raises `FileNotFoundError` where there are none."""
    files = sorted(folder.glob("page-*.jpg"))
    if not files:
        command = "python images/make.py diary"
        raise FileNotFoundError(f"no pages in {folder}; make some with '{command}'")
    return [Page(_steps(file), _cut(Image.open(file).convert("RGB"))) for file in files]


def _steps(file: Path) -> int:
    return int(file.stem.split("-")[1])


def _cut(sheet: Image.Image) -> list[Image.Image]:
    """The images of a sheet, which are in one row with a gap between them."""
    lefts = (i * (IMAGE_SIZE + GAP) for i in range(len(PROMPTS)))
    return [sheet.crop((left, 0, left + IMAGE_SIZE, IMAGE_SIZE)) for left in lefts]


def write_diary(rounds: Path, folder: Path = FOLDER) -> list[Path]:
    """Write pages into `folder` for the sheets in the folders `round-N` in `rounds`.

    Of more than eight, those are taken whose steps are nearest to growing evenly in ratio: what
    changes, changes early.
    """
    before = 0
    sheets: dict[int, Path] = {}
    for home in sorted(rounds.glob("round-*"), key=_number):
        here = {before + _number(file): file for file in home.glob("unet-[0-9]*.png")}
        sheets |= here
        before = max(here, default=before)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("page-*.jpg"):
        old.unlink()
    written = []
    for steps in _spaced(sorted(sheets)):
        written.append(folder / f"page-{steps:06d}.jpg")
        Image.open(sheets[steps]).convert("RGB").save(written[-1], quality=QUALITY, subsampling=0)
    return written


def _number(path: Path) -> int:
    return int(re.findall(r"\d+", path.stem)[0])


def _spaced(steps: list[int]) -> list[int]:
    if len(steps) <= MOST:
        return steps
    ratio = (steps[-1] / steps[0]) ** (1 / (MOST - 1))
    wanted = [steps[0] * ratio**i for i in range(MOST)]
    return sorted({min(steps, key=lambda step: abs(step - target)) for target in wanted})
