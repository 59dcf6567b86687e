"""From pixels to inputs: what is said outranks the metadata, which outranks what the input's shape suggests."""

import json

import numpy as np
import pytest
from PIL import Image

from conv_infer.errors import InputError
from conv_infer.images import Preprocessing, defaults_for, fields_from_metadata, read_pixels

FLOAT = np.dtype(np.float32)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_colour_images_are_normalised_in_the_networks_layout(pixels):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = (pixels / 255.0 - mean) / std
    planar = Preprocessing(mean=mean, std=std).apply(pixels, FLOAT)
    np.testing.assert_allclose(planar, expected.transpose(2, 0, 1)[None], rtol=1e-5, atol=1e-6)
    assert planar.dtype == FLOAT and planar.flags.c_contiguous
    last = Preprocessing(mean=mean, std=std, layout="NHWC").apply(pixels, FLOAT)
    np.testing.assert_array_equal(last, planar.transpose(0, 2, 3, 1))


def test_blue_first_reverses_the_channels_before_the_mean(pixels):
    result = Preprocessing(bgr=True, scale=1, mean=(1, 2, 3)).apply(pixels, FLOAT)
    np.testing.assert_array_equal(result[0, 0], pixels[:, :, 2] - np.float32(1))
    np.testing.assert_array_equal(result[0, 2], pixels[:, :, 0] - np.float32(3))


def test_integer_inputs_receive_pixels_or_rounded_limited_values(pixels):
    plain = Preprocessing(scale=1.0).apply(pixels, np.dtype(np.uint8))
    np.testing.assert_array_equal(plain[0], pixels.transpose(2, 0, 1))
    shifted = Preprocessing(scale=1.0, mean=(128,)).apply(pixels, np.dtype(np.int8))
    np.testing.assert_array_equal(shifted[0], pixels.transpose(2, 0, 1).astype(int) - 128)
    limited = Preprocessing(scale=2.0).apply(pixels, np.dtype(np.uint8))
    np.testing.assert_array_equal(limited[0], np.minimum(pixels.transpose(2, 0, 1).astype(int) * 2, 255))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (["batch", 3, 224, 200], {"layout": "NCHW", "gray": False, "size": (224, 200)}),
        ([1, 1, 28, 28], {"layout": "NCHW", "gray": True, "size": (28, 28)}),
        ([1, 64, 48, 3], {"layout": "NHWC", "gray": False, "size": (64, 48)}),
        ([None, 3, "height", "width"], {"layout": "NCHW", "gray": False}),
    ],
)
def test_defaults_follow_the_shape(shape, expected):
    assert defaults_for(shape, FLOAT) == expected
    assert defaults_for(shape, np.dtype(np.uint8)) == expected | {"scale": 1.0}


@pytest.mark.parametrize("shape", [[1, 10], [1, 16, 8, 8], []])
def test_inputs_that_are_no_images_are_named(shape):
    with pytest.raises(InputError, match="give an array"):
        defaults_for(shape, FLOAT)


def test_metadata():
    text = json.dumps({"size": [8, 6], "mean": 0.5, "std": [0.1, 0.2, 0.3], "bgr": True, "layout": "NHWC"})
    fields = fields_from_metadata({"preprocessing": text})
    assert fields == {"size": (8, 6), "mean": (0.5,), "std": (0.1, 0.2, 0.3), "bgr": True, "layout": "NHWC"}
    assert fields_from_metadata({}) == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"sise": 3}', '{"size": "x"}', '{"mean": [null]}', '{"scale": [1]}'])
def test_malformed_metadata_is_refused(text):
    with pytest.raises(InputError, match="metadata"):
        fields_from_metadata({"preprocessing": text})


@pytest.mark.parametrize(
    "fields",
    [
        {"size": (0, 8)},
        {"size": (8,)},
        {"size": (1 << 20, 8)},
        {"mean": (1, 2)},
        {"std": (1, 0, 1)},
        {"scale": float("nan")},
        {"mean": (float("inf"),)},
        {"gray": True, "mean": (1, 2, 3)},
        {"layout": "CHWN"},
    ],
)
def test_impossible_preprocessing_is_refused(fields):
    with pytest.raises(InputError, match="preprocessing"):
        Preprocessing(**fields)


def test_images_are_read_resized_and_converted(tmp_path, pixels):
    path = str(tmp_path / "image.png")
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(read_pixels(path, Preprocessing()), pixels)
    assert read_pixels(path, Preprocessing(size=(4, 9))).shape == (4, 9, 3)
    gray = read_pixels(path, Preprocessing(gray=True))
    weights = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(gray, pixels @ weights, atol=1)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_every_kind_of_image_becomes_colour(tmp_path, pixels, mode):
    path = str(tmp_path / ("image.tiff" if mode == "CMYK" else "image.png"))
    Image.fromarray(pixels).convert("L" if mode == "LA" else "RGB").convert(mode).save(path)
    result = read_pixels(path, Preprocessing())
    assert result.shape == (5, 7, 3) and result.dtype == np.uint8
    assert result.std() > 10


def test_sixteen_bits_keep_their_upper_eight(tmp_path, pixels):
    path = str(tmp_path / "deep.png")
    Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257).save(path)
    np.testing.assert_array_equal(read_pixels(path, Preprocessing(gray=True)), pixels[:, :, 0])


def test_turned_photographs_are_put_upright(tmp_path, pixels):
    path = str(tmp_path / "turned.png")
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees to show
    image.save(path, exif=exif)
    np.testing.assert_array_equal(read_pixels(path, Preprocessing()), np.rot90(pixels, -1))


def test_damaged_images_are_refused(tmp_path, pixels):
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"image\.png"):
            read_pixels(str(path), Preprocessing())
    with pytest.raises(FileNotFoundError):
        read_pixels(str(tmp_path / "none.png"), Preprocessing())


def test_an_image_that_would_fill_memory_is_refused(tmp_path, monkeypatch, pixels):
    path = str(tmp_path / "image.png")
    Image.fromarray(pixels).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match="not an image that can be read"):
        read_pixels(path, Preprocessing())
