"""The map of the pipeline: what it was drawn from, what stands on it, and where."""

import base64
import html
import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from runpy import run_path

import nbformat
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from sdlearn import course, load, viz
from sdlearn.inside import anatomy, trace
from sdlearn.viz.pipeline_map import AREAS, SD15, WIDTH, Trace, extent

PROMPT = "a large red house on the left, on green grass, at sunset, under a rainbow"
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def found() -> Trace:
    return trace(load("tiny"), PROMPT, seed=7, num_steps=4)


def texts(figure: viz.Sheet) -> list[str]:
    return [text.get_text() for text in lines(figure)]


def lines(figure: viz.Sheet) -> list[Text]:
    return [text for ax in figure.axes for text in ax.texts if text.get_text()]


def pixels(figure: viz.Sheet) -> np.ndarray:
    data, _ = figure._repr_mimebundle_()
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
        return np.asarray(image.convert("RGB"))


# The trace


def test_the_image_is_the_one_that_generate_gives(found: Trace):
    [image] = load("tiny").generate(PROMPT, seeds=[7], num_steps=4)
    assert np.array_equal(found.image, np.asarray(image))
    assert np.array_equal(found.reverse[-1].image, found.image)
    assert np.array_equal(found.forward[0].image, found.image)


def test_shapes_and_counts_are_the_models(found: Trace):
    sd = load("tiny")
    assert found.states.shape == found.empty_states.shape == sd.state_shape
    assert found.noise.shape == found.latents.shape == found.result.shape == (4, 16, 16)
    counts = {name: anatomy(sd).parts[name].parameters for name in found.parameters}
    assert found.parameters == counts
    assert found.pieces[1:4] == ("a</w>", "large</w>", "red</w>")


def test_guidance_leads_from_one_prediction_to_the_other(found: Trace):
    assert np.abs(found.eps_cond - found.eps_uncond).max() > 0.01
    assert np.array_equal(found.noise, load("tiny").init_latents([7])[0].numpy())


def test_noise_grows_on_the_way_forward_and_gets_less_on_the_way_back(found: Trace):
    assert [moment.t for moment in found.forward] == [0, 200, 400, 600, 800, 999]
    assert [moment.t for moment in found.reverse] == [999, 749, 499, 249, 0]
    table = load("tiny").scheduler.alphas_cumprod
    for way in (found.forward, found.reverse):
        some = [moment for moment in way if moment.t > 0]
        assert [m.signal for m in some] == pytest.approx([float(table[int(m.t)]) for m in some])
        likeness = [np.abs(m.image.astype(float) - found.image).mean() for m in way]
        assert likeness == sorted(likeness, reverse=way is found.reverse)


def test_on_a_scheduler_with_a_scale_of_its_own_the_latents_are_those_of_the_papers():
    sd = load("tiny")
    sd.scheduler = viz_scheduler(sd)
    found = trace(sd, PROMPT, num_steps=3)
    assert found.scheduler == "EulerDiscrete"
    assert found.latents.std() < 1.5  # the scheduler's own are up to 14 times as large
    assert found.reverse[0].image.std() > 20


def viz_scheduler(sd):
    from sdlearn.diffusion.schedulers import build_scheduler

    return build_scheduler("euler", sd.scheduler)


def test_a_prompt_without_words_is_refused():
    with pytest.raises(ValueError, match="prompt"):
        trace(load("tiny"), " ")


# The drawing

LONG = "an extraordinarily large antediluvian " * 12
MAPS = [
    ("whole", {}),
    ("dark", {"dark": True}),
    ("short", {"short": True}),
    *((f"at {name}", {"short": True, "here": name}) for name in AREAS),
]


@pytest.mark.parametrize("options", [options for _, options in MAPS], ids=[n for n, _ in MAPS])
def test_all_text_lies_on_the_page_and_none_on_another(found: Trace, options: dict):
    figure = viz.pipeline_map(found, **options)
    boxes = [(line.get_text(), line.get_window_extent()) for line in lines(figure)]
    page = figure.bbox
    for text, box in boxes:
        assert page.x0 <= box.x0, text
        assert box.x1 <= page.x1, text
        assert page.y0 <= box.y0, text
        assert box.y1 <= page.y1, text
    assert list(overlaps(boxes)) == []


def overlaps(boxes: list) -> Iterator[tuple[str, str]]:
    """Texts that share more than a hair; a mark may lie on what it covers."""
    for (one, a), (other, b) in combinations(boxes, 2):
        across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if min(across, down) > 4 and "you are here" not in (one, other):
            yield one, other


def test_a_long_prompt_stays_in_its_boxes(found: Trace):
    long = replace(found, prompt=LONG, pieces=("<|startoftext|>", *["extraordinarily</w>"] * 75))
    figure = viz.pipeline_map(long)
    boxes = [(line.get_text(), line.get_window_extent()) for line in lines(figure)]
    assert list(overlaps(boxes)) == []
    assert any(text.endswith("…") for text in texts(figure))
    assert "+ 71, padding …" in texts(figure)


def test_the_numbers_on_it_are_those_of_the_trace(found: Trace):
    shown = texts(viz.pipeline_map(found))
    assert {"77 tokens", "states, 77×128", "16×16×4", "128×128×3", "48 times smaller"} <= {*shown}
    counts = found.parameters
    millions = [f"{count / 1e6:.1f} million" for count in (*counts.values(), sum(counts.values()))]
    assert {*millions[:2], millions[3], f"{4 * sum(counts.values()) / 1e6:.0f} MB"} <= {*shown}
    assert {"DDIM", "3", "3 × difference", "t = 999", "4 times; shown: step 2"} <= {*shown}
    wider = replace(found, states=np.zeros((77, 64)), result=np.zeros((4, 8, 8)))
    shown = texts(viz.pipeline_map(wider))
    assert {"states, 77×64", "192 times smaller"} <= {*shown}


def test_what_has_no_influence_is_not_drawn(found: Trace):
    words = texts(viz.pipeline_map(replace(found, eps_uncond=None, guidance_scale=1)))
    assert "with words" in words
    assert "without" not in words
    nothing = texts(viz.pipeline_map(replace(found, eps_cond=None, guidance_scale=0)))
    assert "without words" in nothing
    assert "with words" not in nothing


def test_stable_diffusion_15_stands_beside_it_with_its_own_numbers(found: Trace):
    sd15 = anatomy("sd15")
    assert sd15.parameters == SD15.parameters
    assert sd15.parts["text_encoder"].outputs[0][1:] == SD15.states
    height, width, channels = SD15.latent
    assert sd15.parts["unet"].inputs[0][1:] == (channels, height, width)
    height, width, channels = SD15.image
    assert sd15.parts["vae_decoder"].outputs[0][1:] == (channels, height, width)
    assert f"{2 * SD15.parameters / 1e9:.2f} GB" == SD15.memory
    shown = texts(viz.pipeline_map(found))
    assert {"SD 1.5", "77×768", "64×64×4", "512×512×3", "1,066 million"} <= {*shown}


def test_beside_itself_it_is_not_shown(found: Trace):
    real = replace(found, model="some/stable-diffusion-v1-5", parameters={**PARTS_OF_SD15})
    shown = texts(viz.pipeline_map(real))
    assert "stable-diffusion-v1-5" in shown
    assert "77×768" not in shown


PARTS_OF_SD15 = {"text_encoder": 123_060_480, "unet": 859_520_964, "vae": 83_653_863}


@pytest.mark.parametrize("name", AREAS)
def test_a_mark_says_where_the_reader_is(found: Trace, name: str):
    figure = viz.pipeline_map(found, here=name, short=True)
    assert texts(figure).count("you are here") == 1
    assert figure.alt.startswith(f"You are here: {AREAS[name].title}. ")
    plain = pixels(viz.pipeline_map(found, short=True)).astype(int)
    place, (top, _) = AREAS[name].place, extent(short=True)
    x, y = int(2 * (place.x - 1.5)), int(2 * (place.y + place.height / 2 - top))
    red = pixels(figure)[y, x].astype(int)
    assert np.abs(plain[y, x] - red).max() > 60
    assert red[0] > red[1] + 60


def test_another_place_is_refused(found: Trace):
    with pytest.raises(ValueError, match="here must be one of map, text, .*; got 'moon'"):
        viz.pipeline_map(found, here="moon")


def test_a_dark_map_is_dark_and_a_light_one_light(found: Trace):
    light, dark = (pixels(viz.pipeline_map(found, dark=dark))[2, 2] for dark in (False, True))
    assert light.min() > 240
    assert dark.max() < 40


def test_it_is_told_to_those_who_cannot_see_it(found: Trace):
    alt = viz.pipeline_map(found).alt
    for told in (PROMPT, "77×128", "16×16×4", "128×128×3", "48 times", "DDIM", "77×768", "5.6 s"):
        assert told in alt
    short = viz.pipeline_map(found, short=True).alt
    assert PROMPT in short
    assert len(short) < 500


# The files of the lessons

MAKE = run_path(str(ROOT / "images" / "make.py"))
FILES = sorted((ROOT / "lessons" / "map").iterdir())
LESSONS = course.lessons()[1:]  # the first draws its map itself


def test_every_lesson_has_a_map_with_its_own_part_marked():
    numbers = [lesson.path.name[:2] for lesson in LESSONS]
    assert numbers == [path.stem for path in FILES]
    assert set(numbers) <= set(MAKE["MARKED"])
    for path in FILES:
        assert path.stat().st_size < 110_000
        with Image.open(path) as image:
            title = AREAS[MAKE["MARKED"][path.stem]].title
            assert image.info["Description"].startswith(f"You are here: {title}. ")


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_files_are_drawn_as_the_map_is_drawn_now(path: Path, of_lessons: Trace):
    figure = viz.pipeline_map(of_lessons, here=MAKE["MARKED"][path.stem], short=True)
    with Image.open(path) as image:
        assert image.info["Description"] == figure.alt
        stored = np.asarray(image.convert("RGB"))
    assert unlike(stored, figure) <= FEW


@pytest.fixture(scope="module")
def of_lessons() -> Trace:
    return trace(load("tiny"), MAKE["SHOWCASE"][0], seed=7)


FEW = 20  # pixels of letters that a palette changes much


def unlike(stored: np.ndarray, figure: viz.Sheet) -> int:
    """How many pixels differ much, apart from the images, which new weights change."""
    fresh = pixels(figure)
    assert stored.shape == fresh.shape
    apart = np.abs(stored.astype(int) - fresh).max(axis=2)
    [ax], height = figure.axes, len(apart)
    for image in ax.images:
        left, right, bottom, top = image.get_extent()
        (x0, y0), (x1, y1) = (
            ax.transData.transform([(left, bottom), (right, top)]).round().astype(int)
        )
        apart[height - y1 - 3 : height - y0 + 3, x0 - 3 : x1 + 3] = 0
    return int((apart > 80).sum())


@pytest.mark.slow
def test_a_map_that_has_changed_is_told_from_its_file(found: Trace):
    figure = viz.pipeline_map(found, here="loop", short=True)
    drawn = pixels(figure)
    others = {"image": 255 - found.image, "latents": found.noise, "result": -found.result}
    assert unlike(drawn, viz.pipeline_map(replace(found, **others), here="loop", short=True)) <= FEW
    for other in ({"scheduler": "DDPM"}, {"step": 3}, {"seed": 8}):
        page = viz.pipeline_map(replace(found, **other), here="loop", short=True)
        assert unlike(drawn, page) > FEW
    assert unlike(drawn, viz.pipeline_map(found, here="reverse", short=True)) > FEW


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.path.stem)
def test_a_lesson_begins_with_its_map(lesson: course.Lesson):
    cell = nbformat.read(lesson.path, as_version=4).cells[1]
    name = f"map/{lesson.path.name[:2]}.png"
    with Image.open(ROOT / "lessons" / name) as image:
        alt = image.info["Description"]
    assert (cell.cell_type, cell.id) == ("markdown", MAKE["MAP_CELL"])
    assert cell.source == f'<img src="{name}" width="{WIDTH}" alt="{html.escape(alt)}">'


def test_files_and_cells_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Trace
):
    for lesson in course.lessons()[:2]:
        (tmp_path / lesson.path.name).write_bytes(lesson.path.read_bytes())
    monkeypatch.setitem(MAKE["maps"].__globals__, "LESSONS", tmp_path)
    monkeypatch.setitem(MAKE["maps"].__globals__, "trace", lambda *_, **__: found)
    first, second = (nbformat.read(path, as_version=4) for path in sorted(tmp_path.glob("*.ipynb")))
    assert second.cells.pop(1).id == "you-are-here"
    nbformat.write(second, tmp_path / course.lessons()[1].path.name)
    MAKE["maps"]()
    MAKE["maps"]()  # twice is once
    made = [nbformat.read(path, as_version=4) for path in sorted(tmp_path.glob("*.ipynb"))]
    assert made[0] == first
    assert [cell.id for cell in made[1].cells[:2]] == [second.cells[0].id, "you-are-here"]
    assert made[1].cells[:1] + made[1].cells[2:] == second.cells
    assert [path.name for path in (tmp_path / "map").iterdir()] == ["01.png"]


def test_a_copy_of_the_lessons_has_the_maps(tmp_path: Path):
    course.copy_lessons(tmp_path / "mine")
    copied = {path.name: path.read_bytes() for path in (tmp_path / "mine" / "map").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in FILES}
