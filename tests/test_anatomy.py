"""Anatomy: held to the known numbers of Stable Diffusion 1.5, to torch's own count of a real run,
to sums worked out by hand, and to the drawing it makes."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from matplotlib.patches import FancyArrowPatch
from torch.utils.flop_counter import FlopCounterMode

from sdlearn import load
from sdlearn.inside import Anatomy, Part, anatomy, anatomy_figure, pixel_unet
from sdlearn.inside.anatomy import bytes_text, flops_text, share_text

NAMES = ("text_encoder", "unet", "vae", "vae_encoder", "vae_decoder")


@pytest.fixture(scope="module")
def sd15() -> Anatomy:
    return anatomy("sd15")


@pytest.fixture(scope="module")
def tiny() -> Anatomy:
    return anatomy("tiny")


# The known numbers


@pytest.mark.parametrize(
    ("name", "parameters", "gigaflops"),
    [
        ("text_encoder", 123_060_480, 13.3),
        ("unet", 859_520_964, 803.3),
        ("vae", 83_653_863, 1116.7 + 2514.5),
        ("vae_encoder", 34_163_664, 1116.7),
        ("vae_decoder", 49_490_199, 2514.5),
    ],
)
def test_sd15_has_its_known_size_and_cost(
    sd15: Anatomy, name: str, parameters: int, gigaflops: float
):
    part = sd15.parts[name]
    assert part.parameters == parameters
    assert part.flops / 1e9 == pytest.approx(gigaflops, abs=0.05)
    assert (part.bytes_fp32, part.bytes_fp16) == (4 * parameters, 2 * parameters)


def test_sd15_in_all(sd15: Anatomy):
    assert tuple(sd15.parts) == ("text_encoder", "unet", "vae_encoder", "vae_decoder", "vae")
    assert sd15.parameters == 1_066_235_307
    work = {
        kind: flops / sd15.parts["unet"].flops for kind, flops in sd15.parts["unet"].work.items()
    }
    assert work == pytest.approx(
        {"convolution": 0.553, "linear": 0.290, "attention": 0.157}, abs=5e-4
    )


def test_sd15_has_its_shapes(sd15: Anatomy):
    shapes = {name: (sd15.parts[name].inputs, sd15.parts[name].outputs[0]) for name in NAMES}
    picture, latents, states = (1, 3, 512, 512), (1, 4, 64, 64), (1, 77, 768)
    assert shapes == {
        "text_encoder": (((1, 77),), states),
        "unet": ((latents, (), states), latents),
        "vae": ((picture,), picture),
        "vae_encoder": ((picture,), (1, 8, 64, 64)),
        "vae_decoder": ((latents,), picture),
    }


def test_sd15_looks_at_the_text_in_sixteen_places(sd15: Anatomy):
    assert len(sd15.cross_attentions) == 16
    assert sum(part.parameters for part in sd15.cross_attentions) == 43_962_560
    assert {part.inputs[1] for part in sd15.cross_attentions} == {(1, 77, 768)}
    assert len(sd15.parts["unet"].of_kind("SelfAttention")) == 16


def test_sd15_has_four_levels(sd15: Anatomy):
    found = [(level.size, level.channels, level.cross_attentions) for level in sd15.levels]
    assert found == [
        ((64, 64), 320, (2, 3)),
        ((32, 32), 640, (2, 3)),
        ((16, 16), 1280, (2, 3)),
        ((8, 8), 1280, (0, 0)),
    ]
    assert [len(level.skips) for level in sd15.levels] == [3, 3, 3, 3]


@pytest.mark.parametrize("model", ["sd15", "tiny"])
def test_skips_lead_from_what_makes_them_to_what_takes_them(model: str, request):
    found = request.getfixturevalue(model)
    unet = found.parts["unet"]
    assert len({skip.source for skip in found.skips}) == len(found.skips)
    assert found.skips[-1].source == "conv_in"
    for skip in found.skips:
        assert unet[skip.source].outputs == (skip.shape,)
        block, number = skip.target.split(".resnets.")
        before = f"{block}.attentions.{int(number) - 1}"
        if number == "0":
            arriving = unet[block].inputs[0]
        elif unet[block].of_kind("Transformer2DModel"):
            arriving = unet[before].outputs[0]
        else:
            arriving = unet[before.replace("attentions", "resnets")].outputs[0]
        assert unet[skip.target].inputs[0][1] == arriving[1] + skip.shape[1]  # side by side
        assert arriving[2:] == skip.shape[2:]


# The count


def test_a_convolution_counted_by_hand(sd15: Anatomy):
    part = sd15.parts["unet"]["conv_in"]  # 3x3, from 4 channels to 320, at 64x64 places
    assert part.parameters == 4 * 320 * 3 * 3 + 320
    assert part.work == {"convolution": 2 * 4 * 320 * 9 * 64 * 64, "linear": 0, "attention": 0}


def test_an_attention_counted_by_hand(sd15: Anatomy):
    block = sd15.parts["unet"]["down_blocks.0.attentions.0.transformer_blocks.0"]
    places, width, tokens, told = 64 * 64, 320, 77, 768
    assert block["attn1"].work == {
        "convolution": 0,
        "linear": 2 * 4 * places * width * width,  # to queries, keys, values and back
        "attention": 2 * 2 * places * places * width,  # scores, and sums weighted by them
    }
    assert block["attn2"].work == {
        "convolution": 0,
        "linear": 2 * 2 * places * width * width + 2 * 2 * tokens * told * width,
        "attention": 2 * 2 * places * tokens * width,
    }


def test_the_count_is_torchs_count_of_a_real_run(tiny_folder: Path):
    """With attention in its plain form, of which no operation is hidden from the counter."""
    unet = UNet2DConditionModel.from_pretrained(tiny_folder, subfolder="unet")
    unet.set_attn_processor(AttnProcessor())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        unet(torch.zeros(1, 4, 16, 16), 0, torch.zeros(1, 77, 128))
    assert anatomy(tiny_folder).parts["unet"].flops == counter.get_total_flops()


@pytest.mark.parametrize("model", ["sd15", "tiny"])
def test_a_part_is_the_sum_of_its_parts(model: str, request):
    for part in (p for name in NAMES for p in request.getfixturevalue(model).parts[name].walk()):
        if part.children:
            assert part.parameters == sum(child.parameters for child in part.children)
            between = part.flops - sum(child.flops for child in part.children)
            attends = part.kind in ("SelfAttention", "CrossAttention", "CLIPAttention")
            assert between == (part.work["attention"] if attends else 0)


def test_every_part_was_called(sd15: Anatomy):
    for part in (p for name in NAMES for p in sd15.parts[name].walk()):
        assert part.outputs, part


def test_parts_come_in_the_order_in_which_they_are_called(sd15: Anatomy):
    unet = sd15.parts["unet"]
    blocks = [child.name for child in unet.children if "block" in child.name]
    down, up = ([f"{way}_blocks.{i}" for i in range(4)] for way in ("down", "up"))
    assert blocks == [*down, "mid_block", *up]
    inside = [child.name for child in unet["mid_block"].children]
    assert inside == ["resnets.0", "attentions.0", "resnets.1"]


@pytest.mark.slow
def test_it_takes_seconds_and_no_memory():
    process = psutil.Process()
    began, memory = time.process_time(), process.memory_info().rss
    anatomy("sd15")
    assert time.process_time() - began < 10
    assert process.memory_info().rss - memory < 300e6  # the weights would take 4.3 GB


# In pixels


@pytest.mark.slow
def test_sd15_on_pixels_costs_hundreds_of_times_more(sd15: Anatomy):
    small, large = sd15.parts["unet"], pixel_unet("sd15")
    assert large.inputs[0] == large.outputs[0] == (1, 3, 512, 512)
    grown = {kind: large.work[kind] / small.work[kind] for kind in small.work}
    assert grown["convolution"] == pytest.approx(64, rel=0.001)  # as many times more places
    assert grown["linear"] == pytest.approx(64, rel=0.02)
    assert 3900 < grown["attention"] < 64**2  # pairs of places, but not of places and tokens
    assert 600 < large.flops / small.flops < 750


# From where


def test_a_loaded_model_and_its_name_are_one(tiny: Anatomy):
    sd = load("tiny")
    assert anatomy(sd) == tiny
    for part, name in [(sd.text_encoder, "text_encoder"), (sd.unet, "unet"), (sd.vae, "vae")]:
        assert tiny.parts[name].parameters == sum(p.numel() for p in part.parameters())


def configs_of(source: Path, folder: Path) -> Path:
    """A folder with a model's configs and nothing else."""
    for part in ("text_encoder", "unet", "vae"):
        (folder / part).mkdir(parents=True)
        text = (source / part / "config.json").read_text(encoding="utf-8")
        (folder / part / "config.json").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_a_folder_needs_configs_and_no_weights(tiny_folder: Path, folder: Path):
    found = anatomy(configs_of(tiny_folder, folder / "here"))
    assert found.parts == anatomy("here").parts
    assert (found.name, anatomy("here").name) == (str(folder / "here"), "here")
    assert [level.size for level in found.levels] == [(16, 16), (8, 8)]
    assert [level.cross_attentions for level in found.levels] == [(0, 0), (1, 2)]


@pytest.mark.parametrize("model", ["sd16", "", "no/such/folder", 7, None, SimpleNamespace(unet=1)])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(ValueError, match="model must be 'sd15', 'sd15-narrow', 'tiny', a Sta"):
        anatomy(model)
    with pytest.raises(ValueError, match="model must be"):
        pixel_unet(model)


def test_a_folder_without_a_config_is_refused(tiny_folder: Path, folder: Path):
    here = configs_of(tiny_folder, folder / "here")
    (here / "vae" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config.json is missing; .* one config.json in"):
        anatomy(here)


def test_a_damaged_config_is_named(tiny_folder: Path, folder: Path):
    here = configs_of(tiny_folder, folder / "here")
    (here / "unet" / "config.json").write_text('{"sample_size": 16', encoding="utf-8")
    with pytest.raises(ValueError, match=r"config.json is damaged and cannot be read \("):
        anatomy(here)


def test_a_config_of_something_else_is_named(tiny_folder: Path, folder: Path):
    here = configs_of(tiny_folder, folder / "here")
    (here / "vae" / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"vae of '.*' must have 'in_channels'"):
        anatomy(here)


def test_a_model_with_another_kind_of_text_encoder_is_refused(tiny_folder: Path, folder: Path):
    here = configs_of(tiny_folder, folder / "xl")
    config = json.loads((here / "unet" / "config.json").read_text(encoding="utf-8"))
    config["cross_attention_dim"] = 2048
    (here / "unet" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match="text states of width 2048, and an encoder of width 128"):
        anatomy(here)


def test_parts_are_found_by_their_path(sd15: Anatomy):
    unet = sd15.parts["unet"]
    assert unet["down_blocks.1.resnets.0"] is unet["down_blocks.1"]["resnets.0"]
    with pytest.raises(
        KeyError, match="'unet' has no part 'down_blocks'; its parts are: time_embedding, conv_in"
    ):
        unet["down_blocks"]
    with pytest.raises(KeyError, match="'conv_in' has no part 'x'; its parts are: none"):
        unet["conv_in"]["x"]


# In words


def test_the_table_says_it_all(sd15: Anatomy):
    text = str(sd15)
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines() if line}
    assert rows["U-Net"][:2] == ["U-Net", "channels"]  # the second table's head
    assert "123,060,480  11.5 %   492 MB   246 MB  13.3 GFLOP  1x77  " in text
    assert rows["sum"] == ["sum", "1,066,235,307", "4.26", "GB", "2.13", "GB"]
    assert rows["64x64"][1:] == ["320", "29,335,040", "307", "GFLOP", "2", "down,", "3", "up", "3"]
    assert rows["8x8"][-2:] == ["none", "3"]
    assert "12 skip connections; 16 cross-attentions with 43,962,560 parameters, 5.1 %" in text
    assert max(map(len, text.splitlines())) <= 105


def test_the_levels_of_the_table_make_up_the_unet(sd15: Anatomy):
    second = str(sd15).split("\n\n")[2].splitlines()[1:]
    numbers = [next(w for w in line.split()[1:] if "," in w) for line in second]
    assert sum(int(n.replace(",", "")) for n in numbers) == 859_520_964


def test_a_part_prints_as_a_tree(tiny: Anatomy):
    lines = str(tiny.parts["vae"]).splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["part", "vae"]
    assert [line[:13] for line in lines[2:]] == ["  vae_encoder", "  vae_decoder"]
    assert len(tiny.parts["vae"].tree(0).splitlines()) == 2
    assert len(tiny.parts["unet"].tree(9).splitlines()) == 1 + len([*tiny.parts["unet"].walk()])
    with pytest.raises(ValueError, match="depth must be at least 0; got -1"):
        tiny.parts["vae"].tree(-1)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 FLOP"),
        (999, "999 FLOP"),
        (1000, "1.00 kFLOP"),
        (9_996_000, "10.0 MFLOP"),
        (99_960_000, "100 MFLOP"),
        (999_600_000, "1.00 GFLOP"),
        (803_273_441_280, "803 GFLOP"),
        (545_115_412_561_920, "545 TFLOP"),
        (10**19, "10000 PFLOP"),
    ],
)
def test_large_numbers_in_three_digits(count: int, text: str):
    assert flops_text(count) == text


def test_small_numbers_in_words():
    assert bytes_text(1_719_041_928) == "1.72 GB"
    assert bytes_text(5_000_000_000_000) == "5000 GB"
    assert [share_text(share) for share in (0.806, 0.0007, 0.0004)] == [
        "80.6 %",
        "0.1 %",
        "< 0.1 %",
    ]


def test_a_part_counts_with_its_children_alone():
    part = Part(
        "p", "Conv2d", 10, ((1, 2),), ((1, 3),), {"convolution": 7, "linear": 0, "attention": 1}
    )
    assert (part.flops, part.bytes_fp32, part.bytes_fp16) == (8, 40, 20)
    assert list(part.walk()) == part.of_kind("Conv2d") == [part]


# As a figure


def diamonds(figure) -> int:
    return sum(
        len(line.get_xdata()) for ax in figure.axes for line in ax.lines if line.get_marker() == "D"
    )


@pytest.mark.parametrize(("model", "count"), [("sd15", 16), ("tiny", 7)])
def test_the_figure_marks_every_cross_attention(model: str, count: int, request):
    figure = anatomy_figure(request.getfixturevalue(model))
    assert diamonds(figure) == count + 2  # one in the legend, one on the line from the text


def test_the_figure_draws_every_skip_connection(sd15: Anatomy, tiny: Anatomy):
    def arrows(found: Anatomy) -> int:
        patches = [patch for ax in anatomy_figure(found).axes for patch in ax.patches]
        return sum(isinstance(patch, FancyArrowPatch) for patch in patches)

    more_skips = len(sd15.skips) - len(tiny.skips)
    more_levels = len(sd15.levels) - len(tiny.levels)
    assert arrows(sd15) - arrows(tiny) == more_skips + 2 * more_levels


def test_the_figure_has_the_numbers_and_says_them_to_those_who_cannot_see_it(sd15: Anatomy):
    figure = anatomy_figure(sd15)
    shown = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert {"64×64×320", "8×8×1280", "512×512×3", "= 786,432 numbers", "= 16,384 numbers"} <= shown
    assert "U-Net · 859,520,964 parameters · 80.6 %" in shown
    assert {"text encoder 11.5 %", "VAE decoder 7.3 %", "work: 34.7 TFLOP"} <= shown
    assert "16 cross-attentions and 12 skip connections" in figure.alt


@pytest.mark.parametrize("model", ["sd15", "tiny"])
def test_all_text_of_the_figure_lies_on_the_page(model: str, request):
    figure = anatomy_figure(request.getfixturevalue(model))
    page = figure.bbox
    for text in (text for ax in figure.axes for text in ax.texts if text.get_text()):
        box = text.get_window_extent()
        inside = box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1
        assert inside, text.get_text()


@pytest.mark.slow
def test_matplotlib_is_loaded_to_draw_and_not_before():
    code = """
import sys
from sdlearn.inside import anatomy, anatomy_figure
found = anatomy("tiny")
print(found, found.parts["vae"])
assert "matplotlib" not in sys.modules
anatomy_figure(found)
assert "matplotlib" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
