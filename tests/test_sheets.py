"""Many pictures on one page: `tile`, `sdlearn world` and `sdlearn sheet`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdlearn import load
from sdlearn.cli import main
from sdlearn.util.images import GAP, tile
from sdlearn.world import caption, render, scene_at
from sdlearn.world.showcase import SHOWCASE

PITCH = 128 + GAP


pytestmark = pytest.mark.usefixtures("folder")


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def cell(page: np.ndarray, row: int, column: int) -> np.ndarray:
    """One picture of a page, 128x128."""
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
    message = f"pictures and at least one column; got {len(colours)} and {columns}"
    with pytest.raises(ValueError, match=message):
        tile(plain(*colours), columns)


def test_world_draws_the_scenes_of_a_split_in_order(capsys: pytest.CaptureFixture[str]):
    words = ["--rows", "2", "--columns", "3", "--split", "pairs", "--start", "5", "--captions"]
    assert main(["world", *words]) == 0
    scenes = [scene_at(5 + i, "pairs") for i in range(6)]
    assert capsys.readouterr().out.splitlines() == [*map(caption, scenes), "world.png"]
    page = pixels("world.png")
    assert page.shape == (2 * PITCH - GAP, 3 * PITCH - GAP, 3)
    for i, scene in enumerate(scenes):
        assert np.array_equal(cell(page, i // 3, i % 3), np.asarray(render(scene)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rows", "0"], "rows and columns must be at least 1 and start at least 0; got 0, 8 and"),
        (["--start", "-1"], "rows and columns must be at least 1 and start at least 0; got 4, 8"),
        (["--split", "trian"], "split must be one of"),
        (["-o", "no/world.png"], "output's folder must exist"),
        (["-o", "mine.png"], "mine.png is there already; add --force to replace it"),
    ],
)
def test_world_refuses_and_writes_nothing(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    Path("mine.png").write_bytes(b"mine")
    assert main(["world", *words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sdlearn: {message}")
    assert [path.read_bytes() for path in folder.iterdir()] == [b"mine"]


@pytest.mark.parametrize("words", [["world"], ["sheet", "one.txt", "--steps", "1"]])
def test_a_page_is_replaced_with_force(words: list[str], tiny_folder: Path):
    Path("one.txt").write_text("a cat")
    Path("page.png").write_bytes(b"mine")
    model = ["--model", str(tiny_folder)] if words[0] == "sheet" else []
    assert main([*words, *model, "-o", "page.png", "--force"]) == 0
    assert pixels("page.png").shape[2] == 3


def test_sheet_draws_each_line_with_its_own_seed(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
):
    prompts = ["a red house", "ein grüner Baum", "a blue boat at night"]
    text = "# mine\n" + "\n\n".join(prompts) + "\n"
    Path("prompts.txt").write_text(text, encoding="utf-8-sig")  # with a mark in front
    words = ["--model", str(tiny_folder), "--seed", "7", "--steps", "2", "--columns", "2"]
    assert main(["sheet", "prompts.txt", *words, "--guidance", "3", "--list"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        *(f"{i}. {prompt}" for i, prompt in enumerate(prompts, 1)),
        "sheet.png",
    ]
    assert said.err.endswith("\r")  # the bar is gone
    page = pixels("sheet.png")
    assert page.shape == (2 * PITCH - GAP, 2 * PITCH - GAP, 3)
    sd = load(tiny_folder)
    for i, prompt in enumerate(prompts):
        [image] = sd.generate(prompt, seeds=[7 + i], num_steps=2, guidance_scale=3)
        assert np.array_equal(cell(page, i // 2, i % 2), np.asarray(image))


def test_sheet_without_a_file_draws_the_showcase(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--model", str(tiny_folder), "--steps", "1", "--list"]
    assert main(["sheet", *words]) == 0
    assert capsys.readouterr().out.count("\n") == len(SHOWCASE) + 1
    assert pixels("sheet.png").shape == (2 * PITCH - GAP, 8 * PITCH - GAP, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["blank.txt"], "prompts must hold at least one prompt, one a line; blank.txt holds none"),
        (["latin.txt"], "prompts must be UTF-8 text; line 2 of latin.txt is not ("),
        (["one.txt", "-o", "mine.png"], "mine.png is there already; add --force to replace it"),
        (["one.txt", "--columns", "0"], "columns must be at least 1; got 0"),
        (["one.txt", "--steps", "0"], "num_steps must lie in 1..1000; got 0"),
        (["one.txt", "--guidance", "nan"], "guidance_scale must be a finite number; got nan"),
        (["one.txt", "--seed", "-1"], "every seed must lie in 0..2**63 - 1; got -1"),
        (["nowhere.txt"], "nowhere.txt: no such file or directory"),
        (["blank.txt", "-o", "page.jpg"], "output must be a file that ends in .png"),
    ],
)
def test_sheet_refuses_and_writes_nothing(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    files = {"blank.txt": b"\n  \n", "one.txt": b"a cat", "latin.txt": b"a cat\na caf\xe9"}
    files |= {"mine.png": b"mine"}
    for name, data in files.items():
        Path(name).write_bytes(data)
    assert main(["sheet", *words, "--model", "nowhere"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sdlearn: {message}")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
