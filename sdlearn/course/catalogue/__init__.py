"""What is asked in the course: for each lesson, a module of exercises and a file of questions.

A module holds `EXERCISES` and is imported when it is asked for. The questions of the self-check are
Markdown, which `quiz` reads. A notebook without a number has a module of its name and no questions.
"""

from importlib import import_module

from ..exercises import Exercise

__all__ = ["LESSONS", "UNNUMBERED", "exercises", "find"]

LESSONS: tuple[str, ...]  # in their order
LESSONS = ("start", "noise", "clip", "unet", "vae", "pipeline", "guidance")
LESSONS += ("prompts", "editing", "train", "real")
UNNUMBERED = ("tensors",)  # notebooks beside the lessons
ALL = (*LESSONS, *UNNUMBERED)


def exercises(*lessons: str) -> dict[str, Exercise]:
    """The exercises of these lessons, by default of all, by their names and in their order."""
    modules = (import_module(f".{lesson}", __name__) for lesson in lessons or ALL)
    return {exercise.name: exercise for module in modules for exercise in module.EXERCISES}


def find(name: str) -> Exercise:
    """The exercise of that name. Raises `ValueError` with the known names for any other."""
    lesson = name.partition(".")[0]
    known = exercises(lesson) if lesson in ALL else exercises()
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(known)}; got {name!r}")
    return known[name]
