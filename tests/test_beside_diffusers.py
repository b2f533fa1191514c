"""Schedulers, predictions and U-Nets as people have them: small random models beside diffusers.

A row is a folder (the base with another scheduler, other fields in its configs or another U-Net)
and how it is drawn. The latents must be those of `StableDiffusionPipeline.from_pretrained`, bit for
bit. Step counts are such that diffusers is right (`sdlearn.diffusion.grid` says where it is not).
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from sdlearn import load
from sdlearn.diffusion import add_noise, fresh_scheduler
from sdlearn.diffusion.schedulers import alpha_bars
from sdlearn.models.loading import quiet_libraries
from sdlearn.pipeline import StableDiffusion, Step

GONE = object()  # in the place of a field's value: the field is missing
PROMPT, SEEDS = "a red house", [7, 8]
SCHEDULER = "scheduler/scheduler_config.json"
UNET = "unet/config.json"
INDEX = "model_index.json"

# SD 1.x's noise schedule, and nothing that diffusers added later.
SD1 = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "trained_betas": None,
}
SD2 = {**SD1, "prediction_type": "v_prediction", "steps_offset": 1, "clip_sample": False}
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


class Case(NamedTuple):
    """A folder, and how it is drawn."""

    scheduler: tuple[str, dict[str, Any]] | None = None  # class and fields; None for the base's
    index: str | None = None  # the class that model_index.json names; None for the same
    configs: dict[str, dict[str, Any]] = {}
    change: Callable[[Path], None] | None = None
    how: dict[str, Any] = {}


def scheduler(cls: str, base: dict[str, Any] = SD1, /, **fields: Any) -> tuple[str, dict[str, Any]]:
    return cls, {**base, **fields}


def edit(path: Path, fields: dict[str, Any]) -> None:
    config = {**json.loads(path.read_text()), **fields}
    kept = {key: value for key, value in config.items() if value is not GONE}
    path.write_text(json.dumps(kept))


def small_unet(**fields: Any) -> Callable[[Path], None]:
    """A folder gets a U-Net that differs from the base's in these fields."""

    def change(folder: Path) -> None:
        config = UNet2DConditionModel.load_config(folder / "unet")
        with torch.random.fork_rng():
            torch.manual_seed(1)
            UNet2DConditionModel.from_config(config, **fields).save_pretrained(folder / "unet")

    return change


def like_sd2(folder: Path) -> None:
    """SD 2's shapes, narrow but for the text: OpenCLIP's tower and heads of one size."""
    small_unet(cross_attention_dim=1024, attention_head_dim=[2, 4], use_linear_projection=True)(
        folder
    )
    old = CLIPTextConfig.from_pretrained(folder / "text_encoder")
    tower = {"hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 64}
    kept = {name: getattr(old, name) for name in ("vocab_size", "bos_token_id", "eos_token_id")}
    config = CLIPTextConfig(num_hidden_layers=2, hidden_act="gelu", **tower, **kept)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    edit(folder / "tokenizer" / "tokenizer_config.json", {"pad_token": "!"})


OLD_FILES = {
    "DDIM without clip_sample": scheduler("DDIMScheduler", steps_offset=1),
    "DDIM without steps_offset": scheduler("DDIMScheduler", clip_sample=False),
    "DDIM without both": scheduler("DDIMScheduler"),
    "PNDM of diffusers 0.2": scheduler("PNDMScheduler", skip_prk_steps=True),
    "PNDM without skip_prk_steps": scheduler("PNDMScheduler"),
    "Euler, leading, without steps_offset": scheduler(
        "EulerDiscreteScheduler", timestep_spacing="leading"
    ),
    "LMS's file, read as PNDM": scheduler("LMSDiscreteScheduler"),
}
SOLVERS = {
    "DEIS": scheduler("DEISMultistepScheduler"),
    "DPM++ single step": scheduler("DPMSolverSinglestepScheduler"),
    "DPM++ SDE 2M": scheduler("DPMSolverMultistepScheduler", algorithm_type="sde-dpmsolver++"),
    "KDPM2": scheduler("KDPM2DiscreteScheduler"),
    "KDPM2 ancestral": scheduler("KDPM2AncestralDiscreteScheduler"),
    "KDPM2, Karras": scheduler("KDPM2DiscreteScheduler", use_karras_sigmas=True),
    "LCM": scheduler("LCMScheduler"),
    "LMS": scheduler("LMSDiscreteScheduler"),
    "DPM++ SDE": scheduler("DPMSolverSDEScheduler"),
    "SA": scheduler("SASolverScheduler"),
    "TCD": scheduler("TCDScheduler"),
}
PREDICTIONS = {
    "v, DDIM": scheduler("DDIMScheduler", SD2, set_alpha_to_one=False),
    "v, PNDM": scheduler("PNDMScheduler", SD2, skip_prk_steps=True),
    "v, Euler": scheduler("EulerDiscreteScheduler", SD2),
    "v, DPM++": scheduler("DPMSolverMultistepScheduler", SD2),
    "v, KDPM2 ancestral": scheduler("KDPM2AncestralDiscreteScheduler", SD2),
    "v, zero SNR, DDIM": scheduler("DDIMScheduler", SD2, **ZERO_SNR),
    "v, zero SNR, Euler": scheduler("EulerDiscreteScheduler", SD2, **ZERO_SNR),
    "v, zero SNR, DPM++": scheduler("DPMSolverMultistepScheduler", SD2, **ZERO_SNR),
    "x0, DDIM": scheduler("DDIMScheduler", SD2, prediction_type="sample"),
    "x0, UniPC": scheduler("UniPCMultistepScheduler", SD2, prediction_type="sample"),
}
NEEDS = {"LMS": "scipy", "DPM++ SDE": "torchsde"}  # packages that sdlearn does without
CASES = {
    **{name: Case(how) for name, how in {**OLD_FILES, **SOLVERS, **PREDICTIONS}.items()},
    "LMS's file, read as PNDM": Case(OLD_FILES["LMS's file, read as PNDM"], index="PNDMScheduler"),
    "the index names another class": Case(
        scheduler("DDIMScheduler", steps_offset=1), index="PNDMScheduler"
    ),
    "U-Net of diffusers 0.6, half the size": Case(
        configs={UNET: {"_diffusers_version": "0.6.0", "sample_size": 32}}, how={"num_steps": 2}
    ),
    "SD 2": Case(PREDICTIONS["v, DDIM"], change=like_sd2),
    "guidance is rescaled": Case(PREDICTIONS["v, zero SNR, DDIM"], how={"guidance_rescale": 0.7}),
    "guidance is an input": Case(
        SOLVERS["LCM"], change=small_unet(time_cond_proj_dim=15), how={"guidance_scale": 8.0}
    ),
}


# diffusers says of each old file that it repairs it.
pytestmark = pytest.mark.filterwarnings("ignore:.*configuration file:FutureWarning")


@pytest.fixture(params=CASES)
def case(request, tiny_folder, tmp_path) -> tuple[Path, Case]:
    case = CASES[request.param]
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder, ignore=shutil.ignore_patterns("clip", "judge"))
    (folder / "checksums.json").unlink()
    (folder / "defaults.json").unlink()
    if case.scheduler is not None:
        cls, fields = case.scheduler
        (folder / SCHEDULER).write_text(json.dumps({"_class_name": cls, **fields}))
        edit(folder / INDEX, {"scheduler": ["diffusers", case.index or cls]})
    for path, fields in case.configs.items():
        edit(folder / path, fields)
    if case.change is not None:
        case.change(folder)
    return folder, case


def test_the_latents_are_those_of_diffusers(case):
    folder, (*_, how) = case
    how = {"num_steps": 5, "guidance_scale": 5.0, **how}
    theirs = drawn_by_diffusers(folder, **how)
    sd = load(folder, device="cpu")
    inputs, steps = watched_steps(sd, **how)
    assert steps[-1].next_latents.isfinite().all()
    assert torch.equal(steps[-1].next_latents, theirs)
    # Whatever the U-Net predicts, eps and pred_x0 are the two parts of what it was given.
    alpha_bar = alpha_bars(fresh_scheduler(None, sd.scheduler, how["num_steps"]))
    for step, x_t in zip(steps, inputs, strict=True):
        parts = add_noise(step.pred_x0, step.eps, alpha_bar[step.index])
        assert torch.allclose(parts, x_t, atol=1e-4)
    # predict_noise says the same; it takes the training's alpha bar, so not between its timesteps.
    eps = sd.predict_noise(inputs[0], steps[0].t, sd.encode_text(PROMPT))
    assert torch.allclose(eps, steps[0].eps_cond, atol=1e-3)


def drawn_by_diffusers(folder: Path, *, num_steps: int, **how: Any) -> torch.Tensor:
    with quiet_libraries():
        pipe = StableDiffusionPipeline.from_pretrained(
            folder, safety_checker=None, dtype=torch.float32
        )
    pipe.set_progress_bar_config(disable=True)
    if hasattr(pipe.scheduler, "noise_sampler_seed"):  # diffusers does not let it follow the seeds
        pipe.scheduler.noise_sampler_seed = SEEDS
    return pipe(
        PROMPT,
        num_images_per_prompt=len(SEEDS),
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        num_inference_steps=num_steps,
        output_type="latent",
        **how,
    ).images


def watched_steps(sd: StableDiffusion, **how: Any) -> tuple[list[torch.Tensor], list[Step]]:
    """The x_t that the U-Net was given, and the steps."""
    inputs: list[torch.Tensor] = []
    cond, uncond = sd.encode_text(PROMPT), sd.encode_text("")
    hook = sd.unet.register_forward_pre_hook(lambda _, args: inputs.append(args[0][: len(SEEDS)]))
    steps = list(sd.denoise(sd.init_latents(SEEDS), cond, uncond, seeds=SEEDS, **how))
    hook.remove()
    return inputs, steps
