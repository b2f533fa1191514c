"""The maths of diffusion: worked numbers, round trips, and equality with diffusers."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from sdlearn import diffusion
from sdlearn.diffusion.seeds import randn
from sdlearn.training.unet import build_scheduler

X0 = randn((4, 8, 8), [0, 1])
NOISE = randn((4, 8, 8), [2, 3])
ALPHAS = diffusion.alphas_cumprod(diffusion.betas())


def test_the_noise_schedule_is_that_of_stable_diffusion():
    assert torch.allclose(ALPHAS, build_scheduler().alphas_cumprod, rtol=1e-5)
    assert math.isclose(float(ALPHAS[0]), 1 - 0.00085, rel_tol=1e-6)
    assert math.isclose(float(ALPHAS[-1]), 0.00466, rel_tol=1e-2)  # not 0: not pure noise


@pytest.mark.parametrize(
    ("ours", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")]
)
def test_other_schedules_are_those_of_diffusers(ours, theirs):
    expected = DDPMScheduler(beta_schedule=theirs, beta_start=0.0001, beta_end=0.02).betas
    assert torch.allclose(diffusion.betas(ours), expected, atol=1e-6)


def test_schedules_that_are_refused():
    with pytest.raises(ValueError, match="schedule must be one of linear, scaled_linear, cosine"):
        diffusion.betas("quadratic")
    with pytest.raises(ValueError, match="beta_range must be left out for 'cosine'"):
        diffusion.betas("cosine", beta_range=(0.1, 0.2))


def test_add_noise_by_hand():
    x_t = diffusion.add_noise(torch.tensor([[[[2.0]]]]), torch.tensor([[[[1.0]]]]), 0.64)
    assert x_t.item() == pytest.approx(0.8 * 2 + 0.6 * 1)


def test_add_noise_is_that_of_diffusers_with_a_timestep_for_each_picture():
    t = torch.tensor([10, 900])
    expected = build_scheduler().add_noise(X0, NOISE, t)
    assert torch.allclose(diffusion.add_noise(X0, NOISE, ALPHAS[t]), expected, atol=1e-5)


def test_closed_form_has_the_statistics_of_noise_added_step_by_step():
    x = torch.full((20_000,), 2.0)
    generator = torch.Generator().manual_seed(0)
    betas = diffusion.betas("linear", 50)
    for beta in betas:
        x = (1 - beta).sqrt() * x + beta.sqrt() * torch.randn(x.shape, generator=generator)
    alpha_bar = diffusion.alphas_cumprod(betas)[-1]
    assert x.mean() == pytest.approx(2 * float(alpha_bar.sqrt()), abs=0.02)
    assert x.var() == pytest.approx(1 - float(alpha_bar), abs=0.02)


@pytest.mark.parametrize("t", [0, 500, 999])
def test_pred_x0_and_pred_eps_undo_add_noise(t):
    x_t = diffusion.add_noise(X0, NOISE, ALPHAS[t])
    assert torch.allclose(diffusion.pred_x0(x_t, NOISE, ALPHAS[t]), X0, atol=1e-4)
    assert torch.allclose(diffusion.pred_eps(x_t, X0, ALPHAS[t]), NOISE, atol=1e-4)


def test_snr_falls_and_is_one_where_signal_and_noise_are_equal():
    assert (diffusion.snr(ALPHAS).diff() < 0).all()
    assert diffusion.snr(torch.tensor(0.5)) == 1


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_step_is_that_of_diffusers(eta):
    scheduler = build_scheduler()
    scheduler.set_timesteps(20)
    t, t_prev = scheduler.timesteps[4], scheduler.timesteps[5]
    extra = randn((4, 8, 8), [4, 5])
    expected = scheduler.step(NOISE, t, X0, eta=eta, variance_noise=extra).prev_sample
    ours = diffusion.ddim_step(
        X0,
        NOISE,
        scheduler.alphas_cumprod[t],
        scheduler.alphas_cumprod[t_prev],
        eta=eta,
        noise=extra if eta else None,
    )
    assert torch.allclose(ours, expected, atol=1e-5)


def test_ddpm_step_is_that_of_diffusers():
    scheduler = DDPMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False
    )
    t = 600
    generator = torch.Generator().manual_seed(9)
    expected = scheduler.step(NOISE, t, X0, generator=generator).prev_sample
    drawn = torch.randn(X0.shape, generator=torch.Generator().manual_seed(9))
    ours = diffusion.ddpm_step(X0, NOISE, ALPHAS[t], ALPHAS[t - 1], drawn)
    assert torch.allclose(ours, expected, atol=1e-5)


def test_ddim_with_eta_1_is_ddpm():
    args = (X0, NOISE, ALPHAS[600], ALPHAS[550])
    extra = randn((4, 8, 8), [6, 7])
    ddim = diffusion.ddim_step(*args, eta=1.0, noise=extra)
    assert torch.allclose(ddim, diffusion.ddpm_step(*args, extra), atol=1e-5)


def test_posterior_by_hand():
    """One step from ᾱ 0.81 to 0.9: α 0.9, β 0.1, weights of DDPM eq. 7 worked out on paper."""
    one = torch.ones(1, 1, 1, 1)
    mean, variance = diffusion.posterior(one, 2 * one, 0.81, 0.9)
    expected = 0.9**0.5 * 0.1 / 0.19 * 2 + 0.9**0.5 * 0.1 / 0.19 * 1
    assert mean.item() == pytest.approx(expected)
    assert float(variance) == pytest.approx(0.1 / 0.19 * 0.1)


def test_many_ddim_steps_of_diffusers_and_ours_end_alike():
    scheduler = DDIMScheduler.from_config(build_scheduler().config)
    scheduler.set_timesteps(10)
    theirs = ours = X0
    for t in scheduler.timesteps:
        theirs = scheduler.step(theirs * 0.1, t, theirs).prev_sample
        prev = t - 100
        alpha_bar_prev = scheduler.alphas_cumprod[max(prev, 0)]
        ours = diffusion.ddim_step(ours, ours * 0.1, scheduler.alphas_cumprod[t], alpha_bar_prev)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_noise_must_be_given_exactly_when_it_is_used():
    with pytest.raises(ValueError, match="noise must be given exactly when eta is not 0"):
        diffusion.ddim_step(X0, NOISE, 0.5, 0.6, eta=0.5)
    with pytest.raises(ValueError, match="noise must be given exactly when eta is not 0"):
        diffusion.ddim_step(X0, NOISE, 0.5, 0.6, noise=NOISE)


def test_alpha_bar_must_fit_the_pictures():
    with pytest.raises(ValueError, match=r"one value or one for each of 2 images; got .*\(3,\)"):
        diffusion.add_noise(X0, NOISE, torch.ones(3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_is_that_of_the_image_whatever_alpha_bar_has(dtype):
    x, y = torch.ones(2, 3, 4, 4, dtype=dtype), torch.ones(2, 3, 4, 4, dtype=dtype)
    for alpha_bar in (torch.tensor([0.64, 0.36]), torch.tensor(0.64), 0.64):
        assert diffusion.add_noise(x, y, alpha_bar).dtype == dtype
        assert diffusion.pred_x0(x, y, alpha_bar).dtype == dtype
        assert diffusion.pred_eps(x, y, alpha_bar).dtype == dtype
        assert diffusion.ddim_step(x, y, alpha_bar, 0.81).dtype == dtype
        assert diffusion.ddpm_step(x, y, alpha_bar, 0.81, y).dtype == dtype
