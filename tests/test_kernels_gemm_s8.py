"""Every int8 GEMM kernel of the list, to the bit, against int64 NumPy: tails, tables, guards, extremes, epilogues."""

import numpy as np
import pytest
from exact_s8 import Rule, kernels_of, random_bytes, random_weights, runnable

from conv_infer import _core
from conv_infer.errors import ConvInferError

GUARD = 77
ROW_SKIPPED = -(2**31)


@pytest.fixture(params=kernels_of("gemm_s8"), ids=lambda kernel: kernel.name)
def kernel(request) -> _core.Kernel:
    return runnable(request.param)


class Case:
    """Operands of one GEMM. A's rows overlap (a fixed offset shorter than a row), its runs lie apart, what lies behind
    them is noise, C's rows are in no order and have guards between them."""

    def __init__(
        self,
        kernel,
        rows,
        columns,
        runs,
        *,
        rule="scale",
        extremes=False,
        dtype=np.int8,
        a_row=None,
        zero_point=None,
        panel_columns=0,
        seed=0,
        **options,
    ):
        self.rng = rng = np.random.default_rng([seed, rows, columns, *runs])
        self.kernel, self.columns = kernel, columns
        self.runs = np.asarray(runs, np.int32)
        self.run_offset = (np.concatenate([[0], np.cumsum(self.runs[:-1] + 5)])).astype(np.int32)
        depth = int(self.runs.sum())
        step = max(1, depth // 3)
        self.a_row = np.asarray(np.arange(rows) * step if a_row is None else a_row, np.int32)
        reach = int(self.a_row.max()) + int(self.run_offset[-1] + self.runs[-1])
        self.a_zero = int(rng.integers(0, 256))
        self.weights = random_weights(rng, (columns, depth), dtype, extremes)
        self.zero_point = None if zero_point is None else np.broadcast_to(zero_point, columns).astype(np.int32)
        self.bias = rng.integers(-(2**20), 2**20, columns).astype(np.int32)
        spread = 255 * 74 * depth**0.5 * (2 if extremes else 1)
        self.rule = Rule(rule, columns, spread, rng, **options)
        self.packed = _core.PackedGemm(
            kernel, self.weights, self.runs, zero_point=self.zero_point, a_zero=self.a_zero, bias=self.bias,
            panel_columns=panel_columns,
        )  # fmt: skip
        self.gap = columns + 3
        self.c_row = (3 + self.gap * rng.permutation(rows)).astype(np.int32)
        self.a = random_bytes(rng, reach + kernel.k_step, extremes)[1:]  # off any alignment; k_step - 1 of slack
        dtype = np.int32 if rule == "none" else np.uint8
        self.c = np.full(self.gap * rows + 3, GUARD, dtype)

    @property
    def bytes_of_a(self) -> np.ndarray:
        places = np.concatenate([np.arange(n) + start for start, n in zip(self.run_offset, self.runs, strict=True)])
        return self.a[self.a_row[:, None] + places].astype(np.int64)

    @property
    def sums(self) -> np.ndarray:
        weights = self.weights.astype(np.int64)
        if self.zero_point is not None:
            weights -= self.zero_point[:, None]
        return (self.bytes_of_a - self.a_zero) @ weights.T + self.bias

    def padded(self, values: np.ndarray) -> np.ndarray:
        result = np.zeros(self.packed.padded_columns, values.dtype)
        result[: self.columns] = values
        return result

    def run(self, requantise=None, c_row=None) -> np.ndarray:
        """The result [rows, columns]; the guards must have survived."""
        requantise = self.rule.argument(self.padded) if requantise is None else requantise
        a_sum = self.bytes_of_a.sum(axis=1) if self.packed.b_zero is not None else None
        c_row = self.c_row if c_row is None else c_row
        a_depth = self.packed.depth_table(self.run_offset)
        self.packed.run(self.a, self.a_row, a_depth, self.c, c_row, requantise, a_sum)
        stored = c_row[c_row != ROW_SKIPPED]
        outside = np.ones(self.c.shape, bool)
        outside[stored[:, None] + np.arange(self.columns)] = False
        assert (self.c[outside] == GUARD).all(), "wrote beyond the rows and columns of c"
        return self.c[stored[:, None] + np.arange(self.columns)]

    def check(self) -> None:
        np.testing.assert_array_equal(self.run(), self.rule.expected(self.sums))


def test_rows_and_columns(kernel):
    rows = sorted({1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 31, 33, kernel.mr, kernel.mr + 1})
    for count in rows:
        for columns in range(1, kernel.nr + 1) if count in (1, 7, 17) else (1, kernel.nr // 2 + 1, kernel.nr):
            Case(kernel, count, columns, [9]).check()
    for columns in range(kernel.nr + 1, 2 * kernel.nr + 2, 1 if kernel.nr < 8 else 5):
        Case(kernel, 5, columns, [9]).check()


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 7, 8, 9, 27, 63, 64, 65, 127, 128, 129, 576])
def test_depth(kernel, depth):
    Case(kernel, kernel.mr + 1, kernel.nr, [depth]).check()
    Case(kernel, 2 * kernel.mr + 3, kernel.nr + 3, [depth], extremes=True).check()


@pytest.mark.parametrize("runs", [[3, 3, 3], [12, 12, 12], [1] * 9, [7, 6, 7], [65, 64, 63], [192, 192, 192]])
def test_runs_of_depth(kernel, runs):
    Case(kernel, 19, kernel.nr + 1, runs).check()


@pytest.mark.parametrize("rule", ["scale", "multiplier", "none"])
@pytest.mark.parametrize("extremes", [False, True])
def test_rules(kernel, rule, extremes):
    for columns in {1, 7, kernel.nr - 1, kernel.nr, kernel.nr + 2}:
        Case(kernel, 21, columns, [70], rule=rule, extremes=extremes, minimum=3, maximum=250).check()
        Case(kernel, 21, columns, [70], rule=rule, extremes=extremes, flip=0x80, zero_point=None).check()


def test_scales_whose_products_leave_int32(kernel):
    case = Case(kernel, 9, kernel.nr, [40], extremes=True)
    case.rule.scale[::2] = np.float32(3e38)
    case.rule.scale[1::3] = np.float32(1e6)
    np.testing.assert_array_equal(case.run(), case.rule.expected(case.sums))


@pytest.mark.parametrize("shift", [-31, -30, -8, -1, 0, 1, 7])
def test_multiplier_shifts(kernel, shift):
    case = Case(kernel, 17, kernel.nr, [3], rule="multiplier")
    case.rule.shift[:] = shift
    case.rule.multiplier[:] = case.rng.integers(1, 2**31, kernel.nr)
    case.rule.multiplier[0], case.rule.multiplier[-1] = 2**31 - 1, 2**30
    np.testing.assert_array_equal(case.run(), case.rule.expected(case.sums))


def test_ties_of_both_rules(kernel):
    """Sums that lie exactly between two outputs, of both signs."""
    sums = np.arange(-40, 41)
    for rule in ("scale", "multiplier"):
        case = Case(kernel, len(sums), 5, [1], rule=rule)
        case.a, case.a_row = (
            np.concatenate([np.arange(88, 169), np.zeros(64)]).astype(np.uint8),
            np.arange(81, dtype="i4"),
        )
        case.packed = _core.PackedGemm(kernel, np.ones((5, 1), np.int8), case.runs, a_zero=128)
        case.rule.zero_point = 100
        case.rule.scale[:], case.rule.multiplier[:], case.rule.shift[:] = 0.25, 2**30, -1
        expected = np.repeat(case.rule.expected(sums[:, None] * np.ones((1, 5), np.int64)), 1, axis=1)
        np.testing.assert_array_equal(case.run(), expected)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("zero_point", [0, 128, 3, 100, -7])
@pytest.mark.parametrize("rule", ["scale", "none"])
def test_weight_zero_points(kernel, dtype, zero_point, rule):
    if not np.iinfo(dtype).min <= zero_point <= np.iinfo(dtype).max:
        pytest.skip(f"no zero point of {dtype.__name__}")
    Case(kernel, 18, kernel.nr + 1, [33, 5], dtype=dtype, zero_point=zero_point, rule=rule).check()
    per_column = (np.arange(9) + zero_point) % 100
    Case(kernel, 18, 9, [33, 5], dtype=dtype, zero_point=per_column, rule=rule, extremes=True).check()


def test_sums_are_asked_for_only_where_weights_do_not_fit(kernel):
    narrow = np.full((4, 8), 120, np.uint8)
    assert _core.PackedGemm(kernel, narrow, [8], zero_point=[100] * 4).b_zero is None
    wide = np.array([[0, 255] * 4] * 4, np.uint8)
    if kernel.isa not in ("avx2", "avx512"):  # the others' weights are 16 bits wide
        assert _core.PackedGemm(kernel, wide, [8], zero_point=[100] * 4).b_zero is not None


@pytest.mark.parametrize("rows", [1, 5, 16, 21, 48, 70])
def test_rows_that_step_evenly_or_not(kernel, rows):
    rng = np.random.default_rng(rows)
    for a_row in (
        np.arange(rows) * 192,
        np.zeros(rows),
        np.arange(rows)[::-1] * 7,
        np.arange(rows) * 11 + np.arange(rows) // 13 * 50,  # output rows of 13 pixels
        rng.integers(0, 5000, rows),
    ):
        Case(kernel, rows, kernel.nr + 1, [64, 20], a_row=a_row).check()
        Case(kernel, rows, 10, [100], a_row=a_row, rule="multiplier").check()


@pytest.mark.parametrize("rule", ["scale", "multiplier", "none"])
def test_skipped_rows(kernel, rule):
    case = Case(kernel, 37, kernel.nr, [40], rule=rule)
    skipped = case.rng.random(37) < 0.3
    result = case.run(c_row=np.where(skipped, ROW_SKIPPED, case.c_row).astype(np.int32))
    np.testing.assert_array_equal(result, case.rule.expected(case.sums)[~skipped])


def test_narrow_panels(kernel):
    Case(kernel, 50, 2 * kernel.nr, [80], panel_columns=max(1, kernel.nr // 2)).check()


def quantised_add(q, r, ratios, zero_points, lowest, highest):
    """onnxruntime's QLinearAdd of values q and r, in float32; long double stands in for its fused steps."""
    (own, other), (za, zb, zc) = [np.float32(x) for x in ratios], zero_points
    exact = np.longdouble
    constant = np.float32(exact(zc) - exact(np.float32(exact(own) * za + exact(np.float32(other * np.float32(zb))))))
    inner = (r.astype(exact) * exact(other) + exact(constant)).astype(np.float32)
    total = (q.astype(exact) * exact(own) + inner.astype(exact)).astype(np.float32)
    return np.clip(np.rint(total), lowest, highest), constant


def check_residual(kernel, rows, columns, rule="scale", origin=0, in_place=False, ratios=(0.6171875 / 1.7, 0.9)):
    case = Case(kernel, rows, columns, [30], rule=rule)
    other = random_bytes(case.rng, (rows, columns), False)
    if in_place:
        data, row = case.c, case.c_row
        data[row[:, None] + np.arange(columns)] = other
    else:
        data, row = np.concatenate([other.ravel(), [9]]).astype(np.uint8), np.arange(rows) * columns
    own = case.rule.unsigned(case.sums)
    zeros = (case.rule.zero_point - origin, 40 - origin, 90 - origin)
    lowest, highest = 10 - origin, 240 - origin
    value, constant = quantised_add(own - origin, other.astype(np.int64) - origin, ratios, zeros, lowest, highest)
    argument = case.rule.argument(case.padded).add(
        data, row, scale=ratios[0], data_scale=ratios[1], constant=constant, origin=origin,
        data_origin=origin, out_origin=origin, minimum=10, maximum=240,
    )  # fmt: skip
    np.testing.assert_array_equal(case.run(argument), value + origin)


@pytest.mark.parametrize("rule", ["scale", "multiplier"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_residual(kernel, rule, signed, in_place):
    for rows in (3, 16, 41):
        for columns in (1, 5, kernel.nr - 1, kernel.nr + 3):
            check_residual(kernel, rows, columns, rule, 128 if signed else 0, in_place)


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (29.5, 29.9), (0.01, 31.0), (300.0, 0.25), (1e7, 1e6)])
def test_residual_of_any_scale(kernel, ratios):
    for origin in (0, 128):
        for columns in (4, 8, 12, kernel.nr):
            check_residual(kernel, 2 * kernel.mr + 1, columns, origin=origin, ratios=ratios)


def test_every_kernel_gives_the_same_bits():
    results = {}
    for kernel in kernels_of("gemm_s8"):
        if ("neon" if kernel.isa == "a53" else kernel.isa) in _core.isa_allowed(None):
            case = Case(kernel, 40, 37, [100, 11], a_row=np.arange(40) * 50, seed=5, zero_point=None)
            case.a = np.random.default_rng(1).integers(0, 256, 4000, dtype=np.uint8)
            results[kernel.name] = case.run().tobytes()
    assert len(set(results.values())) == 1


def test_sums_that_could_leave_int32_are_refused(kernel):
    weights = np.full((1, 70000), 127, np.int8)
    with pytest.raises(ConvInferError, match="int32"):
        _core.PackedGemm(kernel, weights, [70000])


def test_impossible_shapes_are_refused(kernel):
    with pytest.raises(ConvInferError):
        _core.PackedGemm(kernel, np.zeros((1, 0), np.int8), [0])
    with pytest.raises(ValueError, match="weights"):
        _core.PackedGemm(kernel, np.zeros((1, 7), np.int8), [8])
    with pytest.raises(ValueError, match="weights"):
        _core.PackedGemm(kernel, np.zeros((1, 8), np.int16), [8])
