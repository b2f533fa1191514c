"""Out of memory: one sentence, nothing kept, and the next call works."""

import gc
import weakref

import pytest
import torch

from sdlearn import load
from sdlearn.cli import main
from sdlearn.util.out_of_memory import explain_out_of_memory

PROMPT = "a large red house on the left, on green grass"
CUDA = torch.device("cuda")
ON_THE_CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 4398046511104 bytes. Error code 12 (Cannot allocate memory)"
)
IN_ONNX_RUNTIME = RuntimeError(
    "ONNX Runtime: [ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"
)
ON_CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.fixture
def sd(tiny_folder):
    return load(tiny_folder, device="cpu")


def fails(monkeypatch, part, error: Exception, name: str = "forward") -> list[weakref.ref]:
    """Let a part run out of memory with a tensor in its hands; references to such tensors."""
    held = []

    def forward(*args, **kwargs):
        tensor = torch.zeros(1000)
        held.append(weakref.ref(tensor))
        raise error

    monkeypatch.setattr(part, name, forward)
    return held


@pytest.mark.parametrize("error", [ON_THE_CPU, ON_CUDA], ids=["cpu", "cuda"])
def test_generate_names_what_was_asked_and_what_to_try(sd, monkeypatch, error):
    with monkeypatch.context() as patch:
        held = fails(patch, sd.unet, error)
        with pytest.raises(MemoryError) as caught:
            sd.generate(PROMPT, seeds=[1, 2, 3], num_steps=2, height=64, width=96)
        assert str(caught.value) == (
            "not enough memory for 3 images of 96x64 pixels on cpu; try, in this order: fewer "
            "images at once, smaller images, dtype float16, close other programs"
        )
        assert caught.value.__suppress_context__
        gc.collect()
        assert [ref() for ref in held] == [None]  # although the error is still in our hands
    assert len(sd.generate(PROMPT, seeds=[1], num_steps=2)) == 1


def test_denoise_and_decode_and_encode_say_it_too(sd, monkeypatch):
    latents, cond = sd.init_latents([1]), sd.encode_text(PROMPT)
    images = sd.decode(latents)
    fails(monkeypatch, sd.unet, ON_THE_CPU)
    fails(monkeypatch, sd.text_encoder, ON_THE_CPU)
    fails(monkeypatch, sd.vae, ON_THE_CPU, "decode")
    fails(monkeypatch, sd.vae, ON_THE_CPU, "encode")
    steps = sd.denoise(latents, cond, guidance_scale=1)
    for call in (
        lambda: next(steps),
        lambda: sd.decode(latents),
        lambda: sd.encode_image(images),
    ):
        with pytest.raises(MemoryError, match="not enough memory for an image of 128x128 pixels"):
            call()
    with pytest.raises(MemoryError, match="not enough memory for the parts of the model on cpu"):
        sd.encode_text(PROMPT)


def test_a_real_allocation_that_fails_on_the_cpu_is_recognised():
    cpu = torch.device("cpu")
    with (
        pytest.raises(MemoryError, match="not enough memory"),
        explain_out_of_memory(cpu, torch.float32),
    ):
        torch.empty(2**60, dtype=torch.uint8)


def test_another_error_stays_what_it_is(sd, monkeypatch):
    fails(monkeypatch, sd.unet, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        sd.generate(PROMPT, num_steps=2)


def test_on_cuda_a_lower_number_is_advised_and_the_cache_is_emptied(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    with (
        pytest.raises(MemoryError) as caught,
        explain_out_of_memory(CUDA, torch.float16, (4, 4, 64, 64), 8),
    ):
        raise ON_CUDA
    assert str(caught.value) == (
        "not enough memory for 4 images of 512x512 pixels on cuda; try, in this order: fewer "
        "images at once, memory 4GB for the model, or less if that was given, smaller images, "
        "close other programs"
    )
    assert emptied == [True]


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `create(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "CUDA error: CUDNN_STATUS_ALLOC_FAILED when calling `create(handle)`",
        "GET was unable to find an engine to execute this computation",
    ],
)
def test_a_library_of_the_gpu_that_gets_no_memory_is_recognised_too(words: str):
    with pytest.raises(MemoryError), explain_out_of_memory(CUDA, torch.float16):
        raise RuntimeError(words)


def test_on_mps_the_cache_is_emptied_too(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append(True))
    mps = torch.device("mps")
    with pytest.raises(MemoryError, match="on mps; try"), explain_out_of_memory(mps, torch.float32):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 5.3 GB)")
    assert emptied == [True]


@pytest.mark.parametrize(
    ("how", "part", "error"),
    [
        ([], "sdlearn.models.light.UNet.__call__", IN_ONNX_RUNTIME),
        (["--exact"], "diffusers.UNet2DConditionModel.forward", ON_THE_CPU),
    ],
    ids=["engine", "exact"],
)
def test_the_command_line_lets_the_sentence_through(folder, monkeypatch, capsys, how, part, error):
    monkeypatch.setattr(part, lambda *a, **k: raise_(error))
    words = ["generate", PROMPT, "--quiet", "--count", "2", "--device", "cpu", *how]
    assert main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("sdlearn: not enough memory for 2 images of 128x128 pixels on cpu; try")
    assert list(folder.iterdir()) == []


def raise_(error: Exception):
    raise error
