"""What every explorer is built on: settings that lead to panels, computed in the background.

A setting is a trait of the explorer with a control on its page: code may read and set it
(`explorer.seed = 7`), a reader may move it. Every change asks for an update. One that was shown
before is shown at once; otherwise `LiveExplorer.updates` computes it step by step, and a newer
change cancels an older one between two steps (`sdlearn.widgets.jobs`). Where that takes longer than
a moving hand waits, an explorer first shows something quick, which no change cancels
(`LiveExplorer.quick`): so the image follows a slider that is dragged, and the whole comes at rest.

A new explorer is one file with one subclass of `LiveExplorer`. It declares its settings with the
functions of `sdlearn.widgets.controls`, names its `PANELS`, and writes `updates`. Where nobody can
move a control (a stored notebook, a page, a test), the explorer's `figure` is shown instead, one
PNG with alternative text. A notebook in which somebody moves controls keeps that image as well,
beside the explorer, so that it shows the last state when it is opened without its kernel.
"""

from __future__ import annotations

import html
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import ipywidgets as widgets
import traitlets
from IPython.display import DisplayHandle, display
from matplotlib.figure import Figure
from PIL import Image

from .. import viz
from ..pipeline import StableDiffusion, load
from ..util.notebook import is_interactive, is_saved
from . import page as layout
from . import sharing
from .controls import button
from .jobs import LatestJob, isolated
from .tasks import TaskCard

__all__ = ["Explorer", "LiveExplorer", "Model", "PanelUpdate", "Settings", "StaticFigure"]

Model: TypeAlias = "str | Path | StableDiffusion"
Bundle: TypeAlias = "tuple[dict[str, Any], dict[str, dict[str, object]]]"
Settings = SimpleNamespace  # the value of each setting by its name

UPDATES_KEPT = 100  # each takes some ten or hundred kilobytes
OF_THE_MODEL = ("num_steps", "guidance_scale")  # settings whose first value the model decides
FIRST_IMAGE_TIMEOUT = 3.0  # seconds that a cell waits for the first image
REST, PAUSE = 0.3, 0.02  # seconds without a change that count as rest, and between two looks at it


def changed(settings: Settings, **values: Any) -> Settings:
    """The settings, but for these `values`."""
    return Settings(**{**vars(settings), **values})


class StaticFigure(widgets.VBox):
    """Controls, an image below them, and a status line, which screen readers read aloud."""

    def __init__(self, controls: Sequence[widgets.Widget]) -> None:
        self._image_html, self._line = widgets.HTML(), widgets.HTML()
        self._data: dict[str, str] = {}
        self._metadata: dict[str, dict[str, object]] = {}
        self._status = ""
        super().__init__([*controls, self._image_html, self._line])

    @property
    def status(self) -> str:
        """The sentence below the image; empty when there is nothing to say."""
        return self._status

    def set_status(self, sentence: str) -> None:
        """Show `sentence` below the image."""
        self._status = sentence
        self._line.value = f'<span role="status">{html.escape(sentence)}</span>'

    def set_image(self, png: str, alt: str, width: int) -> None:
        """Replace the image: a PNG in base64, shown `width` pixels wide."""
        self._data = {"image/png": png, "text/plain": alt}
        self._metadata = {"image/png": {"alt": alt, "width": width}}
        source = f"data:image/png;base64,{png}"
        self._image_html.value = f'<img src="{source}" alt="{html.escape(alt)}" width="{width}">'

    def _repr_mimebundle_(self, **options: Any) -> Bundle:
        live = super()._repr_mimebundle_(**options) if is_interactive() else None
        return {**(live or {}), **self._data}, self._metadata


class Explorer(StaticFigure):
    """A figure that follows controls: what `draw` makes of their values, drawn at every change.

        Explorer(noisy_figure, t=ipywidgets.IntSlider(250, 0, 999))

    `draw(**values)` returns a figure of `sdlearn.viz`. When it fails on a change, the last figure
    stays and the error is shown below it. Raises `ValueError` for a control without a value and
    for a result that is no such figure; what `draw` raises the first time is passed on.
    (`ipywidgets.interact` prints into an output area instead: it flickers, and a stored notebook
    keeps nothing of it.)
    """

    def __init__(self, draw: Callable[..., Figure], **controls: widgets.Widget) -> None:
        for name, control in controls.items():
            if not (isinstance(control, widgets.Widget) and control.has_trait("value")):
                kind = type(control).__name__
                raise ValueError(f"{name} must be a widget with a value; got {kind}")
        super().__init__([*controls.values()])
        self._draw, self._controls = draw, controls
        self._update()
        for control in controls.values():
            control.observe(self._on_change, "value")

    def _on_change(self, _change: Any) -> None:
        try:
            self._update()
        except Exception as error:  # it would be lost in the log of the kernel
            self.set_status(f"{type(error).__name__}: {error}")

    def _update(self) -> None:
        figure = self._draw(**{name: control.value for name, control in self._controls.items()})
        if not hasattr(figure, "_repr_mimebundle_"):
            kind = type(figure).__name__
            raise ValueError(f"draw must return a figure of sdlearn.viz; got {kind}")
        data, metadata = figure._repr_mimebundle_()
        self.set_image(data["image/png"], data["text/plain"], metadata["image/png"]["width"])
        self.set_status("")


@dataclass(frozen=True)
class PanelUpdate:
    """New contents for some of an explorer's panels, and a sentence for its status line.

    `panels` maps names in `PANELS` to HTML; other panels stay as they are. A `status` of None
    leaves the last sentence. `facts` are values for code, such as the image; they become
    `explorer.facts`.
    """

    panels: dict[str, str] = field(default_factory=dict)
    status: str | None = ""
    facts: dict[str, Any] = field(default_factory=dict)


@lru_cache(maxsize=1)
def _loaded(name: str | Path) -> StableDiffusion:
    return load(name, compile=None)


def shared_model(model: Model) -> StableDiffusion:
    """A model that is loaded, or the one of that name or folder, loaded once for all explorers."""
    return model if isinstance(model, StableDiffusion) else _loaded(model)


class LiveExplorer(StaticFigure):
    """The base of explorers: panels of HTML that follow the settings.

    `model` is a name, a folder or a loaded model, each of the `settings` a first value. A subclass
    writes `updates`, and where it differs `prepare`, `buttons`, `page` and `figure`; with a
    `QUESTION` and its `CHOICES` also `reveal`. `explorer.facts` holds the values behind the
    panels, `explorer.code` the line that makes the same explorer. `wait()` returns when the panels
    are up to date, `busy` says whether they are not. `presenter` makes all of it larger. Raises
    `ValueError` for an unknown setting; where nobody can move a control, also what the first
    update raises.
    """

    PANELS: tuple[str, ...] = ()
    QUESTION = ""  # of the task, which asks for a prediction
    CHOICES: tuple[str, ...] = ()  # the predictions that can be made

    presenter = traitlets.Bool(False)

    def __init__(self, model: Model = "tiny", *, presenter: bool = False, **settings: Any) -> None:
        self.sd = shared_model(model)
        self._model_code = _model_in_code(model)
        self._still: DisplayHandle | None = None  # the image that a notebook keeps
        self.facts: dict[str, Any] = {}
        self._is_live = is_interactive()
        self._may_rest = False
        self.panels = {name: widgets.HTML() for name in self.PANELS}
        self._seen: OrderedDict[tuple, PanelUpdate] = OrderedDict()
        self._latest = LatestJob(self._apply, self._show_error)
        makers = _control_makers(type(self))
        self.controls = {name: make() for name, make in makers.items() if make}
        self.settings = (*self.controls, *(name for name in makers if not makers[name]))
        self.prepare()
        super().__init__([])
        self._image_html.close()  # the panels take its place
        self.children = self._parts()
        self.add_class(layout.ROOT)
        self.presenter = presenter
        self._set_all(settings)
        for name, control in self.controls.items():
            traitlets.link((self, name), (control, "value"))
        self.observe(lambda _change: self.refresh(), list(self.settings))
        self._show_first()

    def _parts(self) -> list[widgets.Widget]:
        """Texts, which need the whole width; below them the other controls beside the page."""
        switch = layout.presenter_switch()
        traitlets.link((self, "presenter"), (switch, "value"))
        told = "The line of code that makes this explorer with its present settings"
        shared = [button("code", told, self.show_code), switch]
        texts = [one for one in self.controls.values() if isinstance(one, widgets.Text)]
        others = [one for one in self.controls.values() if one not in texts]
        self._line.add_class("sdlearn-status")
        self.taken_away, task = layout.taken_away(), []
        if self.QUESTION:
            self.task = TaskCard(self.QUESTION, self.CHOICES, self.start_reveal)
            task = [self.task]
        below = [_row([*self.buttons(), *shared]), self._line, *task]
        body = layout.body([*others, *below], _row(self.page()))
        return [*texts, self.taken_away, body, layout.style_sheet()]

    @traitlets.observe("presenter")
    def _resize(self, change: Any) -> None:
        (self.add_class if change["new"] else self.remove_class)(layout.PRESENTER)

    def _set_all(self, settings: dict[str, Any]) -> None:
        """Set first values in the order of declaration: some are checked against earlier ones."""
        for name in settings:
            if name not in self.settings:
                raise ValueError(f"a setting must be one of {', '.join(self.settings)}; got {name}")
        for name in self.settings:
            if name in settings:
                setattr(self, name, settings[name])
            elif name in OF_THE_MODEL:
                setattr(self, name, getattr(self.sd.defaults, name))

    def _show_first(self) -> None:
        if self._is_live:
            self.run_job(self._updates_or_seen(quick_first=False))
            self.wait(FIRST_IMAGE_TIMEOUT)
        else:
            for update in isolated(self._updates_or_seen(quick_first=False)):
                self._apply(update)

    # What a subclass writes

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        """Compute what these settings lead to, one step of work for each `next`.

        It runs in a background thread, so it reads `settings`, not the explorer's traits.
        """
        raise NotImplementedError

    def quick(self, settings: Settings) -> PanelUpdate | None:
        """What is shown before `updates` begins, if anything: within a tenth of a second or so.

        It runs in the same thread. It is not kept, so it must have no `facts`.
        """
        return None

    def prepare(self) -> None:
        """Set up what the explorer keeps beside its settings; `sd`, `controls`, `panels` exist."""

    def buttons(self) -> list[widgets.Widget]:
        """The buttons between the controls and the panels."""
        return []

    def page(self) -> list[widgets.Widget]:
        """What stands in the row of panels."""
        return list(self.panels.values())

    def figure(self) -> Figure:
        """The last update as one figure, for where nobody can move a control."""
        return viz.show([self.facts["image"]], [self.facts["title"]], size=256)

    def reveal(self, settings: Settings) -> Iterator[PanelUpdate]:
        """Measure what `QUESTION` asks, a job like `updates`.

        Its facts hold "right", a tuple of the `CHOICES` that are right, and "told", a sentence.
        """
        raise NotImplementedError

    # What a subclass, a button or a cell calls

    def refresh(self) -> None:
        """Show what the present settings lead to."""
        self.run_job(chain(self._updates_or_seen(), self._stored()))

    def start_reveal(self) -> None:
        """Answer the question of the task."""
        self.run_job(self._revealed())

    @property
    def code(self) -> str:
        """The line that makes this explorer with its present settings, but for an image."""
        return sharing.code_line(type(self).__name__, self._model_code, self._changed())

    @property
    def address(self) -> str:
        """The present settings as the end of an address, for `from_address`."""
        return sharing.query_of(self._changed())

    def _changed(self) -> list[tuple[str, Any]]:
        """The settings that are not as they are at the beginning, but for an image."""
        usual = {name: self.trait_defaults(name) for name in self.settings}
        values = ((name, getattr(self, name)) for name in self.settings)
        return [
            (name, value)
            for name, value in values
            if name in OF_THE_MODEL or (not isinstance(value, Image.Image) and value != usual[name])
        ]

    @classmethod
    def from_address(cls) -> LiveExplorer:
        """An explorer with the settings in the address of its page, which is one of Voilà."""
        usual = {name: cls.class_traits()[name].default() for name in _control_makers(cls)}
        return cls(**sharing.read_query(os.environ.get("QUERY_STRING", ""), usual))

    def show_code(self) -> None:
        """Show `code` and `address` on the page, to be copied; hide them if they are there."""
        told = "The same on its own page of <code>sdlearn explore</code>, behind the address:"
        also = f"{told}{sharing.code_html(self.address)}" if self.address else ""
        shown = sharing.code_html(self.code) + also
        self.taken_away.value = "" if self.taken_away.value == shown else shown

    def run_job(self, job: Iterator[PanelUpdate]) -> None:
        """Run a job in the background in place of `updates`, as for a button."""
        self._latest.run(job)

    @property
    def busy(self) -> bool:
        """Whether an update is being computed."""
        return self._latest.busy

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the panels are up to date, at most `timeout` seconds; True if they are."""
        return self._latest.wait(timeout)

    def close(self) -> None:
        """Stop computing and close all widgets on the page."""
        if hasattr(self, "_latest"):  # ipywidgets closes also what failed in `__init__`
            self._latest.stop()
        for part in _widgets_in(self):
            part.close()
        super().close()

    def current_settings(self) -> Settings:
        """The settings as they are now, and the model's LoRAs: with others it draws otherwise."""
        values = {name: getattr(self, name) for name in self.settings}
        return Settings(**values, loras=tuple(self.sd.lora_weights.items()))

    def resting(self) -> Iterator[PanelUpdate]:
        """A pause of a job, in steps, before one for which a moving slider must not wait."""
        if self._may_rest:
            for _ in range(round(REST / PAUSE)):
                time.sleep(PAUSE)
                yield PanelUpdate(status=None)

    def _updates_or_seen(self, *, quick_first: bool = True) -> Iterator[PanelUpdate]:
        """The job of `refresh`.

        It reads the settings when it starts and not when they change: two threads may handle two
        changes at once, and the job that comes last could then carry the older settings.
        """
        settings = self.current_settings()
        key = tuple(vars(settings).values())
        if (seen := self._seen.pop(key, None)) is not None:
            self._seen[key] = seen  # now the most recently used
            yield seen
            return
        if quick_first and (quick := self.quick(settings)) is not None:
            # Not yielded: while a slider moves, each job is cancelled before its first result.
            self._apply(quick)
            yield PanelUpdate(status=None)  # here at the latest
        self._may_rest = quick_first and self._is_live
        whole = PanelUpdate()
        for update in self.updates(settings):
            facts = whole.facts | update.facts
            whole = PanelUpdate(whole.panels | update.panels, update.status, facts)
            yield update
        self._seen[key] = whole
        while len(self._seen) > UPDATES_KEPT:
            self._seen.popitem(last=False)

    def _revealed(self) -> Iterator[PanelUpdate]:
        """The job of `start_reveal`."""
        found: dict[str, Any] = {}
        for update in self.reveal(self.current_settings()):
            found |= update.facts
            yield update
        self.task.tell(found["right"], found["told"])

    def _stored(self) -> Iterator[PanelUpdate]:
        """Let the notebook keep the image; a newer change comes before this does."""
        self._keep_still()
        yield from ()

    def _keep_still(self) -> None:
        if self._still is not None and self.facts:
            figure: Any = self.figure()
            data, metadata = figure._repr_mimebundle_()
            self._still.update(data, raw=True, metadata=metadata)

    def _apply(self, update: PanelUpdate) -> None:
        self.facts |= update.facts
        for name, content in update.panels.items():
            self.panels[name].value = content
        if update.status is not None:
            self.set_status(update.status)

    def _show_error(self, error: Exception) -> None:
        self.set_status(str(error) or type(error).__name__)

    def _ipython_display_(self) -> None:
        """Show the explorer, and beside it the image that the notebook keeps.

        `page.STYLE` hides that image as long as the explorer is alive.
        """
        if not is_interactive():
            raise NotImplementedError  # IPython goes on to `_repr_mimebundle_`
        live, _ = super()._repr_mimebundle_()
        display({**live, "text/plain": type(self).__name__}, raw=True)
        if is_saved():
            self._still = display({"text/plain": ""}, raw=True, display_id=True)
            if self.wait(0.1):  # otherwise the job that is at work ends with it
                self._keep_still()

    def _repr_mimebundle_(self, **options: Any) -> Bundle:
        if self.facts:
            figure: Any = self.figure()
            self._data, self._metadata = figure._repr_mimebundle_()
        return super()._repr_mimebundle_(**options)


def _model_in_code(model: Model) -> str:
    """A model as it stands in a call: a name or a folder, `sd` for one that is loaded."""
    if isinstance(model, StableDiffusion):
        return "sd"
    return "" if model == "tiny" else repr(str(model))


def _control_makers(explorer: type) -> dict[str, Callable[[], widgets.Widget] | None]:
    """The settings of a class in the order in which they are declared."""
    return {
        name: trait.metadata["control"]
        for kind in reversed(explorer.__mro__)
        for name, trait in vars(kind).items()
        if isinstance(trait, traitlets.TraitType) and "control" in trait.metadata
    }


def _row(parts: Sequence[widgets.Widget]) -> widgets.HBox:
    return widgets.HBox(parts, layout={"flex_flow": "row wrap", "align_items": "flex-start"})


def _widgets_in(box: widgets.Widget) -> Iterator[widgets.Widget]:
    """All widgets in a box, and in the boxes in it."""
    for part in getattr(box, "children", ()):
        yield from _widgets_in(part)
        yield part
