"""The drawings of the U-Net and of cross-attention: from a real call, with the model's shapes."""

import numpy as np
import pytest
import torch
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from sdlearn import StableDiffusion, load, viz
from sdlearn.inside import anatomy, attention_figure, record_attention, unet_figure
from sdlearn.inside.attention_figure import _look

PROMPT = "a red house on green grass, at night"
LAYER = "up_blocks.0.attentions.0.transformer_blocks.0.attn2"


@pytest.fixture(scope="module")
def sd() -> StableDiffusion:
    return load("tiny")


@pytest.fixture(scope="module")
def latents(sd: StableDiffusion) -> Tensor:
    return sd.init_latents([7])


@pytest.fixture(scope="module")
def drawn(sd: StableDiffusion, latents: Tensor) -> viz.Sheet:
    return unet_figure(sd, latents, 500, sd.encode_text(PROMPT))


def texts(figure: viz.Sheet) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def on_the_page(figure: viz.Sheet) -> bool:
    page, boxes = figure.bbox, [t.get_window_extent() for ax in figure.axes for t in ax.texts]
    return all(page.x0 <= b.x0 and b.x1 <= page.x1 for b in boxes) and all(
        page.y0 <= b.y0 and b.y1 <= page.y1 for b in boxes
    )


# The U-Net


def test_every_block_has_the_models_shape(drawn: viz.Sheet):
    shown = texts(drawn)
    for level in anatomy("tiny").levels:
        h, w = level.size
        assert shown.count(f"{h}×{w}×{level.channels}") >= 2  # on the way down and up
    assert shown.count("4×4×192") == 3  # and in the middle
    assert shown.count("16×16×4") == 2  # in and out
    unet, model = anatomy("tiny").parts["unet"].parameters, anatomy("tiny").parameters
    share = f"{unet:,} parameters, {100 * unet / model:.1f} % of the model"
    assert {"77×128", "t = 500", share} <= {*shown}
    assert on_the_page(drawn)


def test_cross_attentions_and_skip_connections_are_counted(drawn: viz.Sheet):
    a = anatomy("tiny")
    marks = [line for ax in drawn.axes for line in ax.lines if line.get_marker() == "D"]
    assert sum(len(line.get_xdata()) for line in marks) == len(a.cross_attentions) + 2
    arrows = [p for ax in drawn.axes for p in ax.patches if isinstance(p, FancyArrowPatch)]
    ways, ends = 2 * len(a.levels), 4
    assert len(arrows) == len(a.skips) + ways + ends
    assert {"7 cross-attentions:", "6 skip connections:"} <= {*texts(drawn)}
    assert "8×8 with 128 channels, 2 skip connections" in drawn.alt


def test_the_stacks_hold_what_the_blocks_gave(sd: StableDiffusion, latents: Tensor):
    held: list[np.ndarray] = []
    hook = sd.unet.mid_block.register_forward_hook(lambda *call: held.append(call[2][0].numpy()))
    figure = unet_figure(sd, latents, 500, sd.encode_text(PROMPT))
    hook.remove()
    [channels] = held
    images = [np.asarray(image.get_array()) for ax in figure.axes for image in ax.images]
    expected = [channel - channel.mean() for channel in channels]
    in_figure = [
        i for i in images if any(np.allclose(i, e) for e in expected if i.shape == e.shape)
    ]
    assert len(in_figure) == 4


def test_a_deeper_unet_fits_the_page(deeper: StableDiffusion):
    figure = unet_figure(deeper, deeper.init_latents([1]), 500, deeper.encode_text("a cat"))
    assert on_the_page(figure)
    assert texts(figure).count("16×16×64") == 2


@pytest.fixture
def deeper(sd: StableDiffusion) -> StableDiffusion:
    """The tiny model with an untrained U-Net of four levels, as Stable Diffusion 1.5 has them."""
    from diffusers import UNet2DConditionModel

    more = {"block_out_channels": (64, 64, 64, 64), "norm_num_groups": 8, "layers_per_block": 2}
    more["down_block_types"] = (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D")
    more["up_block_types"] = ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3)
    unet = UNet2DConditionModel.from_config({**sd.unet.config, **more})
    other = load("tiny")
    other.unet = unet.eval()
    return other


# Cross-attention


def test_what_a_place_takes_is_what_the_layer_computes(sd: StableDiffusion, latents: Tensor):
    given: list[Tensor] = []
    layer = sd.unet.get_submodule(LAYER)
    hook = layer.register_forward_hook(lambda *call: given.append(call[2]))
    found, _ = _look(sd, latents, 500, sd.encode_text(PROMPT), LAYER)
    hook.remove()
    with torch.no_grad():
        out = layer.to_out[0](torch.from_numpy(found.taken))
    assert torch.allclose(out, given[0][0], atol=1e-4)
    assert np.allclose(found.shares.sum(axis=1), 1, atol=1e-5)
    with record_attention(sd.unet) as maps:
        sd.predict_noise(latents, 500, sd.encode_text(PROMPT))
    [same] = [one for one in maps if one.layer == LAYER]
    assert np.allclose(found.shares, same.probabilities[0, 0].flatten(0, 1), atol=1e-6)


def test_the_drawing_has_the_shapes_of_its_layer(sd: StableDiffusion, latents: Tensor):
    figure = attention_figure(sd, latents, 500, PROMPT, "house")
    shown = texts(figure)
    assert {"8×8 = 64 places", "64×128", "77×128", "“house”", "house", "begin", "end"} <= {*shown}
    assert any(text.startswith("up_blocks.1.") for text in shown)  # the finest
    assert on_the_page(figure)
    coarse = attention_figure(sd, latents, 500, PROMPT, "house", layer=LAYER)
    assert {"4×4 = 16 places", "16×192", "77×192"} <= {*texts(coarse)}
    assert "4×4 places of the image give queries, 16×192" in coarse.alt


def test_the_marked_place_pays_most_attention_to_the_word(sd: StableDiffusion, latents: Tensor):
    found, _ = _look(sd, latents, 500, sd.encode_text(PROMPT), None)
    row, column = divmod(int(found.shares[:, 3].argmax()), 8)  # "house" is the third word
    figure = attention_figure(sd, latents, 500, PROMPT, "house")
    assert f"The place in row {row + 1}, column {column + 1} is marked" in figure.alt


def test_a_prompt_without_padding_is_drawn(sd: StableDiffusion, latents: Tensor):
    figure = attention_figure(sd, latents, 500, "house " * 75, "house")
    assert on_the_page(figure)
    assert "padding" not in texts(figure)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"word": "boat"}, "word must be in the prompt"),
        (
            {"word": "house", "layer": "mid_block"},
            "layer must be one of down_blocks.1.*'mid_block'",
        ),
    ],
)
def test_what_is_not_there_is_refused(sd, latents, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        attention_figure(sd, latents, 500, PROMPT, **options)


def test_drawing_leaves_the_model_as_it_was(sd: StableDiffusion, latents: Tensor, drawn):
    attention_figure(sd, latents, 500, PROMPT, "house")
    for module in sd.unet.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
