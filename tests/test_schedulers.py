"""Schedulers by name: complete, fresh, and where each step stands."""

import inspect
import math

import diffusers
import pytest
import torch

from sdlearn.diffusion import schedulers
from sdlearn.diffusion.ddim import DDIM
from sdlearn.diffusion.schedulers import SCHEDULERS, alpha_bars, build_scheduler, fresh_scheduler
from sdlearn.training.unet import build_scheduler as own_scheduler

OWN = own_scheduler()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_no_field_is_left_to_a_default(name):
    """diffusers' `from_config` would forget or replace fields that it lists as defaults."""
    config = build_scheduler(name, OWN).config
    known = set(inspect.signature(getattr(diffusers, SCHEDULERS[name][0])).parameters)
    assert known <= set(config)
    assert config.get("_use_default_values", []) == []
    assert not config.get("clip_sample")
    assert not config.get("set_alpha_to_one")
    assert config["timestep_spacing"] == "trailing"


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


OTHER_CLASSES = sorted(set(schedulers.CLASSES) - {cls for cls, _ in SCHEDULERS.values()})


def loaded(cls: str, spacing: str):
    """The scheduler of a folder that names this class."""
    try:
        return schedulers.load_scheduler({**OWN.config, "timestep_spacing": spacing}, cls)
    except ImportError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("cls", OTHER_CLASSES)
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_alpha_bar_is_what_the_solver_scales_by(cls, spacing):
    """At every point that it visits, also those between two timesteps of its grid."""
    own = loaded(cls, spacing)
    fresh = fresh_scheduler(None, own, 10)
    assert schedulers.noise_left(fresh, 10) < 0.05
    fresh.set_timesteps(10)
    ones = torch.ones(1, 1, 1, 1)
    for t, alpha_bar in zip(fresh.timesteps, alpha_bars(fresh), strict=True):
        scale = float(fresh.scale_model_input(ones, t))
        assert scale == 1 or scale**2 == pytest.approx(float(alpha_bar), rel=1e-4)
        table = schedulers.alpha_bar_at(own, float(t))
        assert float(table) == pytest.approx(float(alpha_bar), abs=2e-3)
        fresh.step(ones, t, ones)


CONFIG = {name: value for name, value in OWN.config.items() if name[0] != "_"}


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("num_steps", [1, 2, 8, 20, 50, 250])
def test_our_ddim_is_diffusers_bit_for_bit_where_that_is_right(kind, spacing, num_steps):
    config = {**CONFIG, "prediction_type": kind, "timestep_spacing": spacing}
    ours, theirs = DDIM(config), diffusers.DDIMScheduler(**config)
    assert torch.equal(ours.alphas_cumprod, theirs.alphas_cumprod)
    runs = []
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(num_steps)
        source = torch.Generator().manual_seed(num_steps)
        latents = torch.randn(2, 4, 4, 4, generator=source)
        for t in scheduler.timesteps:
            output = torch.randn(latents.shape, generator=source)
            x_t = scheduler.scale_model_input(latents, t)
            latents = scheduler.step(output, t, x_t, return_dict=False)[0]
        runs.append(latents)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    assert torch.equal(*runs)


@pytest.mark.parametrize("num_steps", [3, 7, 48, 61, 350, 400, 600, 999])
def test_our_ddim_is_right_where_diffusers_is_not(num_steps):
    own, wanted = DDIM(CONFIG), fresh_scheduler("ddim", OWN, num_steps)
    fresh = fresh_scheduler(None, own, num_steps)
    assert torch.equal(fresh.timesteps, wanted.timesteps)
    assert schedulers.noise_left(own, num_steps) < 0.05


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rescale_betas_zero_snr", True),
        ("trained_betas", [0.1, 0.2]),
        ("clip_sample", True),
        ("timestep_spacing", "linspace"),
        ("beta_schedule", None),
    ],
)
def test_our_ddim_refuses_what_only_diffusers_knows(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .* here; got"):
        DDIM({**CONFIG, field: value})


def test_our_ddim_adds_no_noise():
    own = fresh_scheduler(None, DDIM(CONFIG), 4)
    ones = torch.ones(1, 4, 2, 2)
    with pytest.raises(ValueError, match="eta must be 0, as this DDIM adds no noise; got 0.5"):
        own.step(ones, own.timesteps[0], ones, eta=0.5)
    with pytest.raises(ValueError, match="return_dict must be False"):
        own.step(ones, own.timesteps[0], ones, return_dict=True)


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
@pytest.mark.parametrize(
    "num_steps",
    [1, 2, 7, 20, 50, *(pytest.param(many, marks=pytest.mark.slow) for many in (501, 999, 1000))],
)
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
    with pytest.raises(ValueError, match="'lcm', which takes 50 at most; take num_steps=50"):
        fresh_scheduler("lcm", OWN, 60)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "os.system"}, "scheduler class must be one of .*got os.system"),
        ({"_class_name": "EDMEulerScheduler"}, "scheduler class must be one of .*got EDMEuler"),
        ({"prediction_type": "flow_prediction"}, "prediction_type must be .*'flow_prediction'"),
    ],
)
def test_a_config_that_is_refused(change, message):
    config = {**dict(OWN.config), "_class_name": "DDIMScheduler", **change}
    with pytest.raises(ValueError, match=message):
        schedulers.load_scheduler(config)


def test_a_class_whose_package_is_missing_names_it(monkeypatch):
    class Dummy:  # as diffusers puts in the place of such a class
        _backends = ("torch", "scipy")

    monkeypatch.setattr(diffusers, "LMSDiscreteScheduler", Dummy)
    monkeypatch.setattr(schedulers, "find_spec", lambda name: None if name == "scipy" else name)
    with pytest.raises(ImportError, match="Dummy needs the package scipy: pip install scipy"):
        schedulers.load_scheduler({"_class_name": "LMSDiscreteScheduler"})


def test_a_prediction_that_a_solver_cannot_use():
    own = own_with("ddim", prediction_type="sample")
    with pytest.raises(ValueError, match="'pndm' cannot run a model that predicts 'sample'"):
        fresh_scheduler("pndm", own, 4)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_zero_terminal_snr_is_kept_or_the_scheduler_is_refused(name):
    """The trained noise schedule would be another one, and images silently wrong."""
    fields = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    own = own_with("ddim", **fields)
    if name in ("pndm", "heun"):
        with pytest.raises(ValueError, match=f"{name!r} has no zero terminal SNR"):
            fresh_scheduler(name, own, 4)
    else:
        fresh = fresh_scheduler(name, own, 4)
        # Those with sigmas cannot divide by an alpha bar of 0, and take 2**-24.
        assert torch.allclose(fresh.alphas_cumprod, own.alphas_cumprod, atol=1e-7)


# Sound grids: each step leads to the next timestep, and the last one to the end

# Among them are the first of the 62 counts with a timestep too many in diffusers.
FEW = (1, 2, 3, 7, 20, 48)
MANY = (4, 5, 8, 9, 10, 15, 19, 21, 25, 30, 42, 50, 60, 61, 62, 64, 75, 99, 100)
MANY += (101, 103, 121, 350, 400, 600, 998, 999, 1000)
SPACINGS = ("leading", "trailing", "linspace")
# One step from pure noise at t = 0 or 1, a timestep that is there twice, a start beyond t = 999.
REFUSED = {("leading", 1), ("linspace", 1), ("linspace", 1000), ("leading", 999), ("leading", 1000)}
ENDS_AT_THE_FIRST_ALPHA_BAR = {"ddim", "pndm"}  # the others end at clean latents


def own_with(name: str, **fields):
    """The model's own scheduler, of the class that `name` stands for and with other fields."""
    like = build_scheduler(name, OWN)
    return type(like).from_config(like.config, **fields)


@pytest.mark.parametrize("counts", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "lcm"])  # 50 at most
@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_perfect_prediction_leaves_what_the_end_of_the_schedule_leaves(name, spacing, counts):
    own = own_with(name, timestep_spacing=spacing)
    end = math.sqrt(1 - OWN.alphas_cumprod[0]) if name in ENDS_AT_THE_FIRST_ALPHA_BAR else 0
    for num_steps in counts:
        try:
            fresh = fresh_scheduler(None, own, num_steps)
        except ValueError as error:
            assert (spacing, num_steps) in REFUSED, error  # noqa: PT017
            continue
        calls = {"heun": 2 * num_steps - 1, "pndm": num_steps + (num_steps > 1)}
        assert len(fresh.timesteps) == calls.get(name, num_steps), num_steps
        assert fresh.timesteps.min() >= 0, num_steps
        left = schedulers.noise_left(fresh, num_steps)
        # "leading" starts at a lower noise level than that of the latents it is given.
        assert left == pytest.approx(end, abs=0.01 if spacing == "leading" else 2e-3), num_steps


@pytest.mark.parametrize(
    ("name", "prediction_type"),
    [
        *(("ddim", kind) for kind in ("epsilon", "v_prediction", "sample")),
        *(("pndm", kind) for kind in ("epsilon", "v_prediction")),  # it knows no other
    ],
)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_steps_are_those_of_diffusers_where_these_are_right(name, spacing, prediction_type):
    own = own_with(name, timestep_spacing=spacing, prediction_type=prediction_type)
    theirs = getattr(diffusers, type(own).__name__).from_config(own.config)
    right = {"leading": (3, 7, 20, 48, 61), "trailing": (4, 20, 50), "linspace": (1000,)}
    for num_steps in right[spacing]:
        ends = []
        for scheduler in (fresh_scheduler(None, own, num_steps), theirs):
            if scheduler is theirs:
                scheduler.set_timesteps(num_steps)
            latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
            for t in scheduler.timesteps:
                latents = scheduler.step(latents.sin(), t, latents, return_dict=False)[0]
            ends.append(latents)
        assert torch.equal(*ends), num_steps


@pytest.mark.parametrize(
    ("name", "fields", "num_steps"),
    [
        ("unipc", {"solver_type": "bh1"}, 20),
        ("unipc", {"predict_x0": False}, 20),
        ("dpm++", {"timestep_spacing": "linspace"}, 1000),
        ("ddim", {"timestep_spacing": "leading"}, 1),
    ],
)
def test_a_run_that_would_end_in_nan_is_refused(name, fields, num_steps):
    with pytest.raises(ValueError, match=rf"num_steps={num_steps} does not suit .*; take (.*)"):
        fresh_scheduler(None, own_with(name, **fields), num_steps)


@pytest.mark.parametrize("cls", sorted(set(OTHER_CLASSES) - {"TCDScheduler"}))  # 50 at most
def test_a_count_with_a_timestep_too_many_is_sound_or_refused_with_advice(cls):
    own = loaded(cls, "trailing")
    try:
        fresh = fresh_scheduler(None, own, 61)
    except ValueError as error:
        assert "take num_steps=6" in str(error)  # noqa: PT017
    else:
        assert fresh.timesteps.min() >= 0
        assert schedulers.noise_left(fresh, 61) < 0.05


def test_a_refusal_says_which_number_of_steps_to_take():
    own = own_with("ddim", timestep_spacing="leading")
    with pytest.raises(ValueError, match="perfect .*; take num_steps=2$"):
        fresh_scheduler(None, own, 1)
    assert len(fresh_scheduler(None, own, 2).timesteps) == 2


def test_schedulers_that_draw_noise_are_known_by_what_they_do():
    noisy = {name for name in SCHEDULERS if schedulers.draws_noise(build_scheduler(name, OWN))}
    assert noisy == {"ddpm", "euler_a", "lcm"}
    sde = own_with("dpm++", algorithm_type="sde-dpmsolver++")
    assert schedulers.draws_noise(sde)


def test_added_noise_is_refused_by_ddim():
    scheduler = fresh_scheduler("ddim", OWN, 4)
    with pytest.raises(ValueError, match="eta must be 0, as this DDIM adds no noise; got 1"):
        scheduler.step(torch.ones(1), scheduler.timesteps[0], torch.ones(1), eta=1)
