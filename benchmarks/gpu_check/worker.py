"""The process that runs the checks, so that one that hangs or dies does not take the rest along.

A call of CUDA that hangs cannot be interrupted from within its process: only ending the process
helps. One process runs many checks, because its start takes ten seconds and models stay loaded; it
is replaced when a check took too long, or left the card in a state in which nothing works any more.
Whatever it and its libraries print goes to a log.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.book import FAILED, MISSED, NOT_RUN, PASSED, Check, Result

START = 120.0  # seconds for the imports and the first call of CUDA on a cold disk
MOST = 300  # characters of a sentence


class Missed(Exception):
    """A check was run, and what it aims at is not so."""


class NotHere(Exception):
    """A check cannot be run here."""


class Worker:
    """The process, seen from outside; `table` is the module with `CHECKS` and `Bench`.

    Raises `RuntimeError` with its last words when it does not start.
    """

    def __init__(self, setting: Any, table: str, seconds: float = START) -> None:
        context = get_context("spawn")  # a fork would share a CUDA that cannot be shared
        self._log = Path(setting.log)
        self._pipe, inner = context.Pipe()
        self._process = context.Process(target=serve, args=(inner, setting, table), daemon=True)
        self._process.start()
        inner.close()
        self.machine: dict[str, Any]
        self.checks: list[Check]
        try:
            if not self._pipe.poll(seconds):
                raise RuntimeError(f"they were not loaded within {seconds:.0f} s")
            self.machine, self.checks = self._pipe.recv()
        except (EOFError, RuntimeError) as error:
            self.end()
            reason = str(error) or last_words(self._log)
            raise RuntimeError(f"the checks cannot be run: {reason}") from None

    def run(self, check: Check, seconds: float) -> tuple[Result, bool]:
        """The result of a check that may take `seconds`; and whether the process can go on."""
        begin = time.monotonic()
        try:
            self._pipe.send(check.name)
            if self._pipe.poll(seconds):
                status, says, numbers, sound = self._pipe.recv()
            else:
                says = f"it took longer than {seconds:.0f} s and was stopped"
                status, numbers, sound = FAILED, {}, False
        except (EOFError, OSError):
            says = f"its process ended by itself: {last_words(self._log)}"
            status, numbers, sound = FAILED, {}, False
        return Result(check, status, says, time.monotonic() - begin, numbers), sound

    def end(self, grace: float = 0.0) -> None:
        """End the process, whatever it is doing; one that waits gets `grace` seconds to leave."""
        try:
            self._pipe.send(None)
            self._process.join(grace)
        except OSError:  # it is gone
            pass
        self._process.kill()
        self._process.join()
        self._pipe.close()


def last_words(log: Path) -> str:
    """The last line of the log."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:MOST] if lines else "it said nothing"


def serve(pipe: Connection, setting: Any, table: str) -> None:
    """What the process does: tell the machine and the checks, then run what is asked for."""
    log = os.open(setting.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    module = import_module(table)
    bench = module.Bench(setting)
    pipe.send((bench.machine(), list(module.CHECKS)))
    functions = {check.name: function for check, function in module.CHECKS.items()}
    while (name := pipe.recv()) is not None:
        print(f"\n--- {name}", flush=True)
        pipe.send(outcome(functions[name], bench))


def outcome(function: Any, bench: Any) -> tuple[str, str, dict[str, Any], bool]:
    """Status, sentence and numbers of a check; and whether other checks can follow."""
    try:
        found = function(bench)
        json.dumps(found.numbers, allow_nan=False)
        return PASSED if found.met else MISSED, found.says, found.numbers, True
    except NotHere as reason:
        return NOT_RUN, str(reason), {}, True
    except Missed as reason:
        status, says = MISSED, str(reason)
    except Exception as error:
        traceback.print_exc()
        status, says = FAILED, sentence(error)
    try:
        bench.clear()
        return status, says, {}, True
    except Exception:  # after some errors no call of CUDA works any more
        traceback.print_exc()
        return status, says, {}, False


def sentence(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return (f"{kind}: {text}" if text else kind)[:MOST]
