"""A diffusion model that is trained in minutes: icons of 16 x 16 pixels, drawn straight as pixels.

It has all that a Stable Diffusion needs and nothing else: the noise schedule, a U-Net that is told
the timestep and four words, the squared error of the guessed noise, words that are dropped. Left
out: the autoencoder, as 768 numbers need no compression, and the text encoder. Each word has an
embedding of its own, learned with the rest, and one more stands for "not told".

    images (B, 3, 16, 16) in [-1, 1]    words (B, 4), the number of each word, or of "not told"
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from diffusers.models.embeddings import get_timestep_embedding
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..diffusion import add_noise, denoise_steps, fresh_scheduler, randn
from ..util.files import copy_mode_to_weights
from ..util.images import to_tensor
from ..world.icons import ICON_SETS, ICON_SIZE, ICON_WORDS, Icon, draw_icon, icons_of
from .loop import Batch, Record, TrainingConfig, train_model
from .unet import CAPTION_DROPOUT, NUM_TIMESTEPS, build_scheduler

__all__ = [
    "CONFIG",
    "IconUNet",
    "as_data",
    "generate_icons",
    "load_icon_model",
    "told",
    "train_icons",
    "training_set",
]

CONFIG = TrainingConfig(steps=6_000, batch_size=64, lr=2e-3, warmup=100, decay=0.5, ema=0.995)
WORD_DROPOUT = 0.2  # of each word by itself, so that a model can be told some of them
WEIGHTS = Path(__file__).parents[1] / "weights" / "icons"


class IconUNet(nn.Module):
    """Guesses the noise in icons: three levels, 16 x 16, 8 x 8 and 4 x 4, with skip connections."""

    def __init__(self, widths: tuple[int, int, int] = (32, 48, 48), told: int = 64) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.told = told
        self.words = nn.ModuleList(nn.Embedding(len(w) + 1, told) for w in ICON_WORDS.values())
        self.mix = nn.Sequential(nn.Linear(told, told), nn.SiLU(), nn.Linear(told, told))
        self.enter = nn.Conv2d(3, fine, 3, padding=1)
        self.down = nn.ModuleList(
            [_Block(fine, fine, told), _Block(fine, middle, told), _Block(middle, coarse, told)]
        )
        self.bottom = _Block(coarse, coarse, told)
        self.up = nn.ModuleList(
            [_Block(coarse + middle, middle, told), _Block(middle + fine, fine, told)]
        )
        self.leave = nn.Sequential(
            nn.GroupNorm(8, fine), nn.SiLU(), nn.Conv2d(fine, 3, 3, padding=1)
        )

    def forward(self, x_t: Tensor, t: Tensor, words: Tensor) -> Tensor:
        """`x_t` (B, 3, 16, 16), `t` one timestep or (B,), `words` (B, 4) → noise, as `x_t`."""
        when = get_timestep_embedding(t.expand(len(x_t)), self.told)
        what = [table(words[:, i]) for i, table in enumerate(self.words)]
        told = self.mix(torch.stack([when, *what]).sum(dim=0))  # (B, told)
        fine = self.down[0](self.enter(x_t), told)  # (B, 32, 16, 16)
        middle = self.down[1](nn.functional.avg_pool2d(fine, 2), told)  # (B, 48, 8, 8)
        x = self.down[2](nn.functional.avg_pool2d(middle, 2), told)  # (B, 48, 4, 4)
        x = self.bottom(x, told)
        for block, skip in zip(self.up, (middle, fine), strict=True):
            x = block(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), skip], 1), told)
        return self.leave(x)


class _Block(nn.Module):
    """Two convolutions beside the way straight on; what is told shifts the features between."""

    def __init__(self, before: int, after: int, told: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(8, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1)
        )
        self.shift = nn.Linear(told, after)
        self.second = nn.Sequential(
            nn.GroupNorm(8, after), nn.SiLU(), nn.Conv2d(after, after, 3, padding=1)
        )
        self.straight = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """`x` (B, before, h, w), `told` (B, told) → (B, after, h, w)."""
        shifted = self.first(x) + self.shift(told)[:, :, None, None]
        return self.straight(x) + self.second(shifted)


class IconObjective(nn.Module):
    """The noise-prediction error of one batch (DDPM eq. 14)."""

    alphas_cumprod: Tensor

    def __init__(self, network: IconUNet) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("alphas_cumprod", build_scheduler().alphas_cumprod, persistent=False)

    def forward(self, x0: Tensor, words: Tensor, noise: Tensor, t: Tensor) -> dict[str, Tensor]:
        """`x0`, `noise` (B, 3, 16, 16), `words` (B, 4), `t` (B,) → losses."""
        x_t = add_noise(x0, noise, self.alphas_cumprod[t])
        return {"loss": (self.network(x_t, t, words) - noise).square().mean()}


def as_data(icons: list[Icon]) -> tuple[Tensor, Tensor]:
    """Icons as images (N, 3, 16, 16) in [-1, 1] and their words (N, 4)."""
    images = to_tensor([draw_icon(icon) for icon in icons]) * 2 - 1
    return images, torch.stack(
        [told(**{n: getattr(icon, n) for n in ICON_WORDS}) for icon in icons]
    )


def training_set(name: str) -> tuple[Tensor, Tensor]:
    """The images and the words of a set of icons (`world.icons.ICON_SETS`)."""
    return as_data(list(icons_of(name)))


def told(**words: str) -> Tensor:
    """The numbers of words by attribute, (4,); what is left out is "not told".

    Raises `ValueError` for an attribute or a word that icons do not have.

    >>> told(time="night"), told()
    (tensor([6, 8, 4, 2]), tensor([6, 8, 4, 3]))
    """
    for name, word in words.items():
        if name not in ICON_WORDS:
            raise ValueError(f"a word must be one of {', '.join(ICON_WORDS)}; got {name!r}")
        if word not in ICON_WORDS[name]:
            known = ", ".join(ICON_WORDS[name])
            raise ValueError(f"{name} must be one of {known}; got {word!r}")
    pairs = ICON_WORDS.items()
    return torch.tensor([k.index(words[n]) if n in words else len(k) for n, k in pairs])


def make_batch(
    images: Tensor, words: Tensor, dropout: float, batch_size: int, generator: torch.Generator
) -> Batch:
    """Random icons, their words without those that are dropped, noise and timesteps."""
    rows = torch.randint(len(images), (batch_size,), generator=generator)
    one = torch.rand(batch_size, words.shape[1], generator=generator) < WORD_DROPOUT
    all_of_them = torch.rand(batch_size, 1, generator=generator) < dropout
    x0 = images[rows]
    return {
        "x0": x0,
        "words": torch.where(one | all_of_them, told(), words[rows]),
        "noise": torch.randn(x0.shape, generator=generator),
        "t": torch.randint(NUM_TIMESTEPS, (batch_size,), generator=generator),
    }


def train_icons(
    network: IconUNet, images: Tensor, words: Tensor, config: TrainingConfig = CONFIG
) -> Iterator[Record]:
    """Train `network` in place on `images` (N, 3, 16, 16) in [-1, 1] and their `words` (N, 4)."""
    batches = partial(make_batch, images, words, CAPTION_DROPOUT, config.batch_size)
    yield from train_model(IconObjective(network), batches, config)


@torch.no_grad()
def generate_icons(
    network: IconUNet,
    words: Tensor,
    seeds: range | list[int],
    *,
    num_steps: int = 20,
    guidance_scale: float = 2.0,
) -> Tensor:
    """One icon for each seed, (B, 3, 16, 16) in [0, 1]; `words` (4,) for all or (B, 4)."""
    device = next(network.parameters()).device
    noise = randn((3, ICON_SIZE, ICON_SIZE), seeds, device, torch.float32)
    asked = words.to(device).expand(len(noise), -1)
    *_, last = denoise_steps(
        network,
        fresh_scheduler(None, build_scheduler(), num_steps, device),
        noise,
        asked,
        told().to(device).expand(len(noise), -1),
        guidance_scale=guidance_scale,
    )
    return ((last.pred_x0 + 1) / 2).clamp(0, 1).cpu()  # next_latents keep a little noise


def save_icon_model(network: IconUNet, path: Path) -> None:
    """Write the weights as fp16 safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().half().cpu() for name, value in network.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})
    copy_mode_to_weights(path.parent, Path(__file__))


def load_icon_model(name: str, folder: Path = WEIGHTS) -> IconUNet:
    """The shipped model that was trained on a set of icons, fp32, on the CPU.

    Raises `ValueError` for an unknown set and `FileNotFoundError` where nobody has trained it.
    """
    if name not in ICON_SETS:
        raise ValueError(f"name must be one of {', '.join(ICON_SETS)}; got {name!r}")
    path = folder / f"{name}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"no icon model at {path}; make one with 'sdlearn train icons'")
    network = IconUNet()
    network.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return network.eval()
