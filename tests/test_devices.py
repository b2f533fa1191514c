"""Precisions, devices that are not here, and torch.compile: what the CPU can tell about them."""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from sdlearn import load
from sdlearn.cli import main
from sdlearn.diffusion.loop import denoise_steps
from sdlearn.diffusion.schedulers import SCHEDULERS, alpha_bars, fresh_scheduler
from sdlearn.models.memory import MemoryPlan

PROMPT = "a large red house on the left, on green grass"
MPS = torch.device("mps")


@pytest.fixture(scope="module")
def sd(tiny_folder):
    return load(tiny_folder, device="cpu")


def pixels(images) -> np.ndarray:
    return np.stack([np.asarray(image, dtype=int) for image in images])


# Precisions


@pytest.fixture(
    scope="module",
    params=[torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)],
    ids=str,
)
def half(request, tiny_folder):
    return load(tiny_folder, device="cpu", dtype=request.param)


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
def test_half_precision_draws_nearly_the_same_image_on_the_cpu(sd, half, name):
    """Its noise is drawn in its own precision, which is the same noise, rounded."""
    how = {"seeds": [7], "num_steps": 4, "scheduler": name, "height": 64, "width": 64}
    latents, cond = half.init_latents([7], height=64, width=64), half.encode_text(PROMPT)
    step = next(half.denoise(latents, cond, num_steps=4, guidance_scale=1))
    assert step.latents.dtype == step.eps.dtype == step.next_latents.dtype == half.dtype
    full = pixels(sd.generate(PROMPT, **how))
    assert np.abs(pixels(half.generate(PROMPT, **how)) - full).mean() < 1.5
    another = pixels(sd.generate(PROMPT, **{**how, "seeds": [8]}))
    assert np.abs(another - full).mean() > 15


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_shipped_model_draws_nearly_the_same_image_in_half_precision(dtype):
    how = {"seeds": [7], "num_steps": 4}
    full, half = (
        pixels(load("tiny", device="cpu", dtype=kind).generate(PROMPT, **how))
        for kind in (torch.float32, dtype)
    )
    assert np.abs(half - full).mean() < 1.5


def test_half_precision_is_the_default_on_cuda_alone():
    from sdlearn.models.device import pick_dtype

    kinds = {kind: pick_dtype(None, torch.device(kind)) for kind in ("cuda", "mps", "cpu")}
    assert kinds == {"cuda": torch.float16, "mps": torch.float32, "cpu": torch.float32}
    assert pick_dtype(torch.bfloat16, torch.device("cuda")) == torch.bfloat16


# mps, which has no float64


class PretendMps(TorchFunctionMode):
    """What is asked for on mps is done on the CPU, unless it would be float64 there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        asked = [a for a in (*args[1:], *kwargs.values()) if is_mps(a)]
        if func is torch.device or not asked:
            return func(*args, **kwargs)
        cpu = [torch.device("cpu") if is_mps(a) else a for a in args]
        result = func(
            *cpu, **{k: torch.device("cpu") if is_mps(v) else v for k, v in kwargs.items()}
        )
        assert result.dtype != torch.float64, f"{func} makes a float64 tensor on mps"
        return result


def is_mps(value) -> bool:
    return isinstance(value, (str, torch.device)) and str(value) == "mps"


class NoFloat64(TorchDispatchMode):
    """Fails on every float64 tensor that any operation makes."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            wide = isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64
            assert not wide, f"{func} makes a float64 tensor"
        return result


def test_the_pretence_sees_float64():
    with PretendMps(), pytest.raises(AssertionError, match="float64 tensor on mps"):
        torch.zeros(2, dtype=torch.float64).to(MPS)
    with PretendMps(), pytest.raises(AssertionError, match="float64 tensor on mps"):
        torch.linspace(0, 1, 3, dtype=torch.float64, device="mps")
    with PretendMps():
        assert torch.zeros(2, dtype=torch.float64).to("mps", torch.float32).dtype == torch.float32
    with NoFloat64(), pytest.raises(AssertionError, match="makes a float64 tensor"):
        torch.zeros(2) * torch.zeros(2, dtype=torch.float64)


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
def test_a_picture_on_mps_never_needs_float64_and_is_the_same(sd, name, monkeypatch):
    how = {"seeds": [7], "num_steps": 4, "scheduler": name}
    expected = pixels(sd.generate(PROMPT, **how))
    monkeypatch.setattr(sd, "device", MPS)
    with PretendMps():
        assert np.array_equal(pixels(sd.generate(PROMPT, **how)), expected)


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
def test_no_step_makes_a_float64_tensor(sd, name):
    """Stricter: also what stays on the CPU, where a scheduler keeps its numbers."""
    latents, cond, uncond = sd.init_latents([7]), sd.encode_text(PROMPT), sd.encode_text("")
    steps = sd.denoise(latents, cond, uncond, num_steps=4, scheduler=name, seeds=[7])
    with NoFloat64():
        *_, last = steps
        sd.encode_image(sd.decode(last.next_latents))


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
def test_a_fresh_scheduler_holds_no_float64(sd, name):
    fresh = vars(fresh_scheduler(name, sd.scheduler, 7))
    wide = [k for k, v in fresh.items() if torch.is_tensor(v) and v.dtype == torch.float64]
    assert wide == []


# Waiting for a device, which a number taken from it does


class Numbers(TorchDispatchMode):
    """Counts the numbers that are taken out of tensors one by one."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["ddim", "euler"])
def test_the_loop_takes_no_number_from_the_device(sd, name, monkeypatch):
    fresh = fresh_scheduler(name, sd.scheduler, 4)  # its own step may: it is diffusers'
    monkeypatch.setattr(fresh, "step", lambda eps, t, latents, return_dict: (latents - eps,))
    monkeypatch.setattr(fresh, "scale_model_input", lambda latents, t: latents)
    latents = sd.init_latents([7])
    with Numbers() as numbers:
        steps = denoise_steps(lambda x, t, _: x, fresh, latents, latents, None, guidance_scale=1)
        times = [step.t for step in steps]
    assert numbers.count == 0
    assert times == [float(t) for t in fresh.timesteps]
    assert all(type(t) is float for t in times)


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
def test_all_alpha_bars_are_those_of_each_step_bit_for_bit(sd, name):
    fresh = fresh_scheduler(name, sd.scheduler, 7)
    for index, t in enumerate(fresh.timesteps):
        if hasattr(fresh, "sigmas"):
            expected = 1 / (1 + fresh.sigmas[index] ** 2)
        else:
            expected = fresh.alphas_cumprod[int(t)]
        assert torch.equal(alpha_bars(fresh)[index], expected)


# torch.compile


def test_compile_wants_all_parts_on_the_device(tiny_folder, monkeypatch):
    from sdlearn.models import memory

    monkeypatch.setattr(memory, "choose_plan", lambda *a, **k: MemoryPlan("model"))
    with pytest.raises(ValueError, match="compile=True needs all parts on the device, and the mem"):
        load(tiny_folder, device="cpu", compile=True)


# The command line


def test_the_command_line_passes_on_what_is_said_of_the_machine(folder, monkeypatch, capsys):
    asked = {}

    def remember(name, **how):
        asked.update(how)
        raise ValueError("seen")

    monkeypatch.setattr("sdlearn.pipeline.load", remember)
    assert main(["generate", PROMPT, "--exact"]) == 2
    assert asked == dict.fromkeys(("device", "dtype", "memory", "safety_checker")) | {
        "compile": False
    }
    assert main(["generate", PROMPT, "--memory", "8GB"]) == 2
    assert asked["compile"] is None  # where it takes no preparation
    words = ["--device", "cpu", "--dtype", "bfloat16", "--memory", "8GB", "--compile"]
    assert main(["generate", PROMPT, *words, "--no-safety-checker"]) == 2
    assert asked == {
        "device": "cpu",
        "dtype": torch.bfloat16,
        "memory": "8GB",
        "compile": True,
        "safety_checker": False,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--memory", "lots"], "memory must be like '8GB' or '500MB'"),
        (["--memory", "8"], "memory must be like '8GB' or '500MB'"),  # not eight bytes
        (["--device", "abacus"], "device must be 'cpu', 'cuda' or 'mps'; got 'abacus'"),
        (["--dtype", "int8"], "argument --dtype: invalid choice: 'int8'"),
    ],
)
def test_the_command_line_refuses_what_is_no_machine(folder, words, message, capsys):
    assert main(["generate", PROMPT, *words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_command_line_draws_in_half_precision_within_a_limit(folder, tiny_folder, capsys):
    words = ["--dtype", "bfloat16", "--memory", "1GB", "--device", "cpu", "--steps", "2", "--quiet"]
    assert main(["generate", PROMPT, "--model", str(tiny_folder), *words, "-o", "house.png"]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert " on cpu: all parts stay on the device; about " in line
    assert (folder / "house.png").is_file()
