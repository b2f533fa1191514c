"""Make the images of the README again: `python images/make.py [NAME ...]`.

    tiny_sheet   sixteen prompts, drawn by the tiny model
    house        the first session's image and its filmstrip
    world        a contact sheet of the drawn world
    round_trips  rows of the world's images over what the autoencoder makes of them
    diary        pages of the training's sample sheets for lesson 09, in sdlearn/weights/diary
    maps         the map of the pipeline, with "you are here", of every lesson but 00

The figures (guidance, composition, steps) come from `sdlearn evaluate --figures`, the explorers
from `pytest tests/test_browser.py --screenshots images/explorers`, and the sample sheets in
`training/` from `sdlearn train unet --samples images/training/round-N`.
"""

import base64
import html
import json
import sys
from pathlib import Path

from sdlearn import evaluation, load, render, viz
from sdlearn.cli import main
from sdlearn.inside import trace
from sdlearn.training.diary import PROMPTS, write_diary
from sdlearn.util.images import tile, to_pil
from sdlearn.util.progress import progress_bar
from sdlearn.viz.pipeline_map import WIDTH
from sdlearn.world import scene_at, scenes

HERE = Path(__file__).parent
LESSONS = HERE.parent / "lessons"
MAP_CELL = "you-are-here"
MARKED = {  # lesson → the part of the map that it is about; 00 draws the whole map itself
    "01": "forward",
    "02": "text",
    "03": "unet",
    "04": "vae",
    "05": "loop",
    "06": "guidance",
    "07": "tokens",
    "08": "reverse",
    "09": "forward",
    "10": "map",
}
COLUMNS = 8
SHOWCASE = (  # sixteen prompts that show the world's range
    *PROMPTS,
    "a large blue lighthouse on the left, on blue water, at sunset, under the sun",
    "a small yellow house in the middle, on white snow, at night, while it snows",
    "a large green tree in the middle, on green grass, by day, under a rainbow, as a watercolour",
    "a large purple rocket on the right, on yellow sand, at night, under a clear sky, as pixel art",
    "a red car left of a yellow windmill, on green grass, by day, under a cloud",
    "a large pink castle on the right, on blue water, at sunset, as a coloured pencil drawing",
    "a large white boat in the middle, on blue water, by day, in the rain",
    "a white cat right of a red flower, on white snow, at night, under a balloon",
)


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


def round_trips() -> None:
    """Scenes that the autoencoder has not seen, held-back ones among them: two rows and two."""
    unseen = list(scenes(2 * COLUMNS, "all_test"))
    rows = [row for both in evaluation.round_trips(load("tiny"), unseen, COLUMNS) for row in both]
    tile([image for row in rows for image in to_pil(row)], COLUMNS).save(HERE / "round_trips.png")


def diary() -> None:
    """The sheets of all rounds, as small pages in the package."""
    write_diary(HERE / "training")


def maps() -> None:
    """The house of the first session on the map, with the part of each lesson marked.

    The map is the second cell of its lesson, a link to the file.
    """
    found = trace(load("tiny"), SHOWCASE[0], seed=7)
    (LESSONS / "map").mkdir(exist_ok=True)
    for lesson in sorted(LESSONS.glob("[0-9]*.ipynb")):
        if area := MARKED.get(number := lesson.name[:2]):
            figure = viz.pipeline_map(found, here=area, short=True)
            data, _ = figure._repr_mimebundle_()
            (LESSONS / "map" / f"{number}.png").write_bytes(base64.b64decode(data["image/png"]))
            link_map(lesson, f"map/{number}.png", figure.alt)


def link_map(lesson: Path, name: str, alt: str) -> None:
    """Make the second cell of a lesson show its map."""
    notebook = json.loads(lesson.read_text(encoding="utf-8"))
    source = [f'<img src="{name}" width="{WIDTH}" alt="{html.escape(alt)}">']
    cell = {"cell_type": "markdown", "id": MAP_CELL, "metadata": {}, "source": source}
    first, *others = (cell for cell in notebook["cells"] if cell["id"] != MAP_CELL)
    notebook["cells"] = [first, cell, *others]
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    lesson.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    makers = {
        maker.__name__: maker for maker in (tiny_sheet, house, world, round_trips, diary, maps)
    }
    for name in sys.argv[1:] or makers:
        if name not in makers:
            sys.exit(f"name must be one of {', '.join(makers)}; got {name!r}")
        makers[name]()
        print(name)
