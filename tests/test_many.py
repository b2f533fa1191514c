"""`sdlearn generate --prompts`: the plan, one process, two, stopped and gone on with."""

import io
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from sdlearn import load
from sdlearn.cli import drawing, main, many, output
from sdlearn.util.files import partial_path

pytestmark = pytest.mark.usefixtures("folder")

PROMPTS = ["a red house", "a blue boat at night", "a green castle", "a white cat on the left"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # another number may round otherwise


@pytest.fixture(autouse=True)
def model(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small model's folder; and batches of three images instead of eight."""
    monkeypatch.setattr(drawing, "PIXELS_AT_ONCE", 3 * 128 * 128)
    return tiny_folder


def write_prompts(*lines: str) -> Path:
    path = Path("prompts.txt")
    path.write_text("\n".join(lines or PROMPTS) + "\n", encoding="utf-8")
    return path


def words(model: Path, *more: str) -> list[str]:
    settings = ["--model", str(model), "--steps", "2", "-o", "out"]
    return ["generate", "--prompts", "prompts.txt", *settings, *more]


def contents(folder: Path = Path("out")) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# the plan


def test_prompts_are_the_lines_that_say_something():
    data = b"\xef\xbb\xbf  a red house \r\n\n# birds\na tree, at n\xc3\xb6on\n   \na cat"
    Path("prompts.txt").write_bytes(data)
    assert many.read_prompts(Path("prompts.txt")) == ["a red house", "a tree, at nöon", "a cat"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a cat\n\n\xff\xfea\x00", "must be UTF-8 text; line 3 of prompts.txt is not"),
        (b"a cat\na\x00dog", r"must be plain text; line 2 of prompts.txt holds '\\x00'"),
        (b"", "must hold at least one prompt, one a line; prompts.txt holds none"),
        (b"# a cat\n \n", "must hold at least one prompt, one a line; prompts.txt holds none"),
    ],
)
def test_a_bad_line_is_named(data: bytes, message: str):
    Path("prompts.txt").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        many.read_prompts(Path("prompts.txt"))


def test_every_prompt_with_every_seed_has_a_file_of_its_own():
    planned = many.make_jobs(["A cat!", "a cat"], range(9, 11), Path("out"))
    assert planned == [
        drawing.Job("A cat!", 9, Path("out/0001-a-cat-seed0009.png")),
        drawing.Job("A cat!", 10, Path("out/0001-a-cat-seed0010.png")),
        drawing.Job("a cat", 9, Path("out/0002-a-cat-seed0009.png")),
        drawing.Job("a cat", 10, Path("out/0002-a-cat-seed0010.png")),
    ]


@pytest.mark.parametrize("count", [12, 10_001])
def test_names_sort_as_the_list_does_and_are_short_enough_for_any_disk(count: int):
    prompts = ["𠀀" * 99] * count  # four bytes each
    names = [job.path.name for job in many.make_jobs(prompts, [2**63 - 1], Path())]
    assert names == sorted(names)
    assert len(set(names)) == count
    assert max(len(partial_path(Path(name)).name.encode()) for name in names) <= 255


def asked(**more: object) -> Namespace:
    """What is asked for on the command line, as far as an image remembers it."""
    how = {"negative": "", "steps": None, "guidance": None, "scheduler": None, "size": None}
    how |= {"image": None, "strength": None, "mask": None, "exact": False}
    how |= {"dtype": None, "no_safety_checker": False, "model": "tiny", "force": False}
    return Namespace(**how | more)


def image(job: drawing.Job, **text: str) -> None:
    """A small image at the job's path that remembers `text`."""
    output.save_image(Image.new("RGB", (8, 8)), job.path, text)


CAT = drawing.Job("a ☃", 0, Path("cat.png"))


def test_an_image_is_done_when_it_was_drawn_as_asked():
    assert not many.is_done(CAT, asked())
    image(CAT, **drawing.describe(CAT, asked()), Software="sdlearn of old")
    assert many.is_done(CAT, asked())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"seed": "1"}, "seed '1' instead of '0'; choose another folder, or add"),
        ({"seed": None}, "cat.png is there already, with no seed in it"),
        ({"prompt": "a dog"}, "prompt 'a dog' instead of 'a ☃'"),
    ],
)
def test_an_image_that_was_drawn_otherwise_is_in_the_way(text: dict[str, str], message: str):
    found = drawing.describe(CAT, asked()) | text
    image(CAT, **{key: value for key, value in found.items() if value is not None})
    with pytest.raises(FileExistsError, match=message):
        many.is_done(CAT, asked())
    assert not many.is_done(CAT, asked(force=True))


def test_a_folder_in_the_place_of_an_image_is_in_the_way():
    Path("cat.png").mkdir()
    with pytest.raises(FileExistsError, match="cat.png is there already, with no prompt in it"):
        many.is_done(CAT, asked())


@pytest.mark.parametrize("keep", [0, 20, -30, -5])
def test_a_damaged_image_is_not_done(keep: int):
    image(CAT, **drawing.describe(CAT, asked()))
    assert many.is_done(CAT, asked())
    CAT.path.write_bytes(CAT.path.read_bytes()[:keep])
    with pytest.raises(FileExistsError, match="no prompt in it"):
        many.is_done(CAT, asked())


# one process


def test_every_prompt_is_drawn_as_the_pipeline_draws_the_batch(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    write_prompts(*PROMPTS[:2], "# not this", "", PROMPTS[2])
    assert main(words(model, "--seed", "5", "--negative", "snow", "--scheduler", "euler_a")) == 0
    assert capsys.readouterr().out == "3 drawn, 0 were there already, in out\n"
    names = ["0001-a-red-house", "0002-a-blue-boat-at-night", "0003-a-green-castle"]
    assert list(contents()) == [f"{name}-seed0005.png" for name in names]
    expected = load(model).generate(
        PROMPTS[:3], seeds=[5, 5, 5], negative_prompt="snow", num_steps=2, scheduler="euler_a"
    )
    for path, image in zip(sorted(Path("out").iterdir()), expected, strict=True):
        with Image.open(path) as drawn:
            assert np.array_equal(np.asarray(drawn), np.asarray(image))
    assert drawn.text["prompt"] == "a green castle"
    assert drawn.text["seed"] == "5"


def test_the_second_time_nothing_is_left_to_do_and_no_model_is_loaded(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_prompts()
    assert main(words(model)) == 0
    before = contents()
    monkeypatch.setattr(drawing, "load_model", None)
    assert main(words(model)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 drawn, 4 were there already, in out"
    assert contents() == before


def test_what_is_missing_of_a_batch_comes_out_the_same(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    write_prompts()
    assert main(words(model, "--count", "2")) == 0
    before = contents()
    gone = ["0001-a-red-house-seed0001.png", "0004-a-white-cat-on-the-left-seed0001.png"]
    kept = Path("out/0003-a-green-castle-seed0000.png").stat()
    for name in gone:
        Path("out", name).unlink()
    assert main(words(model, "--count", "2")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 drawn, 6 were there already, in out"
    assert contents() == before
    assert Path("out/0003-a-green-castle-seed0000.png").stat() == kept


def test_more_prompts_and_more_seeds_are_added_to_what_is_there(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    write_prompts(*PROMPTS[:2])
    assert main(words(model)) == 0
    write_prompts(*PROMPTS[:3])
    assert main(words(model, "--count", "2")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4 drawn, 2 were there already, in out"


def test_standard_input(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a red tree\n")))
    assert (
        main(["generate", "--prompts", "-", "--model", str(model), "--steps", "1", "-o", "o"]) == 0
    )
    assert list(contents(Path("o"))) == ["0001-a-red-tree-seed0000.png"]


def test_other_settings_are_refused_before_any_work(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_prompts()
    assert main(words(model)) == 0
    before = contents()
    capsys.readouterr()
    for more in (
        ["--guidance", "4"],
        ["--size", "64x64"],
        ["--negative", "snow"],
        ["--dtype", "bfloat16"],
        ["--no-safety-checker"],
    ):
        with monkeypatch.context() as patch:
            patch.setattr(drawing, "load_model", None)
            assert main(words(model, *more)) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert "0001-a-red-house-seed0000.png is there already, with " in line
    assert contents() == before


@pytest.mark.parametrize(("seed", "code"), [("0", 0), ("1", 2)])
def test_a_picture_that_another_run_wrote_meanwhile_must_be_the_same(
    seed: str,
    code: int,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    write_prompts("a red house")
    assert main(words(model)) == 0
    [(name, theirs)] = contents().items()
    text = output.read_png_text(Path("out", name)) | {"seed": seed}
    Path("out", name).unlink()

    def load_model(*args: object) -> object:
        image(drawing.Job("", 0, Path("out", name)), **text)
        return load_it(*args)

    load_it = drawing.load_model
    monkeypatch.setattr(drawing, "load_model", load_model)
    assert main(words(model, "--quiet")) == code
    assert (f"{name} is there already, with seed '1'" in capsys.readouterr().err) == (code == 2)
    assert len(contents()[name]) < len(theirs)  # still the small one of another


@pytest.mark.skipif(os.name == "nt", reason="links want rights there")
def test_a_link_to_nowhere_is_no_picture(model: Path, capsys: pytest.CaptureFixture[str]):
    write_prompts("a red house")
    Path("out").mkdir()
    Path("out/0001-a-red-house-seed0000.png").symlink_to("nowhere.png")
    assert main(words(model, "--quiet")) == 2
    assert "seed0000.png is there already; add --force" in capsys.readouterr().err
    assert main(words(model, "--force")) == 0
    assert not Path("out/0001-a-red-house-seed0000.png").is_symlink()


def test_force_draws_again_only_what_was_drawn_otherwise(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    write_prompts()
    assert main(words(model)) == 0
    before = contents()
    Path("out/0002-a-blue-boat-at-night-seed0000.png").write_bytes(b"a note of mine")
    assert main(words(model)) == 2
    assert main(words(model, "--force")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 drawn, 3 were there already, in out"
    assert contents() == before


def test_a_half_written_file_does_not_count_and_is_taken_away(model: Path):
    write_prompts("a red house")
    Path("out").mkdir()
    Path("out/.0001-a-red-house-seed0000.png.4711.partial").write_bytes(b"half a pic")
    Path("out/.mine.png.4711.partial").write_bytes(b"not ours")
    assert main(words(model)) == 0
    assert list(contents()) == [".mine.png.4711.partial", "0001-a-red-house-seed0000.png"]


def test_a_prompt_that_is_too_long_is_said_once(model: Path, capsys: pytest.CaptureFixture[str]):
    write_prompts("# long ones", "red " * 80 + "tree", "a cat", "red " * 80 + "boat")
    assert main(words(model, "--count", "4", "--quiet")) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line[:34] for line in lines] == ["sdlearn: the prompt has 83 tokens,"] * 2
    assert [line[-5:] for line in lines] == ["tree'", "boat'"]


def test_a_bar_counts_the_steps_of_each_batch(model: Path, capsys: pytest.CaptureFixture[str]):
    write_prompts()  # four pictures, three at once: two batches of PNDM's three calls
    assert main(words(model, "--scheduler", "pndm")) == 0
    err = capsys.readouterr().err
    assert all(f"batch {n} of 2:   0%|          | 0/3 [" in err for n in (1, 2))
    assert main(words(model, "--scheduler", "pndm", "--force", "--quiet", "--seed", "1")) == 0
    assert capsys.readouterr().err == ""


def test_an_unknown_model_leaves_no_folder(folder: Path, capsys: pytest.CaptureFixture[str]):
    write_prompts()
    assert main(words(Path("nowhere"))) == 2
    assert (
        "model must be 'tiny', 'sd15', a folder or file that is there, or"
        in capsys.readouterr().err
    )
    assert [path.name for path in folder.iterdir()] == ["prompts.txt"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--steps", "0"], "num_steps must lie in 1..1000; got 0"),
        (["--count", "0"], "count must be at least 1; got 0"),
        (["--seed", "-3"], "every seed must lie in 0..2**63 - 1; got -3"),
        (["--scheduler", "best"], "scheduler must be one of ddim"),
        (["--device", "abacus"], "device must be 'cpu', 'cuda' or 'mps'; got 'abacus'"),
        (["--memory", "8"], "memory must be like '8GB' or '500MB'"),
        (["--filmstrip"], "filmstrip goes with one PROMPT, not with --prompts"),
        (
            ["-o", "prompts.txt"],
            "output must be a folder with --prompts; 'prompts.txt' is a file",
        ),
        (["-o", "no/such"], "output's folder must exist; there is no folder 'no'"),
        (["--prompts", "none.txt"], "none.txt: no such file or directory"),
        (["--prompts", "blank.txt"], "prompts must hold at least one prompt"),
    ],
)
def test_bad_input_is_refused_before_the_model_is_loaded(
    more: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    write_prompts()
    Path("blank.txt").touch()
    assert main(words(Path("nowhere"), *more)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sdlearn: {message}")
    assert sorted(path.name for path in folder.iterdir()) == ["blank.txt", "prompts.txt"]


def test_a_folder_has_to_be_named(model: Path, capsys: pytest.CaptureFixture[str]):
    write_prompts()
    assert main(["generate", "--prompts", "prompts.txt", "--model", str(model)]) == 2
    assert "add -o FOLDER" in capsys.readouterr().err


def test_one_prompt_and_a_list_exclude_each_other(capsys: pytest.CaptureFixture[str]):
    assert main(["generate", "a cat", "--prompts", "prompts.txt"]) == 2
    assert "--prompts: not allowed with argument PROMPT" in capsys.readouterr().err


@pytest.mark.slow
def test_one_prompt_alone_starts_no_processes(model: Path):
    code = (
        "import sys; from sdlearn.cli import main\n"
        f"assert main(['generate', 'a cat', '--model', {str(model)!r}, '--steps', '1']) == 0\n"
        "assert 'sdlearn.cli.many' not in sys.modules\n"
        "from accelerate import PartialState\n"
        "assert PartialState._shared_state == {}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class OtherProcess:
    """The state of a process that is not the main one."""

    is_main_process = False
    device = "cpu"
    parted = 0

    def wait_for_everyone(self) -> None:
        self.parted += 1

    def destroy_process_group(self) -> None:
        pass


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> OtherProcess:
    """This process is not the main one; it does not plan on its own."""
    state = OtherProcess()
    monkeypatch.setattr(many, "_process_state", lambda args: state)
    monkeypatch.setattr(many, "make_plan", lambda args: pytest.fail("planned on its own"))
    return state


@pytest.mark.parametrize(
    ("told", "code"),
    [({drawing.Job("a cat", 0, Path("out/cat.png")): True}, 0), (ValueError(), 2)],
)
def test_a_process_does_as_the_main_one_says(
    told: object,
    code: int,
    other: OtherProcess,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("accelerate.utils.broadcast_object_list", lambda plan: [told])
    Path("out").mkdir()
    assert main(words(Path("nowhere"))) == code
    assert other.parted == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("other")
def test_a_machine_that_does_not_see_the_folder_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("accelerate.utils.broadcast_object_list", lambda told: [{CAT: False}])
    assert main(words(Path("nowhere"))) == 2
    assert "out is not to be seen from here; all machines must share it" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "used"), [("cpu", "cpu"), (None, "cuda")])
def test_the_device_that_was_asked_for_is_used(
    asked: str | None, used: str, model: Path, monkeypatch: pytest.MonkeyPatch
):
    chosen: list[object] = []

    def remember(name: str, **how: object) -> None:
        chosen.append(how["device"])
        raise ValueError("seen")

    monkeypatch.setattr("sdlearn.pipeline.load", remember)
    one_gpu = OtherProcess()
    one_gpu.device, one_gpu.is_main_process = "cuda", True
    monkeypatch.setattr(many, "_process_state", lambda args: one_gpu)
    write_prompts()
    assert main(words(model, *(["--device", asked] if asked else []))) == 2
    assert chosen == [used]


# processes


def alone(model: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sdlearn", *words(model, *more)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=ONE_THREAD)


def launched(model: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Two processes on the CPU; with every option that accelerate would ask for."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    launch += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    launch += ["--dynamo_backend", "no", "--main_process_port", "0"]
    return subprocess.run(
        [*launch, "-m", "sdlearn", *words(model, *more)],
        capture_output=True,
        text=True,
        timeout=180,
        env={**ONE_THREAD, "ACCELERATE_USE_CPU": "true", **environment},
    )


@pytest.mark.slow
def test_two_processes_draw_the_pictures_of_one(model: Path):
    write_prompts()
    done = launched(model, "--count", "5")  # 20 pictures: three batches, two processes
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "20 drawn, 0 were there already, in out\n"
    pair = contents()
    Path("out").rename("pair")
    done = alone(model, "--count", "5")
    assert done.returncode == 0, done.stderr
    assert contents() == pair
    assert len(pair) == 20


@pytest.mark.slow
def test_two_processes_refuse_in_one_sentence(model: Path):
    write_prompts("a cat", "a\x01dog")
    done = launched(model)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("sdlearn: ")]
    assert said == ["sdlearn: prompts must be plain text; line 2 of prompts.txt holds '\\x01'"]
    assert not Path("out").exists()


def test_the_launcher_gives_out_the_devices(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    two = SimpleNamespace(num_processes=2)
    monkeypatch.setattr("accelerate.PartialState", lambda *_, **__: two)
    write_prompts()
    assert main(words(model, "--device", "cpu")) == 2
    assert "leave --device out" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_that_do_not_know_of_each_other_do_not_draw(model: Path):
    """Where `accelerate launch` is told of GPUs that are not there, each would draw everything."""
    write_prompts()
    done = launched(model, ACCELERATE_USE_CPU="false", CUDA_VISIBLE_DEVICES="")
    assert done.returncode != 0
    assert "sdlearn: 2 processes were started, but accelerate finds no GPUs" in done.stderr
    assert not Path("out").exists()


@pytest.mark.slow
def test_killed_half_way_and_gone_on_with_by_two_processes(model: Path):
    write_prompts()
    command = [sys.executable, "-m", "sdlearn", *words(model, "--count", "6")]
    process = subprocess.Popen(command, env=ONE_THREAD, stderr=subprocess.DEVNULL)
    while not list(Path("out").glob("*.png")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {name: data for name, data in contents().items() if name.endswith(".png")}
    assert 0 < len(kept) < 24
    done = launched(model, "--count", "6")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == f"{24 - len(kept)} drawn, {len(kept)} were there already, in out\n"
    finished = contents()
    assert {name: finished[name] for name in kept} == kept
    Path("out").rename("pair")
    assert alone(model, "--count", "6").returncode == 0
    assert contents() == finished
    assert len(finished) == 24
