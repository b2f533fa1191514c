"""Background work for explorers: a new job cancels the running one between two of its steps.

A slider that is dragged asks for more images than can be computed. So there is no queue: a new job
replaces the one that waits, and the running one is dropped after its current step. The thread
exists only while there is work. When Python exits, all jobs are stopped and their threads joined,
since a thread that is cut off inside of torch aborts the process.

Jobs leave one core to the browser. torch's threads wait for each other all the time, and one that
has to share its core delays all of them: on two cores beside a browser, two threads take twice as
long as one. (Another number of threads rounds differently: an image may differ by a level or two
of 255 from that of `sd.generate` in a cell.)
"""

from __future__ import annotations

import atexit
import contextvars
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import torch

__all__ = ["LatestJob", "isolated"]

Result = TypeVar("Result")

THREAD_NAME = "explorer"
SECONDS_AT_EXIT = 30  # to wait for the current step of each job


class LatestJob(Generic[Result]):
    """Runs the latest job in a background thread. A job is an iterator; each `next` is one step.

    `on_result` gets each result of a job that has not been cancelled, `on_error` the exception
    that ended one; both are called in the background thread. No result of an older job comes after
    one of a newer job.
    """

    def __init__(
        self, on_result: Callable[[Result], None], on_error: Callable[[Exception], None]
    ) -> None:
        self._on_result, self._on_error = on_result, on_error
        self._lock = threading.Lock()
        self._waiting: Iterator[Result] | None = None
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        _all_jobs.add(self)

    @property
    def busy(self) -> bool:
        """Whether a job waits or runs."""
        return self._thread is not None

    def run(self, job: Iterator[Result]) -> None:
        """Start `job` as soon as the current step of an older one is over."""
        with self._lock:
            self._waiting = job
            self._cancelled.set()
            if self._thread is None:
                # Asked here, since a thread that uses torch for the first time takes over the
                # number that was set last, which may be a worker's.
                threads = torch.get_num_threads()
                self._thread = threading.Thread(
                    target=self._work, args=[threads], name=THREAD_NAME, daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Drop the job that waits, and the running one after its current step."""
        with self._lock:
            self._waiting = None
            self._cancelled.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do, at most `timeout` seconds; True if so."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        return not self.busy

    def _work(self, threads: int) -> None:
        torch.set_num_threads(max(1, threads - 1))  # in this Python thread only
        try:
            while (job := self._next_job()) is not None:
                self._run_steps(job)
        finally:
            torch.set_num_threads(threads)  # which threads that start later take over

    def _next_job(self) -> Iterator[Result] | None:
        """The waiting job; None ends the thread."""
        with self._lock:
            job, self._waiting = self._waiting, None
            self._cancelled.clear()
            if job is None:
                self._thread = None
            return job

    def _run_steps(self, job: Iterator[Result]) -> None:
        try:
            for result in isolated(job):
                if not self._cancelled.is_set():
                    self._on_result(result)
                if self._cancelled.is_set():
                    return
        except Exception as error:
            if not self._cancelled.is_set():
                self._report(error)

    def _report(self, error: Exception) -> None:
        try:
            self._on_error(error)
        except Exception:  # the next job must run all the same
            traceback.print_exc()


def isolated(job: Iterator[Result]) -> Iterator[Result]:
    """The results of `job`, each step run in a context of the job's own, without gradients.

    So nothing that a cell has open in its thread reaches the job: a change of the model's layers,
    a recording of attention, or inference mode.
    """
    context = contextvars.Context()
    while True:
        with torch.inference_mode(False), torch.no_grad():
            try:
                result = context.run(next, job)
            except StopIteration:
                return
        yield result


_all_jobs: WeakSet[LatestJob[Any]] = WeakSet()


@atexit.register
def _end_all_jobs() -> None:
    for job in list(_all_jobs):
        job.stop()
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(SECONDS_AT_EXIT)
