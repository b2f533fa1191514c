"""How a model is loaded on this machine: arguments that several commands may share."""

from __future__ import annotations

import argparse
from typing import Any

from ..util.checks import DTYPES

__all__ = ["add_machine_arguments", "load_options"]


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --device, --dtype, --memory, --compile and --no-safety-checker."""
    add = parser.add_argument_group("the machine").add_argument
    add("--device", metavar="NAME", help="cuda, mps or cpu (default: the first that is here)")
    add("--dtype", choices=DTYPES, help="default: float16 on cuda, float32 elsewhere")
    add("--memory", metavar="8GB", help="what it may take on cuda (default: what is free there)")
    add("--compile", action="store_true", help="later pictures faster, the first one much slower")
    add(
        "--no-safety-checker",
        action="store_true",
        help="for teachers: do not make pictures black that the model's safety checker flags",
    )


def load_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `sdlearn.load` is to be given beside the name of the model."""
    import torch

    return {
        "device": args.device,
        "dtype": getattr(torch, args.dtype) if args.dtype else None,
        "memory": args.memory,
        "compile": args.compile,
        "safety_checker": False if args.no_safety_checker else None,
    }
