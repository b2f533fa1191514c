"""The maths of diffusion as pure functions of tensors: adding noise, and one step back.

Left out: the loop (`loop`) and the faster solvers, which are diffusers' own (`schedulers`).

    here                  paper                        diffusers
    betas                 β_t                          scheduler.betas
    alphas_cumprod        ᾱ, all T of them             scheduler.alphas_cumprod
    alpha_bar             ᾱ_t                          alpha_prod_t
    alpha_bar_prev        ᾱ of the next cleaner step   alpha_prod_t_prev
    x0                    x_0                          original_samples
    x_t                   x_t                          sample, latents
    noise                 ε, drawn                     noise
    eps                   ε_θ(x_t, t), predicted       model_output, noise_pred
    pred_x0               x̂_0                          pred_original_sample
    velocity              v                            get_velocity
    snr                   ᾱ_t / (1 - ᾱ_t)              compute_snr
    std                   σ_t of DDIM, η-scaled        std_dev_t
    (sigma)               √((1 - ᾱ_t) / ᾱ_t)           sigmas of the Euler schedulers

t runs over 0..T-1 and larger is noisier; ᾱ_t is the share of the signal's variance that is left.
`alpha_bar` is a number, a tensor without dimensions, or one value for each image, (B,);
images and latents are (B, C, H, W).

A network predicts one of three quantities, named as in diffusers' `prediction_type`: "epsilon" is
the noise, "sample" is x_0, "v_prediction" is v. With x_t and ᾱ_t, each gives the other two.

Sources: DDPM, Ho et al. 2020, arXiv 2006.11239; DDIM, Song et al. 2020, arXiv 2010.02502;
cosine schedule, Nichol & Dhariwal 2021, arXiv 2102.09672; scaled_linear is the code of latent
diffusion, Rombach et al. 2022, arXiv 2112.10752, which calls it "linear"; v, Salimans & Ho 2022,
arXiv 2202.00512, appendix D.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The usual first and last beta: of DDPM, of Stable Diffusion; the cosine has no such range.
SCHEDULES: dict[str, tuple[float, float] | None] = {
    "linear": (0.0001, 0.02),
    "scaled_linear": (0.00085, 0.012),
    "cosine": None,
}
PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")  # what a network may predict
HIGHEST_BETA = 0.999  # Nichol & Dhariwal, below eq. 17


def betas(
    schedule: str = "scaled_linear",
    num_train_timesteps: int = 1000,
    *,
    beta_range: tuple[float, float] | None = None,
) -> Tensor:
    """The variance of the noise that each timestep adds, (T,), each in 0..1.

    `beta_range` is the first and the last beta, by default the schedule's usual ones. Raises
    `ValueError` for an unknown schedule and for a range given to "cosine", which has none.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}; got {schedule!r}")
    usual = SCHEDULES[schedule]
    if usual is None:
        if beta_range is not None:
            raise ValueError(f"beta_range must be left out for {schedule!r}; got {beta_range}")
        return _cosine_betas(num_train_timesteps)
    first, last = beta_range or usual
    if schedule == "linear":
        return torch.linspace(first, last, num_train_timesteps)
    return torch.linspace(math.sqrt(first), math.sqrt(last), num_train_timesteps) ** 2


def _cosine_betas(num_train_timesteps: int) -> Tensor:
    """β_t = 1 - ᾱ_{t+1} / ᾱ_t with ᾱ a squared cosine of time (Nichol & Dhariwal eq. 17)."""
    steps = torch.arange(num_train_timesteps + 1, dtype=torch.float64)
    angle = (steps / num_train_timesteps + 0.008) / 1.008 * math.pi / 2
    alpha_bar = angle.cos() ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=HIGHEST_BETA).float()


def alphas_cumprod(betas: Tensor) -> Tensor:
    """ᾱ_t, the product of all 1 - β up to t; (T,) → (T,), falling from nearly 1 towards 0.

    >>> alphas_cumprod(torch.tensor([0.1, 0.2]))  # 0.9, and 0.9 * 0.8
    tensor([0.9000, 0.7200])
    """
    return torch.cumprod(1 - betas, dim=0)


def snr(alpha_bar: Tensor) -> Tensor:
    """Signal-to-noise ratio, a ratio of variances: large at t = 0, near 0 at the last t."""
    return alpha_bar / (1 - alpha_bar)


def add_noise(x0: Tensor, noise: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """x_t straight from x_0 (DDPM eq. 4; CompVis: `q_sample`); shape and dtype as `x0`.

    >>> x0, noise = torch.tensor([[2.0]]), torch.tensor([[1.0]])
    >>> add_noise(x0, noise, 0.64)  # 0.8 * 2 + 0.6 * 1
    tensor([[2.2000]])
    """
    alpha_bar = _broadcast_alpha_bar(alpha_bar, x0)
    return _cast_like(x0, alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise)


def pred_x0(x_t: Tensor, eps: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """The clean image that x_t and the predicted noise imply: eq. 4 solved for x_0.

    >>> pred_x0(torch.tensor([[2.2]]), torch.tensor([[1.0]]), 0.64)
    tensor([[2.]])
    """
    alpha_bar = _broadcast_alpha_bar(alpha_bar, x_t)
    return _cast_like(
        x_t, (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
    )  # also DDIM eq. 9


def pred_eps(x_t: Tensor, x0: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """The noise that x_t and a clean image imply: eq. 4 solved for ε, the inverse of pred_x0."""
    alpha_bar = _broadcast_alpha_bar(alpha_bar, x_t)
    return _cast_like(x_t, (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt())


def velocity(x0: Tensor, noise: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """v, the mixture of noise and image that SD 2.x predicts (Salimans & Ho, appendix D).

    >>> velocity(torch.tensor([[2.0]]), torch.tensor([[1.0]]), 0.64)  # 0.8 * 1 - 0.6 * 2
    tensor([[-0.4000]])
    """
    alpha_bar = _broadcast_alpha_bar(alpha_bar, x0)
    return _cast_like(x0, alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * x0)


def eps_of(
    output: Tensor, x_t: Tensor, alpha_bar: Tensor | float, prediction_type: str = "epsilon"
) -> Tensor:
    """The noise that a network's `output` for x_t implies, whatever the network predicts."""
    if prediction_type == "epsilon":
        return output
    if prediction_type == "sample":
        return pred_eps(x_t, output, alpha_bar)
    alpha_bar = _broadcast_alpha_bar(alpha_bar, x_t)
    return _cast_like(x_t, alpha_bar.sqrt() * output + (1 - alpha_bar).sqrt() * x_t)


def x0_of(
    output: Tensor, x_t: Tensor, alpha_bar: Tensor | float, prediction_type: str = "epsilon"
) -> Tensor:
    """The clean image that a network's `output` for x_t implies, whatever the network predicts.

    >>> x_t, v = torch.tensor([[2.2]]), torch.tensor([[-0.4]])
    >>> x0_of(v, x_t, 0.64, "v_prediction")  # 0.8 * 2.2 + 0.6 * 0.4
    tensor([[2.]])
    """
    if prediction_type == "epsilon":
        return pred_x0(x_t, output, alpha_bar)
    if prediction_type == "sample":
        return output
    alpha_bar = _broadcast_alpha_bar(alpha_bar, x_t)
    return _cast_like(x_t, alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * output)


def ddim_step(
    x_t: Tensor,
    eps: Tensor,
    alpha_bar: Tensor | float,
    alpha_bar_prev: Tensor | float,
    *,
    eta: float = 0.0,
    noise: Tensor | None = None,
) -> Tensor:
    """One DDIM step to a cleaner x (eq. 12). `eta` 0 is deterministic, 1 is DDPM.

    Raises `ValueError` unless `noise` is given exactly when `eta` is not 0.

    >>> ddim_step(torch.tensor([[2.2]]), torch.tensor([[1.0]]), 0.64, 1.0)  # to a clean image
    tensor([[2.]])
    """
    if (noise is None) != (eta == 0):
        got = "none" if noise is None else "some"
        raise ValueError(f"noise must be given exactly when eta is not 0; got {got}, eta {eta}")
    x0 = pred_x0(x_t, eps, alpha_bar)
    now, prev = _broadcast_alpha_bar(alpha_bar, x_t), _broadcast_alpha_bar(alpha_bar_prev, x_t)
    std = eta * ((1 - prev) / (1 - now)).sqrt() * (1 - now / prev).sqrt()  # eq. 16
    x_prev = prev.sqrt() * x0 + (1 - prev - std**2).sqrt() * eps  # eq. 12
    return _cast_like(x_t, x_prev if noise is None else x_prev + std * noise)


def posterior(
    x_t: Tensor, x0: Tensor, alpha_bar: Tensor | float, alpha_bar_prev: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Mean and variance of the cleaner x, given x_t and x_0 (DDPM eq. 6 and 7).

    The mean has the shape of `x_t`, the variance broadcasts against it.
    """
    now, prev = _broadcast_alpha_bar(alpha_bar, x_t), _broadcast_alpha_bar(alpha_bar_prev, x_t)
    alpha = now / prev  # α_t; with fewer steps, the product of the α that are skipped
    beta = 1 - alpha
    mean = prev.sqrt() * beta / (1 - now) * x0 + alpha.sqrt() * (1 - prev) / (1 - now) * x_t
    return _cast_like(x_t, mean), _cast_like(x_t, (1 - prev) / (1 - now) * beta)


def ddpm_step(
    x_t: Tensor,
    eps: Tensor,
    alpha_bar: Tensor | float,
    alpha_bar_prev: Tensor | float,
    noise: Tensor,
) -> Tensor:
    """One DDPM step: a draw from the posterior of the predicted x_0 (Ho et al., algorithm 2)."""
    x0 = pred_x0(x_t, eps, alpha_bar)
    mean, variance = posterior(x_t, x0, alpha_bar, alpha_bar_prev)
    return _cast_like(x_t, mean + variance.sqrt() * noise)


def _broadcast_alpha_bar(alpha_bar: Tensor | float, images: Tensor) -> Tensor:
    """(B,) → (B, 1, 1, 1), to broadcast over the images; a single value stays as it is."""
    values = torch.as_tensor(alpha_bar)
    if values.ndim == 0:
        return values
    if values.shape != (len(images),):
        raise ValueError(
            f"alpha_bar must be one value or one for each of {len(images)} images; "
            f"got shape {tuple(values.shape)}"
        )
    return values.to(images.device).view(-1, *[1] * (images.ndim - 1))


def _cast_like(x: Tensor, result: Tensor) -> Tensor:
    """Cast `result` to the dtype of `x`, as a vector of ᾱ in float32 promotes half precision."""
    return result.to(x.dtype) if x.is_floating_point() else result
