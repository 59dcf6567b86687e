"""Planned int8 convolutions, through storage and the compiled steps, bit for bit against exact NumPy."""

import numpy as np
import pytest
from exact_s8 import kernels_of, runnable
from hypothesis import given, settings
from hypothesis import strategies as st
from placing import allowed_bits
from planned_reference_quantised import conv as reference

from conv_infer import _core
from conv_infer.emit import quantised_convolution, quantised_winograd
from conv_infer.errors import UnsupportedError
from conv_infer.graph import INTERNAL, Graph, Node, TensorType
from conv_infer.passes.fuse_requantisations import line_through
from conv_infer.planner import plan as planning
from conv_infer.planner import quantised_tiling

U8 = np.dtype(np.uint8)
INSTRUCTION_SETS = list(_core.isa_allowed())


class Case:
    """A random convolution: the arrays, the node's attributes, and what it must give."""

    def __init__(self, draw, winograd=False, depthwise=False):
        """`winograd`: dense, 3x3, stride 1, at least 2 x 2 outputs. `depthwise`: in groups of one, nothing added."""
        integers = lambda low, high: draw(st.integers(low, high))  # noqa: E731
        images, height, width = integers(1, 2), integers(1, 9), integers(1, 9)
        if winograd:
            images, height, width = integers(1, 3), integers(4, 15), integers(4, 15)
        channels = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 17, 66]))
        columns = draw(st.sampled_from([1, 2, 3, 4, 7, 16, 20, 33, 90]))
        groups = draw(st.sampled_from([1, 1, 2, 3]))
        kernel = integers(1, min(4, height)), integers(1, min(4, width))
        strides, dilations = (integers(1, 3), integers(1, 3)), (integers(1, 2), integers(1, 2))
        pads = tuple(integers(0, 2) for _ in range(4))
        if winograd:
            groups, kernel, strides, dilations = 1, (3, 3), (1, 1), (1, 1)
        if depthwise:
            groups, channels, columns = draw(st.sampled_from([2, 3, 16, 31, 64, 70, 129])), 1, 1
            kernel = draw(st.sampled_from([kernel, (3, 3), (3, 3), (5, 5)]))
            height, width = max(height, kernel[0]), max(width, kernel[1])
            strides = draw(st.sampled_from([strides, (1, 1), (2, 2)]))
            dilations = draw(st.sampled_from([dilations, (1, 1)]))
        dilations = tuple(
            1 if (taps - 1) * step + 1 > size else step
            for taps, step, size in zip(kernel, dilations, (height, width), strict=True)
        )
        rng = np.random.default_rng(integers(0, 2**32))
        extremes = draw(st.booleans())
        self.x = self.bytes(rng, (images, height, width, channels * groups), U8, extremes)
        w_type = draw(st.sampled_from([np.int8, np.uint8]))
        self.w = self.bytes(rng, (columns * groups, *kernel, channels), w_type, extremes)
        total = columns * groups
        zeros = draw(st.sampled_from(["none", "middle", "any", "each"]))
        info = np.iinfo(w_type)
        w_zero = {
            "none": 0,
            "middle": 128 if w_type == np.uint8 else 0,
            "any": int(rng.integers(info.min, info.max + 1)),
            "each": rng.integers(info.min, info.max + 1, total).astype(np.int32),
        }[zeros]
        self.bias = rng.integers(-10000, 10000, total).astype(np.int32) if draw(st.booleans()) else None
        chosen = None
        if not winograd and not depthwise and draw(st.booleans()):
            chosen = rng.permutation(channels * groups).astype(np.int32)
            if draw(st.booleans()):
                chosen = rng.integers(0, channels * groups, channels * groups).astype(np.int32)
        raw = not winograd and draw(st.integers(0, 4)) == 0
        depth = kernel[0] * kernel[1] * channels
        spread = 0.5 / (np.sqrt(depth) * 64) if not extremes else 0.01
        lo, hi = draw(st.sampled_from([(0, 255), (17, 200), (128, 255)]))
        after = "none" if raw or depthwise else draw(st.sampled_from(["none", "add", "line"]))
        adds = after == "add"
        y_zero = int(rng.integers(lo, hi + 1))
        self.attrs = {
            "strides": strides,
            "pads": pads,
            "dilations": dilations,
            "groups": groups,
            "input_channels": chosen,
            "x_zero_point": int(rng.integers(0, 256)),
            "w_zero_point": w_zero,
            "scale": (rng.uniform(0.2, 2.0, total) * spread).astype(np.float32),
            "y_zero_point": y_zero,
            "lo": lo,
            "hi": hi,
            "raw": raw,
            "add": (0.1, 0.07, int(rng.integers(0, 256)), 0.12, int(rng.integers(0, 256)), lo, hi) if adds else None,
        }
        if after == "line":
            levels = np.clip(np.rint((np.arange(256) - y_zero) * rng.uniform(0.3, 1.7)) + y_zero, 5, 250)
            self.attrs["line"] = (*line_through(levels.astype(np.uint8)), int(levels[0]), int(levels[-1]))
        out = [
            (size + pads[axis] + pads[axis + 2] - (kernel[axis] - 1) * dilations[axis] - 1) // strides[axis] + 1
            for axis, size in ((0, height), (1, width))
        ]
        self.shape = (images, *out, total)
        self.dtype = np.dtype(np.int32 if raw else np.uint8)
        self.other = self.bytes(rng, self.shape, U8, extremes) if adds else None

    @staticmethod
    def bytes(rng, shape, dtype, extremes):
        info = np.iinfo(dtype)
        if extremes:
            return rng.choice(np.array([info.min, info.max], dtype), shape)
        return rng.integers(info.min, info.max + 1, shape, dtype=dtype)

    def expected(self):
        return reference((self.x, self.w, self.bias, self.other), self.attrs, self.shape, self.dtype)

    def graph(self):
        """x -> Transpose (a producer of its own) -> QConv -> y."""
        types = {
            "x": TensorType(U8, self.x.shape),
            "t": TensorType(U8, self.x.shape),
            "y": TensorType(self.dtype, self.shape),
            "w": TensorType(self.w.dtype, self.w.shape),
        }
        constants = {"w": self.w}
        if self.bias is not None:
            constants["b"] = self.bias
            types["b"] = TensorType(self.bias.dtype, self.bias.shape)
        names = ["x"]
        if self.other is not None:
            names.append("r")
            types["r"] = TensorType(U8, self.shape)
        nodes = [
            Node("Transpose", ["x"], ["t"], {"perm": (0, 1, 2, 3)}, domain=INTERNAL),
            Node(
                "QConv",
                ["t", "w", "b" if self.bias is not None else "", "r" if self.other is not None else ""],
                ["y"],
                self.attrs,
                domain=INTERNAL,
                name="tested",
            ),
        ]
        return Graph(nodes, names, ["y"], types, constants, {"": 13})

    def plan(self, allowed, threads=1, max_memory=None):
        return planning.build_plan(
            self.graph(), allowed=allowed, threads=threads, max_memory=max_memory, release=lambda array: None
        )

    def run(self, allowed, threads=1):
        return self.result_of(self.plan(allowed, threads), threads)

    def result_of(self, plan, threads=1):
        y = np.full(self.shape, 0x55, self.dtype)
        arena, scratch = _core.Memory(plan.arena_bytes), _core.Memory(plan.scratch_bytes)
        memory = np.frombuffer(arena, np.uint8)
        memory[...] = np.random.default_rng(1).integers(0, 256, memory.shape)
        buffers = [self.x, *([self.other] if self.other is not None else []), y]
        for segment in plan.segments:
            segment.run(arena, plan.weights, buffers, scratch, threads, None)
        return y


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_geometry(isa, data):
    case = Case(data.draw)
    expected = case.expected()
    with pytest.MonkeyPatch.context() as patch:
        only = tuple(kernel for kernel in quantised_tiling.kernels_of(allowed_bits(isa)) if kernel.isa == isa)
        patch.setattr(quantised_tiling, "kernels_of", lambda allowed: only)
        assert np.array_equal(case.run(allowed_bits(isa)), expected)
    assert np.array_equal(case.run(allowed_bits(isa)), expected)
    assert np.array_equal(case.run(allowed_bits(isa), threads=2), expected)


@pytest.mark.parametrize("kernel", kernels_of("winograd_s8"), ids=lambda kernel: kernel.name)
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_winograd_gives_the_same_bits(kernel, data):
    runnable(kernel)
    case = Case(data.draw, winograd=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantised_winograd, "winograd_kernel", lambda *geometry: kernel)
        for threads in (1, 2):
            plan = case.plan(allowed_bits(), threads)
            assert plan.steps[-1].kernel == kernel.name
            assert plan.steps[-1].lowering.startswith("Winograd")
            assert np.array_equal(case.result_of(plan, threads), case.expected())


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_depthwise(isa, data):
    case = Case(data.draw, depthwise=True)
    for threads in (1, 2):
        plan = case.plan(allowed_bits(isa), threads)
        assert plan.steps[-1].kernel.startswith("ci_depthwise_s8_")
        assert np.array_equal(case.result_of(plan, threads), case.expected())


@pytest.mark.skipif("amx" not in INSTRUCTION_SETS, reason="needs AMX")
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_windows_copied_together_give_the_same_bits(data):
    case = Case(data.draw)
    with pytest.MonkeyPatch.context() as patch:
        only = tuple(kernel for kernel in quantised_tiling.kernels_of(allowed_bits("amx")) if kernel.isa == "amx")
        patch.setattr(quantised_tiling, "kernels_of", lambda allowed: only)
        patch.setattr(quantised_convolution, "PANELS_TO_GATHER", 1)
        for threads in (1, 2):
            assert np.array_equal(case.run(allowed_bits("amx"), threads), case.expected())


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_bytes_picked_together_give_the_same_bits(isa, data):
    case = Case(data.draw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantised_tiling, "PICKED_ROW", -1e9)  # always worth it
        for threads in (1, 2):
            plan = case.plan(allowed_bits(isa), threads)
            step = plan.steps[-1]
            assert step.lowering.endswith("copied together") or not step.kernel.startswith("ci_gemm")
            assert np.array_equal(case.result_of(plan, threads), case.expected())


class Dense:
    """A 3x3 convolution of stride 1 with weights that are all alike."""

    def __init__(self, size, depth, columns, weight=1):
        self.x = np.full((1, size, size, depth), 200, np.uint8)
        self.w = np.full((columns, 3, 3, depth), weight, np.int8)
        self.bias = self.other = None
        self.attrs = {
            "strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1, "input_channels": None,
            "x_zero_point": 0, "w_zero_point": 0, "scale": np.full(columns, 1e-7, np.float32), "y_zero_point": 3,
            "lo": 0, "hi": 255, "raw": False, "add": None,
        }  # fmt: skip
        self.shape, self.dtype = (1, size, size, columns), U8

    graph, plan, result_of, expected = Case.graph, Case.plan, Case.result_of, Case.expected

    def kernel(self, isa, **options):
        return self.plan(allowed_bits(isa), **options).steps[-1].kernel


@pytest.mark.parametrize("isa", ["avx2", "neon"])
def test_winograd_is_taken_where_it_pays_and_is_exact(isa):
    if isa not in INSTRUCTION_SETS:
        pytest.skip(f"needs {isa}")
    layer = Dense(14, 64, 64)
    assert layer.kernel(isa) == f"ci_winograd_s8_3x3_{isa}"
    assert layer.kernel(isa, max_memory=10**8).startswith("ci_gemm"), "a limit set by the caller spares memory"
    assert Dense(14, 3, 64).kernel(isa).startswith("ci_gemm"), "little depth"
    deep = Dense(4, 2000, 16, weight=127)  # four times the largest sum leaves int32, the sum itself does not
    plan = deep.plan(allowed_bits(isa))
    assert plan.steps[-1].kernel.startswith("ci_gemm")
    assert np.array_equal(deep.result_of(plan), deep.expected())
    for other in {"avxvnni", "avx512vnni", "amx", "dotprod", "i8mm"} & set(INSTRUCTION_SETS):
        assert "winograd" not in layer.kernel(other)


def test_sums_that_may_leave_int32_are_refused():
    attrs = {
        "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1, "input_channels": None,
        "x_zero_point": 0, "w_zero_point": 0, "raw": True, "add": None,
    }  # fmt: skip
    w = np.full((1, 1, 1, 70000), 127, np.int8)
    types = {
        "x": TensorType(U8, (1, 1, 1, 70000)),
        "w": TensorType(w.dtype, w.shape),
        "y": TensorType(np.dtype(np.int32), (1, 1, 1, 1)),
    }
    node = Node("QConv", ["x", "w", "", ""], ["y"], attrs, domain=INTERNAL, name="too deep")
    graph = Graph([node], ["x"], ["y"], types, {"w": w}, {"": 13})
    with pytest.raises(UnsupportedError, match=r"'too deep'.*70000 products"):
        planning.build_plan(graph, allowed=allowed_bits(), threads=1, max_memory=None, release=lambda array: None)


@pytest.mark.skipif("amx" not in INSTRUCTION_SETS, reason="needs AMX")
def test_rows_that_a_stride_leaves_over(monkeypatch):
    """3x3 pixels, every other of which is read: two steps of a row would leave the image."""
    only = tuple(kernel for kernel in quantised_tiling.kernels_of(allowed_bits("amx")) if kernel.isa == "amx")
    monkeypatch.setattr(quantised_tiling, "kernels_of", lambda allowed: only)
    case = Dense(3, 1, 1)
    case.w, case.shape = np.ones((1, 1, 1, 1), np.int8), (1, 2, 2, 1)
    case.attrs |= {"strides": (2, 2), "pads": (0, 0, 0, 0)}
    assert np.array_equal(case.result_of(case.plan(allowed_bits("amx"))), case.expected())
