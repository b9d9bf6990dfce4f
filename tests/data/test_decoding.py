"""Decoding: every kind of file, and the parts of JPEGs that training needs."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from helpers import odd_images
from PIL import Image

from aa_keras.data import raw_dataset
from aa_keras.data.decoding import (
    CorruptImageError,
    decode_image,
    decode_part_of_jpeg,
    image_extensions,
    is_whole_jpeg,
    jpeg_damage,
)
from aa_keras.data.image_folder import FileImages

PICTURE = odd_images.picture()
GREY = np.asarray(Image.fromarray(PICTURE).convert("L"))
GREY_IN_COLOUR = np.repeat(GREY[..., None], 3, axis=2)
INVERTED_INK = np.asarray(Image.fromarray(PICTURE).convert("CMYK").convert("RGB"))

# File, the picture in it, and by how many of 255 a pixel may differ on average.
FILES = {
    "JPEG": (odd_images.encode(PICTURE), PICTURE, 2),
    "progressive JPEG": (odd_images.encode(PICTURE, progressive=True), PICTURE, 2),
    "grey JPEG": (odd_images.encode(PICTURE, mode="L"), GREY_IN_COLOUR, 1),
    "CMYK JPEG": (odd_images.encode(PICTURE, mode="CMYK"), INVERTED_INK, 1.5),
    "JPEG with bytes after it": (odd_images.encode(PICTURE) + b"\0" * 50, PICTURE, 2),
    "JPEG to be turned": (odd_images.sideways_photograph(PICTURE), PICTURE, 2),
    "PNG": (odd_images.encode(PICTURE, "PNG"), PICTURE, 0),
    "grey PNG": (odd_images.encode(PICTURE, "PNG", "L"), GREY_IN_COLOUR, 0),
    "PNG of 16 bits": (odd_images.png_of_16_bits(GREY), GREY_IN_COLOUR, 0),
    "PNG of 1 bit": (odd_images.encode(PICTURE, "PNG", "1"), None, 0),
    "PNG with a palette": (odd_images.encode(PICTURE, "PNG", "P"), None, 0),
    "transparent PNG": (odd_images.transparent_png(PICTURE), PICTURE, 0),
    "WebP": (odd_images.encode(PICTURE, "WEBP", quality=95), PICTURE, 2.5),
    "lossless WebP": (odd_images.encode(PICTURE, "WEBP", lossless=True), PICTURE, 0),
    "GIF": (odd_images.encode(PICTURE, "GIF", "P"), None, 0),
    "BMP": (odd_images.encode(PICTURE, "BMP"), PICTURE, 0),
    "BMP with a palette": (odd_images.encode(PICTURE, "BMP", "P"), None, 0),
    "TIFF": (odd_images.encode(PICTURE, "TIFF"), PICTURE, 0),
    "AVIF": (odd_images.encode(PICTURE, "AVIF", quality=95), PICTURE, 3),
    "JPEG 2000": (odd_images.encode(PICTURE, "JPEG2000"), PICTURE, 0),
    "PPM": (odd_images.encode(PICTURE, "PPM"), PICTURE, 0),
}


@pytest.mark.parametrize("size", [(64, 48), (37, 53), (1, 1), (17, 200)])
@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": "4:2:0"},
        {"subsampling": "4:2:2"},
        {"subsampling": "4:4:4"},
        {"subsampling": "4:2:0", "progressive": True},
        {"mode": "L"},
        {"quality": 20},
    ],
    ids=str,
)
def test_pixels_of_jpegs_are_those_of_tensorflow(size, options):
    """Noise, in which each way to decode has other pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
    encoded = odd_images.encode(noise, **options)
    np.testing.assert_array_equal(decode_image(encoded), tf.io.decode_image(encoded, channels=3).numpy())


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file(kind):
    encoded, expected, tolerance = FILES[kind]
    if expected is None:
        mode = "1" if kind == "PNG of 1 bit" else "P"
        expected = np.asarray(Image.fromarray(PICTURE).convert(mode).convert("RGB"))
    decoded = decode_image(encoded)
    assert decoded.dtype == "uint8"
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(float) - expected).mean() <= tolerance


def test_the_first_frame_of_an_animation():
    frames = [Image.fromarray(odd_images.picture(seed=seed)).convert("P") for seed in range(3)]
    encoded = odd_images.encode(PICTURE, "GIF", "P", save_all=True, append_images=frames)
    np.testing.assert_array_equal(decode_image(encoded), np.asarray(frames[0].convert("RGB")))


@pytest.mark.parametrize("reason", odd_images.CORRUPT)
def test_what_is_wrong_with_a_corrupt_file(reason):
    with pytest.raises(CorruptImageError, match=reason) as error:
        decode_image(odd_images.CORRUPT[reason])
    assert "\n" not in str(error.value)


def test_a_gif_is_what_its_canvas_shows():
    decoded = decode_image(odd_images.gif_of_a_small_frame())
    assert decoded.shape == (4, 6, 3)  # and not those of its frame
    assert decoded[0, 0].tolist() == decoded[1, 2].tolist() == [0, 255, 0]
    assert decoded[0, 2].tolist() == [0, 0, 255]  # the colour of what is transparent


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.3, 0.5, 0.97])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_a_jpeg_that_lacks_a_part_is_corrupt(progressive, kept, end):
    whole = odd_images.encode(odd_images.picture(300, 400), progressive=progressive)
    assert jpeg_damage(whole) is None
    with pytest.raises(CorruptImageError, match="its data end before the image does"):
        decode_image(whole[: int(kept * len(whole))] + end)


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "grey JPEG", "CMYK JPEG", "JPEG with bytes after it"])
def test_a_sound_jpeg_has_no_damage(kind):
    assert jpeg_damage(FILES[kind][0]) is None


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_decompression_bomb_is_corrupt(file_format):
    with pytest.raises(CorruptImageError, match="decompression bomb"):
        decode_image(odd_images.bomb(file_format))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # which comes before the error
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "BMP"])
def test_the_limit_of_pixels_is_pillows(kind, monkeypatch):
    """Also for what TensorFlow would decode, of which there is more than it would be good to make here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", PICTURE.shape[0] * PICTURE.shape[1] / 2)
    decode_image(FILES[kind][0])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", PICTURE.shape[0] * PICTURE.shape[1] / 2 - 1)
    with pytest.raises(CorruptImageError, match="decompression bomb"):
        decode_image(FILES[kind][0])


def test_what_other_programs_would_have_to_read_is_no_image():
    with pytest.raises(CorruptImageError, match="not an image of a known format"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    assert {".jpg", ".jfif", ".jpe", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".webp"} <= image_extensions()
    assert not {".eps", ".h5", ".mpg", ".txt", ".json", ".pdf", ".mp4", ""} & image_extensions()


def test_a_truncated_png_and_webp():
    for file_format in ("PNG", "WEBP"):
        encoded = odd_images.encode(PICTURE, file_format)
        with pytest.raises(CorruptImageError):
            decode_image(encoded[: len(encoded) // 2])


def test_a_jpeg_is_whole_if_it_has_its_end():
    whole = odd_images.WHOLE
    expected = {whole: True, whole[:-2]: False, whole[:500]: False, b"": False, FILES["PNG"][0]: False}
    for encoded, is_whole in expected.items():
        assert bool(is_whole_jpeg(tf.constant(encoded))) == is_whole
    assert [bool(found) for found in tf.data.Dataset.from_tensor_slices(list(expected)).map(is_whole_jpeg)] == list(
        expected.values()
    )


def eagerly(encoded, box, size):
    return decode_part_of_jpeg(tf.constant(encoded), lambda shape: box, size).numpy()


def in_tf_data(encoded, box, size):
    dataset = tf.data.Dataset.from_tensors(encoded).map(
        lambda encoded: decode_part_of_jpeg(encoded, lambda shape: tuple(map(tf.constant, box)), size)
    )
    assert dataset.element_spec.shape.as_list() == [None, None, 3]
    return next(iter(dataset)).numpy()


@pytest.mark.parametrize("apply", [eagerly, in_tf_data])
@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "grey JPEG", "CMYK JPEG"])
def test_a_part_of_a_jpeg_is_that_part_of_the_whole(apply, kind):
    encoded = FILES[kind][0]
    part = apply(encoded, (np.int32([13, 21, 0]), np.int32([50, 60, -1])), size=40)
    expected = decode_image(encoded)[13:63, 21:81]
    assert part.shape == expected.shape
    # At its edge the colours, which are stored at half the size, lack the neighbours they would be interpolated from.
    np.testing.assert_array_equal(part[2:-2, 2:-2], expected[2:-2, 2:-2])
    assert np.abs(part.astype(int) - expected).max() <= 12


@pytest.mark.parametrize("apply", [eagerly, in_tf_data])
@pytest.mark.parametrize(("size", "ratio"), [(91, 1), (90, 2), (46, 2), (45, 4), (22, 8), (3, 8)])
def test_a_large_part_is_decoded_at_a_fraction_of_its_size(apply, size, ratio):
    image = odd_images.picture(240, 320)
    top, left, height, width = 16, 32, 180, 200
    part = apply(odd_images.encode(image), (np.int32([top, left, 0]), np.int32([height, width, -1])), size)
    assert part.shape == (height // ratio, width // ratio, 3)
    means = image[top : top + height // ratio * ratio, left : left + width // ratio * ratio].astype(float)
    means = means.reshape(height // ratio, ratio, width // ratio, ratio, 3).mean(axis=(1, 3))
    assert np.abs(part - means).mean() < 2.5


def test_a_box_depends_on_the_shape_of_the_jpeg():
    shapes = []

    def box_of(shape):
        shapes.append(tuple(shape.numpy()))
        return (0, 0, 0), (10, 10, -1)

    decode_part_of_jpeg(tf.constant(FILES["grey JPEG"][0]), box_of, 10)
    assert shapes == [(90, 120, 1)]


def png_with_sbit(values, bits):
    """The bytes of a grey PNG of 16 bits that says how many of them are significant."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    encoded = buffer.getvalue()
    chunk = b"sBIT" + bytes([bits])
    end_of_header = 8 + 25
    chunk = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return encoded[:end_of_header] + chunk + encoded[end_of_header:]


RAMP = np.arange(0, 4096, 13, dtype=np.uint16).reshape(4, -1)  # of 12 bits


def decoded(encoded):
    """The first channel of an image, and the values that were reported as dark."""
    dark = []
    image = decode_image(encoded, when_dark=dark.append)
    assert image.dtype == np.uint8
    assert (image == image[..., :1]).all()
    return image[..., 0], dark


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_number_of_bits_of_a_png_is_honoured(bits):
    values = RAMP >> (12 - bits) if bits < 12 else RAMP << (bits - 12) | 1
    image, dark = decoded(png_with_sbit(values, bits))
    np.testing.assert_array_equal(image, values >> (bits - 8))
    assert image.max() == 255
    assert dark == []
    # As the standard wants it, scaled to 16 bits: bright and dark images alike.
    for scaled in (RAMP << 4, (RAMP >> 4) << 4):
        image, dark = decoded(png_with_sbit(scaled, 12))
        np.testing.assert_array_equal(image, scaled >> 8)
        assert dark == []


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_few_bits_that_are_not_named_are_reported(file_format):
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, file_format)
    image, dark = decoded(buffer.getvalue())
    np.testing.assert_array_equal(image, RAMP >> 8)
    assert dark == [RAMP.max()]
    buffer = io.BytesIO()
    Image.fromarray(RAMP * 16).save(buffer, file_format)
    image, dark = decoded(buffer.getvalue())
    np.testing.assert_array_equal(image, RAMP >> 4)
    assert dark == []


def test_a_dark_image_is_reported_once(tmp_path, caplog):
    for number in range(3):
        Image.fromarray(RAMP).save(tmp_path / f"{number}.png")
    images = FileImages([(str(tmp_path / f"{number}.png"), 0) for number in range(3)], 8)
    assert len(list(raw_dataset(images))) == 3
    (message,) = caplog.messages
    assert f".png is nearly black: the brightest of its values is {RAMP.max()} of 65535. If its data" in message
