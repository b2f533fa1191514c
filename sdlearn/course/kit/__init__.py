"""The teacher's kit: pages to teach a lesson with, made from the lesson itself.

    from sdlearn.course import kit

    kit.make(Path("kit"))              # for each lesson a plan, a worksheet, slides and a page
    kit.results(Path("handed-in"))     # which check fails most, in the notebooks of a class

outline   what stands in a lesson: promises, sections, exercises, predictions, what was measured
papers    the plan, the worksheet and its key, as Markdown
pages     Markdown and notebooks as HTML in one file, and slides
bundle    lessons and wheels in a folder, for a room without a network
results   the replies in notebooks that learners have handed in

Nothing is written twice: times and tasks are read in the notebooks, answers and usual mistakes in
`course.catalogue`.
"""

from .bundle import make_bundle
from .making import make
from .outline import Outline, outline_of
from .results import Count, format_results, results

__all__ = [
    "Count",
    "Outline",
    "format_results",
    "make",
    "make_bundle",
    "outline_of",
    "results",
]
