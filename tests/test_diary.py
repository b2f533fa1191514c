"""The diary of the training: pages from the sheets of all rounds, and back."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdlearn.training.diary import FOLDER, PROMPTS, diary, write_diary
from sdlearn.util.images import tile


def sheet(path: Path, level: int) -> None:
    """A sheet whose images are all of one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tile([Image.new("RGB", (128, 128), (level,) * 3)] * len(PROMPTS), len(PROMPTS)).save(path)


def test_steps_are_counted_through_all_rounds(tmp_path: Path):
    for level, (home, steps) in enumerate([(0, 1000), (0, 2500), (1, 1000), (2, 500)]):
        sheet(tmp_path / f"round-{home}" / f"unet-{steps:05d}.png", 50 * level)
    Image.new("RGB", (8, 8)).save(tmp_path / "round-0" / "unet-strip.png")  # is no sheet
    write_diary(tmp_path, tmp_path / "pages")
    pages = diary(tmp_path / "pages")
    assert [page.steps for page in pages] == [1000, 2500, 3500, 4000]
    for level, page in enumerate(pages):
        assert len(page.images) == len(PROMPTS)
        assert np.abs(np.asarray(page.images[-1], dtype=int) - 50 * level).max() <= 2


def test_of_many_sheets_the_first_the_last_and_some_between_are_kept(tmp_path: Path):
    for steps in range(250, 10_001, 250):
        sheet(tmp_path / "round-0" / f"unet-{steps:05d}.png", 9)
    for _ in range(2):  # a second time the old pages go
        write_diary(tmp_path, tmp_path / "pages")
    steps = [page.steps for page in diary(tmp_path / "pages")]
    assert (steps[0], steps[-1]) == (250, 10_000)
    assert 6 <= len(steps) <= 8


def test_a_folder_without_pages_is_told(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="make some with 'python images/make.py diary'"):
        diary(tmp_path)


def test_the_shipped_diary_is_small():
    assert len(diary()) >= 2
    assert sum(file.stat().st_size for file in FOLDER.glob("*")) < 700_000
