"""The command line: it teaches, refuses in one sentence, and writes whole files or none."""

import errno
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdlearn import load
from sdlearn.cli import COMMANDS, doctor, drawing, main, output

PROMPT = "a large red house on green grass"


pytestmark = pytest.mark.usefixtures("folder")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# main


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_help_names_every_command_and_the_first_steps(
    argv: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert all(f"\n    {name} " in text for name in COMMANDS)
    assert "first steps:" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_shows_examples(name: str, capsys: pytest.CaptureFixture[str]):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: sdlearn {name} ")
    assert f"examples:\n  sdlearn {name}" in text


def test_version(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "sdlearn 0.1.0\n"


@pytest.mark.parametrize(
    "argv",
    [
        ["generate", PROMPT],
        ["lab"],
        ["doctor"],
        ["evaluate"],
        ["train", "all"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_command_is_run_and_its_exit_code_passed_on(
    argv: list[str], monkeypatch: pytest.MonkeyPatch
):
    module = import_module(f"sdlearn.cli.{argv[0]}")
    monkeypatch.setattr(module, "run", lambda args: 42)
    assert main(argv) == 42


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["draw"], "sdlearn: argument COMMAND: invalid choice: 'draw'"),
        (["generate"], "sdlearn: one of the arguments PROMPT --prompts is required; see 'sdlearn"),
        (["generate", PROMPT, "--steps", "2.5"], "sdlearn: argument --steps: invalid int value"),
        (["generate", PROMPT, "--size", "128"], "argument --size: expected WxH such as 128x128"),
        (
            ["generate", PROMPT, "--guid", "3"],
            "sdlearn: unrecognized arguments: --guid 3; see 'sdlearn generate --help'",
        ),
        (
            ["generate", PROMPT, "--exact", "--compile"],
            "sdlearn: argument --compile: not allowed with argument --exact",
        ),
        (["--guid", "3"], "sdlearn: argument COMMAND: invalid choice: '3'"),
        (["--guid"], "sdlearn: unrecognized arguments: --guid; see 'sdlearn --help'"),
    ],
)
def test_wrong_arguments_give_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(argv) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def doctor_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(args: object) -> int:
        raise error

    monkeypatch.setattr(doctor, "run", run)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("num_steps is wrong;\n  got 0"), "num_steps is wrong; got 0"),
        (MemoryError(), "not enough memory; close other programs, or ask for fewer or smaller"),
        (RuntimeError("CUDA out of memory. Tried to"), "not enough memory; close other programs"),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
            "not enough memory; close other programs",  # as it is worded on Windows
        ),
        (OSError(errno.ENOSPC, "No space left"), "the disk is full; nothing half-written was kept"),
        (PermissionError(13, "Permission denied", "a.png"), "a.png: permission denied"),
        (ImportError("No module named 'torch'"), "No module named 'torch'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    error: Exception,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    doctor_raises(monkeypatch, error)
    assert main(["doctor"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sdlearn: {sentence}")


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch):
    doctor_raises(monkeypatch, ValueError("deep inside"))
    with pytest.raises(ValueError, match="deep inside"):
        main(["doctor", "--debug"])


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch):
    doctor_raises(monkeypatch, AttributeError("a bug"))
    with pytest.raises(AttributeError, match="a bug"):
        main(["doctor"])


def test_ctrl_c_stops_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    doctor_raises(monkeypatch, KeyboardInterrupt())
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "\nsdlearn: stopped\n"


# output


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red house, at night", "a-red-house-at-night"),
        ("../../etc/passwd", "etc-passwd"),
        ("...", "image"),
        ("ein Häuschen", "ein-häuschen"),
        ("word " * 40, "-".join(["word"] * 9)),
        ("x" * 300, "x" * 48),
    ],
)
def test_a_file_is_named_after_its_prompt(prompt: str, name: str):
    assert output.slug(prompt) == name


def test_without_output_a_taken_name_gets_a_number():
    [first] = output.plan_paths("a cat", [7])
    first.touch()
    Path("a-cat-seed7-2-filmstrip.png").touch()
    assert output.plan_paths("a cat", [7, 8]) == [
        Path("a-cat-seed7-2.png"),
        Path("a-cat-seed8.png"),
    ]
    assert output.plan_paths("a cat", [7], strips=True) == [Path("a-cat-seed7-3.png")]
    assert output.plan_paths("a cat", [7], force=True) == [first]


def test_several_seeds_share_the_name_that_was_given():
    planned = output.plan_paths("a cat", [0, 1], Path("cat.png"))
    assert planned == [Path("cat-seed0.png"), Path("cat-seed1.png")]


def test_a_folder_that_cannot_be_written_to_is_noticed_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def touch(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", touch)
    assert main(["generate", PROMPT, "-o", "house.png", "--model", "nowhere"]) == 2
    assert capsys.readouterr().err == (
        "sdlearn: output cannot be written to house.png: Permission denied\n"
    )


def test_a_disk_that_fills_up_leaves_the_old_picture_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    Path("house.png").write_bytes(b"the old picture")

    def save(self: Image.Image, file, **how: object) -> None:
        file.write(b"half a pic")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(OSError, match="No space left"):
        output.save_image(Image.new("RGB", (8, 8)), Path("house.png"), force=True)
    assert names(folder) == ["house.png"]
    assert Path("house.png").read_bytes() == b"the old picture"


def no_links(*paths: object, **how: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_a_file_that_came_meanwhile_is_not_replaced(
    folder: Path, links: bool, late: bool, monkeypatch: pytest.MonkeyPatch
):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    picture = Image.new("RGB", (8, 8))
    if late:  # another process takes the name while we write
        save = Image.Image.save

        def save_late(self: Image.Image, file, **how: object) -> None:
            Path("a.png").write_bytes(b"mine")
            save(self, file, **how)

        monkeypatch.setattr(Image.Image, "save", save_late)
    else:
        Path("a.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="a.png is there already; add --force to replace it"):
        output.save_image(picture, Path("a.png"))
    assert Path("a.png").read_bytes() == b"mine"
    assert names(folder) == ["a.png"]
    output.save_image(picture, Path("a.png"), force=True)
    assert pixels(Path("a.png")).shape == (8, 8, 3)


@pytest.mark.parametrize("links", [True, False])
def test_a_name_that_is_free_is_taken(folder: Path, links: bool, monkeypatch: pytest.MonkeyPatch):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    output.save_image(Image.new("RGB", (8, 8)), Path("a.png"))
    assert names(folder) == ["a.png"]
    assert pixels(Path("a.png")).shape == (8, 8, 3)


@pytest.mark.skipif(os.name == "nt", reason="links want rights there")
def test_a_link_to_nowhere_takes_a_name_too():
    Path("a-cat-seed7.png").symlink_to("nowhere.png")
    assert output.plan_paths("a cat", [7]) == [Path("a-cat-seed7-2.png")]


# generate


def draw(tiny_folder: Path, *words: str) -> int:
    return main(["generate", PROMPT, "--model", str(tiny_folder), "--steps", "2", *words])


def test_generate_draws_what_the_pipeline_draws(
    tiny_folder: Path, folder: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--seed", "7", "--negative", "snow", "--guidance", "3", "--scheduler", "euler_a"]
    assert draw(tiny_folder, *words) == 0
    name = "a-large-red-house-on-green-grass-seed7.png"
    assert capsys.readouterr().out == f"{name}\n"
    assert names(folder) == [name]
    [expected] = load(tiny_folder).generate(
        PROMPT,
        seeds=[7],
        negative_prompt="snow",
        guidance_scale=3,
        num_steps=2,
        scheduler="euler_a",
    )
    assert np.array_equal(pixels(folder / name), np.asarray(expected))


def test_a_picture_remembers_how_it_was_drawn(tiny_folder: Path):
    assert draw(tiny_folder, "--seed", "3", "--negative", "Schnee ☃", "-o", "house.png") == 0
    with Image.open("house.png") as image:
        assert image.text == {
            "prompt": PROMPT,
            "negative_prompt": "Schnee ☃",
            "seed": "3",
            "num_steps": "2",
            "guidance_scale": "3.0",
            "scheduler": "the model's own",
            "size": "the model's own",
            "image": "none",
            "strength": "none",
            "mask": "none",
            "dtype": "the device's usual",
            "exact": "no",
            "safety_checker": "the model's own",
            "model": str(tiny_folder),
            "Software": "sdlearn 0.1.0",
        }


def test_count_draws_the_pictures_of_the_next_seeds_in_batches(
    tiny_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(drawing, "PIXELS_AT_ONCE", 2 * 128 * 128)
    assert draw(tiny_folder, "--seed", "4", "--count", "3", "-o", "house.png") == 0
    assert names(folder) == ["house-seed4.png", "house-seed5.png", "house-seed6.png"]
    pictures = load(tiny_folder).generate(PROMPT, seeds=[4, 5, 6], num_steps=2)
    for name, picture in zip(names(folder), pictures, strict=True):
        difference = np.subtract(pixels(folder / name), np.asarray(picture), dtype=np.int16)
        assert abs(difference).max() <= 1  # a batch of another size may round otherwise


def test_size(tiny_folder: Path):
    assert draw(tiny_folder, "--size", "64x32", "-o", "house.png") == 0
    assert pixels(Path("house.png")).shape == (32, 64, 3)


def test_a_filmstrip_shows_predictions_from_the_first_to_the_last(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert draw(tiny_folder, "--filmstrip", "--steps", "11", "-o", "house.png") == 0
    assert capsys.readouterr().out == "house.png\nhouse-filmstrip.png\n"
    strip = pixels(Path("house-filmstrip.png"))
    assert strip.shape == (128, 6 * 130 - 2, 3)

    sd = load(tiny_folder)
    cond, uncond = sd.encode_text(PROMPT), sd.encode_text("")
    steps = list(sd.denoise(sd.init_latents([0]), cond, uncond, num_steps=11))
    for frame, index in enumerate([0, 2, 4, 6, 8, 10]):
        image = sd.decode(steps[index].pred_x0)[0].permute(1, 2, 0).numpy()
        shown = strip[:, frame * 130 : frame * 130 + 128]
        assert np.array_equal(shown, (image * 255).round().astype("uint8"))


@pytest.mark.parametrize(("steps", "frames"), [("1", 1), ("2", 2), ("7", 6)])
def test_few_steps_make_a_short_filmstrip(tiny_folder: Path, steps: str, frames: int):
    assert draw(tiny_folder, "--filmstrip", "--steps", steps, "-o", "house.png") == 0
    assert pixels(Path("house-filmstrip.png")).shape[1] == frames * 130 - 2


@pytest.mark.parametrize(("scheduler", "calls"), [("ddim", 3), ("pndm", 4), ("heun", 5)])
def test_the_bar_counts_the_calls_of_the_scheduler(
    tiny_folder: Path, scheduler: str, calls: int, capsys: pytest.CaptureFixture[str]
):
    assert draw(tiny_folder, "--steps", "3", "--scheduler", scheduler, "--count", "2") == 0
    assert re.search(rf"seeds 0 to 1: .* 0/{calls} \[", capsys.readouterr().err)


def test_quiet_shows_no_bar(tiny_folder: Path, capsys: pytest.CaptureFixture[str]):
    assert draw(tiny_folder, "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_what_a_prompt_loses_is_said_once(tiny_folder: Path, capsys: pytest.CaptureFixture[str]):
    long = "red " * 80 + "lighthouse"
    words = ["generate", long, "--steps", "1", "--quiet", "--count", "2"]
    assert main([*words, "--model", str(tiny_folder)]) == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "sdlearn" in line]
    assert line.startswith("sdlearn: the prompt has 83 tokens")
    assert "lighthouse" in line


def test_an_existing_file_is_replaced_only_with_force(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
):
    Path("house.png").write_bytes(b"mine")
    assert draw(tiny_folder, "-o", "house.png") == 2
    assert capsys.readouterr().err == (
        "sdlearn: house.png is there already; add --force to replace it\n"
    )
    assert Path("house.png").read_bytes() == b"mine"
    assert draw(tiny_folder, "-o", "house.png", "--force") == 0
    assert pixels(Path("house.png")).shape == (128, 128, 3)


def test_an_existing_filmstrip_is_not_replaced_either(
    tiny_folder: Path, folder: Path, capsys: pytest.CaptureFixture[str]
):
    Path("house-filmstrip.png").write_bytes(b"mine")
    assert draw(tiny_folder, "-o", "house.png", "--filmstrip") == 2
    assert "house-filmstrip.png is there already" in capsys.readouterr().err
    assert names(folder) == ["house-filmstrip.png"]


def meanwhile(monkeypatch: pytest.MonkeyPatch, *taken: str) -> None:
    """Another `sdlearn generate` writes these while the model is loaded."""

    def load_model(*args: object) -> object:
        for name in taken:
            Path(name).write_bytes(b"another's")
        return load_it(*args)

    load_it = drawing.load_model
    monkeypatch.setattr(drawing, "load_model", load_model)


def test_a_name_that_is_taken_while_drawing_gets_a_number(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    stem = "a-large-red-house-on-green-grass-seed"
    meanwhile(monkeypatch, f"{stem}0.png", f"{stem}0-2-filmstrip.png")
    assert draw(tiny_folder, "--filmstrip", "--count", "2") == 0
    mine = [f"{stem}0-3", f"{stem}0-3-filmstrip", f"{stem}1", f"{stem}1-filmstrip"]
    assert capsys.readouterr().out.splitlines() == [f"{name}.png" for name in mine]
    assert Path(f"{stem}0.png").read_bytes() == b"another's"
    assert Path(f"{stem}0-2-filmstrip.png").read_bytes() == b"another's"
    assert {pixels(Path(f"{name}.png")).shape for name in mine[::2]} == {(128, 128, 3)}


def test_a_name_that_was_given_and_is_taken_while_drawing_is_refused(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    meanwhile(monkeypatch, "house.png")
    assert draw(tiny_folder, "--quiet", "-o", "house.png") == 2
    assert capsys.readouterr().err == (
        "sdlearn: house.png is there already; add --force to replace it\n"
    )
    assert Path("house.png").read_bytes() == b"another's"
    assert draw(tiny_folder, "-o", "house.png", "--force") == 0
    assert pixels(Path("house.png")).shape == (128, 128, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "0"], "num_steps must lie in 1..1000; got 0"),
        (["--steps", "1001"], "num_steps must lie in 1..1000; got 1001"),
        (["--count", "0"], "count must be at least 1; got 0"),
        (["-o", "no/such/house.png"], "output's folder must exist; there is no folder 'no/such'"),
        (["-o", "house.jpg"], "output must be a file that ends in .png; got 'house.jpg'"),
        (["-o", "folder.png"], "output must be a file, not a folder; got 'folder.png'"),
        (["--model", "tini"], "model must be 'tiny', 'sd15', a folder or file that is there, or"),
        (["--seed", "-1"], "every seed must lie in 0..2**63 - 1; got -1"),
        (["--guidance", "nan"], "guidance_scale must be a finite number; got nan"),
        (["--size", "100x128"], "width must be a positive multiple of 8 pixels; got 100"),
        (["--size", "128x0"], "height must be a positive multiple of 8 pixels; got 0"),
        (["--scheduler", "best"], "scheduler must be one of ddim, ddpm, pndm, euler"),
    ],
)
def test_bad_input_is_refused_and_writes_nothing(
    tiny_folder: Path,
    folder: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
):
    Path("folder.png").mkdir()
    assert draw(tiny_folder, *words) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"sdlearn: {message}")
    assert names(folder) == ["folder.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([" "], "prompt must say what to draw; got ' '"),
        (["a caf\udce9"], r"prompt must be UTF-8 text; got 'a caf\udce9'"),
        (
            [PROMPT, "--negative", "caf\udce9"],
            r"negative_prompt must be UTF-8 text; got 'caf\udce9'",
        ),
        ([PROMPT, "--steps", "0"], "num_steps must lie in 1..1000; got 0"),
        ([PROMPT, "--guidance", "inf"], "guidance_scale must be a finite number; got inf"),
        ([PROMPT, "--scheduler", "best"], "scheduler must be one of ddim, ddpm, pndm, euler"),
        ([PROMPT, "--size", "64x100"], "height must be a positive multiple of 8 pixels; got 100"),
        ([PROMPT, "--seed", "-1"], "every seed must lie in 0..2**63 - 1; got -1"),
    ],
)
def test_what_can_be_refused_before_loading_is(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["generate", *words, "--model", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith(f"sdlearn: {message}")


def test_ctrl_c_while_drawing_writes_nothing(
    tiny_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def impatient(images: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["sdlearn.pipeline"], "to_pil", impatient)
    assert draw(tiny_folder, "--filmstrip") == 130
    assert names(folder) == []


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [(["--version"], 0, "sdlearn 0.", ""), (["generate"], 2, "", "PROMPT --prompts is required")],
)
def test_from_the_shell_all_output_arrives_and_the_exit_code_is_right(words, code, out, err):
    command = [sys.executable, "-m", "sdlearn", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert out in done.stdout
    assert err in done.stderr


def from_the_shell(*words: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Without PYTHONUNBUFFERED, as a learner has it: what is printed waits for a flush."""
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"}
    environment |= how.pop("env", {})
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **how}
    return subprocess.run([sys.executable, "-m", "sdlearn", *words], env=environment, **how)


COPY = ["lab", "--copy-only"]  # prints, and needs no heavy library


@pytest.mark.parametrize("words", [["--version"], COPY])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_reads_what_is_printed(words: list[str], unbuffered: str):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = from_the_shell(*words, stdout=writer, env={"PYTHONUNBUFFERED": unbuffered})
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk always full")
@pytest.mark.parametrize("words", [["--help"], COPY])
def test_there_is_no_room_for_what_is_printed(words: list[str]):
    with open("/dev/full", "w") as full:
        done = from_the_shell(*words, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "sdlearn: standard output: no space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="closes a stream as a POSIX shell does")
@pytest.mark.parametrize(
    ("stream", "words", "code"), [(1, COPY, 0), (2, ["explore", "--port", "-1"], 2)]
)
def test_a_stream_that_is_closed_is_done_without(stream: int, words: list[str], code: int):
    done = from_the_shell(*words, preexec_fn=lambda: os.close(stream))
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_a_name_that_the_terminal_cannot_spell_is_printed_all_the_same():
    done = from_the_shell(*COPY, "雪", env={"PYTHONIOENCODING": "cp1252"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Lessons in \\u96ea:\n")
    assert Path("雪").is_dir()


@pytest.mark.slow
def test_training_prints_no_advice_of_its_libraries():
    done = from_the_shell("train", "export", "--workdir", "nowhere")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("sdlearn: no finished ")
