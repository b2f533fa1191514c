"""Stable Diffusion in its stages, each of which can be called, watched and changed.

    text    → tokenize → encode_text      → cond (B, 77, D)
    seeds   → init_latents                → latents (B, 4, h, w)
    both    → denoise                     → latents (B, 4, h, w)
    latents → decode                      → images (B, 3, H, W) in [0, 1]

and where an image is changed

    image   → read_source → encode_source → latents of the image and of its mask, for denoise

`generate` makes these calls in a row. All operations come in the order of diffusers'
`StableDiffusionPipeline`, so the images are the same, bit for bit. Letters: B images, 77 tokens, D
width of a text state, h w latent, H W pixels.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from .diffusion.editing import (
    Kept,
    Network,
    begin_run,
    check_edit,
    mask_of_latents,
    with_more_channels,
)
from .diffusion.equations import eps_of
from .diffusion.guidance import (
    check_guidance_rescale,
    check_guidance_scale,
    guidance_embedding,
)
from .diffusion.loop import Step, denoise_steps
from .diffusion.schedulers import alpha_bar_at, draws_noise, fresh_scheduler
from .diffusion.seeds import check_seeds, generators_for, randn
from .models.adapters import add_lora, add_token, check_weight, remove_loras, set_weights
from .models.compiling import check_compile, compile_if_ready, compile_parts
from .models.defaults import Defaults, defaults_of
from .models.device import pick_device, pick_dtype
from .models.layout import unusual_variants
from .models.loading import find_folder, load_parts, own_size, vae_scale_factor
from .models.memory import ALL_ON_DEVICE, MemoryPlan, apply_plan, parse_memory, plan_memory
from .models.safety import SafetyChecker, check_wanted, load_safety_checker
from .models.tokenizing import padded_ids
from .util.checks import (
    check_images,
    check_latents,
    check_not_blank,
    check_num_steps,
    check_prompts,
    check_size,
    check_states,
    check_timestep,
)
from .util.images import to_pil
from .util.out_of_memory import explain_out_of_memory
from .util.source import Source, read_source

__all__ = ["Defaults", "StableDiffusion", "Step", "load", "to_pil"]


def load(
    name: str | Path = "tiny",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    memory: str | int | None = None,
    compile: bool | None = False,
    safety_checker: bool | None = None,
    lora: str | Path | Mapping[str | Path, float] | None = None,
) -> StableDiffusion:
    """Load a Stable Diffusion.

        sd = load()                       # the tiny model that comes with sdlearn
        sd = load("sd15", memory="8GB")   # Stable Diffusion 1.5 from the hub

    `name` is "tiny", "sd15", a folder in Stable Diffusion's layout, a checkpoint of Stable
    Diffusion 1.x in one file (.safetensors), or a hub id. `device` is cuda, mps or cpu, by default
    the first of them that this machine has. `dtype` is by default float16 on cuda and float32
    elsewhere. `memory`, such as "8GB", is what the model may take on the device; by default what is
    free there (see `MemoryPlan`). `compile` makes images faster, which may then differ by one grey
    level: on a CPU with ONNX Runtime, on a GPU with torch.compile, where the first image is slow
    (`models.compiling`); None does so where it takes no preparation. `safety_checker` False leaves
    it out, True raises if the model has none, None takes the one that the model has. `lora` is the
    file or folder of a LoRA, or several with the weight of each (`load_lora_weights`). Raises
    `TypeError`, `ValueError`, `FileNotFoundError`, `ConnectionError` or `MemoryError` with one
    clear sentence when something cannot be done.
    """
    where = pick_device(device)
    dtype = pick_dtype(dtype, where)
    limit = parse_memory(memory)
    check_compile(compile)
    check_wanted(safety_checker)
    folder = find_folder(name, dtype, checker=safety_checker is not False)
    parts = load_parts(folder, dtype)
    checker = load_safety_checker(folder, dtype, safety_checker)
    models = parts.models() if checker is None else {**parts.models(), "checker": checker.model}
    with explain_out_of_memory(where, dtype):
        plan = plan_memory(models, limit, where)
        apply_plan(models, plan, where)
    if note := unusual_variants(folder, dtype):
        print(f"sdlearn: {name}: {note}", file=sys.stderr)
    if memory is not None or plan.offload != "none":
        print(f"sdlearn: {name} on {where.type}: {plan}", file=sys.stderr)
    if compile:
        compile_parts(parts.models(), folder, where, plan.offload)
    elif compile is None:
        compile_if_ready(parts.models(), folder, where)
    sd = StableDiffusion(
        str(name),
        **parts._asdict(),
        device=where,
        memory=plan,
        safety_checker=checker,
        folder=folder,
        defaults=defaults_of(folder),
    )
    loras = {} if lora is None else lora if isinstance(lora, Mapping) else {lora: 1.0}
    for path, weight in loras.items():
        sd.load_lora_weights(path, weight)
    return sd


class StableDiffusion:
    """The parts of a Stable Diffusion, and the stages of generating images with them.

    Several threads may use one model: every call of a network takes the model's lock, for that
    call only.
    """

    def __init__(
        self,
        name: str,
        *,
        tokenizer: Any,
        text_encoder: Any,
        unet: Any,
        vae: Any,
        scheduler: Any,
        device: torch.device | None = None,
        memory: MemoryPlan = ALL_ON_DEVICE,
        safety_checker: SafetyChecker | None = None,
        folder: Path | None = None,
        defaults: Defaults | None = None,
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.unet = unet
        self.vae = vae
        self.scheduler = scheduler  # runs use copies of it, as a scheduler keeps state
        self.device: torch.device = unet.device if device is None else device  # of the networks
        self.dtype: torch.dtype = unet.dtype
        self.memory = memory
        self.safety_checker = safety_checker
        self.folder = folder  # where the parts were read from
        self.defaults = defaults or Defaults()
        self.state_shape = tokenizer.model_max_length, text_encoder.config.hidden_size  # (77, D)
        self.vae_scale_factor = vae_scale_factor(vae)  # 8
        self.size = own_size(unet, vae)  # height and width in pixels of its images, if it is told
        self.lora_weights: dict[str, float] = {}  # adapter → its weight, 0 for none of it
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles hold everything but the lock; each gets a new one."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())

    @property
    def image_size(self) -> int:
        """The longer side of the model's own images, in pixels.

        Raises `ValueError` when its config does not say it.
        """
        return max(self._own_size())

    def _own_size(self) -> tuple[int, int]:
        if self.size is None:
            raise ValueError(
                "height and width must be given, or set once (sd.size = (512, 512)): the config of "
                f"{self.name} does not say what size its images have (sample_size is null)"
            )
        return self.size

    def __repr__(self) -> str:
        size = f"{self.size[1]}x{self.size[0]} pixels" if self.size else "images of any size"
        plan = "" if self.memory == ALL_ON_DEVICE else f", {self.memory}"
        how = f"{self.device}, {self.dtype}{plan}, {self.defaults}"
        return f"StableDiffusion({self.name!r}, {size}, {how})"

    @property
    def _adapted_parts(self) -> dict[str, Any]:
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    def load_lora_weights(
        self, path: str | Path, weight: float = 1.0, *, adapter_name: str | None = None
    ) -> None:
        """Add a LoRA to the U-Net and the text encoder, in the form of diffusers, peft or kohya.

            sd.load_lora_weights("watercolour.safetensors", 0.7)
            sd.set_adapters("watercolour", 0)    # the plain model again, bit for bit
            sd.unload_lora_weights()

        `weight` is 0 for none of it and 1 for all. It is kept in `lora_weights`, by default under
        the name of the file. Raises `FileNotFoundError`, `TypeError` or `ValueError`.
        """
        path = Path(path).expanduser()
        name = path.stem if adapter_name is None else adapter_name
        weight = check_weight(weight)
        name = name.replace(".", "_")  # as peft must have it
        if name in self.lora_weights:
            raise ValueError(f"adapter_name must be a new one; {name!r} is there already")
        with self._lock:
            add_lora(self._adapted_parts, path, name, self.device)
            self.lora_weights[name] = weight
            set_weights(self._adapted_parts, self.lora_weights)

    def set_adapters(
        self, adapter_names: str | Sequence[str], adapter_weights: float | Sequence[float] = 1.0
    ) -> None:
        """Give LoRAs their weights; those that are not named get 0. As diffusers has it."""
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        given = adapter_weights if isinstance(adapter_weights, Sequence) else [adapter_weights]
        weights = [check_weight(w, "adapter_weights") for w in given]
        weights = weights * len(names) if len(weights) == 1 else weights
        if unknown := set(names) - set(self.lora_weights):
            known = ", ".join(self.lora_weights) or "none"
            raise ValueError(f"adapter_names must be among {known}; got {sorted(unknown)[0]!r}")
        if len(weights) != len(names):
            raise ValueError(f"adapter_weights must be one or {len(names)}; got {len(weights)}")
        with self._lock:
            self.lora_weights = dict.fromkeys(self.lora_weights, 0.0) | dict(
                zip(names, weights, strict=True)
            )
            set_weights(self._adapted_parts, self.lora_weights)

    def unload_lora_weights(self) -> None:
        """Take all LoRAs off: the model's layers are the ones that it had before, trainable too."""
        with self._lock:
            remove_loras(self._adapted_parts)
            self.lora_weights = {}

    def load_textual_inversion(self, path: str | Path, token: str | None = None) -> str:
        """Add a learnt word (safetensors); returns it as prompts must write it.

            word = sd.load_textual_inversion("cat-toy.safetensors")    # "<cat-toy>"
            sd.generate(f"a {word} on a beach")

        `token` is by default the one in the file. It gets pointed brackets if it has none: without
        them, "art" would also be found in "party". Raises `FileNotFoundError` or `ValueError`.
        """
        with self._lock:
            return add_token(self.tokenizer, self.text_encoder, path, token)

    def tokenize(self, prompt: str | Iterable[str]) -> Tensor:
        """Prompts as token ids, (B, 77): begin, pieces of words, end, padding.

        Warns when a prompt is too long, and shows what was cut off.

        >>> load().tokenize(["a red house", "a blue boat at night"]).shape
        torch.Size([2, 77])
        """
        return padded_ids(self.tokenizer, prompt)

    @torch.no_grad()
    def encode_text(self, prompt: str | Iterable[str]) -> Tensor:
        """The text states of prompts, one for every token, (B, 77, D): the U-Net's condition.

        >>> load().encode_text("a red house").shape
        torch.Size([1, 77, 128])
        """
        ids = self.tokenize(prompt).to(self.device)
        with self._lock, explain_out_of_memory(self.device, self.dtype):
            return self.text_encoder(ids, return_dict=False)[0]

    def init_latents(
        self, seeds: Iterable[int], *, height: int | None = None, width: int | None = None
    ) -> Tensor:
        """Unit-variance noise, (B, 4, h, w), one for each seed; height and width in pixels.

        >>> load().init_latents([7, 8]).shape
        torch.Size([2, 4, 16, 16])
        """
        factor = self.vae_scale_factor
        if height is None or width is None:
            own_height, own_width = self._own_size()
            height = own_height if height is None else height
            width = own_width if width is None else width
        size = (side // factor for side in check_size(height, width, factor))
        shape = (self.vae.config.latent_channels, *size)
        return randn(shape, seeds, self.device, self.dtype)

    @torch.no_grad()
    def predict_noise(self, latents: Tensor, t: Tensor | float, cond: Tensor) -> Tensor:
        """The noise that the U-Net predicts to be in `latents` at timestep `t`, (B, 4, h, w).

        `latents` (B, 4, h, w) is what the papers call x_t. `t` is one timestep or one for each of
        the latents, larger is noisier. `cond` (B or 1, 77, D) comes from `encode_text`. Where the
        U-Net predicts x_0 or v, this is the noise that follows from it. Raises `TypeError` or
        `ValueError` for what does not fit.
        """
        output = self._call_unet(latents, t, cond)
        kind = self.scheduler.config.prediction_type
        if kind == "epsilon":
            return output
        alpha_bar = alpha_bar_at(self.scheduler, t).expand(len(latents))
        return eps_of(output, latents[:, : output.shape[1]], alpha_bar, kind)

    @torch.no_grad()
    def _call_unet(
        self,
        latents: Tensor,
        t: Tensor | float,
        cond: Tensor,
        guidance_scale: float | None = None,
    ) -> Tensor:
        """What the U-Net predicts, (B, 4, h, w): the noise, x_0 or v (`prediction_type`).

        A distilled U-Net takes `guidance_scale`, by default the model's own, as an input.
        """
        check_latents(latents, self.unet, self.unet.config.in_channels)
        states = check_states("cond", cond, latents, self.state_shape)
        check_timestep(t, len(latents))
        extra = {}
        if width := self.unet.config.time_cond_proj_dim:
            scale = self.defaults.guidance_scale if guidance_scale is None else guidance_scale
            told = guidance_embedding(scale, width).to(latents)
            extra["timestep_cond"] = told.expand(len(latents), -1)
        with self._lock:
            output = self.unet(latents, t, encoder_hidden_states=states, return_dict=False, **extra)
        return output[0]

    def denoise(
        self,
        latents: Tensor,
        cond: Tensor,
        uncond: Tensor | None = None,
        *,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float = 0.0,
        scheduler: str | None = None,
        seeds: Iterable[int] | None = None,
        start: float | None = None,
        image_latents: Tensor | None = None,
        strength: float | None = None,
        mask: Tensor | None = None,
        masked_image_latents: Tensor | None = None,
    ) -> Iterator[Step]:
        """From noise to clean latents, one `Step` after the other.

        `latents` (B, 4, h, w) is unit-variance noise, as from `init_latents`; `cond` and `uncond`
        (B or 1, 77, D) come from `encode_text`. `num_steps` and `guidance_scale` are by default
        the model's own (`defaults`). At `guidance_scale` 1 only `cond` is evaluated, at 0 only
        `uncond` (`diffusion.apply_guidance`); a distilled U-Net is told the scale and evaluates
        `cond` alone. `guidance_rescale`, 0..1, keeps large scales from making images too bright
        (`diffusion.rescale_guidance`). `scheduler` is a name in `diffusion.SCHEDULERS`, None for
        the model's own; one that draws noise in its steps needs the `seeds` of `latents`.

        A run can begin in the middle. With `start`, a timestep, `latents` have the noise of that
        timestep already (`diffusion.add_noise`). With `image_latents` (B or 1, 4, h, w), as from
        `encode_image`, these get the noise of `latents`, and the last `strength` of the steps are
        run: 0 none, 1 all. `mask` (1, 1, h, w) holds 1 where the image is made anew and 0 where
        every step keeps it; `strength` is then 1 by default, otherwise 0.8, as in diffusers. A
        U-Net made for inpainting keeps by itself what it is shown in `masked_image_latents`, and
        needs them (`encode_source`).

        Raises `ValueError` or `TypeError` at the call, not at the first step.

        >>> sd = load()
        >>> cond, uncond = sd.encode_text("a red house"), sd.encode_text("")
        >>> [step.t for step in sd.denoise(sd.init_latents([7]), cond, uncond, num_steps=4)]
        [999.0, 749.0, 499.0, 249.0]
        """
        num_steps = self.defaults.num_steps if num_steps is None else num_steps
        num_steps = check_num_steps(num_steps, self.scheduler.config.num_train_timesteps)
        if guidance_scale is None:
            guidance_scale = self.defaults.guidance_scale
        guidance_scale = check_guidance_scale(guidance_scale)
        guidance_rescale = check_guidance_rescale(guidance_rescale)
        check_latents(latents, self.vae, self.vae.config.latent_channels)
        strength = check_edit(latents, image_latents, strength, mask, masked_image_latents, start)
        network = self._network(guidance_scale, mask, masked_image_latents)
        if self.unet.config.time_cond_proj_dim:
            guidance_scale = 1.0  # the U-Net has guidance built in: one call is enough
        states = self._check_conditions(latents, cond, uncond, guidance_scale)
        fresh = fresh_scheduler(scheduler, self.scheduler, num_steps, self.device)
        begin, first = begin_run(
            fresh,
            latents,
            num_steps,
            image_latents=image_latents,
            strength=strength,
            start=start,
            pure_noise=mask is not None,
        )
        steps = denoise_steps(
            network,
            fresh,
            first,
            *states,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
            generators=generators_for(latents, seeds, needed=draws_noise(fresh)),
            begin=begin,
            kept=self._kept(latents, image_latents, mask),
        )
        return self._explain_errors(steps, latents.shape)

    @property
    def _is_for_inpainting(self) -> bool:
        """Whether the U-Net has channels for a mask and for the image that it leaves."""
        return self.unet.config.in_channels == 2 * self.vae.config.latent_channels + 1

    def _network(
        self, guidance_scale: float, mask: Tensor | None, masked: Tensor | None
    ) -> Network:
        """The U-Net as the loop calls it; guidance and mask are inputs of some."""
        network = partial(self._call_unet, guidance_scale=guidance_scale)
        if not self._is_for_inpainting:
            return network
        if mask is None or masked is None:
            raise ValueError(
                "this model is made for inpainting (its U-Net has "
                f"{self.unet.config.in_channels} channels): give it an image and a mask"
            )
        return with_more_channels(network, mask, masked)

    def _kept(self, noise: Tensor, image: Tensor | None, mask: Tensor | None) -> Kept | None:
        if image is None or mask is None or self._is_for_inpainting:
            return None
        return Kept(image, noise, mask)

    def _check_conditions(
        self, latents: Tensor, cond: Tensor, uncond: Tensor | None, guidance_scale: float
    ) -> tuple[Tensor, Tensor | None]:
        """`cond` and `uncond`, each with one state for every latent."""
        cond = check_states("cond", cond, latents, self.state_shape)
        if uncond is not None:
            uncond = check_states("uncond", uncond, latents, self.state_shape)
            if uncond.shape[1] != cond.shape[1]:
                lengths = f"{uncond.shape[1]} and {cond.shape[1]}"
                raise ValueError(f"uncond and cond must be equally long; got {lengths} states")
            return cond, uncond
        if guidance_scale != 1:
            raise ValueError(
                f"uncond must be given unless guidance_scale is 1; got {guidance_scale}"
            )
        return cond, None

    def _explain_errors(self, steps: Iterator[Step], shape: Sequence[int]) -> Iterator[Step]:
        with explain_out_of_memory(self.device, self.dtype, shape, self.vae_scale_factor):
            yield from steps

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] → latents (B, 4, h, w), scaled.

        They are the mode of the encoder's distribution, so the same image always gives the same
        latents.
        """
        _, _, height, width = check_images(images).shape
        check_size(height, width, self.vae_scale_factor)
        x = images.to(self.device, self.dtype) * 2 - 1
        with self._lock, explain_out_of_memory(self.device, self.dtype, x.shape):
            code = self.vae.encode(x)  # of a tiny autoencoder, the latents; else a distribution
            latents = code.latents if hasattr(code, "latents") else code.latent_dist.mode()
        # The U-Net would round otherwise if channels were stored last, as in some images.
        return (latents * self.vae.config.scaling_factor).contiguous()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, 4, h, w) → images (B, 3, H, W) in [0, 1].

        An image that the model's safety checker flags becomes black.

        >>> sd = load()
        >>> sd.decode(sd.init_latents([7])).shape
        torch.Size([1, 3, 128, 128])
        """
        check_latents(latents, self.vae, self.vae.config.latent_channels)
        factor = self.vae_scale_factor
        with self._lock, explain_out_of_memory(self.device, self.dtype, latents.shape, factor):
            x = self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]
            images = (x * 0.5 + 0.5).clamp(0, 1)
            return images if self.safety_checker is None else self.safety_checker(images)

    def read_source(
        self, image: Any, mask: Any = None, *, height: int | None = None, width: int | None = None
    ) -> Source:
        """An image of any kind, or several of one size, and a mask, for `encode_source`.

        They get `height` and `width` in pixels, by default those of the image, rounded down to
        multiples of 8. The mask is light where the image is to be made anew.
        """
        factor = self.vae_scale_factor
        return read_source(image, mask, height=height, width=width, factor=factor)

    def encode_source(self, source: Source) -> dict[str, Any]:
        """The image of `read_source` and its mask as latents: arguments of `denoise`."""
        encoded = {"image_latents": self.encode_image(source.pixels)}
        if source.mask is not None:
            mask = mask_of_latents(source.mask, self.vae_scale_factor)
            encoded["mask"] = mask.to(self.device, self.dtype)
            if self._is_for_inpainting:
                encoded["masked_image_latents"] = self.encode_image(source.masked_pixels)
        return encoded

    def generate(
        self,
        prompt: str | Iterable[str] | None = None,
        *,
        seeds: Iterable[int] = (0,),
        negative_prompt: str | Iterable[str] = "",
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float = 0.0,
        scheduler: str | None = None,
        height: int | None = None,
        width: int | None = None,
        image: Any = None,
        strength: float | None = None,
        mask: Any = None,
    ) -> list[Image.Image]:
        """Generate one image for each seed: of one prompt, or of as many prompts as seeds.

        `image` is one to begin with, of any kind and size, or a list of one for each seed;
        `height` and `width` are by default its own, rounded down to a multiple of 8. `strength`
        says how much of it changes, from 0, which gives it back, to 1; by default 0.8. `mask` is
        light where the image is to be made anew, and `strength` is then 1 by default. Outside of
        the mask the result has the image's own pixels; diffusers gives what the autoencoder makes
        of them. `prompt_embeds` and `negative_prompt_embeds` (B or 1, 77, D) take the place of
        prompts that other tools have encoded.

        >>> [image] = load().generate("a red house on green grass", seeds=[7], num_steps=5)
        >>> image.size
        (128, 128)
        """
        seeds = check_seeds(seeds)
        source: Source | None = None
        edit: dict[str, Any] = {}
        if image is not None:
            source = self.read_source(image, mask, height=height, width=width)
            if len(source.pixels) not in (1, len(seeds)):
                needed = f"one or one for each of {len(seeds)} seeds"
                raise ValueError(f"image must be {needed}; got {len(source.pixels)}")
            (height, width), edit = source.size, self.encode_source(source)
        elif mask is not None or strength is not None:
            raise ValueError("image must be given for strength and mask; got none")
        latents = self.init_latents(seeds, height=height, width=width)
        steps = self.denoise(
            latents,
            self._states("prompt", prompt, prompt_embeds, latents),
            self._states("negative_prompt", negative_prompt, negative_prompt_embeds, latents),
            num_steps=num_steps,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
            scheduler=scheduler,
            seeds=seeds,
            strength=strength,
            **edit,
        )
        last = None
        for step in steps:
            last = step.next_latents
        return self.finish(last, source, len(seeds))

    def _states(
        self,
        name: str,
        prompt: str | Iterable[str] | None,
        embeds: Tensor | None,
        latents: Tensor,
    ) -> Tensor:
        """The text states of prompts for `latents`, or `embeds` where these are given instead."""
        if embeds is None:
            prompts = check_prompts(prompt, name, seeds=len(latents))  # type: ignore[arg-type]
            return self.encode_text(check_not_blank(prompts) if name == "prompt" else prompts)
        if prompt:
            raise ValueError(f"{name} and {name}_embeds stand for the same; leave one of them out")
        return check_states(f"{name}_embeds", embeds, latents, self.state_shape).to(self.device)

    def finish(
        self, latents: Tensor | None, source: Source | None = None, count: int = 1
    ) -> list[Image.Image]:
        """Latents as Pillow images, with the pixels of `source` outside of its mask.

        Without latents, which is where no step was run, `count` times the source itself.
        """
        if latents is None:
            assert source is not None
            return to_pil(source.pixels.expand(count, -1, -1, -1))
        images = self.decode(latents)
        return to_pil(images if source is None else source.paste(images))
