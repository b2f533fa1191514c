"""Explorers as a learner meets them: in JupyterLab, in a browser, with keyboard and mouse.

They need Chromium, which Debian calls `chromium`. Run `pytest tests/test_browser.py -s` on an idle
machine to see how long it takes from a key to the image.
"""

import os
import re
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from browser import WATCH_QUICK, Desk, chromium, explored, headless, lab, notebook
from playwright.sync_api import Browser

from sdlearn import load, widgets
from sdlearn.cli.explore import EXPLORERS

pytestmark = pytest.mark.slow
if chromium() is None and not os.environ.get("CI"):
    pytest.skip("no Chromium on this machine", allow_module_level=True)

CELLS = [
    "from sdlearn import widgets\nexplorer = widgets.CfgExplorer(num_steps=20)\nexplorer",
    "explorer.wait(60)",
    "import threading\n[t.name for t in threading.enumerate() if t.name == 'explorer']",
]
LECTURE = Path(__file__).parents[1] / "lessons" / "explorers.ipynb"
OTHERS = ("Explorer", "ImagePicker")
EVERY = [name for name in widgets.__all__ if name[0].isupper() and name not in OTHERS]
SHOWN = re.compile(r"widgets\.(\w+)\(")
MOVES = 20
DRAG, EVENT_MS = 60, 16  # moves of the mouse in a drag, and the time between them
MOST_SECONDS = 4.5  # far off; alone it is about 0.6, beside other workers more


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with headless() as browser:
        yield browser


@pytest.fixture(scope="module")
def desk(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("lab")
    notebook(folder / "cfg.ipynb", CELLS)
    with lab(folder) as address, Desk.open(browser, address.format("cfg.ipynb")) as desk:
        yield desk


@pytest.fixture(autouse=True)
def no_errors(desk: Desk) -> Iterator[None]:
    """Whatever a test does, the browser's console stays clean."""
    yield
    assert desk.errors == []


def enter(desk: Desk, label: str, text: str) -> None:
    """Type into the box with that label, then Enter."""
    box = desk.page.locator(".widget-text", has_text=label).first.locator("input")
    box.fill(text)
    box.press("Enter")


def test_it_opens_with_a_picture_and_a_verdict(desk: Desk):
    desk.page.wait_for_selector('figure img[alt="guidance 3, 20 steps, seed 7"]')
    assert "✓ right" in desk.text()
    assert desk.text().count("seen") == 1
    assert "[]" in desk.text()  # no thread is left when it has nothing to do


def test_the_keyboard_moves_a_slider(desk: Desk):
    desk.handle("guidance scale")
    desk.page.keyboard.press("ArrowRight")
    desk.painted("guidance 3.5, 20 steps")
    desk.page.keyboard.press("ArrowLeft")
    desk.painted("guidance 3, 20 steps")


def test_the_mouse_drags_a_slider_and_the_image_follows(desk: Desk):
    row = desk.page.locator(".widget-slider", has_text="guidance scale")
    box = row.locator(".noUi-handle").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    desk.page.evaluate(WATCH_QUICK)
    desk.page.mouse.move(x, y)
    desk.page.mouse.down()
    for distance in range(DRAG):
        desk.page.mouse.move(x + 3 * distance, y)
        desk.page.wait_for_timeout(EVENT_MS)
    scale = float(row.locator(".widget-readout").inner_text())
    assert scale > 5
    desk.page.wait_for_selector(f'figure img[alt^="guidance {scale:g}, "]')
    desk.page.mouse.up()  # and not before
    desk.painted(f"guidance {scale:g}, 20 steps")
    quick = desk.page.evaluate("() => window.quick")
    took = [milliseconds for _, milliseconds in quick]
    print(
        f"\n{DRAG} moves of a drag: {len(quick)} quick images, each painted after "
        f"{statistics.median(took):.0f} ms in the median, {max(took):.0f} ms at most"
    )
    assert len({title for title, _ in quick}) >= 3


def test_a_prompt_counts_on_enter_and_its_picture_is_judged(desk: Desk):
    enter(desk, "prompt", "a blue cat at night")
    desk.page.wait_for_function("() => document.body.innerText.includes('night\\tnight')")
    assert "rainbow" not in desk.page.locator("table").first.inner_text()


def test_an_error_is_one_sentence_and_the_explorer_goes_on(desk: Desk):
    enter(desk, "prompt", " ")
    desk.page.wait_for_selector("[role=status] >> text=prompt must say what to draw")
    assert "Traceback" not in desk.text()
    enter(desk, "prompt", "a red house")
    desk.page.wait_for_function(
        "() => [...document.querySelectorAll('[role=status]')].every((s) => s.innerText === '')"
    )
    desk.page.wait_for_function("() => document.body.innerText.includes('house\\thouse')")


def test_the_kernel_answers_while_a_picture_is_drawn(desk: Desk):
    desk.page.get_by_role("button", name="grid").click()
    desk.page.wait_for_selector("[role=status] >> text=/image \\d+ of 12/")
    desk.page.locator(".jp-CodeCell").last.locator(".cm-content").click()
    desk.page.keyboard.press("Control+Enter")
    desk.page.wait_for_selector(".jp-OutputArea >> text=['explorer']", timeout=10_000)
    desk.page.wait_for_selector('figure img[alt^="scale 15, steps 20"]', timeout=60_000)


def test_running_the_cell_again_leaves_one_explorer_and_no_thread(desk: Desk):
    desk.run_all()
    desk.page.wait_for_selector('figure img[alt="guidance 3, 20 steps, seed 7"]')
    assert desk.page.locator('figure img[alt^="guidance"]').count() == 1
    desk.run_all()
    assert "[]" in desk.text()


def test_from_a_key_to_the_picture(desk: Desk):
    sd = load("tiny")
    alone = []
    desk.handle("guidance scale")
    took, quick = [], []
    for move in range(1, MOVES + 1):
        began = time.perf_counter()
        sd.generate("a red house", seeds=[7])
        alone.append(time.perf_counter() - began)
        desk.page.keyboard.press("ArrowRight")
        quick.append(desk.painted(f"guidance {3 + move / 2:g}, ") / 1000)
        took.append(desk.painted(f"guidance {3 + move / 2:g}, 20 steps") / 1000)
        desk.page.wait_for_timeout(300)  # until the curve below it is there as well
    desk.page.keyboard.press("ArrowLeft")
    seen = desk.painted(f"guidance {3 + (MOVES - 1) / 2:g}, 20 steps") / 1000
    print(
        f"\n{MOVES} moves of the slider, to a quick image: median "
        f"{statistics.median(quick):.2f} s, worst {max(quick):.2f} s; "
        f"to an image of 20 steps: median "
        f"{statistics.median(took):.2f} s, worst {max(took):.2f} s; the pipeline alone "
        f"{statistics.median(alone):.2f} s; an image seen before {seen:.3f} s"
    )
    assert statistics.median(took) < MOST_SECONDS
    assert seen < MOST_SECONDS / 2


def test_the_image_that_a_notebook_keeps_is_hidden_while_the_explorer_is_alive(desk: Desk):
    still = desk.page.locator(".jp-RenderedImage")
    still.wait_for(state="attached", timeout=60_000)  # it comes when there is nothing else to do
    assert still.count() == 1
    assert not still.is_visible()


def test_a_saved_notebook_shows_the_last_image_without_its_kernel(browser: Browser, tmp_path: Path):
    path = tmp_path / "saved.ipynb"
    notebook(path, ["from sdlearn import widgets\nwidgets.LatentPainter()"])
    with lab(tmp_path) as address:
        with Desk.open(browser, address.format(path.name)) as desk:
            desk.handle("add to it")
            desk.page.keyboard.press("End")
            desk.painted("after: channel 2, +4")
            desk.page.wait_for_timeout(2000)  # the still comes last
            desk.page.keyboard.press("Control+s")
            desk.page.wait_for_timeout(2000)
        book = nbformat.read(path, as_version=4)
        assert "widgets" not in book.metadata
        [image] = [o for o in book.cells[0].outputs if "image/png" in o.get("data", {})]
        assert "after: channel 2, +4" in image.data["text/plain"]
        book.metadata.kernelspec = {"name": "gone", "display_name": "a kernel that is not here"}
        nbformat.write(book, path)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(address.format(path.name))
        still = page.locator(".jp-RenderedImage img").first
        still.wait_for(state="visible", timeout=60_000)
        page.close()


def test_a_pointer_paints(browser: Browser, tmp_path: Path):
    cells = ["from sdlearn import widgets\nexplorer = widgets.LatentPainter(size=1)\nexplorer"]
    notebook(tmp_path / "paint.ipynb", [*cells, "explorer.strokes, explorer.path"])
    with lab(tmp_path) as address, Desk.open(browser, address.format("paint.ipynb")) as desk:
        box = desk.page.locator('.sdlearn-canvas img[alt^="after"]').bounding_box()
        assert box
        cell = box["width"] / 16
        desk.page.mouse.move(box["x"] + 2.5 * cell, box["y"] + 4.5 * cell)  # row 5, column 3
        desk.page.mouse.down()
        desk.page.mouse.move(box["x"] + 6.5 * cell, box["y"] + 4.5 * cell, steps=20)
        desk.page.mouse.up()
        desk.page.wait_for_selector('img[alt*="row 5, column 3 and in 4 more places"]')
        assert desk.errors == []


@pytest.mark.parametrize("name", EXPLORERS)
def test_at_1280_by_720_the_large_image_and_all_controls_are_in_view(
    name: str, browser: Browser, tmp_path: Path
):
    with explored(name, tmp_path) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(address)
        image = page.locator(".sdlearn-main img").first
        image.wait_for(timeout=90_000)
        box = image.bounding_box()
        assert box
        assert box["width"] >= 480
        assert box["y"] + box["height"] <= 720
        controls = page.locator(".sdlearn-explorer > .widget-text, .sdlearn-column > *").all()
        for control in controls:
            place = control.bounding_box()
            assert place is None or place["y"] + place["height"] <= 720
        page.get_by_role("button", name="presenter").click()
        page.wait_for_selector(".sdlearn-presenter")
        larger = image.bounding_box()
        assert larger
        assert larger["width"] > box["width"]
        page.close()


def test_the_end_of_an_address_holds_settings(browser: Browser, tmp_path: Path):
    with explored("noise", tmp_path) as address:
        page = browser.new_page()
        page.goto(f"{address}&t=700&schedule=cosine")
        page.locator('img[alt="noise on pixels, t = 700"]').wait_for(timeout=90_000)
        assert page.locator(".widget-dropdown select").first.input_value() == "cosine"
        handle = page.get_by_role("slider", name="timestep t")
        assert handle.get_attribute("aria-valuenow") == "700.0"
        page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_explorers_open(
    theme: str, browser: Browser, tmp_path: Path, pytestconfig: pytest.Config
):
    """The notebook for lectures; with `--screenshots FOLDER` its images are kept."""
    book = nbformat.read(LECTURE, as_version=4)
    kinds = [found[1] for cell in book.cells if (found := SHOWN.search(cell.source))]
    assert sorted(kinds) == sorted(EVERY)
    shutil.copy(LECTURE, tmp_path)
    folder = pytestconfig.getoption("--screenshots") or tmp_path / "shots"
    name = f"JupyterLab {theme.capitalize()}"
    with (
        lab(tmp_path, theme=name) as address,
        Desk.open(browser, address.format(LECTURE.name)) as desk,
    ):
        for kind in kinds:
            cell = desk.page.locator(".jp-CodeCell", has_text=f"{kind}(").first
            output = cell.locator(".jp-OutputArea-output").first  # the still is hidden
            output.locator("img").first.wait_for(timeout=60_000)
            stored = output.locator("img:not([alt])").first  # until the cell has run again
            stored.wait_for(state="detached", timeout=60_000)
            desk.page.wait_for_timeout(3000)  # until the last panel is there
            assert output.locator("img:not([alt])").count() == 0
            assert "Traceback" not in output.inner_text()
            shot = output.screenshot(path=Path(folder) / f"{kind}-{theme}.png")
            assert len(shot) > 20_000
        assert desk.errors == []
