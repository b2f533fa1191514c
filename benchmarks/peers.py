"""Engines beside ours: the model exported as anyone would export it, and run in a plain loop.

text encoder     as in diffusers' pipeline, by torch
U-Net, decoder   `torch.onnx.export` with its defaults, for the shapes of the task
scheduler        the model's own, of diffusers
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.contestants import CONTESTANTS, Contestant
from benchmarks.records import Task
from sdlearn.diffusion.seeds import randn

Network = Callable[..., Tensor]


class _UNet(nn.Module):
    def __init__(self, pipe: Any) -> None:
        super().__init__()
        self.unet = pipe.unet

    def forward(self, sample: Tensor, timestep: Tensor, states: Tensor) -> Tensor:
        return self.unet(sample, timestep, states, return_dict=False)[0]


class _Decoder(nn.Module):
    def __init__(self, pipe: Any) -> None:
        super().__init__()
        self.vae = pipe.vae

    def forward(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents, return_dict=False)[0]


def _peer(name: str, open_network: Callable[[Path], Network], task: Task) -> Contestant:
    """A plain loop around the engine in which `open_network` opens a file of ONNX.

    Raises `ValueError` for a task that is not on a CPU in float32.
    """
    if (task.device, task.dtype) != ("cpu", "float32"):
        raise ValueError(f"peers must run on a CPU in float32; got {task.device}, {task.dtype}")
    pipe = CONTESTANTS["diffusers"](task).pipeline
    made: dict[tuple[int, bool], list[Network]] = {}  # for each shape of the inputs

    @torch.no_grad()
    def draw(task: Task) -> np.ndarray:
        key = task.batch, task.guidance > 1
        if key not in made:
            with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                made[key] = [open_network(path) for path in _export(pipe, *key, Path(folder))]
        unet, decoder = made[key]
        return _draw(pipe, unet, decoder, task)

    return Contestant(f"{name} in a plain loop", pipe, draw)


def _export(pipe: Any, batch: int, guided: bool, folder: Path) -> list[Path]:
    """The U-Net and the decoder as files of ONNX, for `batch` images."""
    config = pipe.unet.config
    latents = torch.randn(batch, config.in_channels, config.sample_size, config.sample_size)
    sample = torch.cat([latents] * (1 + guided))
    length = pipe.tokenizer.model_max_length
    states = torch.randn(len(sample), length, config.cross_attention_dim)
    inputs: dict[nn.Module, tuple[Tensor, ...]]
    inputs = {_UNet(pipe): (sample, torch.tensor(1.0), states), _Decoder(pipe): (latents,)}
    paths: list[Path] = []
    for module, given in inputs.items():
        paths.append(folder / f"{len(paths)}.onnx")
        torch.onnx.export(module.eval(), given, paths[-1], verbose=False)
    return paths


# With as many threads as torch has here, other settings left as they are.


def _in_onnx_runtime(path: Path) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [told.name for told in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        arrays = (x.numpy() for x in inputs)
        return torch.from_numpy(session.run(None, dict(zip(names, arrays, strict=True)))[0])

    return run


def _in_openvino(path: Path) -> Network:
    import openvino

    how = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", how)

    def run(*inputs: Tensor) -> Tensor:
        return torch.from_numpy(compiled([x.numpy() for x in inputs])[0].copy())

    return run


PEERS: dict[str, Callable[[Task], Contestant]] = {  # package → what loads the peer for a task
    "onnxruntime": partial(_peer, "ONNX Runtime", _in_onnx_runtime),
    "openvino": partial(_peer, "OpenVINO", _in_openvino),
}


def peers_here() -> list[Callable[[Task], Contestant]]:
    """The peers whose packages are installed."""
    return [enter for package, enter in PEERS.items() if find_spec(package) is not None]


def _draw(pipe: Any, unet: Network, decoder: Network, task: Task) -> np.ndarray:
    """The loop that stands in many tutorials; images as uint8, (B, H, W, 3)."""
    guided, scheduler, side = task.guidance > 1, pipe.scheduler, pipe.unet.config.sample_size
    prompt = task.prompt if task.guidance else ""
    cond, uncond = pipe.encode_prompt(prompt, "cpu", task.batch, guided)
    states = torch.cat([uncond, cond]) if guided else cond
    scheduler.set_timesteps(task.steps)
    latents = randn((pipe.unet.config.in_channels, side, side), task.seeds)
    latents = latents * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        x_t = scheduler.scale_model_input(torch.cat([latents] * (1 + guided)), t)
        eps = unet(x_t, t.float(), states)
        if guided:
            without, with_text = eps.chunk(2)
            eps = without + task.guidance * (with_text - without)
        latents = scheduler.step(eps, t, latents, return_dict=False)[0]
    images = decoder(latents / pipe.vae.config.scaling_factor)
    pixels = (images * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return (pixels * 255).round().astype(np.uint8)
