"""The course: exercises that check themselves, self-checks, and the lessons as files.

    from sdlearn import course

    check = course.exercise("noise.add_noise")   # then check(answer), check.hint()
    course.self_check("noise")                   # three questions with an explanation each
    course.challenge(1).show()                   # a hidden scene, to be matched by a prompt

What is asked and what is right stands in `catalogue`; `kit` makes pages for teachers of it.
"""

from .challenge import Challenge, challenge
from .checks import Check, exercise
from .exercises import Exercise, Mistake, OpenExercise
from .guesses import count_near, guessed, guessed_numbers
from .library import Copied, Lesson, copy_lessons, in_checkout, lessons, lessons_folder
from .quiz import Question, Quiz, self_check

__all__ = [
    "Challenge",
    "Check",
    "Copied",
    "Exercise",
    "Lesson",
    "Mistake",
    "OpenExercise",
    "Question",
    "Quiz",
    "challenge",
    "copy_lessons",
    "count_near",
    "exercise",
    "guessed",
    "guessed_numbers",
    "in_checkout",
    "lessons",
    "lessons_folder",
    "self_check",
]
