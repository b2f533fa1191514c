"""What tests share: threads, checks of lessons, a folder or a shell to work in, small models."""

import atexit
import os
import sys

# One thread for each worker, its kernels and its programs, set before torch is loaded: pytest-xdist
# starts a worker for each core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from IPython.core.interactiveshell import InteractiveShell

pytest.register_assert_rewrite("lesson_checks")
from lesson_checks import LessonChecks

from sdlearn.evaluation.judge import Judge
from sdlearn.training.clip import build_clip, train_tokenizer
from sdlearn.training.export import export
from sdlearn.world import caption, scenes

# The files of `pytest -m core`: the maths, the loop, loading, one image.
CORE = {"diffusion", "guidance", "seeds", "schedulers", "loading", "pipeline"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", metavar="FOLDER", type=Path, help="keep images of the explorers there"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LessonChecks())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem.removeprefix("test_") in CORE and not item.get_closest_marker("slow"):
            item.add_marker("core")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """No workers for a few files, which are done before workers have started."""
    paths = {Path(argument.partition("::")[0]) for argument in config.args}
    return 0 if len(paths) <= 3 and all(path.is_file() for path in paths) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the time of a long run went, by file: CONTRIBUTING.md keeps the table of a full run."""
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration"):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    if seconds.total() > 60:
        terminalreporter.section("seconds by file")
        for file, took in seconds.most_common(15):
            terminalreporter.write_line(f"{took:7.0f}  {file}")
        terminalreporter.write_line(f"{seconds.total():7.0f}  all {len(seconds)} files")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the test's own to work in."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def shell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell of IPython that keeps its history in the test's folder."""
    monkeypatch.setenv("IPYTHONDIR", str(folder))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # a shell takes its place
    shell = InteractiveShell()
    yield shell
    shell.atexit_operations()  # while its folder is there
    atexit.unregister(shell.atexit_operations)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `sdlearn train` exports it, its models even smaller and not trained."""
    folder = tmp_path_factory.mktemp("model") / "random"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = train_tokenizer(caption(scene) for scene in scenes(400))
        export(
            folder,
            tokenizer=tokenizer,
            clip=build_clip(tokenizer),
            vae=_small_vae(),
            unet=_small_unet(),
            judge=Judge(),
        )
    return folder


def _small_vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=128,
        scaling_factor=0.18215,
    )


def _small_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=128,
        attention_head_dim=4,
    )
