"""HTML in one file that opens from a USB stick: no network, no server, nothing beside it.

nbconvert turns cells into HTML; page and style are ours, as its own pages fetch scripts from the
web. Widgets are the stills that the notebooks have stored.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .outline import Cell, without_links

__all__ = ["markdown_page", "notebook_page", "slides_of", "slides_page"]

STYLE = Path(__file__).with_name("style.css")
SCRIPT = Path(__file__).with_name("slides.js")
LINK = re.compile(r'href="(?!https?:)([\w./-]+)\.(?:ipynb|md)(#[^"]*)?"')


def markdown_page(title: str, markdown: str) -> str:
    """A page of text, to be read or printed."""
    return _page(title, _html_of([{"cell_type": "markdown", "source": markdown}]), "paper")


def notebook_page(title: str, cells: Iterable[Cell]) -> str:
    """A notebook with its outputs, to be read. Links to other lessons lead to their pages."""
    return _page(title, _html_of(cells), "reading")


def slides_page(title: str, slides: Iterable[Sequence[Cell]]) -> str:
    """Slides that arrow keys, space and Page Up and Down turn; printed, each is a page."""
    sections = (f"<section>{_html_of(cells, code=False)}</section>" for cells in slides)
    script = f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>"
    return _page(title, "\n".join(sections) + script, "slides")


def _page(title: str, body: str, kind: str) -> str:
    style = STYLE.read_text(encoding="utf-8") + _colours_of_code()
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f'<body class="{kind}">\n<main>\n{_linked(body)}\n</main>\n</body>\n</html>\n'
    )


def _colours_of_code() -> str:
    from pygments.formatters import HtmlFormatter

    return str(HtmlFormatter(style="friendly").get_style_defs(".highlight"))


def _linked(body: str) -> str:
    """Links to notebooks and Markdown files lead to the pages made of them."""
    return LINK.sub(lambda found: f'href="{found[1]}.html{found[2] or ""}"', body)


def _html_of(cells: Iterable[Cell], *, code: bool = True) -> str:
    """Cells as HTML; with `code` False only texts and what code has shown."""
    from nbconvert import HTMLExporter
    from nbformat import from_dict

    exporter = HTMLExporter(
        template_name="basic",
        exclude_input=not code,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    notebook = {
        "cells": list(map(_complete, cells)),
        "metadata": {"language_info": {"name": "python", "pygments_lexer": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    body, _ = exporter.from_notebook_node(from_dict(notebook))
    return str(body)


def _complete(cell: Cell) -> dict[str, Any]:
    """A cell with all that nbconvert asks for."""
    kind: dict[str, Any] = {"metadata": {}}
    if cell["cell_type"] == "code":
        kind |= {"execution_count": None, "outputs": []}
    return {**kind, "id": "cell", **cell}


def slides_of(cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """The slides of a lesson: promises, sections with their figures, predictions and tasks.

    Code and what it printed are left out, as answers would be among it, and so are links.
    """
    heading = ""
    for cell in cells:
        source = without_links(cell["source"])
        if cell["cell_type"] == "markdown":
            if source.startswith(("# ", "## ")):
                heading = source.splitlines()[0]
            if part := _for_a_slide(source):
                yield [{"cell_type": "markdown", "source": part}]
        elif figures := [o for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]:
            title = re.sub(r"^#+", "##", heading)
            yield [
                {"cell_type": "markdown", "source": title},
                {**cell, "outputs": figures, "source": ""},
            ]


def _for_a_slide(source: str) -> str:
    """What of a text stands on a slide; most of it is for reading, and does not."""
    if source.startswith("# "):
        return source.partition("**Time:**")[0]
    if source.startswith("### Your turn"):
        return source
    if "**Predict.**" in source:
        heading = source.splitlines()[0] if source.startswith("## ") else "## Predict"
        return f"{heading}\n\n**Predict.**{source.partition('**Predict.**')[2]}"
    if source.startswith("## "):
        return "\n\n".join(source.split("\n\n")[:2])
    return ""
