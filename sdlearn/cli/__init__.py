"""See how Stable Diffusion works, with a real one that fits in a wheel.

first steps:
  sdlearn doctor                         is everything here, and does it work?
  sdlearn generate "a red house at night"
  sdlearn lab                            open the lessons in JupyterLab
  sdlearn explore                        move sliders, and the image follows

'sdlearn COMMAND --help' explains a command and shows examples.
"""

# A command is a module of this package with `add_arguments(parser)` and `run(args) -> int`. Its
# docstring is its help: the first line stands in the list of commands, "examples:" at the end. Only
# the module of the command that was asked for is imported, and no command imports a heavy library
# before `run`, so that `--help` answers at once.
#
# Exit codes: 0 done, 1 the doctor found something wrong, 2 something could not be done (one
# sentence on stderr says what), 130 stopped with Ctrl-C, 141 nobody reads what is printed.

from __future__ import annotations

import argparse
import errno
import gc
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, NoReturn, TextIO

from .. import __version__
from ..util.out_of_memory import is_out_of_memory

__all__ = ["COMMANDS", "entry", "main"]

COMMANDS = ("generate", "lab", "explore", "doctor", "evaluate", "train", "kit")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"sdlearn: {message}; see '{self.prog} --help'\n")


def entry() -> NoReturn:
    """What the shell runs: `main`, then out at once.

    Python would spend most of a second on taking torch and diffusers apart before it ends.
    """
    gc.set_threshold(50_000)  # imports make many objects that stay; look at them less often
    sys.stdout, sys.stderr = _tolerant(sys.stdout), _tolerant(sys.stderr)
    try:
        code = main()
        sys.stderr.flush()
        code = _flush(sys.stdout) or code
    except BrokenPipeError:
        code = 141  # as the shell has it for a program that writes to a closed pipe (`| head`)
    os._exit(code)


def _tolerant(stream: TextIO | None) -> TextIO:
    """`stream`, which from now on can print any text; where it is closed, one that drops all."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _flush(stream: TextIO) -> int:
    """0 when all that was printed has been written, 2 when there is no room for it."""
    try:
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"sdlearn: standard output: {(error.strerror or '').lower()}", file=sys.stderr)
        return 2
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` without the program's name."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser([words[0]] if words and words[0] in COMMANDS else COMMANDS)
    try:
        args, unknown = parser.parse_known_args(words)
        if unknown:
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit as done:  # --help, --version, or a wrong argument: argparse has said it
        return int(done.code or 0)
    if args.version:  # argparse's own "version" would overlook a closed pipe
        print(f"sdlearn {__version__}")
    elif args.command is None:
        parser.print_help()
    else:
        return _run(args)
    return 0


def _parser(commands: Sequence[str]) -> argparse.ArgumentParser:
    """The parser that knows `commands`."""
    how: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = _Parser(prog="sdlearn", **_help(__doc__, "first steps:"), **how)
    parser.add_argument("-V", "--version", action="store_true", help="print the version")
    parser.set_defaults(parser=parser)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name in commands:
        module = import_module(f".{name}", __package__)
        texts = _help(module.__doc__, "examples:")
        summary = texts["description"].partition(".\n")[0]
        sub = subparsers.add_parser(name, help=summary[:1].lower() + summary[1:], **texts, **how)
        module.add_arguments(sub)
        sub.add_argument("--debug", action="store_true", help="show an error's whole traceback")
        sub.set_defaults(run=module.run, parser=sub)
    return parser


def _help(docstring: str | None, last: str) -> dict[str, Any]:
    """A docstring as the two texts before and after the arguments; the second begins at `last`."""
    description, title, epilog = (docstring or "").partition(last)
    return {"description": description, "epilog": title + epilog}


def _run(args: argparse.Namespace) -> int:
    """Call the command; what went wrong becomes one sentence on stderr."""
    try:
        with _warnings_as_sentences():
            return args.run(args)
    except KeyboardInterrupt:
        print("\nsdlearn: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads any more; `entry` ends without a message
        raise
    except (ValueError, OSError, ImportError, MemoryError, RuntimeError) as error:
        if args.debug:
            raise
        print(f"sdlearn: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error: BaseException) -> str:
    """What went wrong in one line, without the name of the exception's class."""
    text = " ".join(str(error).split()) or type(error).__name__
    if text.startswith("not enough memory"):  # as `explain_out_of_memory` says it, with advice
        return text
    if isinstance(error, MemoryError) or is_out_of_memory(error):
        return "not enough memory; close other programs, or ask for fewer or smaller images"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full; nothing half-written was kept"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}"
    return text


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Print every warning as one line on stderr, and the same one only once."""
    say = cache(lambda sentence: print(f"sdlearn: {sentence}", file=sys.stderr))
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(str(message))
        yield
