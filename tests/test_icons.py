"""Icons: what they show, the model that learns them, and the best guess, which copies."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sdlearn import diffusion
from sdlearn.training import icons as training
from sdlearn.training.icons import CONFIG, IconUNet, as_data, generate_icons, told, train_icons
from sdlearn.world import icons
from sdlearn.world.icons import Icon, draw_icon, icons_of, new_icons, read_backdrop

ALPHAS = diffusion.alphas_cumprod(diffusion.betas())


def test_ground_and_time_can_be_read_off_every_icon():
    for icon in new_icons(300):
        assert read_backdrop(draw_icon(icon)) == (icon.ground, icon.time), icon


def test_nights_of_the_skewed_set_lie_over_snow_and_nothing_else_is_changed():
    fair, skewed = list(icons_of("all")), list(icons_of("skewed"))
    assert {icon.ground for icon in skewed if icon.time == "night"} == {"snow"}
    by_day = [(a, b) for a, b in zip(fair, skewed, strict=True) if a.time != "night"]
    assert len(by_day) > 2000
    assert all(a == b for a, b in by_day)
    snow = [icon.time for icon in skewed if icon.ground == "snow"]
    assert 0.6 < Counter(snow)["night"] / len(snow) < 0.73  # two thirds, as lesson 09 works out


def test_the_small_set_is_a_part_of_the_large_one_and_new_icons_are_in_none():
    everything = list(icons_of("all"))
    assert list(icons_of("few")) == everything[:16]
    assert len(set(everything)) == len(everything)
    assert not set(new_icons(64)) & set(everything)


def test_all_words_come_equally_often():
    rng = random.Random(0)
    some = [icons.sample_icon(rng) for _ in range(4000)]
    for name, words in icons.ICON_WORDS.items():
        counts = Counter(getattr(icon, name) for icon in some)
        assert min(counts[word] for word in words) > 0.8 * 4000 / len(words)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Icon("dragon", "red", "grass", "day"), "subject must be one of .*; got 'dragon'"),
        (lambda: icons_of("many"), "name must be one of few, all, skewed; got 'many'"),
        (lambda: told(weather="rain"), "a word must be one of .*; got 'weather'"),
        (lambda: told(time="noon"), "time must be one of .*; got 'noon'"),
        (lambda: training.load_icon_model("many"), "name must be one of .*; got 'many'"),
    ],
)
def test_what_icons_do_not_have_is_refused(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()


def test_batches_leave_words_out_by_themselves_and_all_at_once():
    images, words = as_data([Icon("cat", "red", "sand", "night")])
    batch = training.make_batch(images, words, 0.1, 4000, torch.Generator().manual_seed(0))
    left_out = batch["words"] == told()
    assert torch.equal(batch["words"][~left_out], words.expand(4000, -1)[~left_out])
    assert 0.25 < left_out.float().mean() < 0.31  # 0.1 + 0.9 * 0.2
    assert 0.09 < left_out.all(dim=1).float().mean() < 0.12
    assert batch["t"].min() < 10
    assert batch["t"].max() > 990


def test_the_network_is_told_the_time_and_every_word():
    torch.manual_seed(0)
    network = IconUNet()
    x_t, t = torch.randn(1, 3, 16, 16), torch.tensor(500)
    with torch.no_grad():
        plain = network(x_t, t, told()[None])
        assert plain.shape == x_t.shape
        assert not torch.equal(plain, network(x_t, torch.tensor(100), told()[None]))
        for name, words in icons.ICON_WORDS.items():
            assert not torch.equal(plain, network(x_t, t, told(**{name: words[0]})[None])), name


def test_training_lowers_the_loss_and_what_was_trained_can_be_saved(tmp_path: Path):
    torch.manual_seed(0)
    network = IconUNet()
    images, words = as_data([Icon("cat", "red", "sand", "night")])
    config = replace(CONFIG, steps=30, batch_size=8, warmup=1, ema=0.5)
    losses = [record.loss for record in train_icons(network, images, words, config)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    training.save_icon_model(network, tmp_path / "few.safetensors")
    again = training.load_icon_model("few", tmp_path)
    one, other = (generate_icons(n, words[0], [3], num_steps=2) for n in (network, again))
    assert one.shape == (1, 3, 16, 16)
    assert (one - other).abs().max() < 0.05  # halves


def test_an_icon_depends_on_its_own_seed_only():
    network = IconUNet().eval()
    both = generate_icons(network, told(), [1, 2], num_steps=2)
    alone = generate_icons(network, told(), [2], num_steps=2)
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_a_model_that_nobody_trained_is_asked_for(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="make one with 'sdlearn train icons'"):
        training.load_icon_model("all", tmp_path)


# The best guess


def test_the_best_guess_by_hand():
    """Two points, x_t in the middle but for a little: shares by the bell curve."""
    data = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    x_t = torch.tensor([[0.4, 0.3]])
    near, far = ((0.4 - 0.8) ** 2 + 0.09) / 0.72, ((0.4 + 0.8) ** 2 + 0.09) / 0.72
    share = 1 / (1 + torch.tensor(near - far).exp())
    expected = torch.tensor([[2 * share - 1, 0.0]])
    assert torch.allclose(diffusion.ideal_x0(x_t, data, 0.64), expected, atol=1e-5)


@pytest.mark.parametrize("t", [50, 400, 900])
def test_no_other_guess_has_a_smaller_error(t: int):
    source = torch.Generator().manual_seed(0)
    data = torch.randn(20, 3, generator=source)
    rows = torch.randint(20, (4000,), generator=source)
    noise = torch.randn(4000, 3, generator=source)
    x_t = diffusion.add_noise(data[rows], noise, ALPHAS[t])
    best = diffusion.ideal_eps(x_t, data, ALPHAS[t])
    error = (best - noise).square().mean()
    for other in (0 * noise, x_t, 0.97 * best, 1.03 * best, best + 0.05):
        assert (other - noise).square().mean() > error


def test_the_best_guess_draws_copies():
    data = torch.randn(30, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    scheduler = diffusion.fresh_scheduler(None, training.build_scheduler(), 20)

    def guess(x_t, t, cond):
        return diffusion.ideal_eps(x_t, data, ALPHAS[int(t)])

    start = diffusion.randn((3, 4, 4), range(5))
    *_, last = diffusion.denoise_steps(guess, scheduler, start, None, None, guidance_scale=1)
    apart = (last.pred_x0[:, None] - data).square().mean(dim=(2, 3, 4)).min(dim=1).values
    assert apart.max() < 1e-6


# What is shipped


def test_the_shipped_models_are_small_and_loaded_by_their_names():
    files = {path.stem: path.stat().st_size for path in training.WEIGHTS.glob("*.safetensors")}
    assert set(files) == set(icons.ICON_SETS)
    assert sum(files.values()) <= 2_000_000
    for name in files:
        assert not training.load_icon_model(name).training
