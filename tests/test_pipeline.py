"""The stages, and the proof that they are diffusers' own, bit for bit."""

import warnings

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from sdlearn import load
from sdlearn.diffusion.guidance import apply_guidance
from sdlearn.diffusion.schedulers import SCHEDULERS, build_scheduler, draws_noise
from sdlearn.pipeline import to_pil

PROMPT = "a large red house on the left, on green grass"
NEGATIVE = "snow"


@pytest.fixture(scope="module", params=["random", pytest.param("shipped", marks=pytest.mark.slow)])
def both(request, tiny_folder):
    """Our pipeline and diffusers' on the same weights: random ones, then the shipped ones."""
    from sdlearn.models.loading import TINY

    folder = tiny_folder if request.param == "random" else TINY
    theirs = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, dtype=torch.float32
    )
    theirs.set_progress_bar_config(disable=True)
    return load(folder, device="cpu"), theirs


@pytest.fixture(scope="module")
def sd(tiny_folder):
    return load(tiny_folder, device="cpu")


def theirs_with(pipe, scheduler, *, output_type, seeds=(7, 8), prompt=PROMPT, **how):
    """Run diffusers' pipeline with its own class of scheduler and one generator for each image."""
    pipe.scheduler = getattr(diffusers, type(scheduler).__name__).from_config(scheduler.config)
    return pipe(
        prompt,
        num_images_per_prompt=len(seeds) if isinstance(prompt, str) else 1,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type=output_type,
        **how,
    ).images


def ours_with(sd, *, seeds=(7, 8), prompt=PROMPT, negative="", **how):
    """The latents at the end of our loop."""
    steps = sd.denoise(
        sd.init_latents(seeds),
        sd.encode_text(prompt),
        sd.encode_text(negative),
        seeds=seeds,
        **how,
    )
    return list(steps)[-1].next_latents


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
def test_latents_equal_those_of_diffusers_for_every_scheduler(both, name):
    sd, pipe = both
    scheduler = sd.scheduler if name is None else build_scheduler(name, sd.scheduler)
    how = {"guidance_scale": 5.0}
    theirs = theirs_with(pipe, scheduler, output_type="latent", num_inference_steps=5, **how)
    assert torch.equal(ours_with(sd, num_steps=5, scheduler=name, **how), theirs)


@pytest.mark.parametrize("name", [None, "pndm", "euler_a", "dpm++"])
def test_pictures_equal_those_of_diffusers(both, name):
    sd, pipe = both
    scheduler = sd.scheduler if name is None else build_scheduler(name, sd.scheduler)
    theirs = theirs_with(
        pipe, scheduler, output_type="pil", num_inference_steps=4, negative_prompt=NEGATIVE
    )
    # diffusers' pipeline has its own default of 7.5
    ours = sd.generate(
        PROMPT,
        seeds=[7, 8],
        num_steps=4,
        scheduler=name,
        negative_prompt=NEGATIVE,
        guidance_scale=7.5,
    )
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_several_prompts_and_another_size_equal_those_of_diffusers(both):
    sd, pipe = both
    prompts = ["a red house", "a blue boat at night"]
    theirs = theirs_with(
        pipe,
        sd.scheduler,
        prompt=prompts,
        output_type="pil",
        num_inference_steps=4,
        height=96,
        width=160,
        guidance_scale=3.0,
    )
    ours = sd.generate(prompts, seeds=[7, 8], num_steps=4, height=96, width=160)
    assert [image.size for image in ours] == [(160, 96)] * 2
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_scale_1_equals_diffusers_without_guidance(both):
    sd, pipe = both
    theirs = theirs_with(
        pipe, sd.scheduler, output_type="latent", num_inference_steps=4, guidance_scale=1.0
    )
    assert torch.equal(ours_with(sd, num_steps=4, guidance_scale=1), theirs)


@pytest.mark.parametrize("name", [None, "euler_a"])
def test_pictures_do_not_depend_on_the_batch(sd, name):
    how = {"num_steps": 4, "scheduler": name}
    together = sd.generate(PROMPT, seeds=[1, 2, 3], **how)
    alone = [sd.generate(PROMPT, seeds=[seed], **how)[0] for seed in (1, 2, 3)]
    for a, b in zip(together, alone, strict=True):
        # PyTorch promises no equal bits across batch sizes: one grey level may be rounded apart.
        assert np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).max() <= 1
    assert together[0].tobytes() != together[1].tobytes()


@pytest.fixture
def stages(sd):
    return sd.init_latents([7]), sd.encode_text(PROMPT), sd.encode_text("")


@pytest.mark.parametrize("scale", [-1, 0, 1, 7.5])
def test_each_step_follows_the_formula_of_guidance(sd, stages, scale):
    latents, cond, uncond = stages
    [step, *_] = sd.denoise(latents, cond, uncond, num_steps=2, guidance_scale=scale)
    eps_uncond, eps_cond = (sd.predict_noise(latents, step.t, c) for c in (uncond, cond))
    assert torch.allclose(step.eps, apply_guidance(eps_uncond, eps_cond, scale), atol=1e-4)
    assert (step.eps_uncond is None) == (scale == 1)
    assert (step.eps_cond is None) == (scale == 0)


def test_scale_0_draws_without_regard_to_the_prompt(sd):
    one, other = (sd.generate(p, num_steps=3, guidance_scale=0)[0] for p in ("a cat", "a boat"))
    assert one.tobytes() == other.tobytes()
    one, other = (sd.generate(p, num_steps=3, guidance_scale=1)[0] for p in ("a cat", "a boat"))
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize(("scale", "rows"), [(0, 1), (1, 1), (5, 2)])
def test_the_unet_is_called_once_a_step_and_on_no_more_than_needed(sd, stages, scale, rows):
    seen = []
    hook = sd.unet.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    try:
        list(sd.denoise(*stages, num_steps=3, guidance_scale=scale))
    finally:
        hook.remove()
    assert seen == [rows] * 3


def test_cond_alone_is_enough_without_guidance(sd, stages):
    latents, cond, uncond = stages
    with pytest.raises(ValueError, match="uncond must be given unless guidance_scale is 1; got 3"):
        sd.denoise(latents, cond)
    [*_, a] = sd.denoise(latents, cond, num_steps=3, guidance_scale=1)
    [*_, b] = sd.denoise(latents, cond, uncond, num_steps=3, guidance_scale=1)
    assert torch.equal(a.next_latents, b.next_latents)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_steps_are_a_chain_and_pred_x0_is_what_eps_implies(sd, stages, name):
    steps = list(sd.denoise(*stages, num_steps=5, scheduler=name, seeds=[7]))
    assert [step.index for step in steps] == list(range(len(steps)))
    for before, after in zip(steps, steps[1:], strict=False):
        assert torch.equal(before.next_latents, after.latents)
    if not draws_noise(build_scheduler(name, sd.scheduler)) and name != "pndm":
        # These end on the last pred_x0; DDIM on the step to ᾱ_0, which is nearly there.
        last = steps[-1]
        assert torch.allclose(last.pred_x0, last.next_latents, atol=0.15, rtol=0.05)


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_few_steps_end_in_finite_latents(sd, stages, name, num_steps):
    *_, last = sd.denoise(*stages, num_steps=num_steps, scheduler=name, seeds=[7])
    assert last.next_latents.isfinite().all()


def test_steps_are_computed_one_by_one_and_the_caller_keeps_gradients(sd, stages):
    steps = sd.denoise(*stages, num_steps=1000)
    next(steps)
    assert torch.is_grad_enabled()
    latents = stages[0].clone().requires_grad_(True)
    assert (latents * 2).requires_grad


def test_arguments_of_the_stages_are_not_changed(sd, stages):
    copies = [tensor.clone() for tensor in stages]
    list(sd.denoise(*stages, num_steps=2, scheduler="euler"))
    sd.decode(stages[0])
    assert all(torch.equal(a, b) for a, b in zip(stages, copies, strict=True))


def test_shapes_and_ranges_of_the_stages(sd, stages):
    latents, cond, _ = stages
    assert sd.tokenize([PROMPT, ""]).shape == (2, 77)
    assert cond.shape == (1, 77, sd.text_encoder.config.hidden_size)
    assert latents.shape == (1, 4, 16, 16)
    images = sd.decode(latents)
    assert images.shape == (1, 3, 128, 128)
    assert images.min() >= 0
    assert images.max() <= 1
    assert sd.encode_image(images).shape == latents.shape
    assert sd.image_size == 128
    assert "128x128" in repr(sd)


def test_to_pil_rounds_to_the_nearest():
    image = to_pil(torch.tensor([0.0, 0.5, 0.9999, 1.0]).expand(1, 3, 1, 4))[0]
    assert [image.getpixel((x, 0))[0] for x in range(4)] == [0, 128, 255, 255]


def test_to_pil_says_what_it_draws_black():
    bad = torch.tensor([torch.nan, torch.inf, 1.0]).expand(1, 3, 1, 3)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        [image] = to_pil(bad)
    [message] = [str(each.message) for each in told]
    assert message == (
        "pixels that are no finite numbers are drawn black; half precision may be too narrow for "
        "this model: try float32"
    )
    assert [image.getpixel((x, 0))[0] for x in range(3)] == [0, 0, 255]


def test_a_long_prompt_is_cut_with_a_warning_that_shows_the_words(sd):
    words = "red house " * 45
    with pytest.warns(UserWarning, match="77 fit; cut off: '.*red house'"):
        ids = sd.tokenize(words)
    assert ids.shape == (1, 77)
    assert ids[0, -1] == sd.tokenizer.eos_token_id


@pytest.mark.parametrize(
    "prompt", ["(red:1.5) house", "a ((small:.8) boat)", "a (red house: 2)", ["a", "(b:-1)"]]
)
def test_weights_of_words_are_said_to_be_plain_text(sd, prompt):
    with pytest.warns(UserWarning, match=r"not supported: '\(.*\)' is read as plain text"):
        sd.tokenize(prompt)


@pytest.mark.parametrize(
    "prompt", ["a (red) house", "a house (at 10:30)", "ratio 1:2 (large)", "(left: red)", "(:1)"]
)
def test_ordinary_brackets_are_not_warned_about(sd, prompt):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sd.tokenize(prompt)


def test_a_prompt_that_just_fits_is_not_warned_about(sd):
    word = "red"
    assert len(sd.tokenizer(word).input_ids) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sd.tokenize(" ".join([word] * 75))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"prompt": ""}, ValueError, "prompt must say what to draw; got ''"),
        ({"prompt": "  "}, ValueError, "prompt must say what to draw"),
        ({"prompt": 5}, TypeError, "prompt must be a string or a list of strings; got 5"),
        ({"prompt": ["a", 5]}, TypeError, "prompt must be a string or a list of strings; got 5"),
        ({"prompt": []}, ValueError, "prompt must hold at least one string"),
        ({"prompt": ["a", "b"]}, ValueError, "one for each of 1 seeds; got 2"),
        ({"negative_prompt": None}, TypeError, "negative_prompt must be a string"),
        ({"guidance_rescale": "7"}, TypeError, "guidance_rescale must be a number; got '7'"),
        ({"guidance_rescale": 2}, ValueError, r"guidance_rescale must lie in 0\.\.1; got 2"),
        ({"num_steps": 0}, ValueError, r"num_steps must lie in 1\.\.1000; got 0"),
        ({"num_steps": -3}, ValueError, r"num_steps must lie in 1\.\.1000; got -3"),
        ({"num_steps": 1001}, ValueError, r"num_steps must lie in 1\.\.1000; got 1001"),
        ({"num_steps": 2.5}, TypeError, "num_steps must be a whole number; got 2.5"),
        ({"num_steps": True}, TypeError, "num_steps must be a whole number; got True"),
        ({"guidance_scale": float("nan")}, ValueError, "guidance_scale must be a finite number"),
        ({"guidance_scale": float("inf")}, ValueError, "guidance_scale must be a finite number"),
        ({"guidance_scale": "5"}, TypeError, "guidance_scale must be a number; got '5'"),
        ({"height": 100}, ValueError, "height must be a positive multiple of 8 pixels; got 100"),
        ({"width": 0}, ValueError, "width must be a positive multiple of 8 pixels; got 0"),
        ({"width": 64.0}, TypeError, "width must be a whole number of pixels; got 64.0"),
        ({"scheduler": "dimm"}, ValueError, "scheduler must be one of ddim, .*got 'dimm'"),
        ({"seeds": [-1]}, ValueError, "every seed must lie in"),
        ({"seeds": [2**64]}, ValueError, "every seed must lie in"),
        ({"seeds": 7}, TypeError, "seeds must be a list of whole numbers"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(sd, change, error, message):
    with pytest.raises(error, match=message) as caught:
        sd.generate(**{"prompt": PROMPT, "num_steps": 2, **change})
    assert "\n" not in str(caught.value)


def test_stages_refuse_what_does_not_fit(sd, stages):
    latents, cond, uncond = stages
    with pytest.raises(ValueError, match="cond must hold 1 or 1 prompts"):
        sd.denoise(latents, cond.expand(3, -1, -1), uncond)
    with pytest.raises(ValueError, match="seeds must be given"):
        sd.denoise(latents, cond, uncond, scheduler="euler_a")
    with pytest.raises(ValueError, match="seeds must be one for each of 1 latents; got 2"):
        sd.denoise(latents, cond, uncond, scheduler="euler_a", seeds=[1, 2])
    with pytest.raises(ValueError, match="seeds must be one for each of 2 latents; got 1"):
        sd.denoise(latents.expand(2, -1, -1, -1), cond, uncond, scheduler="ddim", seeds=[1])


@pytest.mark.parametrize(
    ("latents", "t", "cond", "error", "message"),
    [
        (lambda z: z[0], 500, lambda c: c, ValueError, r"latents must have shape \(B, 4, h, w\)"),
        (lambda z: z, 500, lambda c: "a red house", TypeError, "cond must be a tensor; got str"),
        (lambda z: z, 500, lambda c: c[..., :64], ValueError, r"got shape \(1, 77, 64\)"),
        (lambda z: z, "500", lambda c: c, TypeError, "t must be a number or a tensor; got '500'"),
        (lambda z: z, torch.ones(3), lambda c: c, ValueError, r"of 1 latents; got shape \(3,\)"),
    ],
)
def test_predict_noise_refuses_what_does_not_fit(sd, stages, latents, t, cond, error, message):
    with pytest.raises(error, match=message):
        sd.predict_noise(latents(stages[0]), t, cond(stages[1]))


def test_the_model_has_defaults_of_its_own(sd, stages):
    assert "Defaults(num_steps=20, guidance_scale=3.0)" in repr(sd)
    assert len(list(sd.denoise(*stages))) == sd.defaults.num_steps == 20
    step = next(sd.denoise(*stages))
    assert torch.equal(step.eps, apply_guidance(step.eps_uncond, step.eps_cond, 3.0))
    assert sd.defaults.guidance_scale == 3.0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"latents": None}, TypeError, "latents must be a tensor; got NoneType"),
        ({"latents": lambda z: z[0]}, ValueError, r"shape \(B, 4, h, w\); got \(4, 16, 16\)"),
        ({"latents": lambda z: z[:, :3]}, ValueError, r"got \(1, 3, 16, 16\)"),
        ({"latents": lambda z: z[:0]}, ValueError, r"got \(0, 4, 16, 16\)"),
        ({"latents": lambda z: z.double()}, ValueError, "be torch.float32, as .*torch.float64"),
        ({"cond": "a red house"}, TypeError, "cond must be a tensor; got str .encode_text makes"),
        ({"cond": lambda c: c[0]}, ValueError, r"got shape \(77, 128\)"),
        ({"cond": lambda c: c[:, :76]}, ValueError, r"each \(77, 128\); got shape \(1, 76, 128\)"),
        ({"cond": lambda c: c[..., :64]}, ValueError, r"cond must .*; got shape \(1, 77, 64\)"),
        ({"uncond": lambda u: u[..., :64]}, ValueError, r"uncond must .*; got shape \(1, 77, 64\)"),
        ({"uncond": lambda u: u.half()}, ValueError, "uncond must be torch.float32, as the model"),
    ],
)
def test_denoise_refuses_at_the_call_what_torch_would_refuse_later(
    sd, stages, change, error, message
):
    given = dict(zip(("latents", "cond", "uncond"), stages, strict=True))
    given |= {name: to(given[name]) if callable(to) else to for name, to in change.items()}
    with pytest.raises(error, match=message):
        sd.denoise(**given)


def test_under_autocast_torch_takes_another_type(sd, stages):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        [step, *_] = sd.denoise(*(tensor.bfloat16() for tensor in stages), num_steps=2)
    assert step.eps.isfinite().all()


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda z: [z], TypeError, "latents must be a tensor; got list"),
        (lambda z: z[0], ValueError, r"latents must have shape \(B, 4, h, w\); got \(4, 16, 16\)"),
        (lambda z: z.half(), ValueError, "latents must be torch.float32, .*; got torch.float16"),
    ],
)
def test_decode_refuses_what_is_no_latents(sd, stages, wrong, error, message):
    with pytest.raises(error, match=message):
        sd.decode(wrong(stages[0]))


def test_decode_refuses_a_step(sd, stages):
    [step] = sd.denoise(*stages, num_steps=1)
    with pytest.raises(TypeError, match="latents must be a tensor; got Step"):
        sd.decode(step)


GREY = torch.full((1, 3, 64, 64), 0.5)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (to_pil(GREY)[0], TypeError, "images must be a tensor; got Image .viz.to_tensor makes one"),
        (GREY[0], ValueError, r"images must have shape \(B, 3, H, W\); got \(3, 64, 64\)"),
        (GREY[..., :60], ValueError, "width must be a positive multiple of 8"),
        (GREY * 255, ValueError, r"images must lie in \[0, 1\]; got values from 128 to 128"),
        (GREY * 2 - 1.002, ValueError, "got values from -0.002 to -0.002"),
        (GREY * torch.nan, ValueError, "got values from nan to nan"),
        ((GREY * 255).byte(), ValueError, r"a float tensor in \[0, 1\]; got torch.uint8"),
    ],
)
def test_encode_image_refuses_what_is_no_picture(sd, images, error, message):
    with pytest.raises(error, match=message):
        sd.encode_image(images)


@pytest.mark.parametrize("value", [-0.0009, 1.0009])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_rounding_beyond_the_range_is_encoded(sd, value, dtype):
    assert sd.encode_image(torch.full((1, 3, 64, 64), value, dtype=dtype)).isfinite().all()


def test_numbers_from_numpy_are_taken(sd):
    image = sd.generate(PROMPT, seeds=np.arange(1), num_steps=np.int64(2))[0]
    assert image.size == (128, 128)
