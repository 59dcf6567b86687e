"""What whole networks are held to: onnxruntime's numbers within a share of the output's largest magnitude."""

from __future__ import annotations

import numpy as np

from conv_infer.parity import compare

TOLERANCE = 1e-4


def assert_agrees(ours: dict, reference: dict, tolerance: float = TOLERANCE) -> None:
    """Asserts that all outputs of the reference are there: same shapes and types, errors within tolerance times the
    largest magnitude, and the largest element at the same place."""
    assert list(ours) == list(reference)
    departures = [comparison for comparison in compare(ours, reference, tolerance) if not comparison.matches]
    assert not departures, "; ".join(
        f"{found.name}: {found.reason} ({found.relative_error:.1e})" for found in departures
    )
    for name, array in reference.items():
        array = np.asarray(array)
        if array.size and np.issubdtype(array.dtype, np.floating) and np.isfinite(array).all():
            assert_same_arg_max(np.asarray(ours[name]), array, name)


def assert_same_arg_max(ours: np.ndarray, reference: np.ndarray, name: str = "") -> None:
    """Asserts that the largest element is the same one; of several that the reference holds to be equal, any."""
    largest = reference.reshape(-1)[ours.argmax()]
    assert largest == reference.max(), f"{name}: element {ours.argmax()} is the largest, not {reference.argmax()}"


def assert_same_bits(ours: dict, others: dict) -> None:
    assert list(ours) == list(others)
    for name in ours:
        a, b = np.asarray(ours[name]), np.asarray(others[name])
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        assert a.tobytes() == b.tobytes(), f"{name}: {np.count_nonzero(a != b)} of {a.size} elements differ"
