"""Schedulers by name: complete, fresh, and where each step stands."""

import inspect
import math

import diffusers
import pytest
import torch

from sdlearn.diffusion import schedulers
from sdlearn.diffusion.schedulers import SCHEDULERS, alpha_bars, build_scheduler, fresh_scheduler
from sdlearn.training.unet import build_scheduler as own_scheduler

pytestmark = pytest.mark.core

OWN = own_scheduler()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_field_is_written_out(name):
    class_name, fields = SCHEDULERS[name]
    known = set(inspect.signature(getattr(diffusers, class_name)).parameters)
    written = {*fields, *schedulers.NOISE_SCHEDULE}
    assert written == known


def test_the_shipped_scheduler_is_written_out_too():
    left = set(inspect.signature(diffusers.DDIMScheduler).parameters) - set(OWN.config)
    assert left == set()
    assert OWN.config.get("_use_default_values", []) == []


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_noise_schedule_is_the_models(name):
    scheduler = build_scheduler(name, OWN)
    assert torch.equal(scheduler.alphas_cumprod, OWN.alphas_cumprod)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("num_steps", [2, 20])
def test_alpha_bar_is_that_of_the_timestep(name, num_steps):
    """Timesteps between two of the training lie between their ᾱ, too."""
    scheduler = fresh_scheduler(name, OWN, num_steps)
    for index, t in enumerate(scheduler.timesteps.tolist()):
        high = OWN.alphas_cumprod[math.floor(t)]
        low = OWN.alphas_cumprod[min(999, math.ceil(t))]
        slack = 0.02 if name == "dpm++_karras" else 1e-5  # its timesteps are rounded
        assert low - slack <= alpha_bars(scheduler)[index] <= high + slack


def test_pndm_and_heun_call_the_network_more_often():
    calls = {n: len(fresh_scheduler(n, OWN, 20).timesteps) for n in SCHEDULERS}
    assert calls.pop("pndm") == 21
    assert calls.pop("heun") == 39
    assert set(calls.values()) == {20}


def test_a_run_leaves_the_models_own_scheduler_alone():
    before = OWN.timesteps.clone()
    fresh = fresh_scheduler(None, OWN, 7)
    assert len(fresh.timesteps) == 7
    assert fresh is not OWN
    assert torch.equal(OWN.timesteps, before)


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
@pytest.mark.parametrize("num_steps", [1, 2, 7, 20, 50, 501, 999, 1000])
def test_every_number_of_steps_begins_at_the_noisiest_timestep(name, num_steps):
    if name == "lcm":
        num_steps = min(num_steps, 50)
    timesteps = fresh_scheduler(name, OWN, num_steps).timesteps
    assert 950 < timesteps[0] <= 999
    assert timesteps.max() == timesteps[0]


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r"scheduler must be one of ddim, .*; got 'dimm'"):
        build_scheduler("dimm", OWN)


def test_steps_that_a_scheduler_cannot_do():
    leading = diffusers.DDIMScheduler.from_config(OWN.config, timestep_spacing="leading")
    with pytest.raises(ValueError, match="num_steps=1000 does not suit 'DDIMScheduler'"):
        fresh_scheduler(None, leading, 1000)
    with pytest.raises(ValueError, match="num_steps=60 does not suit 'lcm'"):
        fresh_scheduler("lcm", OWN, 60)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "os.system"}, "scheduler class must be one of .*got os.system"),
        ({"prediction_type": "v_prediction"}, "models that predict the noise"),
    ],
)
def test_a_config_that_is_refused(change, message):
    config = {**dict(OWN.config), "_class_name": "DDIMScheduler", **change}
    with pytest.raises(ValueError, match=message):
        schedulers.load_scheduler(config)
