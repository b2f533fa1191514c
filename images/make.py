"""Make the images of the README again: `python images/make.py [NAME ...]`.

    tiny_sheet   sixteen prompts, drawn by the tiny model
    house        the first session's image and its filmstrip
    world        a contact sheet of the drawn world

The figures (guidance, composition, steps) come from `sdlearn evaluate --figures`, the explorers
from `pytest tests/test_browser.py --screenshots images/explorers`, and the sample sheets in
`training/` from `sdlearn train unet --diary images/training`.
"""

import sys
from pathlib import Path

from sdlearn import load, render
from sdlearn.cli import main
from sdlearn.util.images import tile
from sdlearn.util.progress import progress_bar
from sdlearn.world import scene_at
from sdlearn.world.showcase import SHOWCASE

HERE = Path(__file__).parent
COLUMNS = 8


def tiny_sheet() -> None:
    """The prompts that README lists, with seeds 0, 1, ..."""
    sd = load("tiny")
    prompts = progress_bar(SHOWCASE, "tiny_sheet", len(SHOWCASE))
    images = [sd.generate(prompt, seeds=[seed])[0] for seed, prompt in enumerate(prompts)]
    tile(images, COLUMNS).save(HERE / "tiny_sheet.png")


def house() -> None:
    """The first prompt with seed 7, and how its image came out of the noise."""
    where = str(HERE / "house.png")
    main(["generate", SHOWCASE[0], "--seed", "7", "--filmstrip", "--force", "-o", where])


def world() -> None:
    """The first scenes of the training split."""
    images = [render(scene_at(index, "train")) for index in range(4 * COLUMNS)]
    tile(images, COLUMNS).save(HERE / "world.png")


if __name__ == "__main__":
    makers = {maker.__name__: maker for maker in (tiny_sheet, house, world)}
    for name in sys.argv[1:] or makers:
        if name not in makers:
            sys.exit(f"name must be one of {', '.join(makers)}; got {name!r}")
        makers[name]()
        print(HERE / f"{name}.png")
