"""The doctor names what is wrong and how to mend it, and never faints."""

import json
import shutil
from importlib import metadata
from pathlib import Path

import jupyter_core.paths
import psutil
import pytest
import torch
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from PIL import Image

from sdlearn import StableDiffusion
from sdlearn.cli import doctor, main
from sdlearn.cli.doctor import Finding
from sdlearn.models import loading


def only(findings) -> Finding:
    [finding] = list(findings)
    return finding


@pytest.fixture
def weights(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a whole model in place of the shipped one."""
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "tiny"))
    monkeypatch.setattr(loading, "TINY", folder)
    return folder


def test_whole_weights_are_ok(weights: Path):
    finding = only(doctor._weights())
    assert finding.status == "ok"
    assert finding.detail.startswith("5 files, ")


def test_a_damaged_weight_file_is_named(weights: Path):
    path = weights / "judge" / "judge.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    finding = only(doctor._weights())
    assert finding.status == "fail"
    assert finding.detail == "damaged or missing: judge/judge.safetensors"
    assert "install sdlearn again" in finding.mend


def test_a_missing_file_is_named(weights: Path):
    (weights / "unet" / "config.json").unlink()
    finding = only(doctor._weights())
    assert finding.status == "fail"
    assert finding.detail.endswith("is not complete; missing: unet/config.json")


def test_missing_weights_are_a_failure(weights: Path):
    shutil.rmtree(weights)
    finding = only(doctor._weights())
    assert (finding.status, finding.what) == ("fail", "weights")
    assert str(weights) in finding.detail


def test_weights_that_cannot_be_checked_are_a_warning(weights: Path):
    (weights / "checksums.json").unlink()
    assert only(doctor._weights()).status == "warn"


def test_a_picture_is_drawn(weights: Path):
    finding = only(doctor._image())
    assert (finding.status, finding.what) == ("ok", "image")
    assert finding.detail.startswith("128x128 in ")


def test_an_empty_picture_is_a_failure(weights: Path, monkeypatch: pytest.MonkeyPatch):
    grey = Image.new("RGB", (128, 128), "grey")
    monkeypatch.setattr(StableDiffusion, "generate", lambda self, prompt, seeds: [grey])
    finding = only(doctor._image())
    assert finding.status == "fail"
    assert finding.detail == "the image is empty: its grey values differ by 0 of 255"


REQUIREMENTS = ["numpy>=1.26,<3", 'colorama; sys_platform == "amiga"', 'ruff; extra == "test"']


def packages(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> list[Finding]:
    """The findings when sdlearn needs `REQUIREMENTS` and `versions` are installed."""

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "requires", lambda name: REQUIREMENTS)
    monkeypatch.setattr(metadata, "version", version)
    return list(doctor._packages())


def test_versions_within_the_range_are_ok(monkeypatch: pytest.MonkeyPatch):
    findings = packages(monkeypatch, {"sdlearn": "0.1.0", "numpy": "2.4.6"})
    assert [(f.status, f.what) for f in findings] == [("ok", "sdlearn"), ("ok", "numpy")]


def test_a_version_outside_of_the_range_is_a_warning_with_its_mend(
    monkeypatch: pytest.MonkeyPatch,
):
    finding = packages(monkeypatch, {"sdlearn": "0.1.0", "numpy": "1.21.0"})[-1]
    assert finding.status == "warn"
    assert finding.detail == "1.21.0 (supported: <3,>=1.26)"
    assert finding.mend.endswith('-m pip install "numpy<3,>=1.26"')


def test_a_library_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    finding = packages(monkeypatch, {"sdlearn": "0.1.0"})[-1]
    assert (finding.status, finding.what) == ("fail", "numpy")


def test_running_from_a_folder_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert only(doctor._packages()).status == "warn"


def test_little_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    small = psutil.virtual_memory()._replace(available=400_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: small)
    finding = only(doctor._memory())
    assert (finding.status, finding.detail) == ("warn", "0.4 GB free; 1.5 GB are needed")


@pytest.mark.parametrize(
    ("build", "mend"),
    [
        (None, "install the CUDA build of torch, see https://pytorch.org/get-started"),
        ("12.8", "update the driver: torch is built for CUDA 12.8, and nvidia-smi "),
    ],
)
def test_a_gpu_that_torch_does_not_use(
    build: str | None, mend: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", build)
    finding = only(doctor._device())
    assert (finding.status, finding.what) == ("warn", "device")
    assert finding.detail == "cpu, although this machine has an NVIDIA driver"
    assert finding.mend.startswith(mend)


def test_missing_widgets_front_end_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jupyter_core.paths, "jupyter_path", lambda *parts: [str(tmp_path)])
    finding = only(doctor._widgets())
    assert finding.status == "fail"
    assert finding.mend.endswith("jupyterlab_widgets")


def test_no_kernel_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    def get_kernel_spec(self: KernelSpecManager, name: str) -> KernelSpec:
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", get_kernel_spec)
    assert only(doctor._kernel()).status == "fail"


def test_a_kernel_of_another_python_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    spec = KernelSpec(argv=["/opt/other/bin/python", "-m", "ipykernel_launcher"])
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda self, name: spec)
    finding = only(doctor._kernel())
    assert finding.status == "warn"
    assert "/opt/other/bin/python" in finding.detail


def test_this_environment_has_widgets_and_a_kernel():
    assert only(doctor._widgets()).status == "ok"
    assert only(doctor._kernel()).status == "ok"


def test_a_check_that_breaks_is_a_finding_and_the_others_still_run(
    weights: Path, monkeypatch: pytest.MonkeyPatch
):
    def unlucky() -> None:
        raise RuntimeError("no such\nluck")

    monkeypatch.setattr(psutil, "virtual_memory", unlucky)
    findings = {finding.what: finding for finding in doctor.examine(quick=True)}
    assert findings["memory"] == Finding("fail", "memory", "RuntimeError: no such luck")
    assert findings["kernel"].status == "ok"


def report(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(doctor, "examine", lambda quick: iter(findings))


BROKEN = Finding("fail", "weights", "are missing", "install sdlearn again")
FINE = Finding("ok", "python", "3.13.0")
POOR = Finding("warn", "memory", "0.4 GB free", "close other programs")


def test_the_report_ends_with_what_to_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    report(monkeypatch, FINE, BROKEN)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok    python             3.13.0",
        "fail  weights            are missing",
        "      mend: install sdlearn again",
        "To mend: weights.",
    ]


def test_a_warning_is_not_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    report(monkeypatch, FINE, POOR)
    assert main(["doctor", "--quick"]) == 0
    assert capsys.readouterr().out.endswith("sdlearn is ready.\n")


def test_json_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    report(monkeypatch, BROKEN)
    assert main(["doctor", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["findings"][0]["mend"] == "install sdlearn again"
