"""The batched matrix product against NumPy in float64."""

import numpy as np
import pytest
from emitting import run_node
from hypothesis import given, settings
from hypothesis import strategies as st
from strided import SETS, Operand, layouts, run_everywhere, shapes

from conv_infer import _core
from conv_infer.errors import ConvInferError


def normal(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def close(result, a, b, alpha=1.0):
    exact = alpha * (a.astype(np.float64) @ b)
    bound = abs(alpha) * (np.abs(a).astype(np.float64) @ np.abs(b))
    assert result.shape == exact.shape
    np.testing.assert_array_less(np.abs(result - exact), 2e-6 * bound + 1e-30)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_batches_broadcast(data):
    batch = data.draw(shapes(max_rank=2, max_size=4))
    rows, depth, columns = (data.draw(st.integers(1, 40)) for _ in range(3))
    operands = []
    for matrix in ((rows, depth), (depth, columns)):
        narrow = tuple(1 if data.draw(st.booleans()) else size for size in batch)
        narrow = narrow[data.draw(st.integers(0, len(batch))) :] if set(narrow) <= {1} else narrow
        shape = (*narrow, *matrix)
        operands.append(Operand.of(normal(shape, len(operands)), **data.draw(layouts(shape))))
    a, b = operands
    y = Operand(np.matmul(a.array, b.array).shape, np.float32)
    alpha = data.draw(st.sampled_from([1.0, 0.125]))
    close(run_node("BatchMatMul", [a, b], y, {"alpha": alpha}), a.array, b.array, alpha)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 200, 300), (500, 3, 17), (260, 64, 65), (100, 100, 200)])
@pytest.mark.parametrize("transposed", [False, True])
def test_every_instruction_set(isa, sizes, transposed):
    rows, depth, columns = sizes
    order = (0, 2, 1) if transposed else (0, 1, 2)
    a = Operand.of(normal((3, rows, depth), 0), order=order)
    b = Operand.of(normal((3, depth, columns), 1), order=order)
    y = Operand((3, rows, columns), np.float32)

    def add(program, views, threads, allowed):
        _core.add_matmul(
            program,
            shape=y.array.shape,
            depth=depth,
            y=views[0],
            a=views[1],
            b=views[2],
            alpha=1.0,
            threads=threads,
            allowed=allowed,
        )

    close(run_everywhere(add, [y, a, b], isa), a.array, b.array)


def test_a_depth_of_nothing():
    a, b = np.zeros((2, 3, 0), np.float32), np.zeros((2, 0, 4), np.float32)
    np.testing.assert_array_equal(run_node("BatchMatMul", [a, b], Operand((2, 3, 4), np.float32), {}), 0)


def test_operands_that_leave_their_buffers_are_refused():
    view = (2, 0), (8, 1)
    for a_bytes, b_bytes in ((4 * 64 - 4, 4 * 64), (4 * 64, 4 * 64 - 4)):
        program = _core.Program([0, 0, 4 * 64, a_bytes, b_bytes])
        with pytest.raises(ConvInferError):
            _core.add_matmul(
                program,
                shape=(8, 8),
                depth=8,
                y=view,
                a=((3, 0), (8, 1)),
                b=((4, 0), (8, 1)),
                alpha=1.0,
                threads=1,
                allowed=1,
            )
