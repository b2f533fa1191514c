"""Images of any kind become RGB in one way; what is none is refused in a sentence."""

import numpy as np
import pytest
import torch
from PIL import Image

from sdlearn.util.images import to_rgb

CLEAR = np.array([[[255, 0, 0, 0]]], np.uint8)  # red that is not to be seen


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("L", (2, 3), 64), (64, 64, 64)),
        (Image.new("I;16", (2, 3), 0x4000), (64, 64, 64)),
        (Image.new("CMYK", (2, 3), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("RGBA", (2, 3), (255, 0, 0, 128)), (255, 127, 127)),
        (Image.new("LA", (2, 3), (0, 0)), (255, 255, 255)),
        (np.full((3, 2), 64, np.uint8), (64, 64, 64)),
        (np.full((3, 2, 1), 0x4000, np.uint16), (64, 64, 64)),
        (np.full((3, 2, 3), (0, 0.5, 1)), (0, 128, 255)),
        (np.ones((3, 2), bool), (255, 255, 255)),
        (np.broadcast_to(CLEAR, (3, 2, 4)), (255, 255, 255)),
        (torch.tensor([0, 0.5, 1]).view(1, 3, 1, 1).expand(1, 3, 3, 2), (0, 128, 255)),
        (torch.full((1, 3, 2), 0.25, dtype=torch.bfloat16), (64, 64, 64)),
        (torch.full((3, 3, 2), 64, dtype=torch.uint8), (64, 64, 64)),
    ],
)
def test_an_image_of_any_kind_becomes_rgb(image, colour):
    made = to_rgb(image)
    assert (made.mode, made.size) == ("RGB", (2, 3))
    assert {made.getpixel((x, y)) for x in range(2) for y in range(3)} == {colour}


def test_an_image_is_turned_upright():
    image = Image.new("RGB", (2, 3))
    image.getexif()[0x0112] = 6
    assert to_rgb(image).size == (3, 2)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("cat.jpg", "mask must be a PIL image, an array or a tensor; got str"),
        (np.zeros((2, 2, 5)), r"1 to 4 channels; got an array of shape \(2, 2, 5\)"),
        (torch.zeros(2, 3, 8, 8), r"got an array of shape \(2, 3, 8, 8\)"),
        (np.zeros((0, 2)), r"got an array of shape \(0, 2\)"),
        (np.full((2, 2), 255.0), r"mask must lie in \[0, 1\]; got values from 255 to 255"),
        (np.full((2, 2), np.nan), "got values from nan to nan"),
        (np.zeros((2, 2), int), "mask must hold bytes, 16 bits .*; got int64"),
        (Image.new("F", (2, 2), float("inf")), "the mask is damaged or of a kind that cannot"),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        to_rgb(image, "mask")
