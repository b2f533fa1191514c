"""Show an explorer, or all of them, as a page of its own.

There is no code on the page: it is for a projector, or for whoever would rather not see a notebook.
Without a name the page begins with a map of the pipeline, on which each part leads to its explorer;
all of them are behind tabs. The page can be reached from this computer only and needs no network.
Closing it gives its memory back. Ctrl-C stops the server.

names:
  cfg       How hard do the words pull?
  theatre   How does an image come out of noise?
  noise     How much of an image is left under noise?
  tokens    What does the model read, and where does it look?
  mixer     What lies between two prompts?
  painter   What is in a latent?
  sketch    What does the model make of a drawing?

examples:
  sdlearn explore
  sdlearn explore cfg
  sdlearn explore painter --no-browser --port 8900   open the printed address yourself
  (put ?theme=dark behind the address for a dark page; ?guidance_scale=9 and the like for other
  settings, which the button "code" of an explorer writes out)
"""

# The page is a notebook of two cells that Voilà runs and shows without its code. It lies in a
# temporary folder that is deleted with the server. `sdlearn lab` opens `explorers.ipynb`, which has
# the same explorers in JupyterLab.
#
# Each page has a kernel of half a gigabyte, which has to end with the page. A page that is closed
# or reloaded says so to the server. Where it cannot (the browser crashed, the page was still
# loading), the kernel ends once no page has been connected to it for AWAY_SECONDS. A page that is
# open keeps its kernel, however long nobody touches it.

from __future__ import annotations

import argparse
import json
import secrets
import signal
import socket
import sys
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from ..util.checks import check_port

if TYPE_CHECKING:
    import ipywidgets
    import nbformat

    from ..widgets.map import MapLink


class Shown(NamedTuple):
    """An explorer of `sdlearn.widgets` and how it is announced."""

    kind: str  # the name of its class
    title: str
    question: str
    areas: tuple[str, ...]  # the parts of the map that lead to it


EXPLORERS = {
    "cfg": Shown("CfgExplorer", "guidance", "How hard do the words pull?", ("guidance",)),
    "theatre": Shown(
        "DenoisingTheatre", "denoising", "How does an image come out of noise?", ("loop", "reverse")
    ),
    "noise": Shown(
        "NoiseExplorer", "noise", "How much of an image is left under noise?", ("forward",)
    ),
    "tokens": Shown(
        "TokenExplorer", "tokens", "What does the model read, and where does it look?", ("tokens",)
    ),
    "mixer": Shown("PromptMixer", "mixer", "What lies between two prompts?", ("states",)),
    "painter": Shown("LatentPainter", "painter", "What is in a latent?", ("vae",)),
    "sketch": Shown(
        "SketchExplorer", "sketch", "What does the model make of a drawing?", ("start",)
    ),
}
MAP, HOW = "map", "Which part do you want to explore?"  # the first tab
HOST, FIRST_PORT, PORTS = "127.0.0.1", 8866, 50
AWAY_SECONDS, LOOK_SECONDS = 120, 15  # a browser connects again within seconds, also after a sleep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("name", nargs="?", choices=EXPLORERS, metavar="NAME", help="an explorer (default: all)")
    add("--no-browser", action="store_true", help="do not open a browser")
    add("--port", type=int, help=f"port to listen on (default: {FIRST_PORT} or the next)")


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    if find_spec("voila") is None:
        raise ModuleNotFoundError(
            f"Voilà is not installed beside sdlearn; run: {sys.executable} -m pip install voila"
        )
    port = pick_port(args.port)
    server = _server(browser=not args.no_browser)
    with TemporaryDirectory(prefix="sdlearn-explore-") as folder:
        notebook = Path(folder) / "sdlearn explore.ipynb"
        notebook.write_text(json.dumps(page(args.name)), encoding="utf-8")
        words = [
            str(notebook),
            f"--port={port}",
            f"--token={secrets.token_urlsafe(16)}",  # keeps out other users of this computer
            "--Voila.port_retries=0",
            f"--Voila.ip={HOST}",
            f"--Voila.connection_dir_root={folder}",
            f"--MappingKernelManager.cull_idle_timeout={AWAY_SECONDS}",
            f"--MappingKernelManager.cull_interval={LOOK_SECONDS}",
            "--Application.log_level=ERROR",
            f"--show_tracebacks={args.debug}",
        ]
        server.initialize(words)
        server.start()  # until it is stopped
    return 0


def page(name: str | None = None) -> nbformat.NotebookNode:
    """The notebook that shows one explorer, or all of them."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    if name is None:
        title, source = "Explorers", "from sdlearn.cli.explore import tabs\n\ntabs()"
    else:
        kind, _, title, _ = EXPLORERS[name]
        source = f"from sdlearn import widgets\n\nwidgets.{kind}.from_address()"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(
        cells=[new_markdown_cell(f"# {title}"), new_code_cell(source)],
        metadata={"kernelspec": kernel, "title": f"{title} · sdlearn"},
    )


def tabs() -> ipywidgets.Tab:
    """The map and all explorers, each behind a tab; it is made when its tab is first opened."""
    import html

    import ipywidgets

    from .. import widgets
    from ..widgets.map import map_html

    def make(name: str) -> Any:
        if name == MAP:
            return ipywidgets.HTML(map_html(map_links()))
        return getattr(widgets, EXPLORERS[name].kind)()

    names = [MAP, *EXPLORERS]
    questions = [HOW, *(shown.question for shown in EXPLORERS.values())]
    boxes = [ipywidgets.VBox() for _ in names]
    tab = ipywidgets.Tab(boxes, titles=[MAP, *(shown.title for shown in EXPLORERS.values())])

    def fill(_change: Any = None) -> None:
        index = tab.selected_index
        if boxes[index].children:
            return
        try:
            content = make(names[index])
        except Exception as error:  # otherwise it would stand in the log of the kernel only
            sentence = html.escape(str(error) or type(error).__name__)
            content = ipywidgets.HTML(f'<p role="status">{sentence}</p>')
        title = ipywidgets.HTML(f"<h2>{html.escape(questions[index])}</h2>")
        boxes[index].children = [title, content]

    tab.observe(fill, "selected_index")
    tab.selected_index = 0
    fill()
    return tab


def map_links() -> list[MapLink]:
    """A link for each part of the map; our template of the page opens the tab of its `title`."""
    from ..viz.pipeline_map import AREAS
    from ..widgets.map import MapLink

    found = {area: shown for shown in EXPLORERS.values() for area in shown.areas}
    return [
        MapLink(area, f"#{found[area].title}", found[area].title, found[area].question)
        for area in AREAS  # in their order, a part after what it lies on
        if area in found
    ]


def pick_port(wanted: int | None = None) -> int:
    """`wanted`, or the first free port from 8866 on; with 0, any free port.

    Raises `ValueError` when there is none.
    """
    ports = range(FIRST_PORT, FIRST_PORT + PORTS) if wanted is None else [check_port(wanted)]
    for port in ports:
        try:
            with socket.create_server((HOST, port)) as probe:
                return probe.getsockname()[1]
        except OSError:
            continue
    which = f"port {wanted}" if wanted is not None else f"every port from {FIRST_PORT} on"
    raise ValueError(f"{which} is taken or not allowed; choose another one with --port")


def _server(*, browser: bool) -> Any:
    """A Voilà with our template, which prints its address and leaves no file or kernel behind."""
    from datetime import datetime, timezone

    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
    from voila.app import Voila

    class Kernels(AsyncMappingKernelManager):
        def notify_disconnect(self, kernel_id: str) -> None:
            """Count a kernel's idle time from here: its last message may be long ago."""
            super().notify_disconnect(kernel_id)
            if kernel_id in self:
                kernel: Any = self.get_kernel(kernel_id)
                kernel.last_activity = datetime.now(timezone.utc)

    def let_it_say_goodbye(handler: Any, **_page: Any) -> None:
        """Give a page the cookie without which its last message is refused; Voilà forgets it."""
        _ = handler.xsrf_token  # reading it sets it

    class Server(Voila):
        def initialize(self, argv: list[str] | None = None) -> None:
            super().initialize(argv)
            self.voila_configuration.multi_kernel_manager_class = Kernels
            self.voila_configuration.prelaunch_hook = let_it_say_goodbye
            closed = getattr(signal, "SIGHUP", None)  # the terminal was; no such thing on Windows
            if closed and signal.getsignal(closed) != signal.SIG_IGN:  # as under nohup
                signal.signal(closed, self._handle_signal_stop)

        def setup_template_dirs(self) -> None:
            super().setup_template_dirs()
            self.template_paths.insert(0, str(Path(__file__).parent / "voila"))

        def launch_browser(self) -> None:
            address = f"{self.connection_url}?token={self.token}"
            print(f"The explorers are at {address} (Ctrl-C stops them)", flush=True)
            if browser:
                webbrowser.open(address)

    return Server()
