"""`sdlearn explore` really serves explorers, to this computer only, and leaves nothing behind."""

import ast
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import ipywidgets
import nbformat
import psutil
import pytest
import websocket

from sdlearn import widgets
from sdlearn.cli import explore, main
from sdlearn.util import notebook as frontend
from sdlearn.viz.pipeline_map import (
    AREAS,
    ENCODER,
    GUIDANCE,
    IMAGE,
    LATENT,
    NOISE,
    SCHEDULER,
    STATES,
    TOKENS,
    UNET,
    VAE,
    WORDS,
)
from sdlearn.widgets.map import map_html

ROOT = Path(__file__).parents[1]
LECTURE = nbformat.read(ROOT / "lessons" / "explorers.ipynb", as_version=4)
SECONDS = 90  # that a busy machine may take


@pytest.fixture(autouse=True)
def _no_server_in_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that goes wrong must not serve anything from within pytest."""

    def refuse(**_options: object) -> None:
        raise RuntimeError("a server was started")

    monkeypatch.setattr(explore, "_server", refuse)


# The page


@pytest.mark.parametrize("name", [None, *explore.EXPLORERS])
def test_a_page_is_a_notebook_of_a_question_and_an_explorer(name: str | None):
    notebook = nbformat.from_dict(explore.page(name))
    nbformat.validate(notebook)
    heading, code = notebook.cells
    ast.parse(code.source)
    if name:
        shown = explore.EXPLORERS[name]
        assert heading.source == f"# {shown.question}"
        assert code.source.endswith(f"widgets.{shown.kind}.from_address()")
    else:
        assert code.source.endswith("tabs()")


@pytest.mark.parametrize("name", explore.EXPLORERS)
def test_the_help_has_every_name(name: str):
    assert f"  {name:10}{explore.EXPLORERS[name].question}\n" in explore.__doc__


@pytest.mark.parametrize("name", explore.EXPLORERS)
def test_every_name_stands_for_an_explorer_and_the_lecture_shows_it(name: str):
    shown = explore.EXPLORERS[name]
    [cell] = [cell for cell in LECTURE.cells if cell.id == name]
    assert f"widgets.{shown.kind}()" in cell.source
    assert shown.kind in widgets.__all__


@pytest.mark.parametrize("name", explore.EXPLORERS)
def test_each_explorer_also_has_the_name_of_a_function(name: str):
    kind = explore.EXPLORERS[name].kind
    words = re.sub("(?<!^)(?=[A-Z])", "_", kind).lower()  # CfgExplorer → cfg_explorer
    assert words in widgets.__all__
    assert getattr(widgets, words) is getattr(widgets, kind)


def test_the_lecture_shows_nothing_else():
    code = [cell for cell in LECTURE.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code] == [*explore.EXPLORERS]
    assert max(len(cell.source.splitlines()) for cell in code) <= 3
    assert LECTURE.cells[0].source.startswith("# ")


# All on one page


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Explorers are labels here; the titles of those that were made."""
    names: list[str] = []
    for shown in explore.EXPLORERS.values():
        kind = shown.kind
        monkeypatch.setattr(
            widgets,
            kind,
            lambda kind=kind: names.append(kind) or ipywidgets.Label(kind),
            raising=False,
        )
    return names


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The map is a word here."""
    monkeypatch.setattr("sdlearn.widgets.map.map_html", lambda links: f"{len(links)} links")


def test_a_tab_is_filled_when_it_is_first_opened(made: list[str], drawn: None):
    shelf = explore.tabs()
    titles = [shown.title for shown in explore.EXPLORERS.values()]
    assert [*shelf.titles] == ["map", *titles]
    assert shelf.children[0].children[1].value == "8 links"
    assert made == []
    for index in (6, 1, 6, 3):
        shelf.selected_index = index
    assert made == ["LatentPainter", "CfgExplorer", "NoiseExplorer"]
    question, explorer = shelf.children[6].children
    assert question.value == "<h2>What is in a latent?</h2>"
    assert explorer.value == "LatentPainter"
    assert [len(place.children) for place in shelf.children] == [2, 2, 0, 2, 0, 0, 2, 0]


def test_an_explorer_that_fails_is_told_and_the_others_open(made: list[str], drawn, monkeypatch):
    def fail() -> None:
        raise ValueError("no model in <here>")

    monkeypatch.setattr(widgets, "CfgExplorer", fail)
    shelf = explore.tabs()
    shelf.selected_index = 1
    assert shelf.children[1].children[1].value == '<p role="status">no model in &lt;here&gt;</p>'
    shelf.selected_index = 3
    assert made == ["NoiseExplorer"]


# The map


def test_every_explorer_is_reached_from_the_map_and_every_box_leads_to_one():
    links = explore.map_links()
    assert {link.address for link in links} == {f"#{s.title}" for s in explore.EXPLORERS.values()}
    places = {link.area: AREAS[link.area].place for link in links}
    for box in (
        WORDS,
        TOKENS,
        ENCODER,
        STATES,
        NOISE,
        UNET,
        GUIDANCE,
        SCHEDULER,
        LATENT,
        VAE,
        IMAGE,
    ):
        assert any(
            place.x <= box.x
            and place.y <= box.y
            and box.right <= place.right
            and box.bottom <= place.bottom
            for place in places.values()
        )
    order = list(places)
    assert order.index("loop") < min(map(order.index, ("start", "guidance")))  # they lie on it


def test_the_map_is_an_image_with_links_for_both_themes():
    html = map_html(explore.map_links())
    assert len(re.findall(r'<img src="data:image/png;base64,[^"]+" alt="A map of', html)) == 2
    links = re.findall(r'<a href="#(\w+)"[^>]*style="([^"]*)" aria-label="([^"]*)"', html)
    assert [name for name, *_ in links] == [link.label for link in explore.map_links()]
    for _, style, _ in links:
        left, top, width, height = (float(n) for n in re.findall(r"([\d.]+)%", style))
        assert 0 <= left < left + width <= 100
        assert 0 <= top < top + height <= 100.01
    assert ("guidance", "guidance: How hard do the words pull?") in [(a, c) for a, _, c in links]


# Who is looking


@pytest.mark.parametrize(
    ("allow_stdin", "voila", "expected"),
    [(True, False, True), (False, False, False), (False, True, True)],
)
def test_a_page_of_voila_is_for_persons(
    allow_stdin: bool, voila: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
):
    request = {"content": {"allow_stdin": allow_stdin}}
    kernel = SimpleNamespace(get_parent=lambda channel: request)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=kernel))
    monkeypatch.delenv("VOILA_BASE_URL", raising=False)
    if voila:
        monkeypatch.setenv("VOILA_BASE_URL", "/")
    assert frontend.is_interactive() is expected


def test_outside_of_notebooks_nobody_is_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VOILA_BASE_URL", "/")
    assert not frontend.is_interactive()


# Ports and mistakes


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_free_is_taken_and_the_next_one_else(
    taken: int, monkeypatch: pytest.MonkeyPatch
):
    assert explore.pick_port(0) > 0
    monkeypatch.setattr(explore, "FIRST_PORT", taken)
    assert taken < explore.pick_port() < taken + explore.PORTS
    monkeypatch.setattr(explore, "PORTS", 1)
    with pytest.raises(ValueError, match=f"every port from {taken} on is taken"):
        explore.pick_port()


def error_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["explore", "--no-browser", *words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_a_taken_port_gives_one_sentence(taken: int, capsys: pytest.CaptureFixture[str]):
    expected = f"sdlearn: port {taken} is taken or not allowed; choose another one with --port"
    assert error_of(capsys, "cfg", "--port", str(taken)) == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dragon"], "invalid choice: 'dragon' (choose from "),
        (["cfg", "--port", "99999"], "port must lie in 0..65535; got 99999"),
        (["cfg", "--port", "-1"], "port must lie in 0..65535; got -1"),
        (["cfg", "--port", "eight"], "invalid int value: 'eight'"),
    ],
)
def test_what_cannot_be_served_gives_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    assert sentence in error_of(capsys, *words)


def test_voila_missing_gives_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(explore, "find_spec", lambda name: None)
    assert "Voilà is not installed beside sdlearn; run: " in error_of(capsys, "cfg")


# A real server


class Served(NamedTuple):
    """`sdlearn explore` in a process of its own."""

    process: subprocess.Popen
    address: str
    temporary: Path

    def left(self) -> list[str]:
        """What it has put into the folder for temporary files."""
        return [path.name for path in self.temporary.glob("*") if "sdlearn" in path.name]

    def kernels(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    """The page of an explorer, or with an empty parameter that of all of them."""
    with serve(tmp_path, "-m", "sdlearn", "explore", *getattr(request, "param", ["cfg"])) as served:
        yield served


@contextmanager
def serve(tmp_path: Path, *words: str) -> Iterator[Served]:
    """Start Python with `words` and wait until a page is served."""
    log = tmp_path / "log"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = (sys.executable, *words, "--no-browser", "--port", "0")
    environment = {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    with (
        log.open("w") as out,
        subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=out, stderr=out, preexec_fn=as_in_a_terminal
        ) as process,
    ):
        try:
            yield Served(process, address_of(process, log), temporary)
        finally:
            process.kill()


def as_in_a_terminal() -> None:
    """Let the signals through that a shell keeps from what it runs in the background."""
    for name in ("SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def address_of(process: subprocess.Popen, log: Path) -> str:
    """Wait until the server says where it is."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends and process.poll() is None:
        if found := re.search(r"^The explorers are at (\S+)", log.read_text()):
            assert re.match(r"http://127\.0\.0\.1:\d+/\?token=", found[1])
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_page_is_served_and_nothing_is_left_behind(served: Served, how: str):
    assert len(served.left()) == 1
    if how == "SIGTERM":  # the others only stop it
        with urllib.request.urlopen(served.address, timeout=SECONDS) as answer:
            page = answer.read().decode()
        assert "<title>How hard do the words pull? · sdlearn</title>" in page
        bare = served.address.partition("?")[0]
        with urllib.request.urlopen(bare, timeout=SECONDS) as refusal:  # without the token
            assert refusal.url.startswith(f"{bare}login")
        assert "application/vnd.jupyter.widget-view+json" in page
        assert "ExecutionError" not in page
        assert re.findall(r'<(?:script|link)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', page) == []
    everyone = served.kernels()
    assert len(everyone) == (1 if how == "SIGTERM" else 0)
    served.process.send_signal(getattr(signal, how))
    assert served.process.wait(30) == 0
    assert served.left() == []
    assert psutil.wait_procs(everyone, timeout=10)[1] == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_person_can_use_the_page_without_a_network(served: Served):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page, asked, errors = browser.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.goto(served.address, timeout=SECONDS * 1000)
        page.wait_for_selector("figure img[alt*='guidance 3,']", timeout=SECONDS * 1000)
        page.locator(".widget-slider", has_text="guidance").locator(".noUi-handle").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("figure img[alt*='guidance 3.5,']", timeout=SECONDS * 1000)
        assert page.locator("h1").inner_text().startswith("How hard do the words pull?")
        assert page.locator(".jp-InputArea-editor").count() == 0  # no code
        browser.close()
    ours = (served.address.partition("?")[0], "data:", "blob:")
    outside = [url for url in asked if not url.startswith(ours)]
    assert outside == []
    assert errors == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize("served", [[]], indirect=True)
def test_a_link_of_the_map_opens_its_explorer(served: Served):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(served.address, timeout=SECONDS * 1000)
        page.wait_for_selector(".sdlearn-map .light img", timeout=SECONDS * 1000)
        page.get_by_role("link", name="guidance: How hard do the words pull?").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("figure img[alt*='guidance 3,']", timeout=SECONDS * 1000)
        page.get_by_role("tab", name="map").click()
        page.get_by_role("link", name="noise: How much of an image").click()
        page.wait_for_selector("h2 >> text=How much of an image is left", timeout=SECONDS * 1000)
        browser.close()


# Closed pages

LIGHT = """
import sys
from sdlearn.cli import explore, main

def page(name, of=explore.page):
    notebook = of(name)
    notebook.cells[1].source = "import ipywidgets; ipywidgets.IntSlider()"
    return notebook

explore.page, explore.AWAY_SECONDS, explore.LOOK_SECONDS = page, {away}, 1
sys.exit(main(sys.argv[1:]))
"""
AWAY = 6


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_page_that_is_reloaded_or_closed_takes_its_kernel_with_it(tmp_path: Path):
    playwright = pytest.importorskip("playwright.sync_api")
    with (
        serve(tmp_path, "-c", LIGHT.format(away=3600), "explore", "cfg") as served,
        playwright.sync_playwright() as engine,
    ):
        browser = engine.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_context().new_page()  # a context of its own would end with it
        page.goto(served.address, timeout=SECONDS * 1000)
        for _ in range(2):
            page.wait_for_selector(".widget-slider", timeout=SECONDS * 1000)
            page.reload(timeout=SECONDS * 1000)
        page.wait_for_selector(".widget-slider", timeout=SECONDS * 1000)
        wait_for(lambda: len(served.kernels()) == 1)
        page.close(run_before_unload=True)
        wait_for(lambda: served.kernels() == [])
        browser.close()


@pytest.mark.slow
def test_a_kernel_stays_with_an_idle_page_and_waits_for_one_that_lost_it(tmp_path: Path):
    with serve(tmp_path, "-c", LIGHT.format(away=AWAY), "explore", "cfg") as served:
        with urllib.request.urlopen(served.address, timeout=SECONDS) as answer:
            [kernel] = re.findall(r'"kernelId": "([^"]+)"', answer.read().decode())
        address, _, token = served.address.partition("?")
        channels = f"ws{address[4:]}api/kernels/{kernel}/channels?{token}"
        page = websocket.create_connection(channels)
        time.sleep(AWAY + 2)  # nobody touches it
        page.close()
        time.sleep(2)  # gone for less than AWAY
        assert len(served.kernels()) == 1
        page = websocket.create_connection(channels)
        page.close()
        wait_for(lambda: served.kernels() == [])


@pytest.mark.slow
def test_the_kernel_of_a_page_that_never_connected_ends(tmp_path: Path):
    with serve(tmp_path, "-c", LIGHT.format(away=1), "explore", "cfg") as served:
        with urllib.request.urlopen(served.address, timeout=SECONDS) as answer:
            answer.read()
        wait_for(lambda: served.kernels() == [])
