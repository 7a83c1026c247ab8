"""Pictures for tests: honest ones, and some that lie about themselves."""

import io
import struct
import zlib

from PIL import Image


def picture(
    kind: str = "JPEG",
    size: tuple[int, int] = (300, 200),
    mode: str = "RGB",
    colour: str | int | tuple[int, ...] = "red",
) -> bytes:
    """A plain picture."""
    into = io.BytesIO()
    Image.new(mode, size, colour).save(into, kind)
    return into.getvalue()


def halves(orientation: int) -> bytes:
    """Left red, right blue, with an EXIF orientation, a camera's name and a place."""
    image = Image.new("RGB", (400, 400), "red")
    image.paste("blue", (200, 0, 400, 400))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SpyCam"
    exif.get_ifd(0x8825)[1] = "N"
    into = io.BytesIO()
    image.save(into, "JPEG", exif=exif.tobytes(), quality=95)
    return into.getvalue()


def askew(tag: int, value: int) -> bytes:
    """A picture to be turned, whose EXIF has a number that is larger than the standard allows."""
    entries = sorted([(tag, 4, 1, value), (0x0112, 3, 1, 6)])
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries))
    exif += b"".join(struct.pack("<HHII", *entry) for entry in entries) + b"\0\0\0\0"
    image = Image.new("RGB", (400, 400), "red")
    image.paste("blue", (200, 0, 400, 400))
    into = io.BytesIO()
    image.save(into, "JPEG", exif=exif, quality=95)
    return into.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says that it is enormous."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\x00" * 4096)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
