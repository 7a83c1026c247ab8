"""Uploaded bytes become clean squares, or are refused before they cost anything."""

import io

import pytest
from PIL import Image

from billfleet_workers.handlers.avatar.picture import (
    PictureLimits,
    PictureRefused,
    Square,
    squares,
)
from pictures import askew, bomb, halves, picture

LIMITS = PictureLimits(bytes_max=200_000, pixels_max=1_000_000)


def opened(square: Square) -> Image.Image:
    return Image.open(io.BytesIO(square.body))


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    found = image.convert("RGB").getpixel((x, y))
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_picture_is_drawn_in_each_size(kind: str) -> None:
    drawn = squares(picture(kind), (16, 64, 512), LIMITS)
    assert [opened(one).size for one in drawn] == [(16, 16), (64, 64), (512, 512)]
    assert all(pixel(opened(one), 8, 8)[0] > 200 for one in drawn)


@pytest.mark.parametrize(
    ("mode", "colour", "content_type"),
    [
        ("RGBA", (255, 0, 0, 90), "image/png"),
        ("LA", (120, 90), "image/png"),
        ("P", 3, "image/jpeg"),
        ("L", 120, "image/jpeg"),
        ("1", 1, "image/jpeg"),
    ],
)
def test_what_is_transparent_stays_so_and_the_rest_is_jpeg(
    mode: str, colour: int | tuple[int, ...], content_type: str
) -> None:
    [drawn] = squares(picture("PNG", mode=mode, colour=colour), (32,), LIMITS)
    assert drawn.content_type == content_type


def test_cmyk_is_drawn_as_well() -> None:
    [drawn] = squares(picture("JPEG", mode="CMYK", colour=(0, 255, 255, 0)), (32,), LIMITS)
    assert opened(drawn).mode == "RGB"


@pytest.mark.parametrize(
    ("orientation", "red_at"), [(1, (5, 20)), (3, (35, 20)), (6, (20, 5)), (8, (20, 35))]
)
def test_picture_is_upright_whatever_its_camera_held(
    orientation: int, red_at: tuple[int, int]
) -> None:
    [drawn] = squares(halves(orientation), (40,), LIMITS)
    red, _, blue = pixel(opened(drawn), *red_at)
    assert red > 200
    assert blue < 60


@pytest.mark.parametrize("tag", [0x0102, 0x0128], ids=["bits", "unit"])
def test_what_a_camera_wrote_wrongly_beside_the_picture_does_no_harm(tag: int) -> None:
    [drawn] = squares(askew(tag, 70_000), (40,), LIMITS)
    assert pixel(opened(drawn), 20, 5)[0] > 200


def test_nothing_of_camera_and_place_comes_along() -> None:
    raw = halves(6)
    assert b"SpyCam" in raw
    [drawn] = squares(raw, (64,), LIMITS)
    assert b"SpyCam" not in drawn.body
    assert b"Exif" not in drawn.body
    assert not opened(drawn).getexif()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_a_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_a_picture"),
        (b"%PDF-1.7", "not_a_picture"),
        (b"\xff\xd8\xff" + b"x" * 500, "not_a_picture"),
        (picture("BMP"), "not_a_picture"),
        (picture("TIFF"), "not_a_picture"),
        (b"x" * 200_001, "too_large"),
        (bomb(30_000, 30_000), "too_many_pixels"),
        (bomb(2_000_000_000, 2_000_000_000), "too_many_pixels"),
        (bomb(1_001, 1_000), "too_many_pixels"),
        (bomb(900, 900), "damaged"),
        (picture("PNG", (600, 600))[:200], "damaged"),
        (picture("JPEG", (600, 600))[:400], "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_what_is_no_good_picture_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(PictureRefused) as caught:
        squares(raw, (64,), LIMITS)
    assert caught.value.reason == reason
