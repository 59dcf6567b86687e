"""What a model is fed with, read from files: images, .npy, .npz, ONNX TensorProto (.pb); or drawn at random."""

from __future__ import annotations

import argparse
import math
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from . import images
from .cli_common import format_shape
from .errors import InputError


def add_preprocessing_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "preprocessing of images",
        "(pixel * scale - mean) / std; what is not given comes from the model's metadata, then from its input's shape",
    )
    group.add_argument("--size", type=_size, metavar="HxW", help="resize to height x width (one number: a square)")
    group.add_argument("--scale", type=_number, metavar="S", help="pixels 0..255 times this (default: 1/255)")
    group.add_argument("--mean", type=_numbers, metavar="R,G,B", help="in scaled units (default: 0)")
    group.add_argument("--std", type=_numbers, metavar="R,G,B", help="in scaled units (default: 1)")
    group.add_argument("--bgr", action=argparse.BooleanOptionalAction, help="blue first")
    group.add_argument("--gray", action=argparse.BooleanOptionalAction, help="one channel")
    group.add_argument("--layout", choices=images.LAYOUTS, help="of the model's input")


def _number(text: str) -> float:
    """A number or a fraction such as 1/255."""
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(_number(part) for part in text.split(","))


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().replace("x", ",").split(",")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not HEIGHTxWIDTH")
    return int(parts[0]), int(parts[-1])


def read_feeds(session: Any, arguments: Sequence[str], options: argparse.Namespace) -> dict[str, np.ndarray]:
    """The arrays for the session's inputs from arguments PATH or NAME=PATH. Raises `InputError`."""
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    feeds: dict[str, np.ndarray] = {}
    for argument in arguments:
        name, path = _split(argument, inputs)
        if name is None and Path(path).suffix.lower() == ".npz":
            feeds.update(_read_npz(path, inputs))
            continue
        if name is None:
            name = next((candidate for candidate in inputs if candidate not in feeds), None)
        if name is None:
            raise InputError(f"{path}: the model has only {len(inputs)} inputs: {', '.join(inputs)}")
        feeds[name] = _read(path, inputs[name], session, options)
    missing = [name for name in inputs if name not in feeds]
    if missing:
        raise InputError(f"nothing is given for the inputs {', '.join(missing)}; give NAME=FILE for each")
    return feeds


def _split(argument: str, inputs: dict[str, Any]) -> tuple[str | None, str]:
    """NAME=PATH where NAME is an input, else a path."""
    for name in inputs:
        if argument.startswith(f"{name}="):
            return name, argument[len(name) + 1 :]
    if "=" in argument and not Path(argument).exists():
        raise InputError(f"'{argument}': no such file, and no input of that name; the inputs: {', '.join(inputs)}")
    return None, argument


def _read(path: str, tensor: Any, session: Any, options: argparse.Namespace) -> np.ndarray:
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        return _read_npy(path)
    if suffix == ".npz":
        arrays = _read_npz(path, {tensor.name: tensor})
        return arrays[tensor.name]
    if suffix == ".pb":
        return _read_tensor_proto(path)
    return _read_image(path, tensor, session, options)


def _read_image(path: str, tensor: Any, session: Any, options: argparse.Namespace) -> np.ndarray:
    dtype = tensor.dtype
    fields = images.defaults_for(tensor.shape, dtype)
    fields |= images.fields_from_metadata(session.get_modelmeta().custom_metadata_map)
    for name in images.Preprocessing.__slots__:
        if getattr(options, name, None) is not None:
            fields[name] = getattr(options, name)
    preprocessing = images.Preprocessing(**fields)
    return preprocessing.apply(images.read_pixels(path, preprocessing), dtype)


def _read_npy(path: str) -> np.ndarray:
    with open(path, "rb") as stream:
        return _read_array(stream, Path(path).stat().st_size, path)


def _read_npz(path: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays named as the inputs; where there is one input and one array, its name does not matter."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            found = {name: members[name] for name in inputs if name in members}
            if not found and len(inputs) == len(members) == 1:
                found = {next(iter(inputs)): next(iter(members.values()))}
            if not found:
                raise InputError(
                    f"{path}: holds {', '.join(members) or 'nothing'}, but the inputs are {', '.join(inputs)}"
                )
            return {name: _read_member(archive, entry, path) for name, entry in found.items()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zipfile.zlib.error) as error:
        raise InputError(f"{path}: not an archive of arrays that can be read: {error}") from None


def _read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str) -> np.ndarray:
    with archive.open(entry) as stream:
        return _read_array(stream, entry.file_size, f"{path}: '{entry.filename}'")


def _read_array(stream: IO[bytes], size: int, what: str) -> np.ndarray:
    """An array in NumPy's format from `size` bytes, to which the header's promise is held before memory is taken."""
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, column_major, dtype = np.lib.format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, column_major, dtype = np.lib.format.read_array_header_2_0(stream)
        else:
            raise InputError(f"{what}: the array format {version} is not supported")
        if dtype.hasobject:
            raise InputError(f"{what}: holds Python objects, not numbers")
        count = math.prod(shape)
        if min(shape, default=0) < 0 or count * dtype.itemsize > size:
            raise InputError(f"{what}: says its shape is {format_shape(shape)}, but is shorter than that")
        data = stream.read(count * dtype.itemsize)
        return np.frombuffer(data, dtype, count).reshape(shape, order="F" if column_major else "C")
    except (ValueError, TypeError, SyntaxError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what}: not an array that can be read: {error}") from None


def _read_tensor_proto(path: str) -> np.ndarray:
    from google.protobuf.message import DecodeError
    from onnx import TensorProto, numpy_helper

    try:
        tensor = TensorProto.FromString(Path(path).read_bytes())
        if tensor.data_location == TensorProto.EXTERNAL:
            raise InputError(f"{path}: the tensor's data lies in another file, which is not supported for inputs")
        if tensor.data_type == TensorProto.UNDEFINED:
            raise InputError(f"{path}: not an ONNX tensor")
        return numpy_helper.to_array(tensor)
    except (DecodeError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not an ONNX tensor that can be read: {error}") from None


def random_feeds(inputs: Iterable[Any], shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded arrays of the given shapes: standard normal, or small whole numbers, for inputs with .name and .dtype."""
    random = np.random.default_rng(seed)
    feeds = {}
    for tensor in inputs:
        dtype = tensor.dtype
        shape = shapes[tensor.name]
        if np.issubdtype(dtype, np.floating):
            array = random.standard_normal(shape, dtype=np.float32)
        elif dtype == np.bool_:
            array = random.integers(0, 2, shape)
        else:
            lowest = 0 if np.issubdtype(dtype, np.unsignedinteger) else -128
            array = random.integers(lowest, lowest + 256 if dtype.itemsize == 1 else 128, shape)
        feeds[tensor.name] = array.astype(dtype)
    return feeds
