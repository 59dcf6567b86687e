"""Comparing with onnxruntime: what counts as a departure, and which tensor is named first."""

import numpy as np
import pytest

from conv_infer.parity import Comparison, LayeredModel, first_departure, reference_outputs

ONES = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("ours", "reference", "reason"),
    [
        (ONES, ONES, ""),
        (ONES * np.float32(1.00005), ONES, ""),
        (ONES * np.float32(1.001), ONES, "error above the tolerance"),
        (np.zeros(3, np.float32), np.zeros(3, np.float32), ""),
        (np.float32([1e-9, 0]), np.zeros(2, np.float32), "error above the tolerance"),
        (ONES.astype(np.float64), ONES, "type float64, expected float32"),
        (ONES[:1], ONES, "shape [1, 3], expected [2, 3]"),
        (np.float32([np.nan, 1]), np.float32([np.nan, 1]), ""),
        (np.float32([1, 1]), np.float32([np.nan, 1]), "NaN or infinity in other places"),
        (np.float32([np.nan, 1]), np.float32([1, 1]), "NaN or infinity where a number is expected"),
        (np.float32([np.inf, 1]), np.float32([-np.inf, 1]), "NaN or infinity in other places"),
        (np.array([2**62]), np.array([2**62]), ""),
        (np.array([-(2**63)]), np.array([2**63 - 1]), "error above the tolerance"),
        (np.array([True]), np.array([True]), ""),
        (np.array([False]), np.array([True]), "values differ"),
        (np.array(["a"]), np.array(["b"]), "values differ"),
        (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), ""),
    ],
)
def test_departures(ours, reference, reason):
    comparison = Comparison("x", ours, reference, 1e-4)
    assert comparison.reason == reason
    assert comparison.matches == (not reason)


def departing(tensors, faulty_alone=False):
    """Runs a model by onnxruntime, with a fault in some tensors (or only where a single one of them is asked for)."""

    def run(model, feeds):
        results = reference_outputs(model, feeds)
        chosen = [name for name in results if name in tensors]
        if not faulty_alone or len(results) == 2:
            for name in chosen:
                results[name] = results[name] + np.float32(1)
        return results

    return run


@pytest.fixture(scope="module")
def model(root):
    return str(root / "models" / "digits.onnx")


@pytest.fixture(scope="module")
def feeds():
    return {"image": np.random.default_rng(0).standard_normal((2, 1, 8, 8), dtype=np.float32)}


def items(names, what):
    return names


def test_no_tensor_departs(model, feeds):
    found, alone = first_departure(model, feeds, departing([]), 1e-4, items)
    assert alone and [comparison.name for comparison in found] == LayeredModel(model).tensors
    assert all(comparison.matches for comparison in found)


def test_the_first_tensor_in_the_models_order_is_found(model, feeds):
    tensors = LayeredModel(model).tensors
    found, alone = first_departure(model, feeds, departing([tensors[7], tensors[3]]), 1e-4, items)
    assert not alone
    assert [comparison.name for comparison in found if not comparison.matches] == [tensors[3], tensors[7]]


def test_a_fault_that_hides_while_all_tensors_are_kept_is_found(model, feeds):
    tensors = LayeredModel(model).tensors
    run = departing([tensors[5], tensors[9]], faulty_alone=True)
    found, alone = first_departure(model, feeds, run, 1e-4, items)
    assert alone and len(found) == 6
    assert found[-1].name == tensors[5] and not found[-1].matches
