"""What the explorers are built on: settings that lead to a picture, drawn in the background.

A setting is a trait of the explorer and a control on its page, two views of one value: code may
read and set it (`explorer.seed = 7`), a hand may move it. Any change asks for a new view. A view
that was seen before is shown at once; else `draw` makes it, step by step, and the newest wish
wins (`sdlearn.widgets.latest`). Left out: what is drawn, which is a subclass's `draw`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import traitlets

from ..util.notebook import is_interactive
from .latest import LatestJob
from .still import StaticFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LiveExplorer", "Settings", "PanelUpdate"]

Settings = SimpleNamespace  # the value of each setting by its name

MOST_SEEN = 100  # views kept; each holds some ten or hundred kilobytes
PATIENCE = 3.0  # seconds that a cell waits for its first picture


@dataclass(frozen=True)
class PanelUpdate:
    """A part of what an explorer shows: HTML for some of its panels, and a sentence, or None to
    leave the last one.

    `facts` are values that code may want, such as the picture; they become `explorer.facts`.
    """

    panels: dict[str, str] = field(default_factory=dict)
    status: str | None = ""
    facts: dict[str, Any] = field(default_factory=dict)


class LiveExplorer(StaticFigure):
    """An explorer. A subclass names its `PANELS`, writes `draw` and `still`, and calls `begin`.

    `settings` are the names of the traits that decide the view. `facts` holds what the last view
    tells code. `wait()` returns when the view is up to date, `busy` says whether it is not.
    """

    PANELS: tuple[str, ...] = ()

    def __init__(
        self,
        controls: Mapping[str, widgets.Widget],
        buttons: Sequence[widgets.Widget],
        settings: Mapping[str, Any],
        *,
        more: Sequence[str] = (),
    ) -> None:
        """`settings` are the values to begin with, `more` names settings without a control."""
        self.settings = (*controls, *more)
        self.facts: dict[str, Any] = {}
        self.panels = {name: widgets.HTML() for name in self.PANELS}
        self._seen: OrderedDict[tuple, PanelUpdate] = OrderedDict()
        self._work = LatestJob(self._deliver, self._fail)
        super().__init__([])
        self._image.close()  # the panels take its place
        wrapped = widgets.Layout(flex_flow="row wrap", align_items="flex-start")
        boxes = [widgets.HBox(list(row), layout=wrapped) for row in (buttons, self.panels.values())]
        self.children = [*controls.values(), boxes[0], self._line, boxes[1]]
        self._set(settings)
        for name, control in controls.items():
            traitlets.link((self, name), (control, "value"))
        self.observe(lambda _change: self.refresh(), list(self.settings))

    def _set(self, settings: Mapping[str, Any]) -> None:
        for name, value in settings.items():
            if name not in self.settings:
                raise ValueError(f"a setting must be one of {', '.join(self.settings)}; got {name}")
            setattr(self, name, value)

    def draw(self, at: Settings) -> Iterator[PanelUpdate]:
        """The way to the view of these settings, one step of work for each `next`.

        `at` holds the settings as they were when the wish came. A panel that is not in a view
        stays as it is.
        """
        raise NotImplementedError

    def still(self) -> Figure:
        """The last view as one figure of `sdlearn.viz`, for where nobody can move a control."""
        raise NotImplementedError

    def begin(self) -> None:
        """Draw for the first time. Where nobody can move a control, errors are passed on."""
        if is_interactive():
            self.refresh()
            self.wait(PATIENCE)
        else:
            for view in self._job():
                self._deliver(view)

    def refresh(self) -> None:
        """Show the view of the present settings: at once when it was seen, else when drawn."""
        self._work.run(self._job())

    def run(self, job: Iterator[PanelUpdate]) -> None:
        """Carry out something else than `draw` in the background, as for a button."""
        self._work.run(job)

    @property
    def busy(self) -> bool:
        """Whether a view is being drawn."""
        return self._work.busy

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the view is up to date, at most `timeout` seconds; whether that is so."""
        return self._work.wait(timeout)

    def close(self) -> None:
        """Stop drawing and leave the page, with all that is on it: buttons hold their explorer."""
        if hasattr(self, "_work"):  # ipywidgets closes also what never came to be
            self._work.stop()
        for part in _inside(self):
            part.close()
        super().close()

    def at(self) -> Settings:
        """The settings as they are now."""
        return Settings(**{name: getattr(self, name) for name in self.settings})

    def _job(self) -> Iterator[PanelUpdate]:
        at = self.at()
        key = tuple(vars(at).values())
        view = self._seen.pop(key, None)  # in one go: the worker forgets views meanwhile
        if view is None:
            return self._remembered(key, self.draw(at))
        self._seen[key] = view  # the last to be forgotten
        return iter([view])

    def _remembered(self, key: tuple, job: Iterator[PanelUpdate]) -> Iterator[PanelUpdate]:
        """The job's views; when it comes to its end, they are kept as one."""
        whole = PanelUpdate()
        for view in job:
            whole = PanelUpdate(whole.panels | view.panels, view.status, whole.facts | view.facts)
            yield view
        self._seen[key] = whole
        while len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)

    def _deliver(self, view: PanelUpdate) -> None:
        self.facts |= view.facts
        for name, html in view.panels.items():
            self.panels[name].value = html
        if view.status is not None:
            self.say(view.status)

    def _fail(self, error: Exception) -> None:
        self.say(str(error) or type(error).__name__)

    def _repr_mimebundle_(
        self, **options: Any
    ) -> tuple[dict[str, Any], dict[str, dict[str, object]]]:
        if self.facts:
            page: Any = self.still()
            self._data, self._metadata = page._repr_mimebundle_()
        return super()._repr_mimebundle_(**options)


def _inside(box: widgets.Widget) -> Iterator[widgets.Widget]:
    """All that stands in a box, and in the boxes in it."""
    for part in getattr(box, "children", ()):
        yield from _inside(part)
        yield part
