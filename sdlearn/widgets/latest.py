"""The newest job wins: work in the background that can be overtaken between two steps.

A slider that is dragged asks for more pictures than can be drawn. So there is no queue: a new job
takes the place of the one that waits, and the one that runs is dropped after its current step. A
thread exists only while there is work, so nothing has to be cleaned up. Left out: any widget.

One core is left for the browser. torch's threads wait for each other all the time, and one that
must share its core holds up all of them: on two cores beside a browser, two threads take twice as
long as one. (Another number of threads rounds otherwise: a picture may differ by a level or two of
255 from that of `sd.generate` in a cell.)
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

__all__ = ["LatestJob"]

Result = TypeVar("Result")

# All explorers share their models, and one of them may be watching a model's layers while it
# takes a step. So they take turns, step by step.
_TURN = threading.Lock()


class LatestJob(Generic[Result]):
    """Runs the newest job that it was given. A job is an iterator; each `next` is one step of it.

    `deliver` gets each result of a job that has not been overtaken, `failed` the exception that
    ended it; both are called in the background, one after the other. No result of an older job
    comes after one of a newer job.
    """

    def __init__(
        self, deliver: Callable[[Result], None], failed: Callable[[Exception], None]
    ) -> None:
        self._deliver, self._failed = deliver, failed
        self._lock = threading.Lock()
        self._waiting: Iterator[Result] | None = None
        self._overtaken = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a job waits or runs."""
        return self._thread is not None

    def run(self, job: Iterator[Result]) -> None:
        """Begin `job` as soon as the current step of another one is over."""
        with self._lock:
            self._waiting = job
            self._overtaken.set()
            if self._thread is None:
                # Asked here, or a caller that has not used torch yet would take over our number.
                threads = torch.get_num_threads()
                self._thread = threading.Thread(
                    target=self._work, args=[threads], name="explorer", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Drop what waits, and what runs after its current step."""
        with self._lock:
            self._waiting = None
            self._overtaken.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is nothing to do, at most `timeout` seconds; whether that is so."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        return not self.busy

    def _work(self, threads: int) -> None:
        with _one_core_left(threads):
            while (job := self._next()) is not None:
                try:
                    self._carry_out(job)
                except Exception as error:
                    if not self._overtaken.is_set():
                        self._tell(error)

    def _tell(self, error: Exception) -> None:
        try:
            self._failed(error)
        except Exception:  # the next job is to run all the same
            traceback.print_exc()

    def _next(self) -> Iterator[Result] | None:
        """The waiting job; None ends the thread."""
        with self._lock:
            job, self._waiting = self._waiting, None
            self._overtaken.clear()
            if job is None:
                self._thread = None
            return job

    def _carry_out(self, job: Iterator[Result]) -> None:
        while not self._overtaken.is_set():
            with _TURN:
                try:
                    result = next(job)
                except StopIteration:
                    return
            if not self._overtaken.is_set():
                self._deliver(result)


@contextmanager
def _one_core_left(threads: int) -> Iterator[None]:
    """Compute with one thread less in this Python thread; the others keep theirs."""
    torch.set_num_threads(max(1, threads - 1))
    try:
        yield
    finally:
        torch.set_num_threads(threads)  # which those that begin later take over
