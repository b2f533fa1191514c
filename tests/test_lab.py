"""Lessons are copied without touching a learner's work, and JupyterLab really serves them."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdlearn import course
from sdlearn.cli import lab, main
from sdlearn.course import library

ROOT = Path(__file__).parents[1]


def notebook(title: str) -> str:
    """A notebook of a text, a cell that was run, and what tests claim of it."""
    text = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": [f"# {title}\n", "Hi ×"]}
    shown = [{"output_type": "stream", "name": "stdout", "text": ["3\n"]}]
    code = {"cell_type": "code", "id": "b", "metadata": {}, "source": ["x = 3\n", "print(x)"]}
    code |= {"metadata": {"tags": ["x", "nbval-check-output"]}, "outputs": shown}
    claims = {**code, "id": "c", "metadata": {"tags": ["claims"]}, "source": ["assert x == 3"]}
    cells = [text, code | {"execution_count": 1}, claims | {"outputs": [], "execution_count": 2}]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lessons inside an installed package; the working directory is an empty folder."""
    folder = tmp_path / "site-packages" / "sdlearn" / "_lessons"
    (folder / "images").mkdir(parents=True)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "00_start_here.ipynb").write_text(notebook("Start here"), encoding="utf-8")
    (folder / "01_noise.ipynb").write_text(notebook("Noise"), encoding="utf-8")
    (folder / "images" / "a.png").write_bytes(b"picture")
    (folder / ".ipynb_checkpoints" / "00.ipynb").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(library, "PACKAGE", folder.parent)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return folder


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_first_copy_takes_every_file_of_the_course(installed: Path, tmp_path: Path):
    copied = course.copy_lessons(tmp_path / "mine")
    expected = ["00_start_here.ipynb", "01_noise.ipynb", "images/a.png"]
    assert copied == course.Copied(new=expected)
    assert files(tmp_path / "mine") == {*expected, library.MANIFEST}
    picture = "images/a.png"
    assert (tmp_path / "mine" / picture).read_bytes() == (installed / picture).read_bytes()


def test_a_copied_notebook_has_neither_outputs_nor_what_is_for_tests(
    installed: Path, tmp_path: Path
):
    course.copy_lessons(tmp_path / "mine")
    copy = (tmp_path / "mine" / "01_noise.ipynb").read_text(encoding="utf-8")
    original = json.loads((installed / "01_noise.ipynb").read_text(encoding="utf-8"))
    code = original["cells"][1] | {"outputs": [], "execution_count": None}
    code["metadata"] = {"tags": ["x"]}
    assert json.loads(copy) == original | {"cells": [original["cells"][0], code]}
    assert "Hi ×" in copy  # readable, and its lines as in a stored notebook
    assert copy.startswith('{\n "cells": [\n')
    assert copy.endswith("}\n")


def test_copies_of_the_course_hold_nothing_that_is_for_tests(tmp_path: Path):
    copied = course.copy_lessons(tmp_path)
    for name in [name for name in copied.new if name.endswith(".ipynb")]:
        for cell in json.loads((tmp_path / name).read_text(encoding="utf-8"))["cells"]:
            assert "tags" not in cell["metadata"], cell["id"]
            assert not re.search(r"^\s*assert |NBVAL", "".join(cell["source"]), re.MULTILINE)


def test_a_copy_of_earlier_editions_is_refreshed(installed: Path, tmp_path: Path):
    """Those had outputs: what is known of them is the sum of the whole file."""
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    whole = (installed / "01_noise.ipynb").read_bytes()
    (mine / "01_noise.ipynb").write_bytes(whole)
    known = json.loads((mine / library.MANIFEST).read_text())
    known["01_noise.ipynb"] = hashlib.sha256(whole).hexdigest()
    (mine / library.MANIFEST).write_text(json.dumps(known))
    assert course.copy_lessons(mine).refreshed == ["01_noise.ipynb"]
    assert b"stdout" not in (mine / "01_noise.ipynb").read_bytes()


def test_second_copy_changes_nothing(installed: Path, tmp_path: Path):
    first = course.copy_lessons(tmp_path / "mine")
    assert course.copy_lessons(tmp_path / "mine") == course.Copied(same=first.new)


def test_a_changed_lesson_is_kept_and_an_untouched_one_refreshed(installed: Path, tmp_path: Path):
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    (mine / "00_start_here.ipynb").write_text("my answers", encoding="utf-8")
    for name in ("00_start_here.ipynb", "01_noise.ipynb"):
        (installed / name).write_text(notebook("A newer edition"), encoding="utf-8")

    copied = course.copy_lessons(mine)

    assert copied.kept == ["00_start_here.ipynb"]
    assert copied.refreshed == ["01_noise.ipynb"]
    assert (mine / "00_start_here.ipynb").read_text(encoding="utf-8") == "my answers"
    assert "newer" in (mine / "01_noise.ipynb").read_text(encoding="utf-8")
    assert course.copy_lessons(mine).kept == ["00_start_here.ipynb"]  # and on every later day


def test_a_change_that_was_taken_back_is_no_change(installed: Path, tmp_path: Path):
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    first = (mine / "01_noise.ipynb").read_bytes()
    (mine / "01_noise.ipynb").write_text("my answers", encoding="utf-8")
    (installed / "01_noise.ipynb").write_text(notebook("A newer edition"), encoding="utf-8")
    assert course.copy_lessons(mine).kept == ["01_noise.ipynb"]
    (mine / "01_noise.ipynb").write_bytes(first)
    assert course.copy_lessons(mine).refreshed == ["01_noise.ipynb"]


@pytest.mark.parametrize("manifest", [None, "{ damaged", "[]"])
def test_without_a_manifest_everything_that_differs_is_kept(
    installed: Path, tmp_path: Path, manifest: str | None
):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "01_noise.ipynb").write_text("my own file of that name", encoding="utf-8")
    if manifest is not None:
        (mine / library.MANIFEST).write_text(manifest, encoding="utf-8")
    assert course.copy_lessons(mine).kept == ["01_noise.ipynb"]
    assert (mine / "01_noise.ipynb").read_text(encoding="utf-8") == "my own file of that name"


def test_a_renamed_lesson_brings_a_fresh_copy(installed: Path, tmp_path: Path):
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    (mine / "01_noise.ipynb").rename(mine / "01_noise_mine.ipynb")
    assert course.copy_lessons(mine).new == ["01_noise.ipynb"]
    assert (mine / "01_noise_mine.ipynb").exists()


def test_lessons_are_never_copied_onto_themselves(installed: Path):
    before = files(installed)
    assert course.copy_lessons(installed) == course.Copied()
    assert files(installed) == before


def test_lessons_have_titles_in_order(installed: Path):
    (installed / "02_plain.ipynb").write_text('{"cells": []}', encoding="utf-8")
    titles = [lesson.title for lesson in course.lessons()]
    assert titles == ["Start here", "Noise", "02_plain"]


def test_missing_lessons_give_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(library, "PACKAGE", tmp_path / "sdlearn")
    assert main(["lab", "--copy-only"]) == 2
    assert capsys.readouterr().err == (
        f"sdlearn: no folder {tmp_path / 'lessons'} with the lessons; install sdlearn again\n"
    )


def test_copy_only_lists_the_lessons_and_names_what_was_kept(
    installed: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["lab", "--copy-only"]) == 0
    assert "00_start_here.ipynb" in capsys.readouterr().out
    (Path("sdlearn-lessons") / "01_noise.ipynb").write_text("mine", encoding="utf-8")
    assert main(["lab", "--copy-only"]) == 0
    assert "Kept because you changed them: 01_noise.ipynb\n" in capsys.readouterr().out


def test_a_file_in_place_of_the_folder_gives_one_sentence(
    installed: Path, capsys: pytest.CaptureFixture[str]
):
    Path("taken").write_text("", encoding="utf-8")
    assert main(["lab", "taken", "--copy-only"]) == 2
    assert capsys.readouterr().err == "sdlearn: taken: file exists\n"


def test_jupyterlab_missing_gives_one_sentence_and_copies_nothing(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    assert main(["lab"]) == 2
    assert "JupyterLab is not installed beside sdlearn; run: " in capsys.readouterr().err
    assert not Path("sdlearn-lessons").exists()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that would have replaced this process."""
    seen: list[list[str]] = []
    monkeypatch.setattr(lab, "_become", lambda words: seen.append(words) or 7)
    return seen


def test_installed_opens_the_copies_and_passes_the_exit_code_on(
    installed: Path, started: list[list[str]]
):
    assert main(["lab", "--no-browser", "--port", "8899", "--ip", "0.0.0.0"]) == 7
    [words] = started
    assert words[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={Path('sdlearn-lessons').resolve()}" in words
    assert "--LabApp.default_url=/lab/tree/00_start_here.ipynb" in words
    assert {"--no-browser", "--port=8899", "--ip=0.0.0.0"} <= set(words)
    assert Path("sdlearn-lessons/01_noise.ipynb").exists()


def test_from_another_computer_it_is_reached_only_if_that_is_asked_for(
    installed: Path, started: list[list[str]]
):
    assert main(["lab"]) == 7
    assert not [word for word in started[0] if word.startswith("--ip")]


@pytest.mark.parametrize("user", [0, 1000])
def test_root_is_allowed_as_in_a_container(monkeypatch: pytest.MonkeyPatch, user: int):
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    assert ("--allow-root" in lab.command(Path("."))) is (user == 0)


@pytest.mark.parametrize("ip", ["300.1.2.3", "192.0.2.1", "a..b", ""])
def test_an_address_of_elsewhere_gives_one_sentence_and_copies_nothing(
    installed: Path, started: list[list[str]], capsys: pytest.CaptureFixture[str], ip: str
):
    assert main(["lab", "--ip", ip]) == 2
    assert capsys.readouterr().err == (
        f"sdlearn: ip must be an address of this computer, or 0.0.0.0 for all of them; got {ip!r}\n"
    )
    assert started == []
    assert not Path("sdlearn-lessons").exists()


@pytest.mark.parametrize("ip", ["0.0.0.0", "127.0.0.1", "localhost"])
def test_an_address_of_this_computer_will_do(ip: str):
    lab.check_address(ip, None)


def test_a_port_that_there_is_not_gives_one_sentence(
    installed: Path, started: list[list[str]], capsys: pytest.CaptureFixture[str]
):
    assert main(["lab", "--port", "99999"]) == 2
    assert capsys.readouterr().err == "sdlearn: port must lie in 0..65535; got 99999\n"
    assert started == []


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one lesson, which is the working directory."""
    lessons = tmp_path / "lessons"
    lessons.mkdir()
    (lessons / "00_start_here.ipynb").write_text(notebook("Start here"), encoding="utf-8")
    monkeypatch.setattr(library, "PACKAGE", tmp_path / "sdlearn")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_checkout_opens_copies_as_well(checkout: Path, started: list[list[str]]):
    assert main(["lab"]) == 7
    assert f"--ServerApp.root_dir={(checkout / 'sdlearn-lessons').resolve()}" in started[0]
    copy = (checkout / "sdlearn-lessons" / "00_start_here.ipynb").read_text(encoding="utf-8")
    assert "stdout" not in copy


def test_a_checkout_opens_its_own_lessons_when_they_are_named(
    checkout: Path, started: list[list[str]]
):
    before = (checkout / "lessons" / "00_start_here.ipynb").read_bytes()
    assert main(["lab", "lessons"]) == 7
    assert f"--ServerApp.root_dir={(checkout / 'lessons').resolve()}" in started[0]
    assert os.listdir(checkout) == ["lessons"]
    assert os.listdir(checkout / "lessons") == ["00_start_here.ipynb"]
    assert (checkout / "lessons" / "00_start_here.ipynb").read_bytes() == before


@pytest.mark.slow
def test_jupyterlab_really_serves_the_copied_lessons(tmp_path: Path, server: dict[str, object]):
    listing = json.loads(_get(server, "/api/contents"))
    names = {item["name"] for item in listing["content"]}
    assert {"images", "start.ipynb"} <= names
    assert b"jupyter-config-data" in _get(server, "/lab/tree/start.ipynb")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        _get({**server, "token": "guessed"}, "/api/contents")
    process = server["process"]
    assert isinstance(process, subprocess.Popen)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, object]]:
    """`sdlearn lab` as in a container, on lessons of its own, reached through a free port."""
    lessons = tmp_path / "lessons"
    (lessons / "images").mkdir(parents=True)
    (lessons / "start.ipynb").write_text(notebook("Start"), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = (
        "import sys; from pathlib import Path;"
        "from sdlearn import cli; from sdlearn.course import library;"
        f"library.PACKAGE = Path({str(tmp_path / 'sdlearn')!r});"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    words = [sys.executable, "-c", code, "lab", str(lessons)]
    words += ["--ip", "0.0.0.0", "--no-browser", "--port", str(port)]
    with (
        open(tmp_path / "log", "w") as log,
        subprocess.Popen(words, cwd=ROOT, env=environment, stderr=log) as process,
    ):
        found: dict[str, object] = {"process": process, "port": port}
        try:
            found["token"] = _token(tmp_path / "log", port)
            _wait_for(found)
            yield found
        finally:
            process.kill()


def _get(server: dict[str, object], path: str) -> bytes:
    """What a browser on another computer gets, which knows this one by a name."""
    headers = {"Authorization": f"token {server['token']}", "Host": "class.example"}
    request = urllib.request.Request(f"http://127.0.0.1:{server['port']}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


def _token(log: Path, port: int, seconds: float = 60) -> str:
    """The token in the address that is printed."""
    printed = re.compile(rf"http://127\.0\.0\.1:{port}/lab\S*\?token=(\w+)")
    deadline = time.monotonic() + seconds
    while not (found := printed.search(log.read_text())):
        assert time.monotonic() < deadline, "JupyterLab printed no address"
        time.sleep(0.3)
    return found[1]


def _wait_for(server: dict[str, object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            _get(server, "/api")
            return
        except OSError:
            assert time.monotonic() < deadline, "JupyterLab did not answer"
            time.sleep(0.3)
