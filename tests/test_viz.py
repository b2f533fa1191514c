"""Figures: what they accept, what they refuse, and what a notebook and a reader get of them."""

import base64
import io
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from sdlearn import viz


def picture(size: int = 128, value: float = 0.5) -> torch.Tensor:
    return torch.full((3, size, size), value)


def noisy_picture(size: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


def png_of(figure: Figure) -> tuple[np.ndarray, dict]:
    """The pixels that a notebook shows of a figure, and what it is told about them."""
    data, metadata = figure._repr_mimebundle_()
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
        return np.asarray(image.convert("RGB")), metadata["image/png"]


def titles_of(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


@pytest.mark.parametrize(
    ("images", "count"),
    [
        (picture(), 1),
        (torch.rand(4, 3, 32, 32), 4),
        (torch.rand(1, 3, 32, 32, dtype=torch.float16), 1),
        (torch.rand(2, 3, 8, 8, requires_grad=True), 2),
        (noisy_picture(), 1),
        (np.stack([noisy_picture()] * 3), 3),
        (Image.new("RGBA", (20, 10), "red"), 1),
        (Image.new("L", (20, 10), 128), 1),
        ([picture(), noisy_picture(), Image.new("RGB", (64, 32)), torch.rand(2, 3, 8, 8)], 5),
        ((torch.rand(1, 3, 8, 8) for _ in range(6)), 6),
        ([[picture(), picture()], [picture()]], 3),
    ],
)
def test_pictures_of_every_kind_are_shown(images, count):
    figure = viz.show(images)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == count


def test_tensor_array_and_image_of_one_picture_are_drawn_alike():
    array = noisy_picture()
    tensor = torch.from_numpy(array).permute(2, 0, 1) / 255
    pages = [png_of(viz.show(one))[0] for one in (array, tensor, Image.fromarray(array))]
    assert np.array_equal(pages[0], pages[1])
    assert np.array_equal(pages[0], pages[2])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "images must hold at least one image; got none"),
        (torch.rand(1, 4, 16, 16), r"\(3, H, W\) or \(B, 3, H, W\); got \(1, 4, 16, 16\)"),
        (torch.rand(16, 16), r"got \(16, 16\)"),
        (torch.rand(3, 0, 16), r"got \(3, 0, 16\)"),
        (picture(value=1.2), r"images must lie in \[0, 1\]; got values from 1.2 to 1.2"),
        (-picture(), r"got values from -0.5 to -0.5"),
        (picture(value=float("nan")), "got values from nan to nan"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "float tensor in .*got torch.uint8"),
        (np.zeros((8, 8, 3)), r"uint8 of shape .*; got float64 of shape \(8, 8, 3\)"),
        (np.zeros((8, 8), np.uint8), r"got uint8 of shape \(8, 8\)"),
        (["house.png"], "images must be tensors, uint8 arrays or PIL images; got str"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        viz.show(images)


def test_numbers_become_levels_by_rounding():
    page, _ = png_of(viz.show(picture(value=200.6 / 255)))
    assert page[100, 100].tolist() == [201, 201, 201]


def test_rounding_beyond_the_range_is_forgiven():
    page, _ = png_of(viz.show(picture(value=1.0005)))
    assert (page == 255).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.show(picture(), ["a", "b"]), "titles must be a list .* each of 1; got 2"),
        (lambda: viz.show(picture(), "house"), "titles must be a list .*; got the text 'house'"),
        (lambda: viz.show(picture(), columns=0), "columns must be at least 1; got 0"),
        (lambda: viz.show(picture(), size=0), "size must be a number of pixels .*; got 0"),
        (lambda: viz.filmstrip(picture(), size=float("nan")), "got nan"),
        (
            lambda: viz.grid([picture()] * 3, rows="ab", columns=["c"]),
            "rows must be a list .*; got the text 'ab'",
        ),
        (
            lambda: viz.grid([picture()] * 3, rows=["a", "b"], columns=["c", "d"]),
            "as many as 2 rows x 2 columns; got 3",
        ),
        (
            lambda: viz.show([picture()] * 2, ax=viz.Sheet(9, 9, "page").add_subplot()),
            "images must be one image when ax is given; got 2",
        ),
        (lambda: viz.channels(torch.rand(2, 4, 8, 8)), r"latents .*; got \(2, 4, 8, 8\)"),
        (lambda: viz.show(picture(), 5), "titles must be a list .*; got the int 5"),
        (lambda: viz.channels(torch.full((4, 8, 8), torch.nan)), "latents must hold finite .* nan"),
        (lambda: viz.channels("latents"), "latents must hold numbers; got 'latents'"),
        (lambda: viz.channels(torch.zeros(4, 8, 8), size=0), "size must be .*; got 0"),
        (lambda: viz.tokens(["a</w>"], [1, 2]), "pieces and ids must be as many; got 1 and 2"),
        (lambda: viz.tokens([], []), "got 0 and 0"),
        (
            lambda: viz.to_tensor([picture(8), picture(9)]),
            r"one size; got widths and heights \[\(8, 8\), \(9, 9\)\]",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("times", [2, 3, 8])
def test_small_pictures_are_enlarged_with_their_pixels_kept(times):
    array = noisy_picture(16)
    page, _ = png_of(viz.show(array, size=8 * times))
    edge = 2 * 4  # twice the margin, as twice the screen's pixels are stored
    shown = page[edge : edge + 16 * times, edge : edge + 16 * times]
    assert np.array_equal(shown, array.repeat(times, axis=0).repeat(times, axis=1))


def test_large_pictures_are_shrunk_smoothly():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    page, _ = png_of(viz.show(stripes, size=64))
    assert 100 < page[60:70, 60:70].mean() < 156
    assert page[60:70, 60:70].std() < 40


@pytest.mark.parametrize(
    ("count", "columns", "rows", "per_row"),
    [(5, None, 1, 5), (8, None, 2, 4), (13, None, 3, 5), (4, 2, 2, 2), (2, 9, 1, 2)],
)
def test_rows_fill_evenly(count, columns, rows, per_row):
    figure = viz.show([picture(8)] * count, columns=columns)
    boxes = [ax.get_position() for ax in figure.axes]
    assert len({round(box.y0, 4) for box in boxes}) == rows
    assert len({round(box.x0, 4) for box in boxes}) == per_row
    assert boxes[0].y0 >= boxes[-1].y0


def test_titles_may_come_one_by_one():
    assert titles_of(viz.show([picture()] * 2, (f"seed {i}" for i in range(2)))) == [
        "seed 0",
        "seed 1",
    ]


def test_titles_are_wrapped_above_their_pictures_and_stay_on_the_page():
    words = "a large red house on the left on green grass at sunset under a rainbow"
    figure = viz.show([picture()] * 6, [words] * 6)
    assert [text.replace("\n", " ") for text in titles_of(figure)] == [words] * 6
    figure.draw_without_rendering()
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    assert all(box.y1 <= figure.bbox.y1 and box.x0 >= 0 for box in boxes)
    assert all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))


def test_text_with_money_in_it_is_no_formula():
    money = ["for $\\frac$"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png_of(viz.grid([picture()], rows=money, columns=money))


def test_a_filmstrip_is_one_row_in_order():
    figure = viz.filmstrip(torch.rand(12, 3, 16, 16), titles=range(12))
    frames = [ax for ax in figure.axes if ax.images]
    lefts = [ax.get_position().x0 for ax in frames]
    assert titles_of(figure) == [str(i) for i in range(12)]
    assert lefts == sorted(lefts)
    assert len({ax.get_position().y0 for ax in frames}) == 1
    assert figure.bbox.width / 2 <= 840  # fits a page at the screen's own resolution


def test_a_grid_labels_its_columns_once_and_every_row():
    figure = viz.grid([picture(8)] * 6, rows=["red", "blue"], columns=["house", "cat", "car"])
    labels = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert titles_of(figure) == ["house", "cat", "car"]
    assert labels == ["red", "blue"]
    assert figure.alt == "A grid of 6 images. Rows: red; blue. Columns: house; cat; car."


def test_labels_of_rows_stay_on_the_page():
    rows = ["a little green tree at the left, on white snow, in daylight, under an empty sky"]
    figure = viz.grid([picture()], rows=rows, columns=["seed 7"])
    figure.draw_without_rendering()
    [label] = [text for ax in figure.axes for text in ax.texts]
    box = label.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 < figure.axes[0].get_window_extent().x0


@pytest.mark.parametrize(
    "given", [lambda x: x, lambda x: x[0].requires_grad_(), torch.Tensor.numpy, torch.Tensor.tolist]
)
def test_channels_show_the_numbers_of_a_latent(given):
    latents = torch.randn(1, 4, 16, 16)
    figure = viz.channels(given(latents))
    shown = [ax.images[0].get_array() for ax in figure.axes[:4]]
    assert np.allclose(np.stack(shown), latents[0])
    assert figure.axes[0].images[0].get_clim() == (-3, 3)


def test_tokens_show_pieces_words_and_marks():
    pieces = ["<|startoftext|>", "red</w>", "dra", "gon</w>", "<|endoftext|>"]
    figure = viz.tokens(pieces, [9, 1, 2, 3, 10])
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts[::2] == ["startoftext", "red", "dra", "gon", "endoftext"]
    assert texts[1::2] == ["9", "1", "2", "3", "10"]
    start, red, dra, gon, end = [box.get_facecolor() for box in figure.axes[0].patches]
    assert dra == gon != red  # one word, one colour
    assert start == end != red
    boxes = [box.get_bbox() for box in figure.axes[0].patches]
    assert boxes[3].x0 == pytest.approx(boxes[2].x1)
    assert boxes[2].x0 > boxes[1].x1


def test_many_tokens_go_on_in_the_next_line():
    figure = viz.tokens(["word</w>"] * 40, range(40))
    boxes = [box.get_window_extent() for box in figure.axes[0].patches]
    assert len({box.y0 for box in boxes}) > 1
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_an_axes_of_ones_own_is_drawn_on_and_its_figure_returned():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert viz.show(noisy_picture(), ["mine"], ax=right) is figure
    assert right.get_title() == "mine"
    assert not left.images


def test_an_axes_within_a_subfigure_returns_the_whole_figure():
    figure = Figure()
    ax = figure.subfigures(1, 2)[0].add_subplot()
    assert viz.show(noisy_picture(), ax=ax) is figure


def test_to_tensor_is_what_show_takes_and_back():
    array = noisy_picture()
    tensor = viz.to_tensor([array, Image.fromarray(array)])
    assert tensor.shape == (2, 3, 16, 16)
    assert tensor.dtype == torch.float32
    assert np.array_equal((tensor[1].permute(1, 2, 0) * 255).round().byte().numpy(), array)


def rotated(grey: int) -> Image.Image:
    """An image 4 wide and 2 high as a camera stores it that was held upright."""
    image = Image.new("L", (4, 2), grey)
    image.getexif()[0x0112] = 6
    return image


@pytest.mark.parametrize(
    ("image", "level", "size"),
    [
        (Image.fromarray(np.full((2, 4), 0x4000, np.uint16)), 64, (2, 4)),
        (Image.fromarray(np.array([[-1.0, 0.5, 2.0]], np.float32)), [[0, 128, 255]], (1, 3)),
        (Image.new("RGBA", (4, 2), (0, 0, 0, 0)), 255, (2, 4)),
        (Image.new("LA", (4, 2), (0, 128)), 127, (2, 4)),
        (rotated(9), 9, (4, 2)),
    ],
    ids=["16 bits", "float", "clear", "half clear", "rotated"],
)
def test_to_tensor_takes_images_from_anywhere(image, level, size):
    """As the explorers' image picker takes them: tests/test_picker.py has every format."""
    tensor = viz.to_tensor(image)
    assert tensor.shape == (1, 3, *size)
    assert (tensor * 255).round().eq(torch.tensor(level)).all()


def test_a_notebook_gets_one_png_with_alternative_text():
    figure = viz.show([picture()] * 2, ["a red house", "a blue cat"])
    data, metadata = figure._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    alt = "2 images: a red house; a blue cat"
    assert metadata == {"image/png": {"alt": alt, "width": 2 * 256 + 8 + 2 * 4}}
    assert data["text/plain"] == alt
    page, _ = png_of(figure)
    assert page.shape[1] == 2 * metadata["image/png"]["width"]  # sharp when projected


@pytest.mark.parametrize(
    ("figure", "alt"),
    [
        (viz.show(picture()), "one image of 128 by 128 pixels"),
        (viz.show([picture()] * 2, ["a cat", ""]), "2 images: a cat; untitled"),
        (viz.show(picture(), ["a cat"], alt="a blue cat sits"), "a blue cat sits"),
        (viz.filmstrip([picture()] * 2, [951, 1]), "In order: 2 images: 951; 1"),
        (viz.channels(torch.zeros(4, 2, 2)), "4 channels of numbers as coloured cells"),
        (viz.tokens(["red</w>"], [5]), "tokens, each with its id: red 5"),
        (viz.Sheet(300, 200, alt="a falling curve"), "a falling curve"),
    ],
)
def test_alternative_texts(figure, alt):
    assert png_of(figure)[1]["alt"] == alt


def test_a_file_carries_the_alternative_text_too():
    data, _ = viz.show(picture(), alt="a grey square")._repr_mimebundle_()
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
        assert image.info["Description"] == "a grey square"


def test_displaying_gives_one_png_even_where_pyplot_is_in_use(shell):
    """`%matplotlib inline` registers a formatter of its own for every Figure."""
    from IPython.core.pylabtools import select_figure_formats

    select_figure_formats(shell, {"png"})
    data, metadata = shell.display_formatter.format(viz.show(picture(), alt="a grey square"))
    assert [kind for kind in data if kind.startswith("image/")] == ["image/png"]
    assert metadata["image/png"]["alt"] == "a grey square"


def test_nothing_is_left_open_and_no_setting_is_changed(tmp_path):
    before = matplotlib.rcParams.copy()
    for figure in (
        viz.show(picture()),
        viz.filmstrip([picture()] * 3),
        viz.grid([picture()], rows=["a"], columns=["b"]),
        viz.channels(torch.zeros(4, 2, 2)),
        viz.tokens(["a</w>"], [1]),
    ):
        figure.savefig(tmp_path / "page.png")
    assert plt.get_fignums() == []
    assert matplotlib.rcParams == before


def test_a_learners_own_style_leaves_text_readable():
    with plt.style.context("dark_background"):
        page, _ = png_of(viz.show(picture(value=1.0), ["a title"]))
    assert page[0, 0].tolist() == [255, 255, 255]
    assert page.min() < 80


def test_the_palette_has_eight_colours():
    assert len(set(viz.PALETTE)) == len(viz.PALETTE) == 8
    assert all(matplotlib.colors.is_color_like(colour) for colour in viz.PALETTE)
