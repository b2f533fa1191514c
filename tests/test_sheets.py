"""Many images on one page: `tile` and `images/make.py`."""

from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from PIL import Image

from sdlearn.util.images import GAP, tile
from sdlearn.world import render, scene_at

PITCH = 128 + GAP


pytestmark = pytest.mark.usefixtures("folder")


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def cell(page: np.ndarray, row: int, column: int) -> np.ndarray:
    """One image of a page, 128x128."""
    top, left = row * PITCH, column * PITCH
    return page[top : top + 128, left : left + 128]


def plain(*colours: str) -> list[Image.Image]:
    return [Image.new("RGB", (3, 2), colour) for colour in colours]


def test_tile_by_hand():
    r, g, b, w = (255, 0, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)
    filled = [r, r, r, w, w, g, g, g]
    below = [b, b, b, w, w, w, w, w]
    page = np.asarray(tile(plain("red", "blue", "black"), columns=2))
    expected = [filled, filled, [w] * 8, [w] * 8, below, below]
    assert page.tolist() == [[list(pixel) for pixel in row] for row in expected]


def test_a_page_is_no_wider_than_its_pictures():
    assert tile(plain("red", "blue"), columns=5).size == (2 * 3 + GAP, 2)


@pytest.mark.parametrize(("colours", "columns"), [([], 2), (["red"], 0)])
def test_tile_refuses_an_empty_page(colours: list[str], columns: int):
    message = f"images and at least one column; got {len(colours)} and {columns}"
    with pytest.raises(ValueError, match=message):
        tile(plain(*colours), columns)


def test_the_images_of_the_readme_can_be_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    make = run_path(str(Path(__file__).parents[1] / "images" / "make.py"))
    monkeypatch.setitem(make["world"].__globals__, "HERE", folder)
    make["world"]()
    page = pixels("world.png")
    assert page.shape == (4 * PITCH - GAP, 8 * PITCH - GAP, 3)
    for i in range(32):
        assert np.array_equal(cell(page, i // 8, i % 8), np.asarray(render(scene_at(i, "train"))))
