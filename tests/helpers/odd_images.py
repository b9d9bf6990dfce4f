"""Image files for tests: smooth pictures, which survive compression, in all formats and states."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(height=90, width=120, seed=0):
    """A uint8 array of a smooth picture in colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype="uint8")
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encode(image, file_format="JPEG", mode="RGB", **options):
    """The bytes of a file with an image, an array, in a format and one of Pillow's modes."""
    buffer = io.BytesIO()
    if file_format == "JPEG":
        options = {"quality": 95, **options}
    Image.fromarray(image).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def png_of_16_bits(grey):
    """The bytes of a PNG of 16 bits with a uint8 image of one channel, and noise in the lower 8 bits."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, grey.shape, dtype="uint16")
    Image.fromarray(grey.astype("uint16") * 256 + noise).save(buffer, "PNG")
    return buffer.getvalue()


def transparent_png(image):
    """The bytes of a PNG of an image whose left half is transparent."""
    alpha = np.full(image.shape[:2], 255, "uint8")
    alpha[:, : image.shape[1] // 2] = 0
    return encode(np.dstack([image, alpha]), "PNG", "RGBA")


def gif_of_a_small_frame():
    """The bytes of a GIF of 6x4 pixels in red, whose only frame is a green corner of 3x2, a pixel of it transparent."""
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    palette = bytes(channel for colour in (red, green, blue, blue) for channel in colour)
    screen = struct.pack("<HHBBB", 6, 4, 0b1000_0001, 0, 0) + palette
    transparent = b"\x21\xf9\x04\x01\0\0\x02\0"
    frame = Image.fromarray(np.uint8([[1, 1, 2], [1, 1, 1]]), "P")
    frame.putpalette(palette)
    buffer = io.BytesIO()
    frame.save(buffer, "GIF", optimize=False, interlace=False)
    data = buffer.getvalue()
    data = data[data.rindex(b"\x2c\0\0\0\0\x03\0\x02\0\0") + 10 :]
    return b"GIF89a" + screen + transparent + b"\x2c" + struct.pack("<HHHHB", 0, 0, 3, 2, 0) + data


def bomb(file_format):
    """The bytes of a file that says that its image has 30,000x30,000 pixels."""
    if file_format == "JPEG":
        encoded = bytearray(WHOLE)
        start = encoded.index(b"\xff\xc0") + 5
        encoded[start : start + 4] = struct.pack(">HH", 30_000, 30_000)
        return bytes(encoded)
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, pixels, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def sideways_photograph(image):
    """The bytes of a JPEG whose EXIF data ask to turn it by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(image, exif=exif)


WHOLE = encode(picture())

# The reason in the message, by kind of damage.
CORRUPT = {
    "it is empty": b"",
    "it is not an image of a known format": b"This is not an image, whatever its name says.",
    "its data end before the image does": WHOLE[: len(WHOLE) // 2] + b"\xff\xd9",
    "Truncated File Read": b"\xff\xd8\xff\xe0 begins and ends as a JPEG does \xff\xd9",
    "not of 8 or 16 bits": encode(picture()[..., 0], "TIFF", "F"),
}


def write_images(folder, contents):
    """Writes files {path in the folder: bytes}, making folders as needed."""
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def class_folders(folder, counts, size=(40, 50)):
    """Writes {class: number} JPEGs, each with its own picture, into class folders."""
    seed = 0
    for name, count in counts.items():
        for number in range(count):
            write_images(folder, {f"{name}/{number}.jpg": encode(picture(*size, seed=seed))})
            seed += 1
    return folder
