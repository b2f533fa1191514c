"""Bring your own image: an upload button, a preview, and one sentence on what came.

`read_image` and `to_square` do the work and know of no widget; no file is written, nothing is
sent anywhere. Colour profiles, all frames but the first, and formats that Pillow reads only with
another program (EPS) or not at all (HEIC, camera raw) are left out.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from PIL import Image, ImageOps

from ..util.checks import check_whole
from ..util.images import to_rgb
from .base import StaticFigure

__all__ = ["ImagePicker", "read_image", "to_square", "upload_button"]

MOST_BYTES = 20_000_000
MOST_PIXELS = 50_000_000  # a phone's largest; unpacked it takes 200 MB
SIZES = (8, 1024)  # pixels of a side, from and to
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
TOO_LARGE = f"the image must have at most {MOST_PIXELS // 10**6} million pixels"


def read_image(data: bytes, size: int = 128) -> Image.Image:
    """The image in a file of any common format, as `to_square` makes it.

    Raises `ValueError` with one sentence when the file is empty, too large or no image.
    """
    if not data:
        raise ValueError("the file is empty")
    if len(data) > MOST_BYTES:
        most, came = MOST_BYTES / 1e6, len(data) / 1e6
        raise ValueError(f"the file must have at most {most:.0f} MB; it has {came:.1f} MB")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow thinks of details
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return to_square(_open(data), size)


def _open(data: bytes) -> Image.Image:
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]  # AVIF is not in every Pillow
    try:
        return Image.open(io.BytesIO(data), formats=known)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{TOO_LARGE}; it has far more") from error
    except Exception as error:  # decoders of files that anyone may have made raise anything
        raise ValueError(f"the file must be an image ({', '.join(known)})") from error


def to_square(image: Image.Image, size: int = 128) -> Image.Image:
    """The middle of `image`, of any mode (see `to_rgb`), RGB, `size` x `size`.

    Raises `ValueError` for what is no PIL image, too large, or damaged.
    """
    if not isinstance(image, Image.Image):
        raise ValueError(f"image must be a PIL image; got {type(image).__name__}")
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"{TOO_LARGE}; it has {image.width} x {image.height}")
    return ImageOps.fit(to_rgb(image), (size, size), Image.Resampling.LANCZOS)


def upload_button(
    label: str, size: int, take: Callable[[Image.Image, str], None], refuse: Callable[[str], None]
) -> widgets.FileUpload:
    """A button that reads an uploaded file with `read_image` and makes room for the next one.

    `take` gets the image and the file's name, `refuse` one sentence for a file that is none.
    """
    upload = widgets.FileUpload(accept="image/*", description=label, layout={"width": "auto"})

    def receive(change: Any) -> None:
        for file in change["new"]:  # one, or none when the button was emptied
            try:
                image = read_image(bytes(file["content"]), size)
            except ValueError as error:
                refuse(f"{file['name']} was not taken: {error}")
            else:
                take(image, file["name"])
        upload.value = ()

    upload.observe(receive, "value")
    return upload


class ImagePicker(StaticFigure):
    """A button to upload an image, and an image, which is never missing.

    `image` is `default` until the learner brings one, always RGB and `size` x `size`. It may
    be set from code as well: `picker.image = Image.open("cat.jpg")`. A file that cannot be
    used is refused in the `status` line, and the last image stays.
    """

    def __init__(self, default: Image.Image, size: int = 128) -> None:
        self._size = check_whole("size must be a whole number of pixels", size)
        if not SIZES[0] <= size <= SIZES[1]:
            raise ValueError(f"size must lie in {SIZES[0]}..{SIZES[1]}; got {size}")
        super().__init__([upload_button("Your image", size, self._receive, self.set_status)])
        self._take(to_square(default, size), "the image of the lesson; bring your own")

    @property
    def image(self) -> Image.Image:
        """The image, RGB, `size` x `size`."""
        return self._image

    @image.setter
    def image(self, image: Image.Image) -> None:
        self._take(to_square(image, self._size), "your image, set from code")

    def _receive(self, image: Image.Image, name: str) -> None:
        self._take(image, f"your image, {name}")

    def _take(self, image: Image.Image, what: str) -> None:
        self._image = image
        png = io.BytesIO()
        image.save(png, format="PNG")
        self.set_image(base64.b64encode(png.getvalue()).decode(), what, self._size)
        self.set_status(what)
