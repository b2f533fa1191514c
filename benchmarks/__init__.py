"""How fast is it, and how do we know: this pipeline beside diffusers' own on the same weights.

    tasks = [Task("tiny", guidance=3.0)]
    report = Report(describe_machine(tasks[0]), compare(tasks, repeats=5))
    print(format_report(report))

Both draw the same pictures in turns, so that a busy moment of the machine hits both, and no ratio
is given before the pictures were found to be the same. (On a GPU what is fast rounds otherwise;
there they are compared in diffusers' own form, and how far the fast one is off is told.) Beside
that: the time from the shell to the PNG (`compare_cold`), where the time goes (`profile`), and
whether a batch fits into less memory (`fits`). Left out: the quality of pictures
(`sdlearn.evaluation`), and other programs.
"""

from benchmarks.cold import compare_cold
from benchmarks.comparing import compare
from benchmarks.machine import describe_machine
from benchmarks.memory import fits
from benchmarks.profiling import profile
from benchmarks.report import Comparison, Difference, Fit, Machine, Profile, Report, Side
from benchmarks.table import format_report, to_json
from benchmarks.task import Task
from benchmarks.timing import Timing, interleaved

__all__ = [
    "Comparison",
    "Difference",
    "Fit",
    "Machine",
    "Profile",
    "Report",
    "Side",
    "Task",
    "Timing",
    "compare",
    "compare_cold",
    "describe_machine",
    "fits",
    "format_report",
    "interleaved",
    "profile",
    "to_json",
]
