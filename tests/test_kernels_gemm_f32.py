"""Every float32 GEMM kernel of the list against float64 NumPy: tails, tables, guards, epilogues, special values."""

import math
import os

import numpy as np
import pytest

from conv_infer import _core

INFINITY = math.inf
CLAMP, LEAKY_RELU, HARD_SWISH, HARD_SIGMOID = range(4)
NO_ACTIVATION = (CLAMP, -INFINITY, INFINITY)
ACTIVATIONS = {
    "none": NO_ACTIVATION,
    "relu": (CLAMP, 0.0, INFINITY),
    "at_most": (CLAMP, -INFINITY, 0.5),
    "relu6": (CLAMP, 0.0, 6.0),
    "leaky_relu": (LEAKY_RELU, 0.125, 0.0),
    "hard_swish": (HARD_SWISH, 1 / 6, 0.5),
    "hard_sigmoid": (HARD_SIGMOID, 0.2, 0.5),
}
DEPTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 200]
GUARD = np.float32(12345.0)

GEMM = [kernel for kernel in _core.kernels() if kernel.operation == "gemm_f32"]
DOT = [kernel for kernel in _core.kernels() if kernel.operation == "gemm_dot_f32"]
SPLIT = [kernel for kernel in _core.kernels() if kernel.operation == "gemm_split_f32"]


def runnable(kernel: _core.Kernel) -> _core.Kernel:
    needed = "neon" if kernel.isa == "a53" else kernel.isa  # it differs in the order of its instructions
    if needed not in _core.isa_allowed(os.environ.get("CONV_INFER_ISA") or None):
        pytest.skip(f"{kernel.isa}: not on this machine, or not allowed")
    return kernel


@pytest.fixture(params=GEMM + DOT + SPLIT, ids=lambda kernel: kernel.name)
def kernel(request) -> _core.Kernel:
    return runnable(request.param)


@pytest.fixture(params=GEMM, ids=lambda kernel: kernel.name)
def table_kernel(request) -> _core.Kernel:
    return runnable(request.param)


def pack(kernel: _core.Kernel, weights: np.ndarray, depth_order: np.ndarray | None = None) -> np.ndarray:
    depth = weights.shape[1] if depth_order is None else len(depth_order)
    memory = _core.Memory(4 * _core.packed_gemm_f32_elems(kernel, depth, weights.shape[0]))
    _core.pack_gemm_f32(kernel, weights, memory, 0, depth_order)
    return np.frombuffer(memory, np.float32)


def activate(x: np.ndarray, activation: tuple[int, float, float]) -> np.ndarray:
    kind, alpha, beta = activation
    gate = np.clip(alpha * x + beta, 0, 1) if kind in (HARD_SWISH, HARD_SIGMOID) else None
    if kind == LEAKY_RELU:
        return np.where(x >= 0, x, alpha * x)
    if kind == HARD_SWISH:
        return x * gate
    return gate if kind == HARD_SIGMOID else np.clip(x, alpha, beta)


class Case:
    """Operands of one call: misaligned buffers, guards around every row of c."""

    def __init__(self, kernel, rows, columns, depth, *, a_row=None, a_depth=None, seed=0, residual=None):
        rng = np.random.default_rng([seed, rows, columns, depth])
        self.kernel, self.columns = kernel, columns
        self.a_row = np.arange(rows, dtype=np.int32) * depth if a_row is None else np.asarray(a_row, np.int32)
        self.a_depth = np.arange(depth, dtype=np.int32) if a_depth is None else np.asarray(a_depth, np.int32)
        a_elems = int(self.a_row.max() + self.a_depth.max()) + 1
        self.a = rng.uniform(-1, 1, a_elems + 1).astype(np.float32)[1:]  # off its natural alignment
        self.weights = rng.uniform(-1, 1, (columns, depth)).astype(np.float32)
        self.bias = np.zeros(kernel.nr, np.float32)
        self.bias[:columns] = rng.uniform(-1, 1, columns)
        gap = columns + 3
        self.c_row = (3 + gap * rng.permutation(rows)).astype(np.int32)
        self.c = np.full(gap * rows + 3, GUARD)
        self.residual = self.residual_row = None
        if residual == "separate":
            self.residual_row = (rng.permutation(rows) * columns).astype(np.int32)
            self.residual = rng.uniform(-1, 1, rows * columns).astype(np.float32)
        elif residual == "in_place":
            self.residual, self.residual_row = self.c, self.c_row
            self.c[self.places] = rng.uniform(-1, 1, (rows, columns))
        self.added = 0.0 if residual is None else self.residual[self.residual_row[:, None] + np.arange(columns)].copy()

    @property
    def places(self) -> np.ndarray:
        return self.c_row[:, None] + np.arange(self.columns)

    def run(self, activation=NO_ACTIVATION, rows=slice(None), reads_table=False) -> np.ndarray:
        """The result [rows, columns]; the guards must have survived."""
        arguments = (pack(self.kernel, self.weights), self.bias, self.c, self.c_row[rows], self.columns)
        residual_row = None if self.residual_row is None else self.residual_row[rows]
        more = (self.residual, residual_row, activation, reads_table)
        _core.run_gemm_f32(self.kernel, self.a, self.a_row[rows], self.a_depth, *arguments, *more)
        outside = np.ones(self.c.shape, bool)
        outside[self.places] = False
        assert (self.c[outside] == GUARD).all(), "wrote beyond the rows and columns of c"
        return self.c[self.places[rows]].copy()

    def expected(self, activation=NO_ACTIVATION) -> np.ndarray:
        a = self.a[self.a_row[:, None] + self.a_depth].astype(np.float64)
        sums = a @ self.weights.T.astype(np.float64) + self.bias[: self.columns] + self.added
        return activate(sums, activation)

    def check(self, activation=NO_ACTIVATION, **options) -> None:
        tolerance = 4e-7 * (len(self.a_depth) ** 0.5 + 4)
        np.testing.assert_allclose(
            self.run(activation, **options), self.expected(activation), rtol=1e-6, atol=tolerance
        )


def test_rows_and_columns(kernel):
    for rows in range(1, 2 * kernel.mr + 2):
        for columns in range(1, kernel.nr + 1):
            Case(kernel, rows, columns, 5).check()


@pytest.mark.parametrize("depth", DEPTHS)
def test_depths(kernel, depth):
    for rows in (1, kernel.mr, kernel.mr + 1):
        for columns in {1, max(1, kernel.nr - 1), kernel.nr}:
            Case(kernel, rows, columns, depth).check(ACTIVATIONS["relu"])


def test_many_rows(kernel):
    Case(kernel, 1000, kernel.nr, 20).check(ACTIVATIONS["relu6"])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", [None, "separate", "in_place"])
def test_epilogue(kernel, activation, residual):
    for rows in (1, 2 * kernel.mr - 1):
        for columns in {1, max(1, kernel.nr - 1), kernel.nr}:
            Case(kernel, rows, columns, 9, residual=residual).check(ACTIVATIONS[activation])


@pytest.mark.parametrize("depth", [3, 32, 41])
def test_overlapping_rows(kernel, depth):
    """Rows a fixed offset apart that is shorter than a row, as in the reusable im2row buffer."""
    rows = 2 * kernel.mr + 1
    Case(kernel, rows, kernel.nr, depth, a_row=np.arange(rows) * 2).check()


@pytest.mark.parametrize("depth", [3, 32, 41])
def test_depth_table(table_kernel, depth):
    """Depth through a table: in any order, with gaps, an element more than once."""
    rng = np.random.default_rng(depth)
    rows = table_kernel.mr + 1
    a_row, a_depth = rng.permutation(4 * rows)[:rows], rng.integers(0, 3 * depth, depth)
    Case(table_kernel, rows, table_kernel.nr, depth, a_row=a_row, a_depth=a_depth).check()


@pytest.mark.parametrize("rows", range(1, 13))
def test_depth_in_runs(table_kernel, rows):
    """Depth that is neighbours for a while, as in windows: kernels that read ahead must not read past a run's end."""
    lengths = [4, 8, 3, 12, 5, 1, 4, 6, 16, 7]
    starts = np.cumsum([0, *lengths[:-1]]) + 3 * np.arange(len(lengths))
    a_depth = np.concatenate([start + np.arange(length) for start, length in zip(starts, lengths, strict=True)])
    Case(table_kernel, rows, table_kernel.nr, len(a_depth), a_depth=a_depth).check()


@pytest.mark.parametrize("depth", [1, 17, 200])
def test_same_bits_with_a_table(table_kernel, depth):
    case = Case(table_kernel, 2 * table_kernel.mr - 1, table_kernel.nr, depth)
    assert case.run().tobytes() == case.run(reads_table=True).tobytes()


@pytest.mark.parametrize("depth", [17, 64])
def test_same_bits_however_rows_are_split(kernel, depth):
    rows = 3 * kernel.mr + 1
    case = Case(kernel, rows, kernel.nr, depth, residual="separate")
    whole = case.run(ACTIVATIONS["relu"])
    for size in range(1, rows):
        parts = [case.run(ACTIVATIONS["relu"], slice(first, first + size)) for first in range(0, rows, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("depth", [17, 200])
def test_order_of_summation(table_kernel, depth):
    """From the bias on, one fused multiply-add after the other in the order of depth: so all tile shapes and
    instruction sets agree. A product of float32 is exact in float64; that the sum is then rounded twice could make a
    difference, and does not here."""
    if table_kernel.isa == "scalar":
        pytest.skip("portable C rounds product and sum apart")
    case = Case(table_kernel, 9, table_kernel.nr, depth)
    a, weights = case.a[case.a_row[:, None] + case.a_depth].astype(np.float64), case.weights.astype(np.float64)
    sums = np.broadcast_to(case.bias, (9, table_kernel.nr))
    for k in range(depth):
        sums = (sums + a[:, k, None] * weights[:, k]).astype(np.float32)
    assert case.run().tobytes() == sums.tobytes()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_special_values(kernel, activation):
    """NaN stays NaN through every activation; infinities are what NumPy makes of them."""
    with np.errstate(invalid="ignore"):
        for value in (np.nan, np.inf, -np.inf):
            case = Case(kernel, kernel.mr + 1, kernel.nr, 17)
            case.a[case.a_row[1] + 16] = value
            np.testing.assert_allclose(
                case.run(ACTIVATIONS[activation]), case.expected(ACTIVATIONS[activation]), rtol=1e-5, atol=1e-5
            )


def test_reads_nothing_beyond_a_row(kernel):
    """What lies before and after the rows of a does not count, not even NaN."""
    for depth in (1, 5, 15, 17, 33):
        case = Case(kernel, kernel.mr + 1, kernel.nr, depth, a_row=np.arange(kernel.mr + 1) * (depth + 40) + 7)
        used = np.zeros(case.a.shape, bool)
        used[case.a_row[:, None] + case.a_depth] = True
        case.a[~used] = np.nan
        case.check()


def test_columns_beyond_the_last_do_not_count(kernel):
    case = Case(kernel, 2, 1, 8)
    case.bias[1:] = np.nan
    case.check()


@pytest.mark.parametrize("columns_past_a_panel", [0, 1, -1])
def test_pack(kernel, columns_past_a_panel):
    columns, depth = max(1, 2 * kernel.nr + columns_past_a_panel), 37
    weights = np.random.default_rng(1).uniform(-1, 1, (columns, depth)).astype(np.float32)
    order = np.random.default_rng(2).integers(0, depth, 21).astype(np.int32)
    for depth_order, ordered in ((None, weights), (order, weights[:, order])):
        panels = -(-columns // kernel.nr)
        padded = np.zeros((panels * kernel.nr, ordered.shape[1]), np.float32)
        padded[:columns] = ordered
        padded = padded.reshape(panels, kernel.nr, -1)
        if kernel.operation == "gemm_dot_f32":
            expected = np.pad(padded, ((0, 0), (0, 0), (0, -ordered.shape[1] % 16)))
        elif kernel.operation == "gemm_split_f32":
            filled = np.pad(padded, ((0, 0), (0, 0), (0, -ordered.shape[1] % kernel.k_step)))
            expected = filled.reshape(panels, kernel.nr, -1, kernel.k_step).transpose(0, 2, 1, 3)
        else:
            expected = padded.transpose(0, 2, 1)
        assert pack(kernel, weights, depth_order).tobytes() == expected.tobytes()


def test_pack_reads_rows_apart_and_misaligned():
    kernel = GEMM[0]
    wide = np.arange(7 * 20, dtype=np.float32).reshape(7, 20)
    assert pack(kernel, wide[:, 3:12]).tobytes() == pack(kernel, wide[:, 3:12].copy()).tobytes()
    raw = b"x" + wide.tobytes()
    misaligned = np.frombuffer(raw, np.float32, offset=1).reshape(7, 20)
    assert pack(kernel, misaligned).tobytes() == pack(kernel, wide).tobytes()


def test_pack_refuses():
    kernel, weights = GEMM[0], np.zeros((4, 6), np.float32)
    memory = _core.Memory(4 * _core.packed_gemm_f32_elems(kernel, 6, 4))
    for offset in (-4, 2, 4, 1 << 40):
        with pytest.raises(ValueError, match="leave a memory"):
            _core.pack_gemm_f32(kernel, weights, memory, offset)
    with pytest.raises(ValueError, match="outside a depth"):
        _core.pack_gemm_f32(kernel, weights, memory, 0, np.array([0, 6], np.int32))
    with pytest.raises(ValueError, match="not contiguous"):
        _core.pack_gemm_f32(kernel, weights[:, ::2], memory, 0)
    for wrong in (weights.astype(np.int32), weights.astype(np.float64), weights[0]):
        with pytest.raises(TypeError, match="float32 matrix"):
            _core.pack_gemm_f32(kernel, wrong, memory, 0)
    with pytest.raises(_core.ConvInferError, match="impossible"):
        _core.pack_gemm_f32(kernel, weights[:, :0], memory, 0)
    with pytest.raises(_core.ConvInferError, match="overflow"):
        _core.packed_gemm_f32_elems(kernel, 2**31 - 1, 2**31 - 1)


def test_run_refuses_what_leaves_a_buffer(kernel):
    def attempt(**changes):
        case = Case(kernel, 2, 1, 4, residual="separate")
        packed = pack(kernel, case.weights)
        arguments = {
            "a": case.a, "a_row": case.a_row, "a_depth": case.a_depth, "packed": packed, "bias": case.bias,
            "c": case.c, "c_row": case.c_row, "columns": 1, "residual": case.residual,
            "residual_row": case.residual_row,
        }  # fmt: skip
        _core.run_gemm_f32(kernel, **{**arguments, **changes})

    attempt()
    for changes in (
        {"a_row": np.array([0, 6], np.int32)},
        {"a_row": np.array([0, -1], np.int32)},
        {"a_depth": np.array([0, 1, 2, -1], np.int32)},
        {"a_depth": np.arange(9, dtype=np.int32)},
        {"packed": np.zeros(3, np.float32)},
        {"bias": np.zeros(kernel.nr - 1, np.float32)},
        {"c_row": np.array([0, 1000], np.int32)},
        {"c_row": np.array([0], np.int32)},
        {"columns": 0},
        {"columns": kernel.nr + 1},
        {"residual_row": np.array([0, 1000], np.int32)},
        {"residual_row": None},
        {"activation": (9, 0.0, 0.0)},
    ):
        with pytest.raises(ValueError):
            attempt(**changes)


def test_depth_in_blocks_gives_the_same_bits(kernel):
    if kernel.operation != "gemm_f32":
        pytest.skip("only gemm_f32 kernels take their depth in blocks")
    rows, columns, depth, first = kernel.mr + 3, max(1, kernel.nr - 1), 50, 23
    rng = np.random.default_rng(5)
    a = rng.standard_normal((rows, depth)).astype(np.float32)
    weights = rng.standard_normal((columns, depth)).astype(np.float32)
    bias = rng.standard_normal(kernel.nr).astype(np.float32)
    a_row = np.arange(rows, dtype=np.int32) * depth
    c_row = np.arange(rows, dtype=np.int32) * columns
    relu = (0, 0.0, np.inf)

    def run(start_depth, end_depth, **blocks):
        c = np.full(rows * columns, np.nan, np.float32)
        packed = pack(kernel, np.ascontiguousarray(weights[:, start_depth:end_depth]))
        offsets = np.arange(start_depth, end_depth, dtype=np.int32)
        _core.run_gemm_f32(
            kernel, a.reshape(-1), a_row, offsets, packed, bias, c, c_row, columns, None, None, relu, **blocks
        )
        return c

    sums = np.zeros((rows, kernel.nr), np.float32)
    assert np.isnan(run(0, first, sums=sums)).all()
    assert run(first, depth, start=sums).tobytes() == run(0, depth).tobytes()
