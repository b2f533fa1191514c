"""What is asked in the course, one module for each lesson: its exercises and its questions.

A module holds `EXERCISES` and `QUESTIONS` and is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..exercises import Exercise
    from ..quiz import Question

__all__ = ["LESSONS", "exercises", "find", "questions"]

LESSONS = (
    "start",
    "noise",
    "clip",
    "unet",
    "vae",
    "pipeline",
    "guidance",
)  # in the order of the lessons


def exercises(*lessons: str) -> dict[str, Exercise]:
    """The exercises of these lessons, by default of all, by their names and in their order."""
    modules = (import_module(f".{lesson}", __name__) for lesson in lessons or LESSONS)
    return {exercise.name: exercise for module in modules for exercise in module.EXERCISES}


def find(name: str) -> Exercise:
    """The exercise of that name. Raises `ValueError` with the known names for any other."""
    lesson = name.partition(".")[0]
    known = exercises(lesson) if lesson in LESSONS else exercises()
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(known)}; got {name!r}")
    return known[name]


def questions(lesson: str) -> tuple[Question, ...]:
    """The questions at the end of a lesson. Raises `ValueError` for an unknown lesson."""
    if lesson not in LESSONS:
        raise ValueError(f"lesson must be one of {', '.join(LESSONS)}; got {lesson!r}")
    asked: tuple[Question, ...] = import_module(f".{lesson}", __name__).QUESTIONS
    return asked
