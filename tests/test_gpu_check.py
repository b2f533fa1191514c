"""The check of the GPU pipeline: rehearsed on the CPU, and what it does where checks fail.

What measures the memory of a card is tried with a card that is made up (`FakeCard`).
"""

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import gpu_check_stubs as stubs
import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from benchmarks import script
from benchmarks.contestants import Contestant
from benchmarks.gpu_check import __main__ as command
from benchmarks.gpu_check import bench as benches
from benchmarks.gpu_check import checks, pack
from benchmarks.gpu_check.__main__ import Runner, main, wanted
from benchmarks.gpu_check.bench import Bench, Card, NoCard
from benchmarks.gpu_check.book import Book, Check, Result, read, table
from benchmarks.gpu_check.cells import run_cells
from benchmarks.gpu_check.setting import Setting, rehearsal
from benchmarks.gpu_check.worker import Missed, NotHere, Worker
from benchmarks.measuring import first_images, work
from benchmarks.records import Timing
from sdlearn.models import memory
from sdlearn.models.memory import GB, MemoryPlan

ROOT = Path(__file__).parents[1]
NEEDS_GPU = ["peak", "within_8_gb", "model_offload", "sequential_offload", "out_of_memory"]


# The rehearsal


@pytest.mark.slow
def test_everything_is_rehearsed_on_the_cpu(tmp_path: Path):
    output = tmp_path / "rehearsal.json"
    words = ["--rehearse", "--seconds", "3000", "--folder", str(tmp_path), "--output", str(output)]
    command = [sys.executable, "-m", "benchmarks.gpu_check", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode in (0, 1)  # what is faster on a busy CPU is no test
    content = read(output)
    rows = {row["name"]: row for row in content["checks"]}
    assert list(rows) == [check.name for check in checks.CHECKS]
    assert [name for name, row in rows.items() if row["says"] == "needs a GPU"] == NEEDS_GPU
    for name, row in rows.items():
        assert f" {name:22}" in done.stdout
        if name in NEEDS_GPU:
            assert row["status"] == "not run"
        elif not row["aim"].startswith("ratio"):
            assert row["status"] == "passed", row
        else:
            assert row["numbers"]["ratio"] > 0, row
    assert rows["tiny_as_on_the_cpu"]["numbers"] == {"levels": 0, "levels_with_tf32": 0}
    assert rows["beside_diffusers"]["numbers"]["levels"] == 0
    assert rows["over_compiled"]["says"].count(", whole") == 4  # both sides, and their compilation
    assert rows["lesson_06"]["numbers"] == {"cells": 2, "errors": {}}
    assert output.with_suffix(".md").read_text(encoding="utf-8") == table(content)
    assert "--- lora" in output.with_suffix(".log").read_text(encoding="utf-8")


def run_bare(code: str, absent: set[str]) -> str:
    """What a new process prints that finds some packages nowhere."""
    hide = f"""
import importlib.machinery as machinery
find, absent = machinery.PathFinder.find_spec, {absent!r}
def find_spec(name, path=None, target=None):
    return None if name.split(".")[0] in absent else find(name, path, target)
machinery.PathFinder.find_spec = find_spec
"""
    words = [sys.executable, "-c", hide + code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_pipeline_needs_none_of_the_libraries_of_lessons_and_engines():
    absent = {"matplotlib", "ipywidgets", "IPython", "ipykernel", "onnxruntime", "peft", "nbformat"}
    code = """
from sdlearn import load
import benchmarks.gpu_check.checks
print(len(load(device="cpu").generate("a red house", num_steps=1)))
"""
    assert run_bare(code, absent) == "1\n"


def test_the_command_and_the_packing_begin_without_any_library():
    libraries = {"torch", "numpy", "diffusers", "transformers", "accelerate", "PIL", "psutil"}
    code = "import benchmarks.gpu_check.__main__, benchmarks.gpu_check.worker; print('begun')"
    assert run_bare(code, libraries | {"packaging", "safetensors", "tqdm"}) == "begun\n"


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_one_sentence_says_how_to_rehearse(tmp_path: Path, capsys):
    words = ["--folder", str(tmp_path), "--output", str(tmp_path / "out.json")]
    with preserved():
        assert main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("ValueError: torch sees no NVIDIA card here; --rehearse runs on the CPU")


@contextlib.contextmanager
def preserved():
    """The search path and the environment as they were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        for name in ("PYTHONPATH", "HF_HUB_OFFLINE", "TORCHINDUCTOR_CACHE_DIR"):
            patch.setenv(name, "")
        patch.delenv("TORCHINDUCTOR_CACHE_DIR")
        yield


# What needs a card, on a card that is made up


class FakeCard(NoCard):
    """Takes `peak` for everything, and refuses batches of more than `most` while it is capped."""

    def __init__(self, peak: float = 3 * GB, most: int = 100, held: int = 0) -> None:
        self.peak, self.most, self._held = int(peak), most, held
        self.caps: list[int] = []

    def held(self) -> int:
        return self._held

    beside = held

    def peak_of(self, action):
        return action(), self.peak

    @contextlib.contextmanager
    def cap(self, limit: int):
        self.caps.append(limit)
        forward = UNet2DConditionModel.forward

        def refuse(unet, sample, *args, **kwargs):
            if len(sample) > 2 * self.most:  # with and without words
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(unet, sample, *args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(UNet2DConditionModel, "forward", refuse)
            yield


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    return Bench(rehearsal(str(folder), str(folder / "log")))


@pytest.fixture
def bench(shared: Bench) -> Bench:
    shared.clear()
    shared.meter = FakeCard()
    return shared


@pytest.mark.parametrize(("size", "met"), [(4 * GB, True), (4 * GB + 1, False)])
def test_the_peak_is_that_of_each_pipeline_by_itself(bench: Bench, size: int, met: bool):
    bench.meter = FakeCard(size)
    found = checks.peak(bench)
    assert found.met == met
    assert found.numbers["sdlearn"] == found.numbers["diffusers"] == size
    assert len(found.numbers["more"]) == 4
    assert not bench._loaded


def test_a_peak_wants_an_empty_card(bench: Bench):
    bench.meter = FakeCard(held=GB)
    with pytest.raises(RuntimeError, match="1.0 GB are held on the card before anything is loaded"):
        checks.peak(bench)


@pytest.mark.parametrize(("most", "rest"), [(8, ""), (4, "; 8 at a time do not fit")])
def test_within_8_gb_a_larger_batch_may_be_too_much(bench: Bench, most: int, rest: str):
    bench.meter = FakeCard(6 * GB, most)
    found = checks.within_8_gb(bench)
    assert bench.meter.caps == [8 * GB]
    assert found.says.startswith(f"4 images 6.0 GB{'' if rest else ', 8 images 6.0 GB'}{rest}; all")
    assert found.met


def test_four_images_that_do_not_fit_into_8_gb_are_a_miss(bench: Bench):
    bench.meter = FakeCard(most=3)
    with pytest.raises(Missed, match="4 images at a time do not fit"):
        checks.within_8_gb(bench)


@pytest.mark.parametrize("kind", ["model", "sequential"])
def test_parts_that_come_and_go_draw_the_same(bench: Bench, kind: str, monkeypatch):
    plan = MemoryPlan(kind, reason="parts come")
    monkeypatch.setattr(memory, "choose_plan", lambda *args, **kwargs: plan)
    found = checks.offload(bench, 4 * GB, kind)
    assert found.met
    assert found.numbers["levels"] == 0
    assert bench.meter.caps == [4 * GB]
    with pytest.raises(Missed, match="4.0 GB are planned for with parts come"):
        checks.offload(bench, 4 * GB, "another")
    bench.meter = FakeCard(most=0)
    with pytest.raises(Missed, match="does not fit into 4.0 GB: not enough memory for an image of"):
        checks.offload(bench, 4 * GB, kind)


def test_out_of_memory_is_said_and_what_follows_works(bench: Bench):
    bench.meter = FakeCard(most=1, held=2 * GB)
    found = checks.out_of_memory(bench)
    assert bench.meter.caps == [2 * GB + GB // 2]
    assert found.says.startswith("said in a sentence (not enough memory for 8 images of 64x64 pixe")
    bench.meter = FakeCard()
    with pytest.raises(Missed, match="8 images were drawn in 0.50 GB beside the weights"):
        checks.out_of_memory(bench)


def test_slices_must_take_less(bench: Bench):
    assert not checks.slices_and_tiles(bench).met  # the made-up card takes 3 GB for everything


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A card of 16 GB for `Card`; the fractions of it that torch was told to take."""
    fractions: list[float] = []
    gpu = type("Properties", (), {"total_memory": 16 * GB})
    empty = torch.empty

    def refuse(*size, device=None, **how):
        if device == "cuda" and size[0] > 16 * GB * fractions[-1]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return empty(0)

    for name in ("init", "synchronize", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", fractions.append)
    monkeypatch.setattr(torch, "empty", refuse)
    return fractions


def test_a_cap_is_set_and_taken_off_even_after_an_error(cuda: list[float]):
    def fail() -> None:
        with Card().cap(8 * GB):
            assert cuda == [0.5]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert cuda == [0.5, 1.0]


def test_a_cap_that_torch_does_not_keep_is_told_of(cuda: list[float], monkeypatch):
    monkeypatch.setattr(torch, "empty", lambda *size, **how: None)
    with pytest.raises(RuntimeError, match="torch takes more than the cap of 8.0 GB"):
        Card().cap(8 * GB).__enter__()
    assert cuda == [0.5, 1.0]


def test_a_small_card_has_no_large_cap(cuda: list[float]):
    with pytest.raises(NotHere, match="the card has 16.0 GB, less than 20.0 GB"):
        Card().cap(20 * GB).__enter__()
    assert cuda == []


def test_a_machine_without_the_drivers_program_has_no_driver(monkeypatch):
    def absent(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(benches.subprocess, "run", absent)
    assert benches.driver_version() is None


# Verdicts


NOISE = np.random.default_rng(0).integers(0, 255, (1, 8, 8, 3)).astype(np.uint8)


def contestant(images: np.ndarray) -> Contestant:
    return Contestant("x", None, lambda task: images)


def turns_of(bench: Bench, monkeypatch, ours: float, theirs: float, apart: np.ndarray = NOISE):
    timings = [Timing((seconds,) * 3) for seconds in (ours, theirs)]
    monkeypatch.setattr(checks, "interleaved", lambda *args, **kwargs: timings)
    pair = {"sdlearn": contestant(NOISE), "diffusers": contestant(apart)}
    return checks.compared(bench, pair)


@pytest.mark.parametrize(("ours", "met"), [(0.7, True), (0.754, True), (0.76, False)])
def test_a_ratio_is_ours_over_theirs(bench: Bench, monkeypatch, ours: float, met: bool):
    found = turns_of(bench, monkeypatch, ours, 1.0)
    assert found.met == met
    assert found.numbers["ratio"] == ours
    assert found.says.startswith(f"ratio {ours:.2f}: sdlearn {ours:.3f} s, diffusers 1.000 s, ")


def test_compiled_code_that_draws_something_else_is_a_miss(bench: Bench, monkeypatch):
    with pytest.raises(Missed, match="compiled, the image is another one"):
        turns_of(bench, monkeypatch, 0.5, 1.0, apart=NOISE[:, ::-1])


def test_images_of_one_colour_are_a_miss(bench: Bench):
    with pytest.raises(Missed, match=r"the images are of one colour \(spread 0.0\)"):
        checks.turns(bench, bench.task(), {"ours": contestant(np.zeros_like(NOISE))})


def test_the_share_of_the_limit_is_that_of_the_calls_that_are_made(bench: Bench, monkeypatch):
    task = bench.task(steps=3, batch=2)
    _, calls = first_images(bench.enter("sdlearn", task), task)
    assert bench.calls(task) == calls
    flops = work(bench.anatomy, calls, 2)
    monkeypatch.setattr(bench, "flop_limit", lambda dtype: 4.0 * flops)
    assert checks.share(bench, task, 0.5) == pytest.approx(0.5)


def test_images_that_differ_in_the_same_form_are_a_miss_with_a_ratio(bench: Bench, monkeypatch):
    task = bench.task()
    theirs = bench.enter("diffusers", task)
    other = replace(theirs, draw=lambda task: theirs.draw(replace(task, guidance=3.0)))
    bench._loaded["diffusers", task.model, task.dtype, "eager"] = other
    found = checks.beside(bench, task, most=100)
    assert not found.met
    assert found.numbers["levels"] > checks.NEAR
    assert found.numbers["ratio"] > 0


def test_tf32_is_off_in_between_and_as_before_afterwards():
    backends = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [backend.allow_tf32 for backend in backends]
    with checks.exact_float32():
        assert [backend.allow_tf32 for backend in backends] == [False, False]
    assert [backend.allow_tf32 for backend in backends] == before


# Cells


def notebook(path: Path, *sources: str) -> Path:
    cells = [{"id": f"c{i}", "cell_type": "code", "source": s} for i, s in enumerate(sources)]
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown"}, *cells]}), encoding="utf-8")
    return path


def test_cells_share_their_variables_and_one_that_fails_stops_none(tmp_path: Path):
    sources = [
        "import inspect, sys\ndef answer():\n    return 7",
        "x = answer() + missing",
        "assert inspect.getsource(answer).endswith('return 7')",
        "assert sys.modules['__main__'].answer() == 7",
        "class Shown:\n    def _repr_mimebundle_(self):\n        1 / 0\nShown()",
        "Shown()  # only the last line is shown\n'text'",
        "",
    ]
    main_module = sys.modules["__main__"]
    ran, errors = run_cells(notebook(tmp_path / "lesson.ipynb", *sources), 7, 60)
    assert ran == 7
    assert errors == {
        "c1": "NameError: name 'missing' is not defined",
        "c4": "ZeroDivisionError: division by zero",
    }
    assert sys.modules["__main__"] is main_module


def test_the_first_cells_alone_and_none_when_the_time_is_over(tmp_path: Path):
    path = notebook(tmp_path / "lesson.ipynb", "import time\ntime.sleep(0.2)", "1 / 0")
    assert run_cells(path, 1, 60) == (1, {})
    assert run_cells(path, 2, 0.1) == (1, {})


# The worker


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(str(tmp_path), str(tmp_path / "log"))


STUBS = "gpu_check_stubs"
CHECK = {check.name: check for check in stubs.CHECKS}


@pytest.fixture
def runner(setting: Setting, tmp_path: Path):
    made = Runner(setting, STUBS, tmp_path / "out.json")
    yield made
    made.end()


def statuses(path: Path) -> dict[str, str]:
    return {row["name"]: row["status"] for row in read(path)["checks"]}


def test_a_check_that_hangs_dies_or_fails_is_told_of_and_the_next_one_is_run(
    runner: Runner, tmp_path: Path
):
    names = ["good", "fail", "miss", "absent", "none", "poor", "die", "spoil", "hang", "good"]
    asked = [CHECK[name] for name in names]
    asked[-2] = asked[-2]._replace(seconds=1)
    results = runner.run(asked, time.monotonic() + 120)
    assert [(r.status, r.says.partition(": nan")[0]) for r in results] == [
        ("passed", "fine"),
        ("failed", "ValueError: no such thing"),
        ("missed", "4 images do not fit"),
        ("not run", "needs a GPU"),
        ("failed", "ValueError: Out of range float values are not JSON compliant"),
        ("missed", "ratio 1.30"),
        ("failed", "its process ended by itself: Segmentation fault"),
        ("failed", "RuntimeError: CUDA error: an illegal memory access was encountered"),
        ("failed", "it took longer than 1 s and was stopped"),
        ("passed", "fine"),
    ]
    first, last = results[0], results[-1]
    assert first.numbers["process"] != last.numbers["process"]
    assert "no\nsuch  thing" in (tmp_path / "log").read_text()
    assert statuses(tmp_path / "out.json")["hang"] == "failed"


def test_the_same_process_goes_on_after_a_failure_that_leaves_the_card_sound(runner: Runner):
    names = "good", "fail", "miss", "good"
    results = runner.run([CHECK[name] for name in names], time.monotonic() + 120)
    assert results[0].numbers == results[-1].numbers


def test_every_result_is_written_before_the_next_check(runner: Runner, tmp_path, monkeypatch):
    seen, run = [], Worker.run

    def look(worker, check, seconds):
        out = tmp_path / "out.json"
        seen.append(list(statuses(out)) if out.is_file() else [])
        return run(worker, check, seconds)

    monkeypatch.setattr(Worker, "run", look)
    runner.run([CHECK["good"], CHECK["poor"], CHECK["miss"]], time.monotonic() + 120)
    assert seen == [[], ["good"], ["good", "poor"]]


def test_when_the_time_is_over_the_rest_is_not_run(runner: Runner):
    results = runner.run([CHECK["good"], CHECK["poor"]], time.monotonic() + 1)
    assert {(r.status, r.says) for r in results} == {("not run", "no time was left")}


def test_a_check_gets_no_more_than_the_time_that_is_left(runner: Runner, monkeypatch):
    monkeypatch.setattr(command, "LEAST", 0.1)
    begin = time.monotonic()
    [result] = runner.run([CHECK["hang"]], begin + 1)
    assert result.status == "failed"
    assert time.monotonic() - begin < 30


def test_a_worker_that_does_not_start_leaves_its_last_words(setting: Setting):
    with pytest.raises(RuntimeError, match="the checks cannot be run: ValueError: torch sees no"):
        Worker(replace(setting, device="none"), STUBS)


def test_which_checks_are_wanted():
    known = list(stubs.CHECKS)
    assert [[c.name for c in part] for part in wanted(known, [2], None)] == [["none"]]
    assert [len(part) for part in wanted(known, [2, 1], None)] == [8, 1]
    assert wanted(known, [1], ["none", "good"]) == [[CHECK["none"], CHECK["good"]]]
    with pytest.raises(ValueError, match="only must name some of good, .*; got 'gold'"):
        wanted(known, [1], ["gold"])


# The book


def result(name: str = "peak", status: str = "passed", says: str = "3.9 GB") -> Result:
    return Result(Check(name, 1, 30, f"the {name}", "4 GB"), status, says, 2.0, {"x": 1})


def test_a_check_that_is_run_again_takes_its_place(tmp_path: Path):
    path = tmp_path / "out.json"
    book = Book(path, stubs.MACHINE)
    book.add(result())
    book.add(result("speed"))
    later = Book(path, stubs.MACHINE | {"commit": "def", "date": "2026-12-02"})
    later.add(result(says="3.5 GB"))
    later.add(result("speed", "not run", "no time was left"))
    rows = read(path)["checks"]
    told = [(row["name"], row["says"], row["commit"]) for row in rows]
    assert told == [("peak", "3.5 GB", "def"), ("speed", "3.9 GB", "abc")]
    assert rows[0]["limit"] == 30
    assert rows[0]["seconds"] == 2.0


def test_another_machine_gets_another_file(tmp_path: Path):
    path = tmp_path / "out.json"
    Book(path, stubs.MACHINE).add(result())
    with pytest.raises(ValueError, match=r"out.json holds results of another machine \(its card\)"):
        Book(path, stubs.MACHINE | {"card": "Slide rule"})


def test_the_table(tmp_path: Path, capsys):
    path = tmp_path / "out.json"
    Book(path, stubs.MACHINE).add(result(says="a | b"))
    lines = table(read(path)).splitlines()
    assert lines[0] == "Abacus, 8 GB, driver 1.2; Beads, 2 cores."
    assert lines[1] == "torch 2.13.0. 2026-12-01 at commit abc."
    assert lines[-1] == "| the peak | a / b | 4 GB | passed |"
    assert path.with_suffix(".md").read_text(encoding="utf-8") == "\n".join(lines) + "\n"
    assert main(["--table", str(path)]) == 0
    assert capsys.readouterr().out == "\n".join(lines) + "\n"


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_what_is_no_book_is_refused(tmp_path: Path, text: str, capsys):
    path = tmp_path / "out.json"
    path.write_text(text, encoding="utf-8")
    assert main(["--table", str(path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert str(path) in line


# What travels


def test_the_tree_travels_without_images_and_without_what_lessons_show(tmp_path: Path):
    pack.copy_tree(tmp_path / "gpu")
    there = {path.name for path in (tmp_path / "gpu").iterdir()}
    assert there == {"sdlearn", "benchmarks", "lessons", "COMMIT", *pack.FILES}
    cells = json.loads(next((tmp_path / "gpu" / "lessons").glob("05_*")).read_text())["cells"]
    assert {str(cell.get("outputs", [])) for cell in cells} == {"[]"}
    assert (tmp_path / "gpu" / "sdlearn" / "weights" / "tiny" / "unet").is_dir()
    assert pack.size_of(tmp_path / "gpu" / "lessons") < 1_000_000
    assert list((tmp_path / "gpu").rglob("*.png")) == []
    assert list((tmp_path / "gpu").rglob("__pycache__")) == []


def test_wheels_are_what_does_not_come_with_torch_transformers_and_accelerate():
    wheels = pack.missing(pack.NEEDED)
    assert {"diffusers", "pillow", "peft"} <= set(wheels)
    assert not {"torch", "numpy", "transformers", "tokenizers", "psutil", "tqdm"} & set(wheels)
    assert "pillow" not in pack.missing(pack.NEEDED, ["matplotlib"])
    lessons = pack.missing(pack.FOR_LESSONS)
    assert {"matplotlib", "fonttools", "ipywidgets", "ipython"} <= set(lessons)
    assert not set(pack.SPARED) & set(lessons)
    with pytest.raises(ValueError, match="no-such-thing must be installed here, and is not"):
        pack.missing(["no-such-thing"])


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be asked of pip, which makes one wheel of it."""
    asked: list[list[str]] = []

    def run(words, **how):
        asked.append(words)
        if "--dest" in words:
            wheels = Path(words[words.index("--dest") + 1])
            wheels.mkdir()
            (wheels / "made_up-1.0-py3-none-any.whl").write_bytes(bytes(1000))
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(pack.subprocess, "run", run)
    return asked


def test_the_packing_says_how_large_it_is_and_no_more_than_60_mb(
    tmp_path, pip, monkeypatch, capsys
):
    assert pack.main([str(tmp_path / "one"), "--python", "3.12"]) == 0
    assert "together" in capsys.readouterr().out
    [words] = [words for words in pip if "download" in words]
    assert "--python-version=3.12" in words
    assert any(word.startswith("diffusers==") for word in words)
    monkeypatch.setattr(pack, "MOST", 30_000_000)
    assert pack.main([str(tmp_path / "two")]) == 2
    assert "must hold at most 30 MB" in capsys.readouterr().err
    assert pack.main([str(tmp_path / "one")]) == 2
    assert "folder must be new or empty" in capsys.readouterr().err


def test_only_wheels_of_packages_that_are_missing_are_installed(tmp_path, pip, monkeypatch):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("diffusers-0.1-py3-none-any.whl", "made_up-1.0-py3-none-any.whl"):
        (wheels / name).touch()
    monkeypatch.setattr(command, "WHEELS", wheels)
    with preserved():
        command.prepare(tmp_path)
        assert sys.path[:2] == [str(tmp_path / "site"), str(ROOT)]
    [words] = pip
    assert [Path(word).name for word in words if word.endswith(".whl")] == [
        "made_up-1.0-py3-none-any.whl"
    ]
    assert {"--no-index", "--no-deps"} <= set(words)


def test_wheels_that_do_not_install_end_in_one_sentence(tmp_path: Path):
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(RuntimeError, match="the wheels could not be installed: ERROR: "):
        command.install(list(tmp_path.glob("*.whl")), tmp_path / "site")


def test_a_copy_says_of_which_commit_it_is(tmp_path: Path, monkeypatch):
    assert script.commit() not in ("", "unknown")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    assert script.commit() == "unknown"
    (tmp_path / "COMMIT").write_text("abc-dirty\n")
    assert script.commit() == "abc-dirty"
