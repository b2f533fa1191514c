"""Bring your own image: any format and any mode come out as one kind; the rest is refused."""

import base64
import io
import pickle
import random
import struct
import zlib
from datetime import datetime, timezone

import ipywidgets
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from PIL import Image, features

from sdlearn.widgets import Explorer, ImagePicker
from sdlearn.widgets.picker import read_image, to_square

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 153, 0), (0, 0, 255), (255, 255, 255)
CORNERS = {(8, 8): RED, (56, 8): GREEN, (8, 56): BLUE, (56, 56): WHITE}


def quarters(width: int = 64, height: int = 64) -> Image.Image:
    """Red, green / blue, white."""
    picture = Image.new("RGB", (2, 2))
    picture.putdata([RED, GREEN, BLUE, WHITE])
    return picture.resize((width, height), Image.Resampling.NEAREST)


def file_of(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=kind, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG made by hand, for what Pillow does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def assert_quarters(picture: Image.Image, tolerance: int = 0) -> None:
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    for place, colour in CORNERS.items():
        difference = np.abs(np.subtract(picture.getpixel(place), colour)).max()
        assert difference <= tolerance, (place, picture.getpixel(place))


# Formats and modes


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "PPM"])
def test_formats_that_lose_nothing(kind: str):
    assert_quarters(read_image(file_of(quarters(), kind), 64))


@pytest.mark.parametrize(
    ("kind", "feature"), [("JPEG", "jpg"), ("WEBP", "webp"), ("JPEG2000", "jpg_2000")]
)
def test_formats_that_lose_a_little(kind: str, feature: str):
    assert features.check(feature)
    assert_quarters(read_image(file_of(quarters(), kind), 64), tolerance=6)


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_modes_with_colours(mode: str):
    assert_quarters(to_square(quarters().convert(mode), 64), tolerance=2)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_files_keep_their_colours(kind: str):
    assert_quarters(read_image(file_of(quarters().convert("CMYK"), kind), 64), tolerance=6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "PA"])
def test_modes_without_colours_become_grey(mode: str):
    half = Image.new("L", (64, 64))
    half.paste(255, (32, 0, 64, 64))
    picture = to_square(half.convert(mode), 64)
    assert picture.mode == "RGB"
    assert (picture.getpixel((8, 8)), picture.getpixel((56, 8))) == ((0, 0, 0), WHITE)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_16_bit_greys_keep_their_scale(mode: str):
    values = np.full((64, 64), 0x4000, dtype=">u2" if mode == "I;16B" else "<u2")
    picture = Image.frombytes(mode, (64, 64), values.tobytes())
    assert to_square(picture, 64).getpixel((5, 5)) == (64, 64, 64)


def test_16_bit_files():
    rows = (b"\0" + b"\x40\x00" * 8) * 8
    assert read_image(png(8, 8, 16, 0, rows), 64).getpixel((5, 5)) == (64, 64, 64)
    rows = (b"\0" + b"\x40\x00\x80\x00\xff\xff" * 8) * 8
    assert read_image(png(8, 8, 16, 2, rows), 64).getpixel((5, 5)) == (64, 128, 255)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_greys_go_from_their_darkest_to_their_lightest(mode: str):
    picture = Image.new(mode, (64, 64), -3)
    picture.paste(1_000_000, (32, 0, 64, 64))
    square = read_image(file_of(picture, "TIFF"), 64)
    assert (square.getpixel((8, 8)), square.getpixel((56, 8))) == ((0, 0, 0), WHITE)
    assert to_square(Image.new(mode, (9, 9), 5), 64).getpixel((5, 5)) == (0, 0, 0)


def test_what_is_clear_becomes_white():
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (32, 0, 64, 64))
    for kind in ("PNG", "WEBP", "TIFF"):
        picture = read_image(file_of(clear, kind, **{"lossless": True} if kind == "WEBP" else {}))
        assert (picture.getpixel((8, 8)), picture.getpixel((120, 8))) == (WHITE, BLUE)


def test_half_clear_is_half_white():
    assert to_square(Image.new("RGBA", (9, 9), (255, 0, 0, 128))).getpixel((5, 5)) == (
        255,
        127,
        127,
    )


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_a_clear_colour(kind: str):
    picture = Image.new("P", (64, 64), 0)
    picture.putpalette([*RED, *BLUE])
    picture.paste(1, (32, 0, 64, 64))
    square = read_image(file_of(picture, kind, transparency=0), 64)
    assert (square.getpixel((8, 8)), square.getpixel((56, 8))) == (WHITE, BLUE)


def test_edges_beside_clear_parts_do_not_take_their_hidden_colour():
    picture = Image.new("RGBA", (256, 256), (0, 255, 0, 0))
    picture.paste((0, 0, 255, 255), (101, 0, 256, 256))
    row = np.asarray(to_square(picture, 64))[32].astype(int)
    assert (row[:, 2] >= 253).all()  # blue to white; hidden green would show as less blue


def test_only_the_first_frame_counts():
    data = file_of(quarters(), "GIF", save_all=True, append_images=[Image.new("RGB", (64, 64))])
    assert_quarters(read_image(data, 64))


# Sizes and directions


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (128, 128), (999, 1001)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_any_size_becomes_one_square(size: tuple[int, int], mode: str):
    assert read_image(file_of(Image.new(mode, size))).size == (128, 128)


def test_the_middle_is_kept():
    wide = Image.new("RGB", (300, 100), BLUE)
    wide.paste(RED, (100, 0, 200, 100))
    high = wide.transpose(Image.Transpose.ROTATE_90)
    for picture in (to_square(wide, 64), to_square(high, 64)):
        assert [picture.getpixel(place) for place in CORNERS] == [RED] * 4


STORED = {  # how a camera that writes this orientation stores an upright picture
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_pictures_are_turned_upright(kind: str, orientation: int):
    stored, exif = quarters(), Image.Exif()
    exif[0x0112] = orientation
    if STORED[orientation] is not None:
        stored = stored.transpose(STORED[orientation])
    assert_quarters(read_image(file_of(stored, kind, exif=exif), 64), tolerance=6)


def test_the_picture_that_came_is_not_changed():
    picture = quarters(300, 200)
    picture.getexif()[0x0112] = 6
    before = picture.tobytes()
    to_square(picture)
    assert (picture.size, picture.tobytes(), picture.getexif()[0x0112]) == ((300, 200), before, 6)


# What is refused


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"hello", "the file must be an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "the file must be an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "the file must be an image"),
        (pickle.dumps([1, 2]), "the file must be an image"),
        (b"\x89PNG\r\n\x1a\n", "the file must be an image"),
        (bytes(20_000_001), "at most 20 MB; it has 20.0 MB"),
        (file_of(quarters())[:-40], "damaged"),
        (file_of(Image.effect_noise((64, 64), 80), "JPEG")[:-900], "damaged"),
        (png(8000, 8000, 8, 2, b""), "at most 50 million pixels; it has 8000 x 8000"),
        (png(10_000, 10_000, 8, 2, b""), "at most 50 million pixels; it has far more"),
        (png(100_000, 100_000, 8, 2, b""), "at most 50 million pixels; it has far more"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(data: bytes, sentence: str, recwarn):
    with pytest.raises(ValueError, match=sentence) as caught:
        read_image(data)
    assert "\n" not in str(caught.value)
    assert recwarn.list == []


def test_numbers_that_are_none_are_refused():
    picture = Image.new("F", (8, 8), float("nan"))
    with pytest.raises(ValueError, match="damaged or of a kind that cannot be read"):
        to_square(picture)


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="image must be a PIL image; got str"):
        to_square("cat.jpg")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "JPEG2000"])
def test_damaged_files_give_a_picture_or_a_sentence(kind: str):
    good, rng = file_of(quarters(), kind), random.Random(kind)
    outcomes = set()
    for _ in range(60):
        data = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            outcomes.add(read_image(bytes(data), 64).size)
        except ValueError:
            outcomes.add("refused")
    assert outcomes <= {(64, 64), "refused"}


# The widget, as a front end drives it


@pytest.fixture
def picker() -> ImagePicker:
    return ImagePicker(quarters(), size=64)


def upload(picker: ImagePicker, name: str, data: bytes) -> None:
    now = datetime.now(timezone.utc)
    file = {"name": name, "type": "", "size": len(data), "last_modified": now}
    picker.children[0].value = ({**file, "content": memoryview(data)},)


def test_there_is_always_a_picture(picker: ImagePicker):
    assert_quarters(picker.image)
    assert picker.status == "the image of the lesson; bring your own"


def test_an_uploaded_picture_is_taken_and_shown(picker: ImagePicker):
    upload(picker, "sea.png", file_of(Image.new("RGB", (300, 200), BLUE)))
    assert picker.image.size == (64, 64)
    assert picker.image.getpixel((5, 5)) == BLUE
    assert picker.status == "your image, sea.png"
    assert picker.children[0].value == ()  # the same name may come again


def test_a_bad_upload_is_refused_and_the_last_picture_stays(picker: ImagePicker):
    upload(picker, "sea.png", file_of(Image.new("RGB", (300, 200), BLUE)))
    upload(picker, "<b>notes</b>.txt", b"not a picture")
    assert picker.image.getpixel((5, 5)) == BLUE
    assert picker.status.startswith("<b>notes</b>.txt was not taken: the file must be an image")
    assert "&lt;b&gt;notes" in picker.children[2].value  # told, not obeyed
    upload(picker, "again.png", file_of(quarters()))
    assert_quarters(picker.image)
    assert picker.status == "your image, again.png"


def test_a_picture_may_be_set_from_code(picker: ImagePicker):
    picker.image = Image.new("RGBA", (10, 900), (0, 0, 255, 255))
    assert (picker.image.mode, picker.image.size) == ("RGB", (64, 64))
    assert picker.status == "your image, set from code"
    with pytest.raises(ValueError, match="image must be a PIL image; got int"):
        picker.image = 7
    assert picker.image.getpixel((5, 5)) == BLUE


@pytest.mark.parametrize(
    ("size", "error", "sentence"),
    [
        (0, ValueError, r"size must lie in 8\.\.1024; got 0"),
        (5000, ValueError, r"size must lie in 8\.\.1024; got 5000"),
        (64.5, TypeError, "size must be a whole number of pixels; got 64.5"),
    ],
)
def test_sizes_that_are_refused(size, error: type[Exception], sentence: str):
    with pytest.raises(error, match=sentence):
        ImagePicker(quarters(), size=size)


def shown(widget) -> tuple[Image.Image, dict, dict]:
    data, metadata = widget._repr_mimebundle_()
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    return image, data, metadata


def test_without_a_front_end_it_is_a_picture_with_alternative_text(picker: ImagePicker):
    picker.image = Image.new("RGB", (80, 80), BLUE)
    image, data, metadata = shown(picker)
    assert image.convert("RGB").tobytes() == picker.image.tobytes()
    assert data["text/plain"] == metadata["image/png"]["alt"] == "your image, set from code"
    assert set(data) == {"image/png", "text/plain"}
    assert 'alt="your image, set from code"' in picker.children[1].value


@pytest.mark.slow
def test_it_is_a_widget_exactly_where_somebody_can_use_it():
    code = "from sdlearn.widgets import ImagePicker\nfrom PIL import Image\n"
    code += "ImagePicker(Image.new('RGB', (8, 8)))"
    manager, client = start_new_kernel()
    shown_to: dict[bool, set[str]] = {}
    try:
        for person in (True, False):
            outputs: list[dict] = []
            client.execute_interactive(code, allow_stdin=person, output_hook=outputs.append)
            [data] = [o["content"]["data"] for o in outputs if o["msg_type"] == "execute_result"]
            shown_to[person] = set(data)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    still = {"image/png", "text/plain"}
    assert shown_to == {True: still | {"application/vnd.jupyter.widget-view+json"}, False: still}


# The other widget of lesson 01: a figure that follows sliders


class Page:
    """As little of a figure as the explorer needs."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_mimebundle_(self):
        data = {"image/png": base64.b64encode(file_of(quarters())).decode()}
        alt = {"alt": self.text, "width": 64}
        return {**data, "text/plain": self.text}, {"image/png": alt}


def draw(t: int, name: str) -> Page:
    if t > 900:
        raise ValueError("t must lie in 0..900")
    return Page(f"{name} at {t}")


def test_a_figure_follows_its_controls():
    slider, text = ipywidgets.IntSlider(5, 0, 999), ipywidgets.Text("noise")
    explorer = Explorer(draw, t=slider, name=text)
    assert shown(explorer)[1]["text/plain"] == "noise at 5"
    slider.value, text.value = 300, "grain"
    image, data, _ = shown(explorer)
    assert data["text/plain"] == "grain at 300"
    assert 'alt="grain at 300"' in explorer.children[2].value
    assert_quarters(image)


def test_a_figure_that_fails_is_told_and_the_last_one_stays():
    slider = ipywidgets.IntSlider(5, 0, 999)
    explorer = Explorer(draw, t=slider, name=ipywidgets.Text("noise"))
    slider.value = 950
    assert shown(explorer)[1]["text/plain"] == "noise at 5"
    assert explorer.status == "ValueError: t must lie in 0..900"
    slider.value = 9
    assert shown(explorer)[1]["text/plain"] == "noise at 9"
    assert explorer.status == ""


def test_an_explorer_refuses_what_it_cannot_follow_or_show():
    with pytest.raises(ValueError, match="t must be a widget with a value; got int"):
        Explorer(draw, t=5)
    with pytest.raises(ValueError, match="draw must return a figure of sdlearn.viz; got int"):
        Explorer(lambda t: t, t=ipywidgets.IntSlider())
