"""The command that measures lessons and stores what they show."""

import base64
import io
import json
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from benchmarks import lessons
from benchmarks.lessons import Measured, find_lessons, main, measure

METADATA = {"kernelspec": {"name": "python3", "display_name": "a"}, "b": "ü"}
FIGURE = """\
from matplotlib.figure import Figure
print("2 threads")
Figure(figsize=(1, 1))"""


@pytest.fixture
def notebook(folder: Path) -> Path:
    """A small notebook as an editor may leave it: unsorted, with old outputs and no end of line."""
    words = "*a* is 0.98 and 1 of 77"
    cells = [("text", "markdown", words), ("one", "code", "x = 1\nx"), ("two", "code", FIGURE)]
    made = nbformat.v4.new_notebook(metadata=METADATA)
    for name, kind, source in cells:
        made.cells.append(getattr(nbformat.v4, f"new_{kind}_cell")(source, id=name))
    made.cells[1].outputs = [nbformat.v4.new_output("stream", text="0.98 and 3")]
    path = folder / "07_small.ipynb"
    path.write_text(json.dumps(made), encoding="utf-8")
    return path


def test_a_lesson_is_found_by_the_beginning_of_its_name():
    assert [path.stem[:2] for path in find_lessons([])][:3] == ["00", "01", "02"]
    names = [path.name for path in find_lessons(["03", "explorers", "lessons/00_start_here.ipynb"])]
    assert [name[:9] for name in names] == ["03_unet_n", "explorers", "00_start_"]


@pytest.mark.parametrize("name", ["0", "99", "glossary"])
def test_a_name_that_fits_none_or_several_is_refused(name: str, capsys: pytest.CaptureFixture[str]):
    assert main([name]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "a lesson must be the beginning of one of 00_start_here, 01_" in line
    assert line.endswith(f"got {name!r}")


def test_limits_are_those_of_the_design():
    assert (lessons.SECONDS, lessons.SECONDS_09) == ({1: 90, 2: 60}, {1: 240, 2: 150})
    slow, large = Measured("a", 60.5, 700, 60), Measured("b", 89, 801, 90)
    assert (slow.over, large.over) == (["time"], ["memory"])
    rows = lessons.format_table([slow, large], "a processor").splitlines()[2:]
    assert [row.split("  ")[-1] for row in rows] == ["over: time", "over: memory"]


def test_a_number_is_found_as_it_is_written():
    text = "0.91, 1,000 of x2 (77), 3.5."
    assert lessons.numbers(text) == {"0.91", "1,000", "77", "3.5"}


def test_words_that_quote_an_outdated_number_are_listed():
    found = Measured("a", 1, 700, 60, stale={"words": ["0.98", "77"]})
    last = lessons.format_table([found], "a processor").splitlines()[-1]
    assert last == "a: cell words quotes 0.98, 77, which is not printed any more"


@pytest.mark.slow
def test_outputs_are_stored_in_the_form_of_the_lessons(notebook: Path):
    found = measure(notebook, 1, write=True)
    assert found.error is None
    assert 0 < found.seconds < 90
    assert 20 < found.megabytes < 800
    assert found.stale == {"text": ["0.98"]}
    text = notebook.read_text(encoding="utf-8")
    data = json.loads(text)
    assert text == json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    assert data["metadata"] == METADATA
    assert [(cell["id"], cell["metadata"]) for cell in data["cells"]] == [
        ("text", {}),
        ("one", {}),
        ("two", {}),
    ]
    one, two = data["cells"][1:]
    assert (one["execution_count"], two["execution_count"]) == (1, 2)
    assert [output["data"] for output in one["outputs"]] == [{"text/plain": ["1"]}]
    assert two["outputs"][0]["text"] == ["2 threads\n"]
    assert list(notebook.parent.iterdir()) == [notebook]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "cell two ended with ZeroDivisionError: division by zero"),
        ("import os; os._exit(1)", "the kernel died in cell two"),
        ("import sys; print('a', file=sys.stderr)", "not stored: cell two printed to stderr: 'a'"),
        (
            "from IPython.display import HTML; HTML('a')",
            "not stored: cell two shows text/html",
        ),
    ],
)
def test_what_went_wrong_is_told_and_the_file_stays(notebook: Path, source: str, message: str):
    made = nbformat.read(notebook, as_version=4)
    made.cells[2].source = source
    nbformat.write(made, notebook)
    before = notebook.read_bytes()
    found = measure(notebook, 1, write=True)
    assert found.error == message
    assert notebook.read_bytes() == before
    assert f"07_small: {message}" in lessons.format_table([found], "a processor")


def test_a_file_that_is_too_large_gets_images_of_256_colours(notebook: Path):
    made = nbformat.read(notebook, as_version=4)
    noise = Image.effect_noise((200, 200), 80)
    coloured = Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180)))
    grey = noise.convert("RGB")
    for image in (coloured, grey, grey.resize((100, 100))):
        file = io.BytesIO()
        image.save(file, "PNG")
        data = {"image/png": base64.b64encode(file.getvalue()).decode()}
        made.cells[2].outputs.append(nbformat.v4.new_output("display_data", data))
    most = len(nbformat.writes(made)) - 1000
    lessons.shrink(made, most)
    assert len(nbformat.writes(made)) < most
    modes = [
        Image.open(io.BytesIO(base64.b64decode(out.data["image/png"]))).mode
        for out in made.cells[2].outputs[-3:]
    ]
    assert modes == ["RGB", "P", "RGB"]  # noise would change, and the last one need not
