"""Image to image and inpainting: diffusers' own, bit for bit, and what is better here."""

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from PIL import Image

from sdlearn import load
from sdlearn.cli import main
from sdlearn.diffusion import (
    SCHEDULERS,
    add_noise,
    build_scheduler,
    denoise_steps,
    draws_noise,
    fresh_scheduler,
    generators,
    pred_eps,
    randn,
    solvers,
)
from sdlearn.diffusion.editing import begin_run
from sdlearn.diffusion.schedulers import alpha_bars
from sdlearn.util.images import to_pil
from sdlearn.util.source import read_source
from sdlearn.world import render, scenes

PROMPT = "a large red house"
SEEDS = [7, 8]
PHOTO = render(next(iter(scenes(1)))).resize((96, 64))
MASK = Image.new("L", PHOTO.size)
MASK.paste(255, (24, 16, 64, 48))  # on the grid of eight, where diffusers sees all of it
INSIDE = np.asarray(MASK) > 0


@pytest.fixture(scope="module")
def sd(tiny_folder):
    return load(tiny_folder, device="cpu")


@pytest.fixture(scope="module")
def sd9(sd):
    """A model made for inpainting: its U-Net has 9 channels."""
    config = {**sd.unet.config, "in_channels": 9}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = type(sd.unet).from_config(config).eval().requires_grad_(False)
    parts = {part: getattr(sd, part) for part in ("tokenizer", "text_encoder", "vae", "scheduler")}
    return type(sd)("inpainting", unet=unet, **parts)


def ours(sd, scheduler, strength, mask):
    """The latents at the end of our stages."""
    *_, last = sd.denoise(
        sd.init_latents(SEEDS, height=64, width=96),
        sd.encode_text(PROMPT),
        sd.encode_text(""),
        num_steps=5,
        guidance_scale=5.0,
        scheduler=scheduler,
        seeds=SEEDS,
        strength=strength,
        **sd.encode_source(sd.read_source(PHOTO, mask)),
    )
    return last.next_latents


def theirs(sd, scheduler, strength, mask):
    """The latents at the end of diffusers' pipeline, on the same latents of the image.

    It would draw a sample of the encoder's distribution where we take its mode, so it is given
    ours; its generators then draw the same noise.
    """
    parts = {p: getattr(sd, p) for p in ("tokenizer", "text_encoder", "vae", "unet")}
    cls = StableDiffusionImg2ImgPipeline if mask is None else StableDiffusionInpaintPipeline
    own = sd.scheduler if scheduler is None else build_scheduler(scheduler, sd.scheduler)
    parts["scheduler"] = getattr(diffusers, type(own).__name__).from_config(own.config)
    pipe = cls(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    encoded = sd.encode_source(sd.read_source(PHOTO, mask))
    how = {"image": encoded["image_latents"].repeat(2, 1, 1, 1)}
    if mask is not None:
        how |= {"mask_image": mask, "height": 64, "width": 96}
        how["masked_image_latents"] = encoded.get("masked_image_latents", how["image"])
    return pipe(
        PROMPT,
        num_images_per_prompt=2,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        num_inference_steps=5,
        guidance_scale=5.0,
        strength=strength,
        output_type="latent",
        **how,
    ).images


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("name", [None, *SCHEDULERS])
@pytest.mark.parametrize("kind", ["image to image", "inpainting", "inpainting, 9 channels"])
def test_latents_equal_those_of_diffusers(sd, sd9, kind, name, strength):
    sd = sd9 if "9" in kind else sd
    mask = None if kind == "image to image" else MASK
    right = theirs(sd, name, strength, mask)
    # Begun in the middle, PNDM of diffusers 0.42.1 leaves noise, which the test below shows.
    is_wrong = name == "pndm" and strength < 1
    assert torch.equal(ours(sd, name, strength, mask), right) != is_wrong


def left_after(scheduler, latents, begin, x0):
    """The standard deviation of the noise that remains where the U-Net is perfect."""
    levels = iter(alpha_bars(scheduler)[begin:])
    *_, last = denoise_steps(
        lambda x_t, t, _: pred_eps(x_t, x0, next(levels)),
        scheduler,
        latents,
        x0,
        None,
        guidance_scale=1,
        generators=generators([1]) if draws_noise(scheduler) else None,
        begin=begin,
    )
    return float((last.next_latents - x0).std())


X0, NOISE = randn((4, 8, 8), [0]), randn((4, 8, 8), [1])


@pytest.mark.parametrize("strength", [0.1, 0.35, 0.9])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_run_begun_in_the_middle_ends_clean(sd, name, strength):
    fresh = fresh_scheduler(name, sd.scheduler, 20)
    begin, latents = begin_run(fresh, NOISE, 20, image_latents=X0, strength=strength)
    assert left_after(fresh, latents, begin, X0) < 0.035


@pytest.mark.parametrize("strength", [0.1, 0.35, 0.9])
def test_pndm_of_diffusers_begun_in_the_middle_leaves_noise(sd, strength):
    """diffusers 0.42.1. If this fails it was mended, and the table above needs no exception."""
    left = []
    for cls in (solvers.PNDMScheduler, diffusers.PNDMScheduler):
        scheduler = cls.from_config(build_scheduler("pndm", sd.scheduler).config)
        scheduler.set_timesteps(20)
        begin, latents = begin_run(scheduler, NOISE, 20, image_latents=X0, strength=strength)
        *_, last = denoise_steps(
            lambda *_: NOISE, scheduler, latents, X0, None, guidance_scale=1, begin=begin
        )
        left.append(float((last.next_latents - X0).std()))
    assert left[0] < 0.035
    assert left[1] > 0.13


@pytest.mark.parametrize("start", [600, 599, 3, 999])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_latents_with_noise_start_at_their_timestep(sd, name, start):
    fresh = fresh_scheduler(name, sd.scheduler, 20)
    x_t = add_noise(X0, NOISE, sd.scheduler.alphas_cumprod[start])
    begin, latents = begin_run(fresh, x_t, 20, start=start)
    assert fresh.timesteps[begin] == start
    assert (fresh.timesteps[begin:].diff() <= 0).all()
    assert left_after(fresh, latents, begin, X0) < 0.035


@pytest.mark.parametrize("name", [None, "euler", "pndm"])
def test_start_and_strength_begin_the_same_run(sd, name):
    """Twice the same noise level: as a timestep of latents with noise, and as a part of steps."""
    x0 = sd.encode_image(sd.read_source(PHOTO).pixels)
    noise = sd.init_latents([7], height=64, width=96)
    how = {"cond": sd.encode_text(PROMPT), "uncond": sd.encode_text("")}
    how |= {"num_steps": 20, "scheduler": name}
    parts = list(sd.denoise(noise, **how, image_latents=x0, strength=0.25))
    x_t = add_noise(x0, noise, sd.scheduler.alphas_cumprod[int(parts[0].t)])
    whole = list(sd.denoise(x_t, **how, start=parts[0].t))
    assert [(s.index, s.t) for s in whole] == [(s.index, s.t) for s in parts]
    assert torch.allclose(whole[-1].next_latents, parts[-1].next_latents, atol=1e-4)


@pytest.mark.parametrize("strength", [0.6, None])
def test_pixels_outside_of_the_mask_are_the_images_own(sd, strength):
    how = {"seeds": SEEDS, "num_steps": 4, "strength": strength}
    photo = np.asarray(PHOTO)
    for made in map(np.asarray, sd.generate(PROMPT, image=PHOTO, mask=MASK, **how)):
        assert (made[~INSIDE] == photo[~INSIDE]).all()
        assert (made[INSIDE] != photo[INSIDE]).mean() > 0.9


def test_inside_of_the_mask_are_the_pixels_that_diffusers_decodes(sd):
    [made] = sd.generate(PROMPT, seeds=[7], image=PHOTO, mask=MASK, num_steps=5, guidance_scale=5)
    [right] = to_pil(sd.decode(theirs(sd, None, 1.0, MASK)[:1]))
    assert np.array_equal(np.asarray(made)[INSIDE], np.asarray(right)[INSIDE])


@pytest.mark.parametrize("place", [(24, 16), (31, 23), (27, 18)])
def test_a_cell_is_made_anew_if_any_of_its_pixels_is_masked(sd, place):
    mask = Image.new("L", PHOTO.size)
    mask.putpixel(place, 255)
    cells = sd.encode_source(sd.read_source(PHOTO, mask))["mask"]
    assert cells.nonzero().tolist() == [[0, 0, 2, 3]]
    [made] = sd.generate(PROMPT, image=PHOTO, mask=mask, num_steps=2)
    assert made.getpixel(place) != PHOTO.getpixel(place)


def test_strength_0_gives_the_image_back(sd, sd9):
    other = PHOTO.rotate(180)
    for how in ({"strength": 0}, {"strength": 0.1}, {"strength": 0, "mask": MASK}):
        made = sd.generate(PROMPT, image=[PHOTO, other], seeds=SEEDS, num_steps=5, **how)
        assert [image.tobytes() for image in made] == [PHOTO.tobytes(), other.tobytes()]
    made = sd9.generate(PROMPT, image=PHOTO, mask=MASK, seeds=SEEDS, num_steps=5, strength=0)
    assert [image.tobytes() for image in made] == [PHOTO.tobytes()] * 2


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (Image.new("LA", (101, 67)), (96, 64)),
        (Image.new("P", (8, 8)), (8, 8)),
        (np.zeros((64, 96, 4), np.uint8), (96, 64)),
        (torch.zeros(3, 64, 96), (96, 64)),
    ],
)
def test_images_of_any_kind_and_size_are_taken(sd, image, size):
    [made] = sd.generate(PROMPT, image=image, num_steps=2)
    assert made.size == size


def test_another_size_can_be_asked_for(sd):
    [made] = sd.generate(PROMPT, image=PHOTO, mask=MASK, num_steps=2, height=128, width=72)
    assert made.size == (72, 128)
    thin = np.zeros((640, 960), bool)
    thin[320] = True  # a stroke that is thinner than a pixel of the image
    assert read_source(PHOTO, thin).mask[0, 0].any(1).nonzero().tolist() == [[32]]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"strength": 0.5}, ValueError, "image must be given for strength and mask; got none"),
        ({"mask": MASK}, ValueError, "image must be given for strength and mask; got none"),
        ({"image": "cat.jpg"}, ValueError, "image must be a PIL image, an array .*; got str"),
        ({"image": PHOTO, "strength": 1.5}, ValueError, r"strength must lie in \[0, 1\]; got 1.5"),
        ({"image": PHOTO, "strength": "1"}, TypeError, "strength must be a number .*; got '1'"),
        ({"image": PHOTO.crop((0, 0, 7, 9))}, ValueError, "width must be a positive multiple"),
        ({"image": [PHOTO] * 3}, ValueError, "one or one for each of 1 seeds; got 3"),
        ({"image": [PHOTO, PHOTO.rotate(90, expand=True)]}, ValueError, "several of one size"),
        ({"image": []}, ValueError, "image must be one or several of one size; got none"),
        ({"image": PHOTO, "mask": MASK.point(lambda _: 0)}, ValueError, "mask must be light where"),
        ({"image": PHOTO, "mask": 3}, ValueError, "mask must be a PIL image, .*; got int"),
    ],
)
def test_generate_refuses(sd, given, error, message):
    with pytest.raises(error, match=message):
        sd.generate(PROMPT, num_steps=2, **given)


CELLS = torch.ones(1, 1, 8, 12)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"strength": 0.5}, ValueError, "strength goes with image_latents; got strength without"),
        ({"mask": CELLS}, ValueError, "mask goes with image_latents; got mask without"),
        ({"start": 1000}, ValueError, r"start must be a whole number in 0\.\.999; got 1000"),
        ({"start": 600.5}, ValueError, "start must be a whole number in .*; got 600.5"),
        ({"start": "600"}, TypeError, "start must be a timestep, a number in .*; got '600'"),
        ({"start": 5, "image_latents": 0}, ValueError, "have their noise; leave image_latents out"),
        ({"image_latents": "x"}, TypeError, "image_latents must be a tensor; got str"),
        ({"image_latents": CELLS}, ValueError, r"shape \(1, 4, 8, 12\); got \(1, 1, 8, 12\)"),
    ],
)
def test_denoise_refuses(sd, given, error, message):
    noise, cond = sd.init_latents([7], height=64, width=96), sd.encode_text(PROMPT)
    with pytest.raises(error, match=message):
        sd.denoise(noise, cond, guidance_scale=1, num_steps=5, **given)


def test_a_model_made_for_inpainting_needs_an_image_and_a_mask(sd9):
    for how in ({}, {"image": PHOTO}):
        with pytest.raises(
            ValueError, match="made for inpainting .its U-Net has 9 channels.: give"
        ):
            sd9.generate(PROMPT, num_steps=2, **how)


def test_the_command_line_changes_an_image(tiny_folder, folder):
    PHOTO.save("photo.png")
    MASK.save("mask.png")
    how = ["generate", PROMPT, "--model", str(tiny_folder), "--steps", "4", "--quiet", "--force"]
    how += ["--image", "photo.png", "-o", "made.png"]
    sd = load(tiny_folder)
    for strength, mask in ((0.5, None), (None, MASK), (0.0, None)):
        more = [] if strength is None else ["--strength", str(strength)]
        more += [] if mask is None else ["--mask", "mask.png"]
        assert main([*how, *more]) == 0
        [right] = sd.generate(PROMPT, image=PHOTO, mask=mask, strength=strength, num_steps=4)
        with Image.open("made.png") as made:
            assert made.tobytes() == right.tobytes()
            assert made.text["image"] == "photo.png"
            assert made.text["strength"] == str(1.0 if strength is None else strength)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--strength", "0.5"], "strength goes with an image to begin with; add --image FILE"),
        (["--image", "no.png"], "no.png: no such file or directory"),
        (["--image", "text.png"], "text.png is no image that can be read"),
        (["--image", "photo.png", "--strength", "2"], "strength must lie in [0, 1]; got 2.0"),
    ],
)
def test_the_command_line_refuses(folder, capsys, words, message):
    PHOTO.save("photo.png")
    (folder / "text.png").write_text("text")
    assert main(["generate", PROMPT, *words]) == 2
    assert capsys.readouterr().err == f"sdlearn: {message}\n"
