"""Bytes that somebody uploaded become clean squares, or are refused with a reason. Pure.

Nothing that the uploader says of the bytes is believed: the type is what a decoder finds, the
number of pixels is read before any is decoded, and what is written is drawn anew, upright and
without metadata. Only the decoders of four common formats are tried.
"""

import io
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.Image import Transpose

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF")
JPEG_QUALITY: Final = 85
_DRAFT_ROOM: Final = 2
_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""By EXIF's orientation. Pillow's own function also writes the EXIF anew, which fails for that of
some cameras; and nothing of it is kept here."""
ContentType = Literal["image/jpeg", "image/png"]
RefusalReason = Literal["too_large", "not_a_picture", "too_many_pixels", "damaged"]


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """How much of a picture is taken on."""

    bytes_max: int = 10 * 1024 * 1024
    pixels_max: int = 40_000_000


@dataclass(frozen=True, slots=True)
class Square:
    """One finished picture."""

    size_px: int
    content_type: ContentType
    body: bytes

    @property
    def extension(self) -> str:
        """What its file name ends with."""
        return "png" if self.content_type == "image/png" else "jpg"


class PictureRefused(Exception):
    """The upload is not taken. Its customer may upload another one."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(reason)
        self.reason: RefusalReason = reason


def squares(raw: bytes, sizes_px: Sequence[int], limits: PictureLimits) -> list[Square]:
    """Draw the picture's middle in each of the sizes.

    Raises:
        PictureRefused: it is no picture of ours, too large, or damaged.
    """
    if len(raw) > limits.bytes_max:
        raise PictureRefused("too_large")
    with warnings.catch_warnings():
        # The limit that Pillow warns of is not ours: ours is checked below.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = _opened(raw, limits)
        upright = _decoded(picture, max(sizes_px))
    return [_square(upright, size_px) for size_px in sizes_px]


def _opened(raw: bytes, limits: PictureLimits) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(raw), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise PictureRefused("not_a_picture") from error
    except Image.DecompressionBombError as error:
        raise PictureRefused("too_many_pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise PictureRefused("damaged") from error
    width, height = picture.size
    if width * height > limits.pixels_max:
        raise PictureRefused("too_many_pixels")
    if min(width, height) < 1:
        raise PictureRefused("damaged")
    return picture


def _decoded(picture: Image.Image, largest_px: int) -> Image.Image:
    try:
        # A JPEG can be decoded at a fraction of its size, which saves most of the memory.
        picture.draft("RGB", (largest_px * _DRAFT_ROOM, largest_px * _DRAFT_ROOM))
        orientation = picture.getexif().get(_ORIENTATION)
        turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
        upright = picture if turn is None else picture.transpose(turn)
        return upright.convert("RGBA" if _has_alpha(picture) else "RGB")
    except Image.DecompressionBombError as error:
        raise PictureRefused("too_many_pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, struct.error) as error:
        raise PictureRefused("damaged") from error


def _has_alpha(picture: Image.Image) -> bool:
    return picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in picture.info


def _square(upright: Image.Image, size_px: int) -> Square:
    # A fresh image: nothing of what the file carried beside its pixels comes along.
    fitted = ImageOps.fit(upright, (size_px, size_px), Image.Resampling.LANCZOS)
    drawn = Image.frombytes(fitted.mode, fitted.size, fitted.tobytes())
    into = io.BytesIO()
    if drawn.mode == "RGBA":
        drawn.save(into, "PNG", optimize=True)
        return Square(size_px, "image/png", into.getvalue())
    drawn.save(into, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    return Square(size_px, "image/jpeg", into.getvalue())
