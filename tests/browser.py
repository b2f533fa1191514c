"""A real JupyterLab in a real browser: `lab` serves a folder, `Desk` is a notebook open in it.

Chromium is the system's own, driven by Playwright, without a window. Nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
from playwright.sync_api import Browser, Page, sync_playwright

__all__ = ["WATCH_QUICK", "Desk", "chromium", "explored", "headless", "lab", "notebook"]

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS, RUN_SECONDS = 90, 300  # that a busy machine may take
# What JupyterLab itself complains about, and a test of ours cannot mend.
NOT_OURS = ("favicon", "api/me", "/api/terminals", "ResizeObserver loop", "404 (Not Found)")

# Resolves when the picture whose alternative text holds `wanted` has been painted.
PAINTED = """(wanted) => new Promise((done) => {
  const began = performance.now();
  const look = () => {
    for (const image of document.querySelectorAll("figure img")) {
      if (image.alt.includes(wanted) && image.complete && image.naturalWidth) {
        return requestAnimationFrame(() => requestAnimationFrame(
          () => done(performance.now() - window.moved)));
      }
    }
    if (performance.now() - began < 60000) setTimeout(look, 5); else done(null);
  };
  look();
})"""
# JupyterLab may lose what it is told to run while it is still connecting to a kernel; the numbers
# of the cells are then blank again.
TRIES = 3
ALL_RUN = """(began) => {
  const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")];
  const texts = prompts.map((prompt) => prompt.textContent);
  if (texts.every((text) => /\\d/.test(text))) return "run";
  return performance.now() - began > 3000 && texts.every((text) => !/[*\\d]/.test(text)) && "lost";
}"""
WATCH_INPUT = """() => {
  const note = () => { window.moved = performance.now(); };
  for (const kind of ["keydown", "mouseup"]) document.addEventListener(kind, note, true);
}"""

# From now on: the quick images of the explorer of guidance as they are painted, each with the
# milliseconds since its number stood beside the slider.
WATCH_QUICK = """() => {
  window.quick = [];
  let number = null, shown = null;
  const times = {};
  const look = () => {
    const now = performance.now();
    const stands = parseFloat(document.querySelector(".widget-readout")?.innerText);
    if (stands !== number) { number = stands; times[number] = now; }
    const image = document.querySelector("figure img");
    if (image && image.complete && image.naturalWidth && image.alt !== shown) {
      shown = image.alt;
      const of = parseFloat((shown.match(/guidance ([0-9.]+).*quick/) || [])[1]);
      if (of in times) window.quick.push([shown, now - times[of]]);
    }
    requestAnimationFrame(look);
  };
  look();
}"""


def chromium() -> str | None:
    """The path of a Chromium on this machine."""
    return next((path for name in CHROMIUMS if (path := shutil.which(name))), None)


def notebook(path: Path, cells: Sequence[str]) -> None:
    """Write a notebook of code cells."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, path)


@contextmanager
def lab(folder: Path, *, theme: str = "JupyterLab Light") -> Iterator[str]:
    """JupyterLab over `folder`, with settings of its own; the address with its token."""
    _settings(folder / ".settings" / "@jupyterlab", theme)
    token, log = secrets.token_hex(8), folder / "lab.log"
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--allow-root"]
    words += [f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"]
    words += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    own = {"JUPYTERLAB_SETTINGS_DIR": folder / ".settings", "JUPYTER_CONFIG_DIR": folder / ".conf"}
    own |= {"JUPYTER_RUNTIME_DIR": folder / ".run", "JUPYTERLAB_WORKSPACES_DIR": folder / ".work"}
    with log.open("w") as out:
        environment = {**os.environ, **{name: str(path) for name, path in own.items()}}
        server = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        yield f"{_address(server, log)}/lab/tree/{{}}?token={token}"
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def explored(name: str, folder: Path) -> Iterator[str]:
    """`sdlearn explore NAME` without a browser of its own; the address with its token."""
    log = folder / "explore.log"
    words = [sys.executable, "-m", "sdlearn", "explore", name, "--no-browser", "--port=0"]
    with log.open("w") as out:
        server = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)
    try:
        ends = time.monotonic() + START_SECONDS
        while not (found := re.search(r"are at (\S+)", log.read_text())):
            if time.monotonic() > ends or server.poll() is not None:
                raise RuntimeError(f"sdlearn explore did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield found[1]
    finally:
        server.terminate()
        server.wait(30)


def _settings(folder: Path, theme: str) -> None:
    """A theme, no news from the network, and all cells on the page at once."""
    chosen = {
        "apputils-extension/themes": {"theme": theme},
        "apputils-extension/notification": {"fetchNews": "false"},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, values in chosen.items():
        path = folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def _address(server: subprocess.Popen, log: Path) -> str:
    """Wait until the server answers."""
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends and server.poll() is None:
        if found := re.search(r"http://(?:127\.0\.0\.1|localhost):(\d+)/lab", log.read_text()):
            base = f"http://127.0.0.1:{found[1]}"
            # The address may be in the log before the server listens.
            with suppress(URLError), urlopen(f"{base}/login", timeout=START_SECONDS):
                return base
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


@contextmanager
def headless() -> Iterator[Browser]:
    """The system's Chromium without a window."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--force-color-profile=srgb"]
        yield playwright.chromium.launch(executable_path=chromium(), args=options)


class Desk:
    """A notebook that is open in the browser, and what went wrong there."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("console", lambda m: self._hear(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self._hear(str(error)))

    def _hear(self, text: str) -> None:
        if not any(known in text for known in NOT_OURS):
            self.errors.append(text)

    @classmethod
    @contextmanager
    def open(cls, browser: Browser, address: str) -> Iterator[Desk]:
        """Open a notebook and run all of its cells."""
        page = browser.new_page(viewport={"width": 1280, "height": 1900})
        desk = cls(page)
        page.goto(address)
        desk.run_all()
        yield desk
        page.close()

    def run_all(self) -> None:
        """Run ▸ Run All Cells, as a learner would; returns when the kernel has nothing to do."""
        page = self.page
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START_SECONDS * 1000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=60_000)
        for _ in range(TRIES):
            page.click(".lm-MenuBar-itemLabel >> text=/^Run$/")
            page.click(".lm-Menu-itemLabel >> text=/^Run All Cells$/")
            began = page.evaluate("() => performance.now()")
            found = page.wait_for_function(ALL_RUN, arg=began, timeout=RUN_SECONDS * 1000)
            if found.json_value() == "run":
                break
        page.evaluate(WATCH_INPUT)

    def painted(self, wanted: str) -> float:
        """Milliseconds from the last key or mouse button to the image with that text."""
        took = self.page.evaluate(PAINTED, wanted)
        assert took is not None, f"no image with {wanted!r}; {self.text()}"
        return took

    def text(self) -> str:
        """All that can be read in the outputs."""
        return "\n".join(self.page.locator(".jp-OutputArea").all_inner_texts())

    def handle(self, label: str) -> None:
        """Give the keyboard to the slider with that label."""
        row = self.page.locator(".widget-slider", has_text=label).first
        row.locator(".noUi-handle").focus()
