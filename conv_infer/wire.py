"""The protobuf wire format, read with every bound checked.

A message is a run of fields, each a key (field number and wire type) and a value. `fields` walks one message and hands
out keys with values or byte ranges; what the numbers mean is the caller's business. Nothing is copied, and nothing is
allocated by a number that the file states. `data` is `bytes` or a read-only `mmap.mmap`: both give integers when
indexed and bytes when sliced.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Iterator

import numpy as np

from .errors import ModelError

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5

Data = bytes | mmap.mmap

_float = struct.Struct("<f").unpack_from
_NUMPY_PAYS = 64  # bytes of packed varints from which NumPy is faster than a loop
_BLOCK = 1 << 20  # bytes of packed varints that NumPy decodes at a time: bounds its temporary arrays


def key(number: int, wire_type: int) -> int:
    """The key of a field as it stands in the file."""
    return number << 3 | wire_type


def fields(data: Data, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Walks the message in `data[start:end]`; yields (key, value, next) or (key, first, last).

    For a varint the second is its value (unsigned, below 2**64); otherwise second and third are the byte range of the
    payload, which lies inside the message. Raises `ModelError` with the byte offset where the message is damaged.
    """
    position = start
    try:
        while position < end:
            found = data[position]
            if found < 0x80:
                position += 1
            else:
                found, position = varint(data, position)
                if found > 0xFFFFFFFF:
                    raise damaged(position, f"field number {found >> 3} is not legal")
            if found < 8:
                raise damaged(position, "field number 0 is not legal")
            wire_type = found & 7
            if wire_type == LENGTH_DELIMITED:
                size = data[position]
                if size < 0x80:
                    first = position + 1
                else:
                    size, first = varint(data, position)
                position = first + size
                if position > end:
                    raise damaged(first, f"field {found >> 3} holds {size} bytes, but only {end - first} are left")
                yield found, first, position
            elif wire_type == VARINT:
                value = data[position]
                if value < 0x80:
                    position += 1
                else:
                    value, position = varint(data, position)
                if position > end:
                    raise damaged(position, f"field {found >> 3} runs past the end of its message")
                yield found, value, position
            elif wire_type in (FIXED32, FIXED64):
                first = position
                position += 4 if wire_type == FIXED32 else 8
                if position > end:
                    raise damaged(first, f"field {found >> 3} runs past the end of its message")
                yield found, first, position
            else:
                raise damaged(position, f"field {found >> 3} has wire type {wire_type}, which ONNX does not use")
    except IndexError:
        raise damaged(len(data), "it ends inside a field") from None


def varint(data: Data, position: int) -> tuple[int, int]:
    """The unsigned integer at `position` and the position behind it."""
    value = shift = 0
    for index in range(position, position + 10):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, index + 1
        shift += 7
    raise damaged(position, "a number is longer than 64 bits")


def signed(value: int) -> int:
    """A varint read as int64."""
    return value - (1 << 64) if value >> 63 else value


def text(data: Data, start: int, end: int) -> str:
    """A string field."""
    try:
        return data[start:end].decode()
    except UnicodeDecodeError:
        raise damaged(start, "a string is not UTF-8") from None


def float32(data: Data, start: int) -> float:
    """A float field."""
    return _float(data, start)[0]


class Varints:
    """A repeated integer field, packed or not, gathered in the order of the file."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._tail = array("Q")

    def add(self, value: int) -> None:
        self._tail.append(value)

    def add_packed(self, data: Data, start: int, end: int) -> None:
        """Adds the varints of `data[start:end]`."""
        if end - start >= _NUMPY_PAYS:
            self._close_tail()
            self._parts.extend(_packed_blocks(np.frombuffer(data, np.uint8, end - start, start), start))
            return
        position = start
        try:
            while position < end:
                value = data[position]
                if value < 0x80:
                    position += 1
                else:
                    value, position = varint(data, position)
                self._tail.append(value)
        except IndexError:
            raise damaged(len(data), "it ends inside a number") from None
        if position > end:
            raise damaged(end, "a packed number runs past the end of its field")

    def values(self) -> np.ndarray:
        """All values, uint64."""
        self._close_tail()
        if len(self._parts) == 1:
            return self._parts[0]
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.uint64)

    def signed_list(self) -> list[int]:
        """All values, read as int64."""
        if self._parts:
            return self.values().view(np.int64).tolist()
        return [signed(value) for value in self._tail]

    def _close_tail(self) -> None:
        if self._tail:
            self._parts.append(np.array(self._tail, np.uint64))
            self._tail = array("Q")


def _packed_blocks(stored: np.ndarray, offset: int) -> Iterator[np.ndarray]:
    position = 0
    while position < stored.size:
        block = stored[position : position + _BLOCK]
        last = np.flatnonzero(block < 0x80)  # where each number ends
        if last.size == 0:
            raise damaged(offset + position, "a packed number does not end")
        yield _packed(block, last, offset + position)
        position += int(last[-1]) + 1


def _packed(block: np.ndarray, last: np.ndarray, offset: int) -> np.ndarray:
    first = np.empty_like(last)
    first[0] = 0
    np.add(last[:-1], 1, out=first[1:])
    sizes = last - first + 1
    longest = int(sizes.max())
    values = (block[first] & 0x7F).astype(np.uint64)
    for index in range(1, min(longest, 10)):
        chosen = np.flatnonzero(sizes > index)
        digits = block[first[chosen] + index] & 0x7F
        if index == 9 and digits.max() > 1:
            raise damaged(offset, "a packed number is longer than 64 bits")
        values[chosen] |= digits.astype(np.uint64) << np.uint64(7 * index)
    if longest > 10:
        raise damaged(offset, "a packed number is longer than 64 bits")
    return values


def damaged(position: int, reason: str) -> ModelError:
    """The error for a file that breaks the wire format at a byte offset."""
    return ModelError(f"the model is damaged at byte {position}: {reason}")
