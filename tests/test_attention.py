"""Attention maps: recorded without changing what the U-Net gives, and put back in any case.
Parts of the U-Net switched off: as if they had been computed without, and back on afterwards.
"""

import copy
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image

from sdlearn import load, viz
from sdlearn.inside.ablation import with_fixed_timestep, without_skips
from sdlearn.inside.attention import AttentionMap, record_attention, token_positions, word_maps


@pytest.fixture(scope="module", params=["random", "tiny"])
def sd(request, tiny_folder: Path):
    return load("tiny" if request.param == "tiny" else tiny_folder, device="cpu")


@pytest.fixture(scope="module")
def random_sd(tiny_folder: Path):
    return load(tiny_folder, device="cpu")


def inputs(sd, count: int = 1, **sides: int) -> tuple[torch.Tensor, int, torch.Tensor]:
    cond = sd.encode_text("a red house on green grass")
    return sd.init_latents(range(count), **sides), 500, cond.expand(count, -1, -1)


def flat_map(*, h: int = 4, w: int = 4, length: int = 8, call: int = 0) -> AttentionMap:
    return AttentionMap(call, "layer", torch.full((2, 3, h, w, length), 1 / length))


# Recording


def test_a_recorded_call_gives_the_same_noise(sd):
    latents, t, cond = inputs(sd, 2)
    plain = sd.predict_noise(latents, t, cond)
    with record_attention(sd.unet) as maps:
        recorded = sd.predict_noise(latents, t, cond)
    assert torch.equal(recorded, plain)
    assert len(maps) > 0


def test_every_cross_attention_layer_is_recorded_at_its_level(sd):
    layers = [name for name in sd.unet.attn_processors if name.endswith("attn2.processor")]
    with record_attention(sd.unet) as maps:
        sd.predict_noise(*inputs(sd))
    assert sorted(f"{one.layer}.processor" for one in maps) == sorted(layers)
    finest = max(one.probabilities.shape[2] for one in maps)
    assert finest < sd.unet.config.sample_size  # no attention at the finest level of both models
    for one in maps:
        h, w = one.probabilities.shape[2:4]
        assert h == w
        assert sd.unet.config.sample_size % h == 0


def test_probabilities_sum_to_1_over_the_tokens(sd):
    with record_attention(sd.unet) as maps:
        sd.predict_noise(*inputs(sd))
    for one in maps:
        assert one.probabilities.shape[-1] == 77
        assert one.probabilities.dtype == torch.float32
        assert (one.probabilities >= 0).all()
        assert one.probabilities.sum(-1).sub(1).abs().max() < 1e-5


def test_maps_carry_no_gradient_where_the_output_does(random_sd):
    latents, t, cond = inputs(random_sd)
    with record_attention(random_sd.unet) as maps:
        eps = random_sd.unet(latents.requires_grad_(), t, encoder_hidden_states=cond).sample
    assert eps.requires_grad
    assert {one.probabilities.requires_grad for one in maps} == {False}


def test_probabilities_are_those_that_the_layer_mixes_its_values_with(random_sd):
    """From the probabilities and the layer's own values, its output can be made again."""
    unet = random_sd.unet
    latents, t, cond = inputs(random_sd)
    name = next(n for n in unet.attn_processors if n.endswith("attn2.processor"))
    layer = unet.get_submodule(name.removesuffix(".processor"))
    outputs = []
    hook = layer.register_forward_hook(lambda *call: outputs.append(call[2]))
    with record_attention(unet, heads=True) as maps:
        random_sd.predict_noise(latents, t, cond)
    hook.remove()
    [one] = [m for m in maps if f"{m.layer}.processor" == name]
    weights = one.probabilities.flatten(2, 3)  # (B, heads, places, L)
    values = layer.to_v(cond).unflatten(-1, (layer.heads, -1)).transpose(1, 2)
    mixed = (weights @ values).transpose(1, 2).flatten(2)
    assert torch.allclose(layer.to_out[0](mixed), outputs[0], atol=1e-5)


def test_heads_are_averaged_unless_asked_for(random_sd):
    with (
        record_attention(random_sd.unet) as mean,
        record_attention(random_sd.unet, heads=True) as all,
    ):
        random_sd.predict_noise(*inputs(random_sd))
    assert {one.probabilities.shape[1] for one in mean} == {1}
    assert {one.probabilities.shape[1] for one in all} == {4}
    for one, other in zip(mean, all, strict=True):
        assert one.layer == other.layer
        assert torch.allclose(one.probabilities[:, 0], other.probabilities.mean(1), atol=1e-6)


def test_the_calls_of_a_denoising_are_counted(random_sd):
    latents, _, cond = inputs(random_sd)
    uncond = random_sd.encode_text("")
    with record_attention(random_sd.unet) as maps:
        steps = list(random_sd.denoise(latents, cond, uncond, num_steps=3))
    assert len(steps) == 3
    assert [one.call for one in maps] == sorted(one.call for one in maps)
    assert {one.call for one in maps} == {0, 1, 2}
    assert {len(one.probabilities) for one in maps} == {2}  # without and with the text


@pytest.mark.parametrize(
    ("height", "width"), [(128, 192), (64, 128), (40, 24), (72, 128), (136, 104), (200, 120)]
)
def test_maps_keep_the_sides_of_the_picture(random_sd, height, width):
    with record_attention(random_sd.unet) as maps:
        random_sd.predict_noise(*inputs(random_sd, height=height, width=width))
    sides = {tuple(one.probabilities.shape[2:4]) for one in maps}
    assert (-(-height // 16), -(-width // 16)) in sides
    tall, wide = word_maps(maps, 3).shape
    assert max(tall, wide) == 16
    assert tall / wide == pytest.approx(height / width, rel=0.05)
    viz.heatmap(word_maps(maps, 3), Image.new("RGB", (width, height)))  # one fits over the other


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("sides", [(9, 16), (17, 13), (25, 15), (71, 95)])
def test_maps_of_four_levels_have_the_sides_of_their_level(padding, sides):
    """Odd sides are halved up, and with `downsample_padding` 0 down."""
    unet = UNet2DConditionModel(
        down_block_types=("CrossAttnDownBlock2D",) * 4,
        up_block_types=("CrossAttnUpBlock2D",) * 4,
        block_out_channels=(4,) * 4,
        layers_per_block=1,
        norm_num_groups=2,
        cross_attention_dim=4,
        attention_head_dim=2,
        downsample_padding=padding,
    )
    with record_attention(unet) as maps, torch.no_grad():
        unet(torch.zeros(1, 4, *sides), 500, torch.zeros(1, 77, 4))
    levels = [sides]
    for _ in range(3):
        levels.append(tuple((side + padding) // 2 for side in levels[-1]))
    down, mid, up = levels, levels[-1:], [level for level in reversed(levels) for _ in range(2)]
    assert [one.probabilities.shape[2:4] for one in maps] == [*down, *mid, *up]


def test_the_sample_may_be_given_by_its_name(random_sd):
    latents, t, cond = inputs(random_sd)
    with record_attention(random_sd.unet) as maps, torch.no_grad():
        random_sd.unet(sample=latents, timestep=t, encoder_hidden_states=cond)
    assert maps[0].probabilities.shape[2:4] == (8, 8)


def test_a_mask_is_heeded(random_sd):
    latents, t, cond = inputs(random_sd)
    mask = torch.ones(1, 77)
    mask[:, 10:] = 0
    with record_attention(random_sd.unet) as maps, torch.no_grad():
        random_sd.unet(latents, t, encoder_hidden_states=cond, encoder_attention_mask=mask)
    for one in maps:
        assert one.probabilities[..., 10:].abs().max() < 1e-6


def test_processors_are_put_back(random_sd):
    unet = copy.deepcopy(random_sd.unet)
    unet.set_attn_processor(AttnProcessor())
    before = dict(unet.attn_processors)
    latents, t, cond = inputs(random_sd)
    with record_attention(unet) as maps, torch.no_grad():
        unet(latents, t, cond)
    assert unet.attn_processors == before
    count = len(maps)
    with torch.no_grad():
        unet(latents, t, cond)
    assert len(maps) == count


def test_processors_are_put_back_after_an_error(random_sd):
    unet = random_sd.unet
    before = dict(unet.attn_processors)
    with pytest.raises(ZeroDivisionError), record_attention(unet):
        raise ZeroDivisionError
    assert unet.attn_processors == before
    assert len(unet._forward_pre_hooks) == 0


@pytest.mark.parametrize("cross", [False, True])
def test_a_network_without_cross_attention_is_refused(cross):
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    sizes = {"block_out_channels": (8,), "norm_num_groups": 4, "layers_per_block": 1}
    if cross:
        unet = UNet2DConditionModel(**blocks, **sizes, mid_block_type="UNetMidBlock2D")
    else:
        unet = UNet2DModel(**blocks, **sizes)
    with pytest.raises(RuntimeError, match="unet must have cross-attention .*; found none"):
        record_attention(unet).__enter__()


# Word maps


def test_a_word_that_is_looked_at_like_all_others_gets_an_equal_share():
    shares = word_maps([flat_map(), flat_map(h=2, w=2)], 3)
    assert shares.shape == (16, 16)
    assert torch.allclose(shares, torch.tensor(1 / 8))
    assert torch.allclose(word_maps([flat_map()], [2, 3], size=4), torch.tensor(2 / 8))


def test_a_word_map_is_the_mean_over_heads_layers_and_calls():
    probabilities = torch.zeros(2, 2, 4, 4, 8)
    probabilities[1, 0, 1, 2, 5] = 1  # the second picture's first head
    maps = [AttentionMap(0, "a", probabilities), flat_map(), flat_map(call=1), flat_map(call=2)]
    shares = word_maps(maps, 5, size=4)
    assert shares[1, 2].item() == pytest.approx((1 / 2 + 3 / 8) / 4)
    assert shares[0, 0].item() == pytest.approx(3 / 8 / 4)
    assert word_maps(maps, 5, size=4, batch=0)[1, 2].item() == pytest.approx(3 / 8 / 4)


def test_enlarging_keeps_the_place():
    probabilities = torch.zeros(1, 1, 4, 8, 2)
    probabilities[0, 0, 3, 0, 1] = 1  # bottom left
    shares = word_maps([AttentionMap(0, "a", probabilities)], 1, size=32)
    assert shares.shape == (16, 32)
    assert shares[12:, :4].mean() > 10 * shares.mean()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([], 1), {}, ValueError, "maps must hold at least one record; got none"),
        (([flat_map()], 8), {}, ValueError, r"tokens must be positions in 0..7; got \[8\]"),
        (([flat_map()], [-1]), {}, ValueError, r"got \[-1\]"),
        (([flat_map()], []), {}, ValueError, "got none"),
        (([flat_map()], "house"), {}, TypeError, "whole numbers; got 'h'"),
        (([flat_map()], 1.0), {}, TypeError, "whole numbers; got 1.0"),
        (([flat_map()], 1), {"size": 0}, ValueError, "size must be at least 1; got 0"),
        (([flat_map()], 1), {"batch": 2}, ValueError, "batch must lie in -2..1; got 2"),
    ],
)
def test_maps_of_what_is_not_there_are_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        word_maps(*arguments, **options)


@pytest.mark.parametrize(
    ("word", "positions"), [("house", [3]), ("red", [2]), ("a", [1]), ("red house", [2, 3])]
)
def test_positions_of_words_are_found(random_sd, word, positions):
    assert token_positions(random_sd.tokenizer, "a red house on green grass", word) == positions


def test_a_word_of_several_tokens_has_several_positions(random_sd):
    tokenizer, prompt = random_sd.tokenizer, "a red dragon on green grass"
    found = token_positions(tokenizer, prompt, "dragon")
    ids = tokenizer(prompt).input_ids
    assert len(found) > 1
    assert tokenizer.decode([ids[i] for i in found]).strip() == "dragon"
    assert found == list(range(3, 3 + len(found)))


@pytest.mark.parametrize("word", ["boat", "hous", ""])
def test_a_word_that_is_not_in_the_prompt_is_refused(random_sd, word):
    with pytest.raises(ValueError, match=f"word must be in the prompt .*; got '{word}'"):
        token_positions(random_sd.tokenizer, "a red house", word)


def test_a_word_that_was_cut_off_is_told(random_sd):
    tokenizer = random_sd.tokenizer
    assert token_positions(tokenizer, "red " * 74 + "house", "house") == [75]
    with pytest.raises(ValueError, match="word must be in the prompt's 77 tokens; 'house' is cut"):
        token_positions(tokenizer, "red " * 75 + "house", "house")


# Parts switched off


def test_without_skips_the_way_up_is_handed_zeros(sd):
    handed = []
    hooks = [
        block.resnets[0].register_forward_pre_hook(lambda _, args: handed.append(args[0]))
        for block in sd.unet.up_blocks
    ]
    with without_skips(sd.unet):
        off = sd.predict_noise(*inputs(sd))
    for hook in hooks:
        hook.remove()
    on = sd.predict_noise(*inputs(sd))
    assert not torch.allclose(on, off, atol=1e-3)
    for block, hidden in zip(sd.unet.up_blocks, handed, strict=True):
        taken = block.resnets[0].in_channels - hidden.shape[1]
        assert taken == 0  # the skip connection is the last channels of what comes in
        assert (hidden[:, -1] == 0).all()
        assert (hidden[:, 0] != 0).any()


def test_only_the_blocks_asked_for_lose_their_skips(sd):
    on = sd.predict_noise(*inputs(sd))
    off = []
    for number in range(len(sd.unet.up_blocks)):
        with without_skips(sd.unet, [number]):
            off.append(sd.predict_noise(*inputs(sd)))
    for number, one in enumerate(off):
        assert not torch.allclose(one, on, atol=1e-3)
        assert all(not torch.allclose(one, other) for other in off[number + 1 :])
    assert torch.equal(sd.predict_noise(*inputs(sd)), on)


def test_a_fixed_timestep_is_what_the_network_is_told(sd):
    latents, _, cond = inputs(sd)
    told = sd.predict_noise(latents, 900, cond)
    with with_fixed_timestep(sd.unet, 900), torch.no_grad():
        for given in (10, torch.tensor(10), torch.tensor([10]), 900):
            assert torch.equal(sd.predict_noise(latents, given, cond), told)
        named = sd.unet(sample=latents, timestep=10, encoder_hidden_states=cond).sample
    assert torch.equal(named, told)
    assert not torch.allclose(sd.predict_noise(latents, 10, cond), told, atol=1e-3)


@pytest.mark.parametrize("part", [without_skips, lambda unet: with_fixed_timestep(unet, 1)])
def test_parts_are_switched_on_again_after_an_error(random_sd, part):
    on = random_sd.predict_noise(*inputs(random_sd))
    with pytest.raises(ZeroDivisionError), part(random_sd.unet):
        raise ZeroDivisionError
    assert torch.equal(random_sd.predict_noise(*inputs(random_sd)), on)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda unet: without_skips(unet, [2]), r"blocks must be numbers in 0..1; got \[2\]"),
        (lambda unet: without_skips(unet, []), r"got \[\]"),
        (lambda unet: with_fixed_timestep(unet, 1000), "t must lie in 0..999; got 1000"),
        (lambda unet: with_fixed_timestep(unet, float("nan")), "got nan"),
    ],
)
def test_what_cannot_be_switched_off_is_refused(random_sd, part, message):
    with pytest.raises(ValueError, match=message), part(random_sd.unet):
        pass


def test_a_network_that_hands_over_no_skips_is_told_of():
    unet = torch.nn.Module()
    unet.up_blocks = torch.nn.ModuleList([torch.nn.Identity()])
    with without_skips(unet), pytest.raises(RuntimeError, match="must be given .*; got none"):
        unet.up_blocks[0](torch.zeros(1))
