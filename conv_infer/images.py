"""From an image file to the array that a network wants: `(pixel * scale - mean) / std`, in the input's layout.

What the caller does not say comes from the model's metadata (`preprocessing`, a JSON object with the fields of
`Preprocessing`), then from the shape and element type of the input.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InputError

LAYOUTS = ("NCHW", "NHWC")


class Preprocessing:
    """How pixels become an input.

    size: (height, width) to resize to; None: the image's own. scale: pixels of 0..255 are multiplied by it. mean, std:
    one number for each channel (or one for all), in scaled units, in the network's order of channels. bgr: the network
    wants blue first. gray: one channel. layout: "NCHW" or "NHWC".
    """

    __slots__ = ("bgr", "gray", "layout", "mean", "scale", "size", "std")

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        scale: float = 1 / 255,
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
        bgr: bool = False,
        gray: bool = False,
        layout: str = "NCHW",
    ):
        channels = 1 if gray else 3
        if layout not in LAYOUTS:
            raise InputError(f"preprocessing: layout '{layout}' is not known; there are {', '.join(LAYOUTS)}")
        if size is not None and (
            len(size) != 2 or not all(isinstance(side, int) and 0 < side < 1 << 15 for side in size)
        ):
            raise InputError(f"preprocessing: size {size!r} is not a height and a width below {1 << 15}")
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, channels) or not np.isfinite(values).all():
                raise InputError(f"preprocessing: {name} {list(values)} should be 1 or {channels} finite numbers")
        if not np.isfinite(scale):
            raise InputError(f"preprocessing: scale {scale} is not a finite number")
        if 0 in std:
            raise InputError("preprocessing: std must not be 0")
        self.size = None if size is None else (size[0], size[1])
        self.scale = float(scale)
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.bgr = bgr
        self.gray = gray
        self.layout = layout

    def apply(self, pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """uint8 pixels [H, W] (gray) or [H, W, 3] (red, green, blue) -> [1, C, H, W] or [1, H, W, C] of `dtype`.

        An integer network receives the rounded values, limited to what its type holds.
        """
        planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
        if self.bgr:
            planes = planes[:, :, ::-1]
        if np.issubdtype(dtype, np.integer) and (self.scale, *self.mean, *self.std) == (1.0, 0.0, 1.0):
            values = planes
        else:
            values = planes.astype(np.float32) * np.float32(self.scale)
            values = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            values = np.clip(np.rint(values), limits.min, limits.max)
        batch = values.astype(dtype)[None]
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if self.layout == "NCHW" else batch)


def defaults_for(shape: Sequence[Any] | None, dtype: np.dtype) -> dict[str, Any]:
    """The fields that an input's declared shape and element type suggest.

    Raises `InputError` where the shape is not that of a batch of gray or colour images.
    """
    if shape is None:  # the model does not say
        return {}
    if len(shape) != 4:
        raise InputError(
            f"the model's input has the shape {list(shape)}, which is not a batch of images; give an array (.npy, .npz)"
        )
    channels_last = shape[1] not in (1, 3) and shape[3] in (1, 3)
    channels = shape[3] if channels_last else shape[1]
    if isinstance(channels, int) and channels not in (1, 3):
        raise InputError(f"the model's input has {channels} channels, an image has 1 or 3; give an array (.npy, .npz)")
    height, width = shape[1:3] if channels_last else shape[2:4]
    fields: dict[str, Any] = {"layout": "NHWC" if channels_last else "NCHW", "gray": channels == 1}
    if isinstance(height, int) and isinstance(width, int):
        fields["size"] = (height, width)
    if np.issubdtype(dtype, np.integer):
        fields["scale"] = 1.0
    return fields


def fields_from_metadata(metadata: dict[str, str]) -> dict[str, Any]:
    """The fields in the model's `preprocessing` entry (none: empty). Raises `InputError` where it is malformed."""
    text = metadata.get("preprocessing")
    if not text:
        return {}
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise TypeError("not an object")
        unknown = sorted(set(fields) - set(Preprocessing.__slots__))
        if unknown:
            raise ValueError(f"unknown fields {', '.join(unknown)}")
        known: dict[str, Any] = {}
        for name, value in fields.items():
            if name == "size":
                known[name] = None if value is None else tuple(int(side) for side in value)
            elif name in ("mean", "std"):
                known[name] = tuple(float(item) for item in (value if isinstance(value, list) else [value]))
            elif name == "scale":
                known[name] = float(value)
            elif name in ("bgr", "gray"):
                known[name] = bool(value)
            else:
                known[name] = str(value)
        return known
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"the model's metadata 'preprocessing' is not usable: {error}") from None


def read_pixels(path: str, preprocessing: Preprocessing) -> np.ndarray:
    """The image as uint8 [H, W] or [H, W, 3], upright, resized as the preprocessing says.

    Raises `InputError` where the file is no image that Pillow reads, or Pillow is missing.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise InputError(f"{path}: images need Pillow; install it with: pip install 'conv_infer[cli]'") from None
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits, which convert() would cut off at 255
            upright = Image.fromarray((np.asarray(upright).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        upright = upright.convert("L" if preprocessing.gray else "RGB")
        if preprocessing.size is not None:
            height, width = preprocessing.size
            if upright.size != (width, height):
                upright = upright.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(upright)
    except (Image.UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not an image that can be read: {error}") from None
    except OSError as error:
        if error.strerror:  # no such file, no permission
            raise
        raise InputError(f"{path}: the image is damaged: {error}") from None
