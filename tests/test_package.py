"""The package as a whole: its architecture, its size, its quick start, and the wheel."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

import sdlearn
from sdlearn.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sdlearn"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"torch", "diffusers", "transformers", "matplotlib", "numpy", "PIL", "ipywidgets"}
HEAVY |= {"IPython", "jupyterlab", "onnxruntime"}

# What each folder may import from, besides itself (`design`: one way between the folders).
MAY_IMPORT: dict[str, set[str]] = {"util": set(), "world": {"util"}}
MAY_IMPORT["diffusion"] = MAY_IMPORT["viz"] = {"util", "world"}
MAY_IMPORT["models"] = {"util", "world", "diffusion", "viz"}
MAY_IMPORT["pipeline"] = {*MAY_IMPORT["models"], "models"}
MAY_IMPORT["inside"] = {*MAY_IMPORT["pipeline"], "pipeline"}
MAY_IMPORT["evaluation"] = {*MAY_IMPORT["inside"], "inside"}
MAY_IMPORT["course"] = {*MAY_IMPORT["evaluation"], "evaluation"}
MAY_IMPORT["widgets"] = MAY_IMPORT["training"] = {*MAY_IMPORT["evaluation"], "evaluation"}
MAY_IMPORT["cli"] = {*MAY_IMPORT["widgets"], "widgets", "training", "course"}
MAY_IMPORT["__main__"] = {"cli"}


def name_of(path: Path) -> str:
    """sdlearn/cli/lab.py → cli.lab; a package's __init__.py → the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> Iterator[str]:
    """What a module imports of sdlearn, wherever the import stands, as dotted names below it."""
    package = ["sdlearn", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            names = [".".join([*base, *filter(None, [node.module]), a.name]) for a in node.names]
        else:
            continue
        yield from (name.removeprefix("sdlearn.") for name in names if name.startswith("sdlearn."))


ARROWS = [
    (name_of(path), target)
    for path in MODULES
    if path != PACKAGE / "__init__.py"  # its public names are imported on demand
    for target in imported(path)
    if target != "__version__"
]


def test_the_arrows_were_found():
    assert ("diffusion.loop", "diffusion.equations.x0_of") in ARROWS
    assert ("evaluation.judge", "world.scene.Scene") in ARROWS


@pytest.mark.parametrize("folder", sorted({name_of(p).split(".")[0] for p in MODULES} - {""}))
def test_imports_go_one_way_between_the_folders(folder: str):
    targets = {b.split(".")[0] for a, b in ARROWS if a.split(".")[0] == folder}
    assert targets - {folder} <= MAY_IMPORT[folder]


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize(
    "code",
    ["import sdlearn", "import sdlearn.course"]
    + ["from sdlearn.cli import main; main(['--help'])"]
    + [f"from sdlearn.cli import main; main([{name!r}, '--help'])" for name in COMMANDS],
)
def test_a_quick_start_loads_nothing_heavy(code: str):
    answer = run_python(f"{code}; import sys; print(); print(*sys.modules)")
    assert HEAVY & set(answer.splitlines()[-1].split()) == set()


def test_help_takes_less_than_a_second_of_cpu():
    def seconds() -> float:
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "sdlearn", "--help"], cwd=ROOT, check=True, capture_output=True
        )
        after = os.times()
        user = after.children_user - before.children_user
        return user + after.children_system - before.children_system

    assert min(seconds() for _ in range(3)) < 1


def test_public_names_are_all_there():
    assert {"load", "StableDiffusion", "Step", "Scene", "render"} <= set(sdlearn.__all__)
    for name in sdlearn.__all__:
        assert getattr(sdlearn, name) is not None


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.13"])
def test_constraints_hold_one_fitting_version_of_every_requirement(python: str):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    versions: dict[str, list[str]] = {}
    for pin in pins:
        if pin.marker is None or pin.marker.evaluate({"python_version": python}):
            versions.setdefault(pin.name, []).append(str(pin.specifier).removeprefix("=="))
    assert {name: pinned for name, pinned in versions.items() if len(pinned) > 1} == {}
    for requirement in map(Requirement, importlib.metadata.requires("sdlearn")):
        [version] = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} against {version}"
    assert versions["torch"] == ["2.13.0"]


# What is written for people


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("lessons/*.md"), *ROOT.glob("benchmarks/*.md")]
PAGES += PACKAGE.glob("weights/*/README.md")


def blocks(language: str) -> list[str]:
    """The code blocks of the README in that language."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\((?!\w+:)([^)]*)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


@pytest.mark.slow
def test_the_first_session_of_the_readme_works(tmp_path: Path):
    [session] = [block for block in blocks("sh") if block.startswith("sdlearn generate")]
    *ours, _ = blocks("python")  # the last wants Stable Diffusion 1.5
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for program in (["bash", "-ec", session], [sys.executable, "-c", "\n".join(ours)]):
        subprocess.run(program, cwd=tmp_path, env={**os.environ, "PATH": path}, check=True)
    drawn = [path.name for path in tmp_path.glob("*.png")]
    assert "house.png" in drawn
    assert len(drawn) == 4  # the house, the boat, its filmstrip, and the train


def test_pre_commit_runs_the_ruff_of_the_constraints():
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    [version] = re.findall(r"^ruff==(.*)$", constraints, re.MULTILINE)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"rev: v(.*)", hooks) == [version]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree with the build backend that is installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    words = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment that holds the wheel alone, away from the checkout.

    The libraries (gigabytes of them) are lent by the environment that runs the tests. A folder on
    a .pth line lends its packages but not its own .pth files, so not the checkout either.
    """
    folder = tmp_path_factory.mktemp("outside") / "env"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-qq", "--no-index"]
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def run_installed(folder: Path, *words: str) -> str:
    """Run a program of the new environment in the folder beside it; its output."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "no-cache")}
    environment["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")  # lent as well
    done = subprocess.run(
        [folder / "bin" / words[0], *words[1:]],
        cwd=folder.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_is_what_is_imported(installed: Path):
    where = run_installed(installed, "python", "-c", "import sdlearn; print(sdlearn.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    assert ROOT not in Path(where.strip()).parents


@pytest.mark.slow
def test_the_wheel_draws_a_picture_outside_of_the_checkout(installed: Path):
    words = ["a large red house on green grass", "--seed", "7", "-o", "house.png"]
    assert run_installed(installed, "sdlearn", "generate", *words) == "house.png\n"
    with Image.open(installed.parent / "house.png") as image:
        assert image.size == (128, 128)
        low, high = image.convert("L").getextrema()
        assert high - low > 64


@pytest.mark.slow
def test_the_wheel_passes_its_own_doctor(installed: Path):
    report = json.loads(run_installed(installed, "sdlearn", "doctor", "--json"))
    assert [f for f in report["findings"] if f["status"] == "fail"] == []


@pytest.mark.slow
def test_the_wheel_brings_the_lessons(installed: Path):
    run_installed(installed, "sdlearn", "lab", "--copy-only")
    copies, lessons = installed.parent / "sdlearn-lessons", ROOT / "lessons"
    for pattern in ("*.ipynb", "*.md", "map/*.png"):
        names = [path.name for path in lessons.glob(pattern)]
        assert sorted(path.name for path in copies.glob(pattern)) == sorted(names) != []
    copy, lesson = (folder / "00_start_here.ipynb" for folder in (copies, lessons))
    assert len(copy.read_bytes()) < 0.1 * len(lesson.read_bytes())  # without outputs


@pytest.mark.slow
def test_the_wheel_is_small_and_typed_and_holds_no_rubbish(wheel: Path):
    assert wheel.stat().st_size < 46e6
    names = zipfile.ZipFile(wheel).namelist()
    tiny = [f"sdlearn/weights/tiny/{file}" for file in ("README.md", "checksums.json")]
    assert {"sdlearn/py.typed", "sdlearn/_lessons/00_start_here.ipynb", *tiny} <= set(names)
    weights = [n for n in names if n.endswith(".safetensors")]
    assert {n.split("/")[2] for n in weights} == {"tiny", "adapters", "icons"}
    parts = {n.split("/")[3] for n in weights if "/tiny/" in n}
    assert parts == {"clip", "judge", "text_encoder", "unet", "vae"}
    assert any(n.endswith(".dist-info/licenses/LICENSE") for n in names)
    assert [n for n in names if "checkpoints" in n or "__pycache__" in n] == []
    assert [n for n in names if not n.startswith(("sdlearn/", "sdlearn-"))] == []
