"""Background jobs: cancelling, errors, and no thread left behind."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest
import torch
from explorer_tools import at_work

from sdlearn.widgets.jobs import LatestJob, isolated


class Log:
    """What came out of the jobs, in order."""

    def __init__(self) -> None:
        self.came: list[object] = []
        self.work: LatestJob[str] = LatestJob(self.came.append, self.came.append)


@pytest.fixture
def log() -> Log:
    return Log()


def slow(name: str, steps: int, begun: list[str] | None = None) -> Iterator[str]:
    for i in range(steps):
        if begun is not None:
            begun.append(f"{name}{i}")
        time.sleep(0.01)
        yield f"{name}{i}"


def until(condition, seconds: float = 5) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.002)


def test_a_job_is_carried_out_step_by_step(log: Log):
    assert not log.work.busy
    log.work.run(slow("a", 3))
    assert log.work.wait(5)
    assert log.came == ["a0", "a1", "a2"]


def test_it_does_not_keep_the_caller(log: Log):
    began = time.monotonic()
    log.work.run(slow("a", 30))
    assert time.monotonic() - began < 0.1
    assert log.work.busy
    assert not log.work.wait(0.01)
    assert log.work.wait(5)


def test_a_newer_job_cancels_the_one_that_runs(log: Log):
    log.work.run(slow("a", 1000))
    until(lambda: log.came)
    log.work.run(slow("b", 2))
    assert log.work.wait(5)
    assert log.came[-2:] == ["b0", "b1"]
    assert len(log.came) < 100


def test_jobs_that_wait_are_replaced_and_never_begun(log: Log):
    begun: list[str] = []
    log.work.run(slow("a", 1000, begun))
    until(lambda: begun)
    for name in ("b", "c", "d"):
        log.work.run(slow(name, 1, begun))
    assert log.work.wait(5)
    assert {name[0] for name in begun} == {"a", "d"}


def test_200_quick_jobs_end_on_the_last_one(log: Log):
    for i in range(200):
        log.work.run(slow(f"job {i}, step ", 3))
    assert log.work.wait(5)
    assert log.came[-3:] == [f"job 199, step {i}" for i in range(3)]
    order = [int(str(item).split()[1].rstrip(",")) for item in log.came]
    assert order == sorted(order)


def test_no_result_of_a_cancelled_job_is_delivered(log: Log):
    inside, go_on = threading.Event(), threading.Event()

    def blocked() -> Iterator[str]:
        inside.set()
        go_on.wait(5)
        yield "stale"

    log.work.run(blocked())
    assert inside.wait(5)
    log.work.run(iter(["fresh"]))
    go_on.set()
    assert log.work.wait(5)
    assert log.came == ["fresh"]


def test_stop_drops_what_runs_and_what_waits(log: Log):
    log.work.run(slow("a", 1000))
    until(lambda: log.came)
    log.work.run(slow("b", 1000))
    log.work.stop()
    assert log.work.wait(5)
    assert not [item for item in log.came if str(item).startswith("b")]
    log.work.run(iter(["again"]))
    assert log.work.wait(5)
    assert log.came[-1] == "again"


def test_an_error_is_reported_and_the_next_job_runs(log: Log):
    def broken() -> Iterator[str]:
        yield "begun"
        raise ValueError("no such thing")

    log.work.run(broken())
    assert log.work.wait(5)
    assert log.came[0] == "begun"
    assert str(log.came[1]) == "no such thing"
    log.work.run(iter(["next"]))
    assert log.work.wait(5)
    assert log.came[-1] == "next"


def test_an_error_that_cannot_be_reported_does_not_stop_the_next_job(capsys):
    came: list[str] = []

    def deaf(error: Exception) -> None:
        raise OSError("nobody is there")

    work: LatestJob[str] = LatestJob(came.append, deaf)
    work.run(1 / 0 for _ in range(1))
    assert work.wait(5)
    assert "nobody is there" in capsys.readouterr().err
    work.run(iter(["next"]))
    assert work.wait(5)
    assert came == ["next"]


def test_the_error_of_a_cancelled_job_is_not_reported(log: Log):
    inside, go_on = threading.Event(), threading.Event()

    def broken() -> Iterator[str]:
        inside.set()
        go_on.wait(5)
        raise ValueError("too late")
        yield

    log.work.run(broken())
    assert inside.wait(5)
    log.work.run(iter(["fresh"]))
    go_on.set()
    assert log.work.wait(5)
    assert log.came == ["fresh"]


def test_jobs_of_two_explorers_run_side_by_side(log: Log):
    other, both = Log(), threading.Barrier(2)

    def meeting(name: str) -> Iterator[str]:
        both.wait(5)  # breaks when one job waits for the other's step
        yield name

    log.work.run(meeting("a"))
    other.work.run(meeting("b"))
    assert log.work.wait(10)
    assert other.work.wait(10)
    assert (log.came, other.came) == (["a"], ["b"])


def test_nothing_that_is_open_around_a_job_reaches_it(log: Log):
    """Neither where it runs in the background nor in the thread that has something open."""
    inside: ContextVar[str] = ContextVar("inside", default="nothing")

    def job() -> Iterator[tuple]:
        yield inside.get(), torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    inside.set("a block of the cell")
    with torch.inference_mode():
        log.work.run(job())
        assert log.work.wait(5)
        [here] = isolated(job())
    assert [here, *log.came] == [("nothing", False, False)] * 2


def test_a_job_keeps_a_context_of_its_own_from_step_to_step():
    inside: ContextVar[str] = ContextVar("inside", default="nothing")

    def job() -> Iterator[str]:
        inside.set("the job")
        yield inside.get()
        yield inside.get()

    steps = isolated(job())
    assert (next(steps), inside.get(), next(steps)) == ("the job", "nothing", "the job")


ENDS = """
import sys
from sdlearn import widgets
explorer = widgets.CfgExplorer(sys.argv[1], num_steps=1)
explorer.num_steps = 50
explorer.wait(0.2)
print(explorer.busy)
"""


@pytest.mark.slow
def test_python_may_end_while_an_explorer_is_at_work(tiny_folder: Path):
    ended = subprocess.run(
        [sys.executable, "-c", ENDS, str(tiny_folder)], capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


def test_a_thread_exists_only_while_there_is_work(log: Log):
    assert at_work() == []
    for _ in range(3):
        log.work.run(slow("a", 2))
        assert len(at_work()) == 1
        assert log.work.wait(5)
        assert at_work() == []


def threads_of_a_new_thread() -> int:
    told: list[int] = []
    born = threading.Thread(target=lambda: told.append(torch.get_num_threads()))
    born.start()
    born.join()
    return told[0]


@pytest.mark.parametrize(("here", "there"), [(3, 2), (2, 1), (1, 1)])
def test_one_core_is_left_for_the_browser(log: Log, here: int, there: int):
    before = torch.get_num_threads()

    def job() -> Iterator[int]:
        yield torch.get_num_threads()

    torch.set_num_threads(here)
    try:
        log.work.run(job())
        assert log.work.wait(5)
        assert log.came == [there]
        assert torch.get_num_threads() == here
        until(lambda: threads_of_a_new_thread() == here)
    finally:
        torch.set_num_threads(before)
