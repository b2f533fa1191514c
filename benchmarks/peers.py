"""Engines beside ours: the model exported as anyone would export it, and run in a plain loop.

    text encoder     as in diffusers' pipeline, by torch
    U-Net, decoder   `torch.onnx.export` with its defaults, for the shapes of the task
    scheduler        the model's own, of diffusers
"""

from __future__ import annotations

from collections.abc import Callable
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


def _onnx_runtime(task: Task) -> Contestant:
    """ONNX Runtime with as many threads as torch has here, its other settings left as they are.

    Raises `ValueError` for a task that is not on a CPU in float32.
    """
    if (task.device, task.dtype) != ("cpu", "float32"):
        raise ValueError(f"peers must run on a CPU in float32; got {task.device}, {task.dtype}")
    pipe = CONTESTANTS["diffusers"](task).pipeline
    made: dict[tuple[int, bool], tuple[Network, Network]] = {}  # for each shape of the inputs

    @torch.no_grad()
    def draw(task: Task) -> np.ndarray:
        key = task.batch, task.guidance > 1
        if key not in made:
            made[key] = _export(pipe, *key)
        return _draw(pipe, *made[key], task)

    return Contestant("ONNX Runtime in a plain loop", pipe, draw)


PEERS: dict[str, Callable[[Task], Contestant]] = {"onnxruntime": _onnx_runtime}


def _export(pipe: Any, batch: int, guided: bool) -> tuple[Network, Network]:
    """The U-Net and the decoder in ONNX Runtime, for `batch` images."""
    config = pipe.unet.config
    latents = torch.randn(batch, config.in_channels, config.sample_size, config.sample_size)
    sample = torch.cat([latents] * (1 + guided))
    length = pipe.tokenizer.model_max_length
    states = torch.randn(len(sample), length, config.cross_attention_dim)
    unet = _to_onnx_runtime(_UNet(pipe), sample, torch.tensor(1.0), states)
    return unet, _to_onnx_runtime(_Decoder(pipe), latents)


def _to_onnx_runtime(module: nn.Module, *inputs: Tensor) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "network.onnx")
        torch.onnx.export(module.eval(), inputs, path, verbose=False)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [told.name for told in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        arrays = (x.numpy() for x in inputs)
        return torch.from_numpy(session.run(None, dict(zip(names, arrays, strict=True)))[0])

    return run


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
