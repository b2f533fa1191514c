"""One draws, chooses a strength, and presses go: the drawing goes through image to image."""

import base64
import html
import io
import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from explorer_tools import done, same
from PIL import Image

from sdlearn import diffusion, viz
from sdlearn.pipeline import to_pil
from sdlearn.widgets import shared
from sdlearn.widgets.sketch import PNG, SketchExplorer, first_sketch, pad_html, read_drawing, script

HOW = {"prompt": "a red house", "num_steps": 4, "strength": 0.5}
BLUE = Image.new("RGB", (128, 128), (0, 0, 255))


@pytest.fixture
def explorer() -> Iterator[SketchExplorer]:
    made = SketchExplorer(**HOW)
    yield made
    made.close()
    assert made.wait(10)


def url_of(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return PNG + base64.b64encode(file.getvalue()).decode()


def send(explorer: SketchExplorer, text: str) -> None:
    """What the script does when "go" is pressed."""
    canvas, box = explorer.pad.children
    box.value = text


# The pad


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


def test_the_pad_is_an_image_with_a_canvas_and_a_script():
    tags = Tags(pad_html(BLUE))
    [image], [canvas] = tags.named("img"), tags.named("canvas")
    assert read_drawing(image["src"], 128) == BLUE
    assert image["alt"].startswith("the drawing")
    assert image["onload"] == script()
    assert (canvas["width"], canvas["height"]) == ("128", "128")
    assert tags.named("script") == []  # it would not run


def test_all_that_the_script_looks_for_is_there_and_has_a_name():
    tags = Tags(pad_html(BLUE))
    for part in (*tags.named("button"), *tags.named("select")):
        assert f'part("{part["name"]}")' in script()
        assert part.get("title") or part.get("aria-label")
    assert {part["name"] for part in tags.named("button")} == {"undo", "fill", "go"}


def test_the_pad_has_the_size_of_the_models_images():
    large = pad_html(BLUE.resize((512, 512)))
    assert '<canvas width="512" height="512"' in large
    assert first_sketch(512).size == (512, 512)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("go", "a drawing must be a PNG in a data URL; got 'go'"),
        (f"{PNG}%%%", "a drawing must be a PNG in base64; it is damaged"),
        (f"{PNG}aGVsbG8=", "the file must be an image"),
        (PNG, "the file is empty"),
    ],
)
def test_what_is_no_drawing_is_refused(explorer: SketchExplorer, text: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        read_drawing(text, 128)
    before = explorer.image
    send(explorer, text)
    assert sentence in explorer.status
    assert explorer.image == before


# The explorer


def test_it_shows_image_to_image_of_the_drawing(explorer: SketchExplorer):
    sd, facts = explorer.sd, explorer.facts
    drawing = first_sketch(128)
    [expected] = sd.generate("a red house", seeds=[7], image=drawing, strength=0.5, num_steps=4)
    assert same(facts["image"], expected)
    assert facts["drawing"] == drawing
    assert (facts["run"], facts["t"]) == (2, 499)
    assert "strength 0.5, 2 of 4 steps" in explorer.panels["image"].value


def test_it_shows_what_the_loop_begins_with(explorer: SketchExplorer):
    sd = explorer.sd
    latents = sd.encode_image(viz.to_tensor(first_sketch(128)))
    alpha_bar = sd.scheduler.alphas_cumprod[499]
    x_t = diffusion.add_noise(latents, sd.init_latents([7]), alpha_bar)
    assert same(explorer.facts["start"], to_pil(sd.decode(x_t))[0])
    assert "begun with: the noise of t = 499" in explorer.panels["start"].value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "a cat"),
        ("strength", 1.0),
        ("guidance_scale", 9.0),
        ("num_steps", 6),
        ("seed", 8),
    ],
)
def test_every_setting_reaches_the_picture(explorer: SketchExplorer, name: str, value):
    before = explorer.facts["image"]
    setattr(explorer, name, value)
    assert not same(done(explorer)["image"], before)


def test_without_a_step_the_drawing_stays_and_it_is_told(explorer: SketchExplorer):
    explorer.strength = 0.2  # of 4 steps
    facts = done(explorer)
    assert facts["image"] == facts["start"] == facts["drawing"]
    assert (facts["run"], facts["t"]) == (0, None)
    assert explorer.status == "No step is run at this strength, so the drawing stays as it is."


def test_go_hands_the_drawing_over_and_leaves_the_pad_alone(explorer: SketchExplorer):
    shown = explorer.pad.children[0].value
    send(explorer, url_of(BLUE))
    assert done(explorer)["drawing"] == BLUE
    assert explorer.pad.children[0].value == shown  # or its strokes could not be taken back
    assert explorer.pad.children[1].value == ""  # so that the same drawing may come again


def test_an_image_that_comes_from_elsewhere_is_laid_on_the_pad(explorer: SketchExplorer):
    send(explorer, url_of(BLUE))
    explorer.image = Image.new("L", (300, 200), 90)
    grey = Image.new("RGB", (128, 128), (90, 90, 90))
    assert done(explorer)["drawing"] == grey
    [image] = Tags(explorer.pad.children[0].value).named("img")
    assert read_drawing(image["src"], 128) == grey


def test_as_a_still_it_is_three_images(explorer: SketchExplorer):
    data, metadata = explorer._repr_mimebundle_()
    assert data["text/plain"].startswith("3 images: the drawing; begun with: the noise of t = 499")
    assert metadata["image/png"]["alt"] == data["text/plain"]


@pytest.mark.parametrize("scheduler", [shared.OWN, "pndm", "heun", "dpm++"])
@pytest.mark.parametrize("strength", [0.3, 0.8, 1.0])
def test_a_run_begun_in_the_middle_has_the_levels_of_its_steps(
    explorer: SketchExplorer, scheduler: str, strength: float
):
    sd, name = explorer.sd, None if scheduler == shared.OWN else scheduler
    steps = sd.denoise(
        sd.init_latents([1]),
        sd.encode_text("a cat"),
        guidance_scale=1,
        num_steps=5,
        scheduler=name,
        image_latents=sd.encode_image(viz.to_tensor(BLUE)),
        strength=strength,
    )
    taken = list(steps)
    levels = shared.levels_of(sd, 5, scheduler, strength)
    assert len(taken) == len(levels)
    for step, alpha_bar in zip(taken, levels, strict=True):
        expected = float(sd.scheduler.alphas_cumprod[round(step.t)])
        assert float(alpha_bar) == pytest.approx(expected, rel=0.02)


# In a browser


@pytest.fixture(scope="module")
def browser():
    tools = pytest.importorskip("browser")
    if tools.chromium() is None and not os.environ.get("CI"):
        pytest.skip("no Chromium on this machine")
    with tools.headless() as opened:
        yield opened


def drag(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a line on the canvas, from and to shares of its sides."""
    box = page.locator("canvas").bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(*start))
    page.mouse.down()
    page.mouse.move(*at(*end), steps=8)
    page.mouse.up()


@pytest.mark.slow
def test_the_script_draws_takes_back_fills_and_hands_over(browser):
    """Without Jupyter: the text box is a plain one, and what is typed there is read."""
    page = browser.new_page(viewport={"width": 400, "height": 500})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content('<div class="sdlearn-sketch"><div></div><textarea hidden></textarea></div>')
    page.evaluate(
        "(pad) => { document.querySelector('.sdlearn-sketch > div').innerHTML = pad; }",
        pad_html(BLUE),
    )
    page.evaluate(
        "document.addEventListener('change', (event) => { window.sent = event.target.value; })"
    )
    page.wait_for_function("() => document.querySelector('[name=go]').onclick")

    def go() -> Image.Image:
        page.get_by_role("button", name="go").click()
        return read_drawing(page.evaluate("window.sent"), 128)

    drag(page, (0.25, 0.5), (0.75, 0.5))
    drawn = go()
    assert drawn.getpixel((64, 64)) == (200, 50, 60)  # red
    assert drawn.getpixel((64, 20)) == (0, 0, 255)
    page.get_by_role("button", name="undo").click()
    assert go() == BLUE
    page.select_option("[name=colour]", label="white")
    page.select_option("[name=brush]", label="thick")
    drag(page, (0.5, 0.25), (0.5, 0.25))  # a dot
    assert go().getpixel((64, 38)) == (255, 255, 255)
    page.get_by_role("button", name="fill").click()
    assert go().getextrema() == ((255, 255),) * 3
    assert errors == []
    page.close()


@pytest.mark.slow
def test_in_jupyterlab_a_drawing_becomes_a_picture(browser, tmp_path: Path):
    from browser import Desk, lab, notebook

    cells = [
        "from sdlearn import widgets\nexplorer = widgets.sketch_explorer(num_steps=4)\nexplorer",
        "explorer.wait(60)\nexplorer.facts['drawing'].getpixel((64, 64))",
    ]
    notebook(tmp_path / "sketch.ipynb", cells)
    with lab(tmp_path) as address, Desk.open(browser, address.format("sketch.ipynb")) as desk:
        desk.page.wait_for_selector('figure img[alt^="strength 0.6, 2 of 4 steps"]')
        before = desk.page.locator("figure img").last.get_attribute("src")
        drag(desk.page, (0.3, 0.5), (0.7, 0.5))
        desk.page.get_by_role("button", name="go", exact=True).click()
        desk.page.wait_for_function(
            "(before) => [...document.querySelectorAll('figure img')].at(-1).src !== before",
            arg=before,
        )
        desk.page.locator(".jp-CodeCell").last.locator(".cm-content").click()
        desk.page.keyboard.press("Control+Enter")
        desk.page.wait_for_selector(".jp-OutputArea >> text=(200, 50, 60)", timeout=60_000)
        assert desk.errors == []


def test_the_script_survives_being_an_attribute():
    assert html.unescape(html.escape(script())) == script()
    assert "</" not in script()
