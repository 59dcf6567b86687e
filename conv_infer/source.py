"""Where a model's bytes come from: a mapped file, bytes, or a ModelProto; and letting go of mapped weights.

A file is mapped, not read: the arrays of the graph are views of the map, and the pages of a tensor that has been packed
can be handed back with `release`. They come back from the file if the array is read again, so the file must stay as it
is while a session may plan again (replacing it by another file is safe, writing into it is not).
"""

from __future__ import annotations

import mmap
import os
import stat
from typing import Any

import numpy as np

from .errors import InputError, ModelError

# How files that are often mistaken for a model begin.
_MISTAKEN = (
    (0, b"version https://git-lfs", "a Git LFS pointer, not the model itself: fetch the model with `git lfs pull`"),
    (0, b"<", "an HTML or XML page, perhaps of a failed download"),
    (0, b"PK\x03\x04", "a ZIP archive, perhaps a PyTorch checkpoint: export it to ONNX first"),
    (0, b"\x1f\x8b", "a gzip archive: unpack it first"),
    (0, b"\x89HDF", "an HDF5 file, perhaps of Keras: convert it to ONNX first"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"{", "JSON text"),
    (0, b"ir_version:", "a model in protobuf's text format: save it in the binary format"),
    (4, b"TFL3", "a TensorFlow Lite model: convert it to ONNX first"),
    (4, b"ORTM", "a model in onnxruntime's own format: give the .onnx file it was made from"),
)


class Source:
    """The bytes of a model.

    `data` is `bytes` or a read-only `mmap`; `path` and `folder` are None for models that did not come from a file.
    """

    def __init__(self, data: bytes | mmap.mmap, path: str | None = None):
        if len(data) == 0:
            raise ModelError("the model is empty: it has no bytes")
        self.data = data
        self.path = path
        self.folder = None if path is None else os.path.dirname(os.path.abspath(path))
        self._maps: list[tuple[int, int, mmap.mmap]] = []
        self.watch(data)

    @property
    def name(self) -> str:
        """How messages name the model."""
        return f"'{self.path}'" if self.path is not None else "the model"

    def watch(self, data: bytes | mmap.mmap) -> None:
        """Makes `release` work for views of `data`, where it is a map."""
        if isinstance(data, mmap.mmap):
            whole = np.frombuffer(data, np.uint8)
            self._maps.append((whole.__array_interface__["data"][0], len(data), data))

    def release(self, array: np.ndarray) -> None:
        """Lets go of the memory pages behind a view of the mapped file; they are read again on the next access.

        Does nothing for arrays that are not views of a map.
        """
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        address = array.__array_interface__["data"][0]
        for first, size, mapped in self._maps:
            if first <= address < first + size:
                begin = (address - first) // mmap.PAGESIZE * mmap.PAGESIZE
                end = min(address - first + array.nbytes, size)
                if end > begin:
                    mapped.madvise(mmap.MADV_DONTNEED, begin, end - begin)
                return

    def release_all(self) -> None:
        """Lets go of the memory pages of all mapped files, as `release` does for one array."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for _, _, mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)

    def mistaken_for(self) -> str:
        """What the bytes look like if they are some other kind of file, else ""."""
        head = self.data[:64]
        shown = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        for offset, mark, kind in _MISTAKEN:
            if mark in (head[offset : offset + len(mark)], shown[offset : offset + len(mark)]):
                return kind
        return ""


def open_source(model: Any) -> Source:
    """The source of a path, a bytes-like object, or an object with `SerializeToString` (a ModelProto).

    Raises FileNotFoundError, PermissionError or another OSError as `open` does, `ModelError` for a folder or an empty
    file, `InputError` for an argument of another kind.
    """
    if isinstance(model, bytes):
        return Source(model)
    if isinstance(model, (bytearray, memoryview)):
        return Source(bytes(model))
    if isinstance(model, (str, os.PathLike)):
        path = os.fsdecode(model)
        return Source(map_file(path), path)
    if hasattr(model, "SerializeToString"):
        try:
            return Source(model.SerializeToString())
        except Exception as error:
            raise ModelError(f"the {type(model).__name__} cannot be serialised: {error}") from error
    raise InputError(f"a model is given as a path, as bytes or as an onnx.ModelProto, not as {type(model).__name__}")


def map_file(path: str) -> bytes | mmap.mmap:
    """A read-only map of a regular file."""
    try:
        mode = os.stat(path).st_mode  # asked before opening: opening a pipe would wait for its writer
    except ValueError as error:
        raise InputError(f"{path!r} is not a path: {error}") from error
    if stat.S_ISDIR(mode):
        raise ModelError(f"'{path}' is a folder, not a .onnx file")
    if not stat.S_ISREG(mode):
        raise ModelError(f"'{path}' is not a regular file; read it and pass the bytes")
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise ModelError(f"'{path}' is empty")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
