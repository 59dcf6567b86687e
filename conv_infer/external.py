"""External data: tensors whose bytes lie in a file beside the model.

The model names the file, and a model may come from a stranger: only regular files inside the model's own folder are
opened, whatever the name, and every range is checked against the file's size.
"""

from __future__ import annotations

import os

from .errors import ModelError
from .source import Source, map_file
from .wire import Data


class ExternalData:
    """The external files of one model, each mapped once."""

    def __init__(self, source: Source):
        self._source = source
        self._files: dict[str, Data] = {}

    def find(self, tensor: str, entries: dict[str, str], size: int) -> tuple[Data, int]:
        """The file and the offset in it of the `size` bytes that the `external_data` entries of a tensor describe."""
        location = entries.get("location", "")
        data = self._files.get(location)
        if data is None:
            data = self._files[location] = self._open(tensor, location)
        offset = _number(tensor, entries, "offset", 0)
        length = _number(tensor, entries, "length", max(len(data) - offset, 0))
        if offset + length > len(data):
            raise ModelError(
                f"tensor '{tensor}': its external data is bytes {offset} to {offset + length} of '{location}', which "
                f"has only {len(data)}"
            )
        if length != size:
            raise ModelError(
                f"tensor '{tensor}': its external data in '{location}' holds {length} bytes, but its shape and element "
                f"type need {size}"
            )
        return data, offset

    def _open(self, tensor: str, location: str) -> Data:
        folder = self._source.folder
        if folder is None:
            raise ModelError(
                f"tensor '{tensor}': its data lies in the external file '{location}', which cannot be found for a "
                "model given as bytes or ModelProto: give the model's path, or load it with its external data first"
            )
        if not location:
            raise ModelError(f"tensor '{tensor}': its external data names no file")
        parts = location.replace("\\", "/").split("/")
        if os.path.isabs(location) or os.path.splitdrive(location)[0] or ".." in parts or "\0" in location:
            raise ModelError(
                f"tensor '{tensor}': its external data lies in {location!r}; only files inside the model's folder are "
                "read, named by a relative path without '..'"
            )
        inside = os.path.realpath(folder)
        path = os.path.realpath(os.path.join(folder, location))
        if os.path.commonpath([inside, path]) != inside:
            raise ModelError(
                f"tensor '{tensor}': its external data '{location}' is a link that leads out of the model's folder; "
                "only files inside it are read: put the file itself there"
            )
        try:
            data = map_file(path)
        except OSError as error:
            raise ModelError(
                f"tensor '{tensor}': its external data '{location}' cannot be read: {error.strerror}"
            ) from error
        self._source.watch(data)
        return data


def _number(tensor: str, entries: dict[str, str], name: str, default: int) -> int:
    written = entries.get(name)
    if written is None:
        return default
    if not (written.isascii() and written.isdigit() and len(written) <= 19):
        raise ModelError(f"tensor '{tensor}': the {name} of its external data is {written!r}, not a size in bytes")
    return int(written)
