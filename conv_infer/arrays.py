"""The arrays of a run: checked on their way in, in their declared types on their way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import InputError
from .model import ValueInfo


def checked_feeds(inputs: Sequence[ValueInfo], feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """An array for each declared input, of its element type and rank, row-major in native byte order.

    Raises `InputError` for names that are missing or unknown, and for arrays that do not fit.
    """
    declared = {entry.name: entry for entry in inputs}
    if not isinstance(feeds, Mapping):
        raise InputError(f"feeds: expected a dict of arrays by input name, got {type(feeds).__name__}")
    unknown = [name for name in feeds if name not in declared]
    missing = [name for name in declared if name not in feeds]
    if unknown or missing:
        raise InputError(describe_names(unknown, missing, list(declared)))
    return {name: checked_array(entry, feeds[name]) for name, entry in declared.items()}


def describe_names(unknown: list[str], missing: list[str], known: list[str]) -> str:
    """What is wrong with the names of the fed inputs, with the nearest known one for each that is not."""
    from difflib import get_close_matches

    parts = []
    for name in unknown:
        near = get_close_matches(str(name), known, 1)
        parts.append(f"there is no input named '{name}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
    if missing:
        parts.append(f"missing: {quoted(missing)}")
    return "; ".join(parts) + f"; inputs: {quoted(known)}"


def checked_array(entry: ValueInfo, value: Any) -> np.ndarray:
    """The array in native byte order and row-major, of the declared element type and rank."""
    try:
        array = np.asarray(value)
    except Exception as error:
        raise InputError(f"input '{entry.name}': not an array: {error}") from error
    if array.dtype.newbyteorder("=") != entry.dtype:
        raise InputError(
            f"input '{entry.name}': expected {entry.dtype} elements, got {array.dtype}; convert with "
            f".astype('{entry.dtype}')"
        )
    if entry.shape:  # one declared as a scalar takes any shape, as in onnxruntime
        fits = len(array.shape) == len(entry.shape) and all(
            not isinstance(wanted, int) or wanted == size for wanted, size in zip(entry.shape, array.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("?" if size is None else str(size) for size in entry.shape)
            raise InputError(f"input '{entry.name}': expected the shape ({wanted}), got {array.shape}")
    return np.asarray(array, dtype=entry.dtype, order="C")


def as_declared(entry: ValueInfo, array: np.ndarray) -> np.ndarray:
    """An output in its declared type: where a type is not known before it is computed, float16 has become float32."""
    if entry.dtype is None or array.dtype == entry.dtype or not array.dtype.kind == entry.dtype.kind == "f":
        return array
    return array.astype(entry.dtype)


def quoted(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)
