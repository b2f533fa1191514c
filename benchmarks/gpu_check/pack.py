"""`python -m benchmarks.gpu_check.pack FOLDER`: a folder to copy to a bare machine with a GPU.

It holds the code and the tiny model, the lessons without their outputs, and a wheel of every
package that the checks need and that does not come along with torch, transformers and accelerate,
in the version that is installed here. Images, tests and findings stay behind.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.script import COMMIT, ROOT, Parser, commit, run_script

THERE = ("torch", "transformers", "accelerate")  # on the bare machine, with what they need
NEEDED = ("diffusers", "pillow", "peft")  # by the pipeline; peft by its LoRA alone
FOR_LESSONS = ("matplotlib", "ipywidgets")
# Needed by those above and imported by nothing that runs here: completion, and widgets' JavaScript.
SPARED = ("jedi", "parso", "jupyterlab-widgets", "widgetsnbextension")
FOLDERS = ("sdlearn", "benchmarks", "lessons")
FILES = ("LICENSE", "README.md", "pyproject.toml")
MOST = 60_000_000  # bytes
LINUX = ("_2_28", "_2_27", "_2_17", "2014", "1")  # the manylinux wheels that fit
EPILOG = """\
examples:
  python -m benchmarks.gpu_check.pack /tmp/gpu
  python -m benchmarks.gpu_check.pack /tmp/gpu --lessons --there pillow matplotlib

Then, on the other machine, in the folder:
  python -m benchmarks.gpu_check
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command: write the folder and say how large it is."""
    doc = "Pack what the checks need on a machine that has torch, transformers and accelerate."
    parser = Parser("benchmarks.gpu_check.pack", doc, EPILOG)
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="to write; new or empty")
    add("--lessons", action="store_true", help="with the wheels for lessons 05 and 06")
    add("--there", nargs="+", default=[], metavar="NAME", help="packages it has besides")
    here = ".".join(map(str, sys.version_info[:2]))
    add("--python", default=here, metavar="X.Y", help=f"its Python (default: {here})")
    return run_script(parser, _run, argv)


def _run(args: argparse.Namespace) -> int:
    folder = args.folder.absolute()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"folder must be new or empty; there is something in {folder}")
    wanted = missing([*NEEDED, *(FOR_LESSONS if args.lessons else ())], args.there)
    copy_tree(folder)
    download(wanted, args.python, folder / "wheels")
    sizes = {part.name: size_of(part) for part in sorted(folder.iterdir())}
    for name, size in sizes.items():
        print(f"{name:16}{size / 1e6:8.1f} MB")
    total = sum(sizes.values())
    print(f"{'together':16}{total / 1e6:8.1f} MB in {folder}")
    if total > MOST:
        raise ValueError(
            f"the folder must hold at most {MOST / 1e6:.0f} MB; it has {total / 1e6:.1f}: name "
            "what the machine has with --there, or leave out --lessons"
        )
    return 0


# The tree


def copy_tree(folder: Path) -> None:
    """Copy the code, and the lessons without what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    left = shutil.ignore_patterns("__pycache__", ".*", "gpu_check.*", "*.png")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=left)
    for name in FILES:
        shutil.copyfile(ROOT / name, folder / name)
    for path in (folder / "lessons").glob("*.ipynb"):
        path.write_text(without_outputs(path.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / COMMIT).write_text(commit() + "\n", encoding="utf-8")


def without_outputs(notebook: str) -> str:
    """A notebook's JSON without what its cells have shown."""
    content = json.loads(notebook)
    content["metadata"].pop("widgets", None)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return json.dumps(content, ensure_ascii=False) + "\n"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


# The wheels


def missing(wanted: Iterable[str], there: Iterable[str] = ()) -> dict[str, str]:
    """What `wanted` needs and does not come with `THERE` and `there`: name → version, as here."""
    present = with_needs([*THERE, *there])
    needed = with_needs(wanted)
    return {n: v for n, v in sorted(needed.items()) if n not in present and n not in SPARED}


def with_needs(names: Iterable[str]) -> dict[str, str]:
    """Packages and all that they need: name → the version that is installed here.

    Raises `ValueError` for a name that is not installed.
    """
    found: dict[str, str] = {}
    todo: list[str] = [canonicalize_name(name) for name in names]
    while todo:
        name = todo.pop()
        if name not in found:
            try:
                package = distribution(name)
            except PackageNotFoundError:
                raise ValueError(f"{name} must be installed here, and is not") from None
            found[name] = package.version
            todo += needs(package.requires or [])
    return found


def needs(requirements: Iterable[str]) -> Iterator[str]:
    """The names of those requirements that hold here without extras."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def download(wheels: dict[str, str], python: str, folder: Path) -> None:
    """Fetch the wheels for Linux on x86-64; `RuntimeError` with pip's last words if it cannot."""
    fitting = [f"--platform=manylinux{year}_x86_64" for year in LINUX]
    words = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    target = ["--implementation=cp", f"--python-version={python}", *fitting]
    pins = [f"{name}=={version}" for name, version in wheels.items()]
    command = [sys.executable, "-m", "pip", *words, *target, *pins]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.startswith("ERROR")][-1:]
        raise RuntimeError(f"the wheels could not be fetched: {' '.join(last) or 'no word of pip'}")


if __name__ == "__main__":
    sys.exit(main())
