"""What the page about a class server works out follows from what it says was measured."""

import re
from pathlib import Path

import pytest

from benchmarks import class_server_memory
from benchmarks.class_server_memory import (
    CORES,
    SERVERS_GB,
    core_seconds,
    learners_that_fit,
    main,
    memory_for,
    print_class,
    wait,
)

PAGE = (Path(__file__).parents[1] / "lessons" / "class_server.md").read_text(encoding="utf-8")


def test_the_arithmetic_by_hand():
    assert learners_that_fit(8, 1.37) == 5  # 5 * 1.37 + 1 = 7.85
    assert memory_for(25, 1.37) == pytest.approx(35.25)
    assert core_seconds(1.2, learners=4, cores=2) == pytest.approx(0.6)
    assert core_seconds(0.5, learners=1, cores=2) == 0.5
    assert wait(0.6, learners=25, cores=8) == pytest.approx(1.875)
    assert wait(0.6, learners=2, cores=8) == 0.6


def test_the_page_has_the_tables_that_the_command_prints(capsys: pytest.CaptureFixture[str]):
    [each] = re.findall(r"takes up to ([\d.]+) GB", PAGE)
    seconds = re.findall(r"([\d.]+) s in (torch|ONNX Runtime)", PAGE)
    print_class(float(each), {name: float(number) for number, name in seconds})
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(SERVERS_GB) + len(CORES)
    for row in [*rows, *re.findall(r"25 learners take \d+ GB", printed)]:
        assert row in PAGE


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["06"], "the following arguments are required: LEARNERS"),
        (["06", "two"], "argument LEARNERS: invalid int value: 'two'"),
        (["06", "0"], "learners must be at least 1 and rise, as in 1 2 4; got [0]"),
        (["06", "4", "2"], "learners must be at least 1 and rise, as in 1 2 4; got [4, 2]"),
        (["77", "1"], "a lesson must be the beginning of one of"),
    ],
)
def test_bad_input_gives_one_sentence_and_starts_nothing(
    words: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(class_server_memory, "Learner", None)
    assert main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert sentence in line
