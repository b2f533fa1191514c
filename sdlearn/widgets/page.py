"""How an explorer is laid out: texts above, controls on the left, beside them one large image.

At 1280 x 720 the controls and an image of 480 pixels are in view together; on a larger screen the
image is larger. `presenter` makes type and image larger, for the last row of a room. What is drawn
for a light page, such as a chart, is inverted on a dark one, its hues kept.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as widgets

__all__ = ["STYLE", "aside", "body", "canvas", "main", "presenter_switch", "side", "style_sheet"]
__all__ += ["taken_away", "wide"]

ROOT, PRESENTER = "sdlearn-explorer", "sdlearn-presenter"

# cqw is a hundredth of the explorer's own width, which in a notebook is less than the screen's.
# A slider has a line of its own below its label, so that it is long enough to be dragged.
STYLE = """
.widget-box.sdlearn-explorer { container-type: inline-size; overflow: visible;
  --jp-widgets-font-size: 16px; --jp-widgets-inline-height: 30px; font-size: 16px; }
.widget-box.sdlearn-explorer.sdlearn-presenter { --jp-widgets-inline-height: 1.9em;
  --jp-widgets-font-size: max(18px, 1.2vw); font-size: max(18px, 1.2vw); }
.sdlearn-explorer > .sdlearn-body { --sdlearn-main: max(480px, min(100vh - 250px, 42cqw));
  --sdlearn-side: max(232px, calc(var(--sdlearn-main) / 2 - 12px));
  --sdlearn-pad: max(232px, min(var(--sdlearn-main), 100cqw - 18em - var(--sdlearn-main) - 48px)); }
.sdlearn-presenter > .sdlearn-body { --sdlearn-main: max(490px, min(100vh - 250px, 50cqw)); }
.sdlearn-explorer > .widget-text { width: auto; max-width: 60em; }
.sdlearn-explorer > .sdlearn-style, .sdlearn-taken:not(:has(pre, a)) { display: none; }
.sdlearn-body { display: flex; align-items: flex-start; gap: 8px; }
.sdlearn-body > .sdlearn-column { flex: 0 0 18em; min-width: 0; }
.sdlearn-column select { min-width: 0; }
.sdlearn-body > .sdlearn-page { flex: 1 1 0; min-width: 0; flex-flow: row wrap; }
.sdlearn-explorer .sdlearn-body, .sdlearn-column, .sdlearn-page { overflow: visible; }
.sdlearn-column .widget-hslider { flex-wrap: wrap; height: auto; }
.sdlearn-column .widget-hslider > * { height: 1.4em; line-height: 1.4em; margin: 0; }
.sdlearn-column .widget-hslider > .widget-label { flex: 1; max-width: none; text-align: left; }
.sdlearn-column .widget-hslider > .widget-readout { text-align: right; }
.sdlearn-column .widget-hslider > .slider-container { order: 1; flex: 1 0 90%; height: 0.8em;
  margin: 0 8px; padding-top: 0.4em; }
.sdlearn-explorer .widget-dropdown > select { appearance: auto; background-image: none; }
.sdlearn-explorer .widget-html-content { font-size: inherit; line-height: 1.4; }
.sdlearn-explorer .sdlearn-status { min-height: 1.4em; }
.sdlearn-task .widget-dropdown { min-width: 0; }
.sdlearn-task .widget-button { flex: none; }
.sdlearn-task .widget-label { position: absolute; clip-path: inset(50%); }
.sdlearn-explorer .sdlearn-main img { width: var(--sdlearn-main); height: auto; }
.sdlearn-explorer .sdlearn-main figcaption { max-width: var(--sdlearn-main) !important; }
.sdlearn-explorer .sdlearn-side { max-width: calc(var(--sdlearn-side) + 12px); overflow: visible; }
.sdlearn-explorer .sdlearn-side figure img { width: var(--sdlearn-side); height: auto; }
.sdlearn-explorer .sdlearn-side figcaption { max-width: var(--sdlearn-side) !important; }
.sdlearn-explorer .sdlearn-side .sdlearn-small figure img { width: 100%; }
.sdlearn-explorer .sdlearn-aside { flex: 1 1 15em; max-width: 24em; overflow: visible; }
.sdlearn-aside td { white-space: nowrap; }
.sdlearn-sketch :is(select, button) { height: var(--jp-widgets-inline-height); font: inherit;
  margin: 4px 0; border: 1px solid var(--jp-widgets-input-border-color); cursor: pointer;
  background: var(--jp-layout-color2); color: var(--jp-ui-font-color1); }
.sdlearn-explorer .sdlearn-wide { width: 100%; }
.sdlearn-explorer .sdlearn-canvas { position: relative; overflow: visible; }
.sdlearn-explorer .sdlearn-pad { position: absolute; inset: 0; margin: 0; width: auto;
  height: auto; align-items: stretch; }
.sdlearn-explorer .sdlearn-pad * { height: 100%; }
.sdlearn-explorer .sdlearn-pad [onpointerdown] { cursor: crosshair; touch-action: none; }
[data-jp-theme-light="false"] .sdlearn-explorer { color-scheme: dark; }
[data-jp-theme-light="false"] .sdlearn-explorer .sdlearn-chart {
  filter: invert(0.93) hue-rotate(180deg); }
.jp-OutputArea-child:has(.sdlearn-explorer) + .jp-OutputArea-child:has(.jp-RenderedImage) {
  display: none; }
@container (max-width: 1080px) {
  .sdlearn-body:has(.sdlearn-sketch) { --sdlearn-main: calc(50cqw - 9em - 24px);
    --sdlearn-pad: var(--sdlearn-main); } }
@container (max-width: 760px) {
  .sdlearn-explorer > .sdlearn-body { --sdlearn-main: 96cqw; --sdlearn-pad: 96cqw;
    flex-flow: column; }
  .sdlearn-body > .sdlearn-page { flex: none; } }
"""
# Screen readers need a name for what is dragged, and ipywidgets give a slider's handle none.
NAME_HANDLES = """
const explorer = this.closest('.sdlearn-explorer');
const name = () => explorer.querySelectorAll('.widget-slider').forEach((slider) => {
  const label = slider.querySelector('label').textContent;
  slider.querySelector('[role=slider]')?.setAttribute('aria-label', label);
});
new MutationObserver(name).observe(explorer, {childList: true, subtree: true});
name();
"""
# A script in HTML that is put into a page does not run; what waits for an image does.
IMAGE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def style_sheet() -> widgets.HTML:
    """The style of all explorers. It hides the still image beside an explorer that is alive."""
    script = html.escape(" ".join(NAME_HANDLES.split()))
    sheet = widgets.HTML(f'<style>{STYLE}</style><img src="{IMAGE}" alt="" onload="{script}">')
    sheet.add_class("sdlearn-style")
    return sheet


def body(column: Sequence[widgets.Widget], page: widgets.Box) -> widgets.HBox:
    """The controls in a column, and beside them the page."""
    page.add_class("sdlearn-page")
    both = widgets.HBox([_box("sdlearn-column", column), page])
    both.add_class("sdlearn-body")
    return both


def taken_away() -> widgets.HTML:
    """A line above all, which is there only while it holds something."""
    line = widgets.HTML()
    line.add_class("sdlearn-taken")
    return line


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
