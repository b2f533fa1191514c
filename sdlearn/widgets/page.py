"""How an explorer is laid out: controls on the left, beside them one large image.

At 1280 x 720 the controls and an image of 480 pixels are in view together. `presenter` makes type
and image larger, for the last row of a room. What is drawn for a light page, such as a chart, is
inverted on a dark one, its hues kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets

__all__ = ["STYLE", "aside", "canvas", "main", "presenter_switch", "side", "style_sheet", "wide"]

ROOT, PRESENTER, PAGE = "sdlearn-explorer", "sdlearn-presenter", "sdlearn-page"

# The page spans all rows of the controls; the last of them, which takes what is left, is empty.
STYLE = """
.widget-box.sdlearn-explorer { --sdlearn-main: 480px; --sdlearn-side: 232px;
  --jp-widgets-font-size: 16px; --jp-widgets-inline-height: 30px; font-size: 16px;
  display: grid; grid-template-columns: minmax(0, 21em) minmax(0, 1fr);
  grid-template-rows: repeat(29, min-content) 1fr; column-gap: 8px; overflow: visible; }
.widget-box.sdlearn-explorer.sdlearn-presenter {
  --sdlearn-main: max(480px, min(72vh, 50vw)); --sdlearn-side: max(232px, 34vh);
  --jp-widgets-font-size: 20px; --jp-widgets-inline-height: 38px; font-size: 20px; }
.sdlearn-explorer > * { grid-column: 1; }
.sdlearn-explorer > .sdlearn-page { grid-column: 2; grid-row: 1 / span 30; overflow: visible; }
.sdlearn-explorer > .sdlearn-style { display: none; }
.sdlearn-explorer .widget-html-content { font-size: inherit; line-height: 1.4; }
.sdlearn-explorer .sdlearn-main img { width: var(--sdlearn-main); height: auto; }
.sdlearn-explorer .sdlearn-main figcaption { max-width: var(--sdlearn-main) !important; }
.sdlearn-explorer .sdlearn-side { max-width: calc(var(--sdlearn-side) + 12px); overflow: visible; }
.sdlearn-explorer .sdlearn-side figure img { width: var(--sdlearn-side); height: auto; }
.sdlearn-explorer .sdlearn-side figcaption { max-width: var(--sdlearn-side) !important; }
.sdlearn-explorer .sdlearn-side .sdlearn-small figure img { width: 100%; }
.sdlearn-explorer .sdlearn-aside { flex: 1 1 15em; max-width: 24em; overflow: visible; }
.sdlearn-explorer .sdlearn-wide { width: 100%; }
.sdlearn-explorer .sdlearn-canvas { position: relative; overflow: visible; }
.sdlearn-explorer .sdlearn-pad { position: absolute; inset: 0; margin: 0; width: auto;
  height: auto; align-items: stretch; }
.sdlearn-explorer .sdlearn-pad * { height: 100%; }
.sdlearn-explorer .sdlearn-pad [onpointerdown] { cursor: crosshair; touch-action: none; }
[data-jp-theme-light="false"] .sdlearn-explorer .sdlearn-chart {
  filter: invert(0.93) hue-rotate(180deg); }
.jp-OutputArea-child:has(.sdlearn-explorer) + .jp-OutputArea-child:has(.jp-RenderedImage) {
  display: none; }
@media (max-width: 760px) {
  .widget-box.sdlearn-explorer { --sdlearn-main: 92vw; grid-template-columns: minmax(0, 1fr); }
  .sdlearn-explorer > .sdlearn-page { grid-column: 1; grid-row: auto; } }
"""


def style_sheet() -> widgets.HTML:
    """The style of all explorers. It hides the still image beside an explorer that is alive."""
    sheet = widgets.HTML(f"<style>{STYLE}</style>")
    sheet.add_class("sdlearn-style")
    return sheet


def main(*parts: widgets.Widget) -> widgets.VBox:
    """What the explorer is about: its images are large."""
    return _box("sdlearn-main", parts)


def side(*parts: widgets.Widget) -> widgets.VBox:
    """A column beside the large image, of images of half its width."""
    return _box("sdlearn-side", parts)


def aside(*parts: widgets.Widget) -> widgets.VBox:
    """A column beside the large image, as wide as there is room: tables, rows of thumbnails."""
    return _box("sdlearn-aside", parts)


def wide(panel: widgets.Widget) -> widgets.Widget:
    """A panel that takes a row of its own below the others."""
    panel.add_class("sdlearn-wide")
    return panel


def canvas(*parts: widgets.Widget) -> widgets.Box:
    """A panel with an image, and over it what feels the pointer (`pointer.PointerPad`)."""
    box = widgets.Box(parts)
    box.add_class("sdlearn-canvas")
    return box


def presenter_switch() -> widgets.ToggleButton:
    """The button that makes type and image larger."""
    told = "Larger type and a larger image, for a projector"
    return widgets.ToggleButton(description="presenter", tooltip=told, layout={"width": "auto"})


def _box(name: str, parts: Sequence[widgets.Widget]) -> widgets.VBox:
    box = widgets.VBox(parts)
    box.add_class(name)
    return box
