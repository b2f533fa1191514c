"""The benchmark: no ratio without equal images, and no number that was not measured."""

import json
import subprocess
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from benchmarks import contestants, measuring
from benchmarks.__main__ import main
from benchmarks.contestants import CONTESTANTS, plain_form, variant_of
from benchmarks.measuring import (
    STAGES,
    compare,
    compare_cold,
    fits,
    interleaved,
    profile,
    stages,
    work,
)
from benchmarks.peers import PEERS
from benchmarks.records import (
    PROMPTS,
    Calls,
    Comparison,
    Difference,
    Fit,
    Profile,
    Report,
    Side,
    Task,
    Timing,
    difference,
)
from benchmarks.report import format_report, to_json
from sdlearn.inside import anatomy
from sdlearn.models.engine import Engine
from sdlearn.models.memory import MemoryPlan, apply_plan
from sdlearn.pipeline import StableDiffusion

pytestmark = pytest.mark.slow

MB = 10**6


@pytest.fixture
def task(tiny_folder: Path) -> Task:
    return Task(str(tiny_folder), steps=2)


@pytest.fixture
def no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak memory without the processes that measure it, which take seconds each."""
    peaks = {"sdlearn": 500 * MB, "diffusers": 625 * MB}
    monkeypatch.setattr(measuring, "peak_memory", lambda name, task: peaks[name])


@pytest.fixture
def unlike(monkeypatch: pytest.MonkeyPatch) -> None:
    """An sdlearn that draws with another guidance than it is asked for."""
    enter = CONTESTANTS["sdlearn"]

    def broken(task: Task) -> contestants.Contestant:
        ours = enter(task)
        return replace(ours, draw=lambda task: ours.draw(replace(task, guidance=12.0)))

    monkeypatch.setitem(CONTESTANTS, "sdlearn", broken)


# records


def test_what_is_told_of_a_row_of_timings():
    timing = Timing((2.0, 1.0, 4.0))
    assert (timing.median, timing.fastest, timing.spread) == (2.0, 1.0, 1.5)


def test_actions_are_timed_in_turns_and_the_device_is_waited_for():
    seen: list[str] = []
    actions = [lambda: seen.append("a"), lambda: seen.append("b")]
    interleaved(2, *actions, settle=lambda: seen.append("."))
    assert "".join(seen) == ".a..b." * 2


def test_each_action_gets_its_own_timings():
    slow, quick = interleaved(3, lambda: time.sleep(0.02), lambda: None)
    assert min(slow.seconds) >= 0.02 > max(quick.seconds)
    assert len(slow.seconds) == len(quick.seconds) == 3


def test_a_difference_counts_pixels_and_levels():
    first = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    second = first.copy()
    second[0, 1, 2] = [3, 0, 255]  # one pixel, two channels
    second[0, 3, 3] = [0, 1, 0]
    assert difference(first, second) == difference(second, first) == Difference(2, 16, 255)
    assert difference(first, first) == Difference(0, 16, 0)


def test_images_of_two_sizes_are_no_match():
    with pytest.raises(ValueError, match=r"one size; got \(1, 8, 8, 3\) and \(1, 4, 4, 3\)"):
        difference(np.zeros((1, 8, 8, 3)), np.zeros((1, 4, 4, 3)))


@pytest.mark.parametrize(("levels", "tolerance", "within"), [(0, 0, 1), (1, 0, 0), (2, 2, 1)])
def test_a_tolerance_is_the_most_that_is_allowed(levels: int, tolerance: int, within: int):
    assert Difference(levels, 16, levels).within(tolerance) == bool(within)


def test_the_share_of_the_limit_by_hand():
    side = Side("x", Timing((2.0,)), flops=300, limit=1000.0)
    assert side.share == 0.15
    assert replace(side, limit=None).share is None


def test_the_work_of_two_steps_by_hand():
    """Of SD 1.5: 803.3 GFLOP a call of the U-Net, 2514.5 for the decoder."""
    once = work(anatomy("sd15"), Calls(calls=2, images=4), batch=1)
    assert once == pytest.approx(4 * 803.3e9 + 2514.5e9, rel=1e-4)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"steps": 0}, ValueError, r"num_steps must lie in 1..1000; got 0"),
        ({"batch": 0}, ValueError, "batch must be at least 1; got 0"),
        ({"batch": 1.5}, TypeError, "batch must be a whole number; got 1.5"),
        ({"device": "mps"}, ValueError, "device must be one of cpu, cuda; got 'mps'"),
        ({"device": "cuda:0"}, ValueError, "device must be one of cpu, cuda; got 'cuda:0'"),
        ({"dtype": "int8"}, ValueError, "dtype must be one of float32, float16, bfloat16; got 'i"),
        ({"guidance": 0.5}, ValueError, "guidance must be 0, or 1 and more: .* got 0.5"),
        ({"guidance": -1.0}, ValueError, "guidance must be 0, or 1 and more: .* got -1.0"),
        ({"guidance": float("nan")}, ValueError, "guidance_scale must be a finite number"),
    ],
)
def test_tasks_that_cannot_be_drawn_by_both(wrong: dict, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        Task(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"repeats": 0}, "repeats must be at least 1; got 0"),
        ({"tolerance": -1}, r"tolerance must lie in 0..255 levels; got -1"),
        ({"tolerance": 256}, r"tolerance must lie in 0..255 levels; got 256"),
    ],
)
@pytest.mark.parametrize("measure", [compare, compare_cold])
def test_measurements_that_make_no_sense(measure, wrong: dict, message: str):
    with pytest.raises(ValueError, match=message):
        measure([Task()], **wrong)


def test_a_model_that_is_none_is_refused_before_a_process_is_started(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="is not a Stable Diffusion folder"):
        compare([Task(str(tmp_path))])


# both pipelines


@pytest.mark.usefixtures("no_children")
def test_both_draw_the_same_images_at_every_guidance(task: Task):
    tasks = [replace(task, guidance=g, batch=b) for g, b in ((3.0, 1), (1.0, 1), (0.0, 2))]
    found = compare(tasks, repeats=2)
    assert [c.task for c in found] == tasks
    assert [c.difference.pixels for c in found] == [0, 0, 0]
    assert [c.difference.of for c in found] == [128**2, 128**2, 2 * 128**2]
    calls = [[side.unet for side in c.sides] for c in found]
    assert calls == [[Calls(2, 4)] * 2, [Calls(2, 2)] * 2, [Calls(2, 4)] * 2]
    for comparison in found:
        ours, theirs = comparison.sides
        assert (ours.name, theirs.name) == ("sdlearn", "diffusers")
        assert comparison.ratio == ours.timing.median / theirs.timing.median
        assert len(ours.timing.seconds) == len(theirs.timing.seconds) == 2
        assert (ours.peak, theirs.peak) == (500 * MB, 625 * MB)


@pytest.mark.usefixtures("no_children")
@pytest.mark.parametrize("name", CONTESTANTS)
def test_the_libraries_are_quiet_while_a_model_is_loaded_and_later_as_before(
    name: str, task: Task, capfd: pytest.CaptureFixture[str]
):
    def settings() -> list[object]:
        return [
            diffusers_logging.is_progress_bar_enabled(),
            transformers_logging.is_progress_bar_enabled(),
            transformers_logging.get_verbosity(),
        ]

    before = settings()
    CONTESTANTS[name](task)
    assert capfd.readouterr().err == ""
    assert settings() == before


def test_guidance_0_draws_another_image_than_guidance_1(task: Task):
    ours, theirs = (enter(task) for enter in CONTESTANTS.values())
    for contestant in (ours, theirs):
        without, plain = (contestant.draw(replace(task, guidance=g)) for g in (0.0, 1.0))
        assert difference(without, plain).pixels > 0


def test_the_hook_counts_and_goes(task: Task):
    ours = CONTESTANTS["sdlearn"](task)
    _, calls = measuring.first_images(ours, replace(task, batch=3))
    assert calls == Calls(2, 12)  # three images with their texts and without, twice
    assert not ours.pipeline.unet._forward_pre_hooks


def test_a_u_net_that_no_hook_sees_is_an_error(task: Task):
    dumb = contestants.Contestant("ours", CONTESTANTS["sdlearn"](task).pipeline, lambda task: None)
    with pytest.raises(RuntimeError, match="no call of the U-Net of ours was seen"):
        measuring.first_images(dumb, task)


@pytest.mark.usefixtures("no_children", "unlike")
def test_other_images_have_no_ratio_and_are_not_timed(task: Task):
    [found] = compare([task], repeats=1)
    assert found.difference.pixels > 100
    assert found.difference.levels > 0
    assert found.sides == ()
    assert found.ratio is None


@pytest.mark.usefixtures("no_children", "unlike")
def test_a_tolerance_lets_them_be_compared(task: Task):
    [found] = compare([task], repeats=1, tolerance=255)
    assert found.ratio is not None
    assert "by up to" in format_report(report_of(found))
    assert "(tolerance 255), ratio" in format_report(report_of(found))


@pytest.mark.usefixtures("no_children")
def test_only_ours_is_compiled_and_after_the_calls_were_counted(
    monkeypatch: pytest.MonkeyPatch,
):
    compiled = []
    whole = contestants.compile_ours
    monkeypatch.setattr(measuring, "compile_ours", lambda sd: (compiled.append(sd), whole(sd)))
    [found] = compare([Task("tiny", steps=2, compiled=True)], repeats=1)
    assert [type(sd) for sd in compiled] == [StableDiffusion]
    assert isinstance(compiled[0].unet.forward, Engine)
    assert isinstance(compiled[0].vae.decoder.forward, Engine)
    assert found.sides[0].unet == Calls(2, 4)
    assert "1 image, sdlearn compiled\nimages identical" in format_report(report_of(found))


def test_each_turn_has_another_prompt_and_other_seeds():
    turns = [replace(Task(batch=2), turn=turn) for turn in range(4)]
    assert [list(task.seeds) for task in turns] == [[7, 8], [9, 10], [11, 12], [13, 14]]
    assert all(a.prompt != b.prompt for a, b in zip(turns, turns[1:], strict=False))
    assert len({replace(Task(), turn=turn).prompt for turn in range(99)}) == len(PROMPTS)


@pytest.mark.usefixtures("no_children")
def test_all_draw_the_same_prompts_and_seeds_in_turns(task: Task, monkeypatch: pytest.MonkeyPatch):
    asked: dict[str, list[Task]] = {}
    for name, enter in list(CONTESTANTS.items()):

        def entered(task: Task, name: str = name, enter=enter) -> contestants.Contestant:
            made = enter(task)
            noted = asked.setdefault(name, [])
            return replace(made, draw=lambda task: (noted.append(task), made.draw(task))[1])

        monkeypatch.setitem(CONTESTANTS, name, entered)
    compare([task], repeats=3)
    first, *turns = asked["sdlearn"]
    assert asked["diffusers"] == [first, *turns]
    assert [one.turn for one in turns] == [1, 2, 3]
    assert first.turn == 0


def a_peer(change: int = 0):
    """A peer that draws what diffusers draws, its pixels changed by so many levels."""

    def enter(task: Task) -> contestants.Contestant:
        theirs = CONTESTANTS["diffusers"](task)
        return replace(theirs, name="a peer", draw=lambda task: theirs.draw(task) ^ change)

    return enter


@pytest.mark.usefixtures("no_children")
def test_a_peer_has_a_row_and_a_ratio_of_its_own(task: Task):
    [found] = compare([task], repeats=2, peers=[a_peer(1)])
    assert [side.name for side in found.sides] == ["sdlearn", "diffusers", "a peer"]
    ours, theirs, peer = found.sides
    assert found.ratio == ours.timing.median / theirs.timing.median
    text = format_report(report_of(found))
    assert f", ratio {found.ratio:.3f}, {found.ratio_to(peer):.3f} to a peer\n" in text
    assert "  a peer " in text


@pytest.mark.usefixtures("no_children")
def test_a_peer_that_draws_other_images_is_refused(task: Task):
    with pytest.raises(RuntimeError, match="a peer draws other images, by up to 3 levels"):
        compare([task], repeats=1, peers=[a_peer(3)])


@pytest.mark.skipif(find_spec("onnxscript") is None, reason="the extra onnx is not installed")
@pytest.mark.parametrize("package", PEERS)
def test_a_plain_loop_of_an_engine_draws_what_diffusers_draws(package: str):
    pytest.importorskip(package)
    theirs = CONTESTANTS["diffusers"](Task("tiny"))
    peer = PEERS[package](Task("tiny"))
    for guidance, batch, turn in ((3.0, 1, 0), (3.0, 1, 1), (1.0, 1, 2), (0.0, 2, 0)):
        task = Task("tiny", steps=3, guidance=guidance, batch=batch, turn=turn)
        assert difference(peer.draw(task), theirs.draw(task)).levels <= 1


def test_a_peer_wants_a_cpu():
    with pytest.raises(ValueError, match="peers must run on a CPU in float32; got cpu, bfloat16"):
        PEERS["onnxruntime"](Task(dtype="bfloat16"))


# as on a GPU, where what is fast rounds otherwise


def as_on_cuda(sd: StableDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `apply_plan` does there to a model with little memory, which stays on the CPU."""
    parts = {"text_encoder": sd.text_encoder, "unet": sd.unet, "vae": sd.vae}
    with monkeypatch.context() as patch:
        for part in parts.values():
            patch.setattr(part, "to", only_layout(part.to))
        apply_plan(parts, MemoryPlan(vae_slicing=True), torch.device("cuda"))


def only_layout(to):
    return lambda *device, **layout: to(**layout) if layout else None


def state(sd: StableDiffusion) -> tuple[bool, ...]:
    """Whether convolutions are channels_last, and the VAE slices."""
    convolutions = sd.unet.conv_in.weight, sd.vae.decoder.conv_in.weight
    return *(not weight.is_contiguous() for weight in convolutions), sd.vae.use_slicing


def test_the_plain_form_is_that_of_diffusers_and_goes_again(
    task: Task, monkeypatch: pytest.MonkeyPatch
):
    sd = CONTESTANTS["sdlearn"](task).pipeline
    as_on_cuda(sd, monkeypatch)
    assert state(sd) == (True, True, True)
    seen = []

    def interrupted() -> None:
        with plain_form(sd):
            seen.append(state(sd))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen == [(False, False, False)]
    assert state(sd) == (True, True, True)
    plain = CONTESTANTS["sdlearn"](task).pipeline
    with plain_form(plain):
        pass
    assert state(plain) == (False, False, False)


@pytest.fixture
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both draw on the CPU; sdlearn has the form that it has on cuda, which rounds otherwise."""

    def on_the_cpu(enter):
        def entered(task: Task) -> contestants.Contestant:
            made = enter(replace(task, device="cpu"))
            ours = isinstance(made.pipeline, StableDiffusion)
            if ours:
                as_on_cuda(made.pipeline, monkeypatch)

            def draw(task: Task) -> np.ndarray:
                images = made.draw(replace(task, device="cpu"))
                if ours and any(state(made.pipeline)):
                    images[0, :8, 0] ^= 1  # whatever this CPU does itself with the layout
                return images

            return replace(made, draw=draw)

        return entered

    for name, enter in list(CONTESTANTS.items()):
        monkeypatch.setitem(CONTESTANTS, name, on_the_cpu(enter))
    monkeypatch.setattr(measuring, "settler", lambda device: lambda: None)
    monkeypatch.setattr(measuring, "matmul_limit", lambda device, dtype: 2e11)


@pytest.mark.usefixtures("no_children", "pretended_gpu")
def test_on_a_gpu_the_plain_form_is_compared_and_the_fast_one_told_of(task: Task):
    [found] = compare([replace(task, device="cuda", batch=2)], repeats=1)
    assert found.difference.pixels == 0
    assert found.ratio is not None
    assert found.as_timed is not None
    assert found.as_timed.pixels >= 8
    assert "\nimages identical; as timed up to " in format_report(report_of(found))
    [result] = json.loads(to_json(report_of(found)))["results"]
    assert result["as_timed"] == vars(found.as_timed)


@pytest.mark.usefixtures("no_children", "pretended_gpu", "unlike")
def test_on_a_gpu_too_other_images_have_no_ratio(task: Task):
    [found] = compare([replace(task, device="cuda")], repeats=1)
    assert found.difference.pixels > 100
    assert found.ratio is None


@pytest.mark.usefixtures("no_children")
def test_on_a_cpu_what_is_timed_must_be_the_same_too(task: Task, monkeypatch: pytest.MonkeyPatch):
    def spoil(sd: StableDiffusion) -> None:
        torch.nn.init.zeros_(sd.unet.conv_out.weight)

    monkeypatch.setattr(measuring, "compile_ours", spoil)
    [found] = compare([replace(task, compiled=True)], repeats=1)
    assert found.difference.pixels == 0
    assert found.as_timed is not None
    assert found.as_timed.pixels > 100
    assert found.ratio is None
    verdict = format_report(report_of(found)).split("\n\n")[1]
    assert "images identical; as timed up to " in verdict
    assert verdict.endswith("pixels: no ratio")


@pytest.mark.parametrize(
    ("files", "dtype", "variant"),
    [
        (["", ".fp16"], torch.float32, None),
        (["", ".fp16"], torch.float16, "fp16"),
        ([".fp16"], torch.float32, "fp16"),
        ([""], torch.float16, None),
    ],
)
def test_diffusers_reads_the_files_that_load_reads(
    files: list[str], dtype: torch.dtype, variant: str | None, tmp_path: Path
):
    (tmp_path / "unet").mkdir()
    for infix in files:
        (tmp_path / "unet" / f"diffusion_pytorch_model{infix}.safetensors").touch()
    assert variant_of(tmp_path, dtype) == variant


def test_the_limit_is_that_of_one_product():
    limit = measuring.matmul_limit("cpu", torch.float32, seconds=0.01)
    a = torch.ones(2048, 2048)
    [product] = interleaved(3, lambda: a @ a)
    assert limit == pytest.approx(2 * 2048**3 / product.fastest, rel=0.9)


@pytest.mark.parametrize("before", [False, True])
def test_the_limit_is_that_of_tf32_and_the_setting_stays(
    before: bool, monkeypatch: pytest.MonkeyPatch
):
    matmul, product, seen = torch.backends.cuda.matmul, torch.mm, []
    was = matmul.allow_tf32
    monkeypatch.setattr(torch, "mm", lambda a, b: (seen.append(matmul.allow_tf32), product(a, b)))
    matmul.allow_tf32 = before
    try:
        measuring.matmul_limit("cpu", torch.float32, seconds=0.01)
        assert set(seen) == {True}
        assert matmul.allow_tf32 == before
    finally:
        matmul.allow_tf32 = was


# memory


@pytest.mark.slow
def test_the_peak_is_that_of_a_process_of_its_own(task: Task):
    peak = measuring.peak_memory("sdlearn", task)
    assert peak is not None
    assert 100 * MB < peak < 4000 * MB


@pytest.mark.slow
def test_a_process_that_fails_leaves_its_last_words(tmp_path: Path):
    with pytest.raises(RuntimeError, match="memory of diffusers ended with 1: FileNotFoundError:"):
        measuring.peak_memory("diffusers", Task(str(tmp_path)))


def test_the_process_says_when_its_memory_is_not_enough(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(task: Task, memory: int | None) -> contestants.Contestant:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setitem(CONTESTANTS, "sdlearn", full)
    measuring.draw_in_child("sdlearn", json.dumps(vars(task)), "null")
    assert capsys.readouterr().out == "null\n"


def test_a_cap_is_for_a_gpu():
    with pytest.raises(ValueError, match="cap must be used with a GPU .*got 'cpu'"):
        fits(Task(), 8 * 10**9)


def on_a_gpu(task: Task, monkeypatch: pytest.MonkeyPatch, peaks: dict[str, int | None]) -> Task:
    """The task on a GPU of 24 GB that is not there."""
    gpu = SimpleNamespace(total_memory=24 * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    monkeypatch.setattr(measuring, "peak_memory", lambda name, task, cap: peaks[name])
    return replace(task, device="cuda", dtype="float16", batch=4)


def test_what_fits_and_what_does_not(task: Task, monkeypatch: pytest.MonkeyPatch):
    task = on_a_gpu(task, monkeypatch, {"sdlearn": 6 * 10**9, "diffusers": None})
    text = format_report(report_of(*fits(task, 8 * 10**9)))
    assert "4 images at a time: sdlearn fits into 8.00 GB, with a peak of 6.00 GB" in text
    assert "4 images at a time: diffusers does not fit into 8.00 GB" in text


def test_a_cap_beyond_the_gpu(task: Task, monkeypatch: pytest.MonkeyPatch):
    task = on_a_gpu(task, monkeypatch, {})
    with pytest.raises(ValueError, match=r"cap must be at most the GPU's 24.0 GB; got 25.0 GB"):
        fits(task, 25 * 10**9)


# where the time goes


def test_the_stages_of_a_image_by_hand():
    spans = [
        ("text encoder", 1.0, 2.0),
        ("text encoder", 2.0, 3.0),
        ("U-Net", 4.0, 6.0),
        ("U-Net", 7.0, 9.0),  # one second of arithmetic before it, half a second after it
        ("decoder", 9.5, 11.0),
    ]
    expected = {
        "text encoder": 2.0,
        "U-Net": 4.0,
        "guidance and scheduler": 1.5,
        "decoder": 1.5,
        "the rest": 3.0,
    }
    assert stages(spans, total=12.0) == expected
    without_text = stages(spans[2:], total=12.0)
    assert without_text == expected | {"text encoder": 0.0, "the rest": 5.0}


def test_stages_that_no_hook_saw():
    with pytest.raises(RuntimeError, match="no call of the U-Net or of vae.decode was seen"):
        stages([("U-Net", 0.0, 1.0)], total=2.0)


def test_a_profile_adds_up_and_leaves_the_pipeline_as_it_was(task: Task):
    ours = CONTESTANTS["sdlearn"](task)
    with measuring.watched(ours.pipeline, time.perf_counter) as spans:
        drawn = ours.draw(task)
    seen = [stage for stage, _, _ in spans]
    assert seen[-3:] == ["U-Net", "U-Net", "decoder"]
    assert np.array_equal(ours.draw(task), drawn)
    assert [stage for stage, _, _ in spans] == seen
    assert "decode" not in vars(ours.pipeline.vae)


def test_the_profile_of_every_task(task: Task):
    tasks = [task, replace(task, guidance=1.0)]
    found = profile(tasks, repeats=3)
    assert [p.task for p in found] == tasks
    for p in found:
        assert tuple(p.stages) == STAGES
        assert p.calls == 2
        assert sum(p.median.values()) == pytest.approx(p.totals.median)
        assert all(seconds >= 0 for timing in p.stages.values() for seconds in timing.seconds)


def test_nobody_sees_into_a_u_net_that_is_compiled_for_a_gpu(task: Task):
    with pytest.raises(ValueError, match="profile must be without compile on a GPU"):
        profile([replace(task, compiled=True, device="cuda")])


def test_what_onnx_runtime_draws_has_a_profile():
    [found] = profile([Task("tiny", steps=2, compiled=True)], repeats=1)
    assert found.calls == 2
    assert "sdlearn compiled" in format_report(report_of(found))


# the table


def report_of(*results: Comparison | Profile | Fit, load: float = 0.0) -> Report:
    versions = {"torch": "2.13.0", "diffusers": "0.42.1"}
    return Report("A Processor", 2, versions, load, results)


def comparison(ours: tuple[float, ...], theirs: tuple[float, ...], **task: object) -> Comparison:
    sides = (
        Side("sdlearn", Timing(ours), Calls(20, 40), 10**11, 512 * MB, 2e11),
        Side("diffusers", Timing(theirs), Calls(20, 40), 10**11, 2048 * MB, 2e11),
    )
    return Comparison(Task(**task), Difference(0, 16384, 0), 0, sides)


QUIET = comparison((0.7, 0.71, 0.72, 0.7, 0.74), (1.0, 1.0, 1.04, 1.0, 1.0))


def test_the_tables_numbers_are_those_of_the_records():
    lines = format_report(report_of(QUIET)).splitlines()
    assert lines[0] == "tiny on cpu, float32: A Processor, 2 threads"
    assert lines[1] == "torch 2.13.0, diffusers 0.42.1"
    assert lines[3] == "guidance 3, 20 steps, 1 image"
    assert lines[4] == "images identical, ratio 0.710"
    assert [" ".join(line.split()) for line in lines[6:8]] == [
        "sdlearn 0.710 s 0.700 s 5.6 % 20 x 2 0.0355 s 512 MB 70.4 %",
        "diffusers 1.000 s 1.000 s 4.0 % 20 x 2 0.0500 s 2.05 GB 50.0 %",
    ]
    assert "200 GFLOP/s, measured." in "\n".join(lines)
    assert max(map(len, lines)) <= 100


def test_how_far_off_the_fast_form_is_stands_beside_the_verdict():
    on_gpu = Task(device="cuda", dtype="float16")
    fast = replace(QUIET, task=on_gpu, as_timed=Difference(1140, 16384, 1))
    text = format_report(report_of(fast))
    verdict = "images identical; as timed up to 1 level in 1,140 of 16,384 pixels, ratio 0.710"
    assert f"\n{verdict}\n" in text
    assert "\nAs timed: in the layout, slices and compiled code of sdlearn, " in text
    assert max(map(len, text.splitlines())) <= 100
    for same in (None, Difference(0, 16384, 0)):
        text = format_report(report_of(replace(fast, as_timed=same)))
        assert "\nimages identical, ratio 0.710\n" in text
        assert "As timed" not in text


@pytest.mark.parametrize(
    ("device", "dtype", "told"),
    [("cpu", "float32", False), ("cuda", "float16", False), ("cuda", "float32", True)],
)
def test_tf32_is_told_of_where_it_counts(device: str, dtype: str, told: bool):
    text = format_report(report_of(replace(QUIET, task=Task(device=device, dtype=dtype))))
    assert ("computed in TF32, as cuDNN's convolutions are." in text) == told


def test_images_that_differ_are_told_of_and_nothing_else():
    unlike = replace(QUIET, difference=Difference(12, 16384, 3), sides=())
    text = format_report(report_of(unlike))
    expected = "images differ in 12 of 16,384 pixels, by up to 3 of 255 levels: no ratio"
    assert text.endswith(f"guidance 3, 20 steps, 1 image\n{expected}")
    assert "median" not in text


def test_a_busy_machine_is_warned_of_in_one_line():
    assert report_of(QUIET).warning is None
    last = format_report(report_of(QUIET, load=0.5)).splitlines()[-1]
    assert last.startswith("warning: the machine is busy (50% load before the start)")
    restless = comparison((1.0, 1.0, 1.35), (1.0, 1.0, 1.0))
    assert "the same thing varied by 35%" in (report_of(restless).warning or "")


def test_few_repeats_are_told_of():
    assert "wants 5 or more" not in format_report(report_of(QUIET))
    text = format_report(report_of(comparison((1.0,), (1.0,))))
    assert "Only 1 repeat; a median wants 5 or more." in text


def test_guidance_0_is_explained():
    sentence = "At guidance 0 diffusers is given no prompt and scale 1"
    assert sentence not in format_report(report_of(QUIET))
    assert sentence in format_report(report_of(comparison((1.0,), (1.0,), guidance=0.0)))


def test_the_table_of_a_profile():
    timings = ((0.002, 0.001), (0.08, 0.05), (0.01, 0.004), (0.02, 0.02), (0.0, 0.001))
    found = Profile(Task(), dict(zip(STAGES, map(Timing, timings), strict=True)), calls=20)
    lines = format_report(report_of(found)).splitlines()
    assert lines[3].endswith("where the time of sdlearn goes, 20 calls of the U-Net")
    assert [line.split()[-4:] for line in lines[4:10]] == [
        ["1.0", "ms", "1.3", "%"],
        ["50.0", "ms", "65.8", "%"],
        ["4.0", "ms", "5.3", "%"],
        ["20.0", "ms", "26.3", "%"],
        ["1.0", "ms", "1.3", "%"],
        ["76.0", "ms", "100.0", "%"],
    ]


def test_json_holds_everything():
    data = json.loads(to_json(report_of(QUIET, load=0.5)))
    assert data["processor"] == "A Processor"
    assert "busy" in data["warning"]
    [result] = data["results"]
    assert result["kind"] == "comparison"
    assert result["ratio"] == QUIET.ratio
    assert result["task"] == vars(QUIET.task)
    assert result["sides"][0]["timing"]["seconds"] == list(QUIET.sides[0].timing.seconds)
    assert result["sides"][1]["share"] == QUIET.sides[1].share


# the command


ARGUMENTS = ["--steps", "2", "--repeats", "1", "--device", "cpu"]


@pytest.mark.usefixtures("no_children")
def test_the_command_prints_a_table_and_writes_json(
    tiny_folder: Path, folder: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--model", str(tiny_folder), *ARGUMENTS, "--guidance", "3", "1"]
    assert main([*words, "--json", "bench.json"]) == 0
    out = capsys.readouterr().out
    results = json.loads((folder / "bench.json").read_text())["results"]
    assert [result["task"]["guidance"] for result in results] == [3.0, 1.0]
    for result in results:
        assert f"images identical, ratio {result['ratio']:.3f}\n" in out
    assert main([*words, "--json", "bench.json"]) == 2
    assert "is there already; add --force" in capsys.readouterr().err


@pytest.mark.usefixtures("no_children", "unlike", "folder")
def test_the_command_fails_when_images_differ(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["--model", str(tiny_folder), *ARGUMENTS]) == 1
    out = capsys.readouterr().out
    assert "\nimages differ in " in out
    assert "ratio 0" not in out
    assert "ratio 1" not in out


@pytest.mark.usefixtures("folder")
def test_the_command_profiles(tiny_folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--model", str(tiny_folder), *ARGUMENTS, "--profile"]) == 0
    assert "guidance and scheduler" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--cold", "--profile"], "argument --profile: not allowed with argument --cold"),
        (["--cap", "8"], "cap must be like '8GB' or '500MB'; got '8'"),
        (["--cap", "auto"], "cap must be like '8GB' or '500MB'; got 'auto'"),
        (["--dtype", "int8"], "argument --dtype: invalid choice: 'int8'"),
        (["--device", "tpu"], "argument --device: invalid choice: 'tpu'"),
        (["--device", "cpu", "--cap", "8GB"], "cap must be used with a GPU (--device cuda)"),
        (["--device", "cpu", "--cold", "--batch", "2"], "cold must be one image at a time"),
        (["--device", "cpu", "--batch", "0"], "batch must be at least 1; got 0"),
        (["--json", "table.txt"], "json must be a file that ends in .json; got 'table.txt'"),
    ],
)
def test_refusals_are_one_sentence(
    argv: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*argv]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert list(folder.iterdir()) == []


def test_from_the_shell_both_are_told_device_and_dtype_and_leave_images_unchecked(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[list[str]] = []

    def ran(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", ran)
    half = replace(task, dtype="bfloat16")
    for action in measuring.cold_commands(half, tmp_path / "ours.png", tmp_path / "theirs.png"):
        action()
    ours, theirs = (" ".join(command) for command in asked)
    assert "--device cpu --dtype bfloat16 --no-safety-checker" in ours
    assert "safety_checker=None, dtype=torch.bfloat16" in theirs


@pytest.mark.slow
def test_from_the_shell_to_the_png_with_equal_images():
    tasks = [Task(steps=2, guidance=g) for g in (3.0, 0.0)]
    for found in compare_cold(tasks, repeats=1):
        assert found.difference.levels <= 1  # ours is ONNX Runtime's
        assert found.ratio is not None
        assert "sdlearn generate " in format_report(report_of(found))


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_the_whole_command_with_the_model_that_is_shipped(capsys: pytest.CaptureFixture[str]):
    assert main(["--steps", "2", "--repeats", "1", "--device", "cpu"]) == 0
    assert "images identical, ratio " in capsys.readouterr().out
