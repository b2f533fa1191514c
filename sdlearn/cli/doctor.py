"""Check the installation and say how to mend it.

Checked are versions, device, memory, disk, the model's weights, Jupyter and its widgets; then one
image is drawn. Each line says ok, warn or fail, and how to mend what is wrong. The exit code is 1
when something fails.

examples:
  sdlearn doctor
  sdlearn doctor --quick                 without drawing an image
  sdlearn doctor --json > report.json    to send to someone who helps
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

WIDGETS = "@jupyter-widgets/jupyterlab-manager"


class Finding(NamedTuple):
    """One line of the report."""

    status: str  # "ok", "warn" (works, but) or "fail"
    what: str
    detail: str
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--quick", action="store_true", help="do not draw an image")
    parser.add_argument("--json", action="store_true", help="machine-readable report")


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 when something fails."""
    findings = []
    for finding in examine(quick=args.quick):
        findings.append(finding)
        if not args.json:
            mend = f"\n      mend: {finding.mend}" if finding.mend else ""
            print(f"{finding.status:4}  {finding.what:18} {finding.detail}{mend}", flush=True)
    failed = [finding.what for finding in findings if finding.status == "fail"]
    if args.json:
        report = {"ok": not failed, "findings": [finding._asdict() for finding in findings]}
        print(json.dumps(report, indent=1))
    else:
        print(f"To mend: {', '.join(failed)}." if failed else "sdlearn is ready.")
    return 1 if failed else 0


def examine(*, quick: bool = False) -> Iterator[Finding]:
    """Every finding, one check after the other; `quick` leaves out the image.

    A check that raises becomes a finding as well, and the checks after it still run.
    """
    checks = [_python, _packages, _device, _memory, _disk, _weights, _widgets, _kernel]
    for check in checks if quick else [*checks, _image]:
        try:
            yield from check()
        except Exception as error:
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Finding("fail", check.__name__.lstrip("_"), text)


def _python() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} on {platform.platform()}")


def _packages() -> Iterator[Finding]:
    """The installed version of every library against the range that sdlearn declares."""
    from packaging.requirements import Requirement

    try:
        declared = metadata.requires("sdlearn") or []
    except metadata.PackageNotFoundError:
        mend = f"{sys.executable} -m pip install -e . (in the checkout)"
        yield Finding("warn", "sdlearn", "runs without being installed", mend)
        return
    yield Finding("ok", "sdlearn", metadata.version("sdlearn"))
    for requirement in map(Requirement, declared):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name, supported = requirement.name, requirement.specifier
        try:
            version = metadata.version(name)
            status = "ok" if supported.contains(version, prereleases=True) else "warn"
            detail = f"{version} (supported: {supported})"
        except metadata.PackageNotFoundError:
            status, detail = "fail", "is not installed"
        mend = f'{sys.executable} -m pip install "{name}{supported}"'
        yield Finding(status, name, detail, "" if status == "ok" else mend)


def _device() -> Iterator[Finding]:
    """Where images are drawn."""
    import torch

    from ..models.device import pick_device

    device = pick_device()
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        size = properties.total_memory / 2**30
        yield Finding("ok", "device", f"cuda: {properties.name}, {size:.0f} GB")
    elif device.type == "cpu" and shutil.which("nvidia-smi"):
        build, limit = torch.version.cuda, "nvidia-smi says up to which the driver goes"
        mend = "install the CUDA build of torch, see https://pytorch.org/get-started"
        if build:
            mend = f"update the driver: torch is built for CUDA {build}, and {limit}"
        yield Finding("warn", "device", "cpu, although this machine has an NVIDIA driver", mend)
    else:
        yield Finding("ok", "device", f"{device.type}, {torch.get_num_threads()} threads")


def _memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available
    yield _enough("memory", free, 1.5, "close other programs or notebooks that still run")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(os.getcwd()).free
    yield _enough("disk", free, 1.0, "make room where your notebooks are kept")


def _enough(what: str, free: int, needed: float, mend: str) -> Finding:
    """A finding about `free` bytes, of which `needed` GB are needed."""
    text = f"{free / 1e9:.1f} GB free"
    if free < needed * 1e9:
        return Finding("warn", what, f"{text}; {needed:g} GB are needed", mend)
    return Finding("ok", what, text)


def _weights() -> Iterator[Finding]:
    """The shipped model's files against the SHA-256 written down when they were made."""
    from ..models.loading import damaged_weights, find_folder

    mend = "git checkout -- sdlearn/weights (checkout), or install sdlearn again"
    try:
        folder = find_folder("tiny")
    except FileNotFoundError as error:
        yield Finding("fail", "weights", str(error), mend)
        return
    if not (folder / "checksums.json").is_file():
        yield Finding("warn", "weights", "cannot be checked: checksums.json is missing", mend)
    elif wrong := damaged_weights(folder):
        yield Finding("fail", "weights", f"damaged or missing: {', '.join(wrong)}", mend)
    else:
        sizes = [path.stat().st_size for path in folder.rglob("*.safetensors")]
        size = f"{sum(sizes) / 1e6:.0f} MB"
        yield Finding("ok", "weights", f"{len(sizes)} files, {size}, all as made")


def _widgets() -> Iterator[Finding]:
    """JupyterLab needs a part of ipywidgets that runs in the browser."""
    from jupyter_core.paths import jupyter_path

    places = [Path(folder, WIDGETS, "package.json") for folder in jupyter_path("labextensions")]
    if found := [path for path in places if path.is_file()]:
        version = json.loads(found[0].read_text(encoding="utf-8"))["version"]
        yield Finding("ok", "widgets", f"front end {version}")
    else:
        mend = f"{sys.executable} -m pip install --force-reinstall --no-deps jupyterlab_widgets"
        yield Finding("fail", "widgets", "ipywidgets' front end for JupyterLab is missing", mend)


def _kernel() -> Iterator[Finding]:
    """Notebooks must run in this Python, not in another one."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    mend = f"{sys.executable} -m ipykernel install --sys-prefix"
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        yield Finding("fail", "kernel", "Jupyter finds no kernel for Python", mend)
        return
    program = spec.argv[0]
    if program in ("python", "python3", sys.executable):  # a bare name means the running Python
        yield Finding("ok", "kernel", spec.resource_dir)
    else:
        yield Finding("warn", "kernel", f"notebooks run in another Python: {program}", mend)


def _image() -> Iterator[Finding]:
    """One image, from nothing to pixels, as a new user's first command draws it."""
    import numpy as np

    from ..pipeline import load

    start = time.perf_counter()
    sd = load("tiny", compile=None)
    [image] = sd.generate("a large red house on green grass", seeds=[7])
    seconds = time.perf_counter() - start
    contrast = int(np.ptp(np.asarray(image.convert("L"))))
    if contrast < 32:
        detail = f"the image is empty: its grey values differ by {contrast} of 255"
        yield Finding("fail", "image", detail, "see 'weights' above")
    else:
        size = f"{image.width}x{image.height}"
        yield Finding("ok", "image", f"{size} in {seconds:.1f} s with loading, on {sd.device}")
