"""The base of all explorers: updates are remembered, and closing leaves nothing behind."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import ipywidgets
import pytest
from explorer_tools import done

from sdlearn import load, widgets
from sdlearn.widgets import base, controls
from sdlearn.widgets.base import LiveExplorer, PanelUpdate, Settings

EXPLORERS = ["CfgExplorer", "DenoisingTheatre", "LatentPainter", "NoiseExplorer", "PromptMixer"]
EXPLORERS += ["SketchExplorer", "TokenExplorer"]
WITH_STEPS = ("CfgExplorer", "DenoisingTheatre", "SketchExplorer")


class Counter(LiveExplorer):
    """Shows a number in two steps, and notes what it had to draw."""

    PANELS = ("first", "second")

    number = controls.whole("number", 0, 99)

    def prepare(self) -> None:
        self.drawn: list[int] = []

    def updates(self, settings: Settings) -> Iterator[PanelUpdate]:
        self.drawn.append(settings.number)
        yield PanelUpdate({"first": f"first {settings.number}"}, facts={"half": settings.number})
        yield PanelUpdate({"second": f"second {settings.number}"}, facts={"whole": settings.number})


@pytest.fixture
def counter() -> Iterator[Counter]:
    made = Counter()
    yield made
    made.close()


def show(counter: Counter, *numbers: int) -> list[int]:
    """What was drawn on the way."""
    counter.drawn.clear()
    for number in numbers:
        counter.number = number
        done(counter)
    return counter.drawn


def test_what_was_seen_comes_back_as_a_whole(counter: Counter):
    assert show(counter, 1, 0) == [1]
    assert [panel.value for panel in counter.panels.values()] == ["first 0", "second 0"]
    assert counter.facts == {"half": 0, "whole": 0}


@pytest.mark.parametrize(
    ("seen", "again", "drawn"),
    [
        ([1, 2, 3], [3, 2, 1], []),  # the last three are kept
        ([1, 2, 3], [0], [0]),  # the first is forgotten
        ([1, 2, 0, 3], [0], []),  # unless it was looked at again
        ([1, 2, 0, 3], [1], [1]),  # then the next one is
    ],
)
def test_what_was_not_looked_at_for_longest_is_forgotten(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, seen, again, drawn
):
    monkeypatch.setattr(base, "UPDATES_KEPT", 3)
    show(counter, *seen)
    assert show(counter, *again) == drawn


def test_an_update_may_be_forgotten_while_it_is_asked_for(counter: Counter):
    class Hasty(type(counter._seen)):
        """Another thread forgets everything as soon as somebody has looked."""

        def __contains__(self, key: object) -> bool:
            found = super().__contains__(key)
            if found:
                self.clear()
            return found

    counter._seen = Hasty(counter._seen)
    show(counter, 1, 0)
    assert counter.facts["whole"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLORERS)
def test_closing_lets_go_of_the_model(name: str, tiny_folder: Path):
    sd = load(tiny_folder, device="cpu")
    few = {"num_steps": 2} if name in WITH_STEPS else {}
    here = set(_widgets())
    explorer = getattr(widgets, name)(sd, **few)
    unet = weakref.ref(sd.unet)
    explorer.close()
    explorer.wait(10)
    left = {type(w).__name__ for key, w in _widgets().items() if key not in here}
    assert {n for n in left if n != "Layout" and not n.endswith("Style")} == set()
    del explorer, sd
    gc.collect()
    assert unet() is None


def _widgets() -> dict[str, ipywidgets.Widget]:
    return dict(ipywidgets.widgets.widget._instances)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_model_in_a_folder_is_loaded_once(kind: Callable, tiny_folder: Path):
    base._loaded.cache_clear()
    sd = base.shared_model(kind(tiny_folder))
    assert base.shared_model(kind(tiny_folder)) is sd
    assert base.shared_model(sd) is sd
    base._loaded.cache_clear()


def test_what_is_no_model_is_told():
    with pytest.raises(ValueError, match="model must be 'tiny', .*; got 5"):
        base.shared_model(5)
