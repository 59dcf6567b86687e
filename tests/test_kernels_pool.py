"""Every pooling kernel against a NumPy reference, and the pooling operators against onnxruntime."""

import numpy as np
import pytest
from emitting import run_node
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnxruntime_sessions import open_session
from placing import Placed, Steps, allowed_bits, each_kernel
from strided import Operand

from conv_infer import _core
from conv_infer.errors import ConvInferError

TYPES = {"maxpool_f32": np.float32, "avgpool_f32": np.float32, "maxpool_s8": np.int8, "maxpool_u8": np.uint8}
ONNX_TYPES = {np.float32: TensorProto.FLOAT, np.int8: TensorProto.INT8, np.uint8: TensorProto.UINT8}


class Window:
    """How a pooling window moves; sizes are pairs (y, x), pads (top, left, bottom, right)."""

    def __init__(self, kernel, strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0), count_include_pad=False):
        self.kernel, self.strides, self.dilations, self.pads = kernel, strides, dilations, pads
        self.count_include_pad = count_include_pad

    def output_size(self, height: int, width: int, ceil_mode: bool = False) -> tuple[int, ...]:
        """As ONNX has it: with ceil_mode the last window may end beyond the padding, but not start there."""
        sizes = []
        for axis, size in enumerate((height, width)):
            begin, end = self.pads[axis], self.pads[axis + 2]
            room = size + begin + end - (self.kernel[axis] - 1) * self.dilations[axis] - 1
            count = (-(-room // self.strides[axis]) if ceil_mode else room // self.strides[axis]) + 1
            if ceil_mode and (count - 1) * self.strides[axis] >= size + begin:
                count -= 1
            sizes.append(count)
        return tuple(sizes)

    def taps(self, axis: int, index: int, size: int) -> tuple[list[int], int]:
        """Where the window at one output position reads inside the image, and how many taps a mean counts."""
        start = index * self.strides[axis] - self.pads[axis]
        positions = [start + tap * self.dilations[axis] for tap in range(self.kernel[axis])]
        inside = [position for position in positions if 0 <= position < size]
        if self.count_include_pad:
            return inside, sum(position < size + self.pads[axis + 2] for position in positions)
        return inside, len(inside)

    def reference(self, x: np.ndarray, size: tuple[int, int], average: bool) -> np.ndarray:
        """One output element after another; float64 for means."""
        least = np.finfo(np.float32).min if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        output = np.zeros((x.shape[0], *size, x.shape[3]), np.float64 if average else x.dtype)
        for y, column in np.ndindex(size):
            rows, row_count = self.taps(0, y, x.shape[1])
            columns, column_count = self.taps(1, column, x.shape[2])
            if not rows or not columns:
                output[:, y, column] = 0 if average else least
            elif average:
                output[:, y, column] = x[:, rows][:, :, columns].sum((1, 2), np.float64) / (row_count * column_count)
            else:
                result = x[:, rows[0], columns[0]]
                for row in rows:
                    for at in columns:
                        result = np.where(result > x[:, row, at], result, x[:, row, at])
                output[:, y, column] = result
        return output

    def run(self, kernel, x: np.ndarray, size: tuple[int, int], threads: int = 1, gaps=(0, 0, 0, 0), offset: int = 0):
        source = Placed(x, gaps, offset)
        target = Placed(np.zeros((x.shape[0], *size, x.shape[3]), x.dtype), gaps, offset + 1)
        steps = Steps(source, target)
        _core.add_pool(
            steps.program, kernel=kernel, input=steps.refs[0], output=steps.refs[1], input_shape=x.shape,
            input_strides=source.strides[:3], output_shape=target.view.shape, output_strides=target.strides[:3],
            kernel_shape=self.kernel, strides=self.strides, dilations=self.dilations, pads=self.pads,
            count_include_pad=self.count_include_pad, threads=threads,
        )  # fmt: skip
        steps.run(threads)
        target.assert_guards_hold()
        return target.view.copy()

    def check(self, kernel, x: np.ndarray, size: tuple[int, int], **memory) -> None:
        average = kernel.operation == "avgpool_f32"
        found = self.run(kernel, x, size, **memory)
        expected = self.reference(x, size, average)
        if average:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(found, expected)


def image(kernel, *shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dtype = TYPES[kernel.operation]
    if dtype == np.float32:
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape, dtype)


def each_pool(test):
    marks = [each_kernel(operation).args[1] for operation in TYPES]
    return pytest.mark.parametrize("kernel", [kernel for found in marks for kernel in found])(test)


@each_pool
@pytest.mark.parametrize("channels", [1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 33, 63, 64, 65, 100, 130])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_channels_around_the_lanes(kernel, channels, size):
    window = Window((size, size), (2, 2), pads=(1, 1, 1, 1))
    x = image(kernel, 1, 7, 6, channels)
    window.check(kernel, x, window.output_size(7, 6), gaps=(0, 7, 3, 0), offset=3)


@st.composite
def windows(draw, dilated: bool = True, reaching: bool = True):
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    most = kernel if reaching else tuple(size - 1 for size in kernel)
    pads = [draw(st.integers(0, most[axis % 2])) for axis in range(4)]
    steps = st.tuples(st.integers(1, 3), st.integers(1, 3))
    return Window(kernel, draw(steps), draw(steps) if dilated else (1, 1), tuple(pads), draw(st.booleans()))


@each_pool
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_geometry(kernel, data):
    window = data.draw(windows())
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    shape = (data.draw(st.integers(1, 3)), height, width, data.draw(st.integers(1, 70)))
    sizes = [
        data.draw(st.integers(1, (size + window.pads[axis] + window.pads[axis + 2] - 1) // window.strides[axis] + 1))
        for axis, size in enumerate((height, width))
    ]
    gaps = (0, data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5)), 0)
    window.check(kernel, image(kernel, *shape), tuple(sizes), gaps=gaps, offset=data.draw(st.integers(0, 5)))


@each_pool
def test_the_number_of_threads_changes_no_bit(kernel):
    window = Window((3, 3), (2, 2), pads=(1, 1, 1, 1))
    x = image(kernel, 3, 101, 100, 48)
    alone = window.run(kernel, x, (51, 50))
    for threads in (2, 3):
        np.testing.assert_array_equal(window.run(kernel, x, (51, 50), threads), alone)


@each_pool
def test_impossible_parameters_are_refused(kernel):
    x = image(kernel, 1, 4, 4, 5)
    Window((2, 2), pads=(1, 1, 1, 1)).run(kernel, x, (6, 6))
    with pytest.raises(ConvInferError, match="geometry"):
        Window((2, 2), pads=(1, 1, 1, 1)).run(kernel, x, (7, 6))
    for window in (
        Window((0, 2)),
        Window((2, 2), (0, 1)),
        Window((2, 2), (1, 1), (0, 1)),
        Window((2, 2), pads=(-1,) * 4),
    ):
        with pytest.raises(ConvInferError, match="geometry"):
            window.run(kernel, x, (1, 1))


def test_element_types_without_a_kernel_are_refused():
    with pytest.raises(ConvInferError, match="'d'"):
        _core.max_pool_kernel("d", allowed_bits())


# ---- onnxruntime ----


def peer(op: str, x: np.ndarray, window: Window, ceil_mode: bool = False) -> np.ndarray:
    """What onnxruntime makes of NHWC x (which it sees as NCHW)."""
    attributes = {"kernel_shape": window.kernel, "strides": window.strides, "pads": window.pads, "ceil_mode": ceil_mode}
    if op == "AveragePool":
        attributes["count_include_pad"] = int(window.count_include_pad)
    if window.dilations != (1, 1):
        attributes["dilations"] = window.dilations
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    element = ONNX_TYPES[x.dtype.type]
    nchw = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    graph = helper.make_graph(
        [node],
        "pool",
        [helper.make_tensor_value_info("x", element, nchw.shape)],
        [helper.make_tensor_value_info("y", element, ["n", "c", "h", "w"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    session = open_session(model.SerializeToString())
    return session.run(None, {"x": nchw})[0].transpose(0, 2, 3, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint8])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_max_pool_agrees_with_onnxruntime(dtype, data):
    window = data.draw(windows(dilated=dtype == np.float32, reaching=False))
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    ceil_mode = data.draw(st.booleans())
    size = window.output_size(height, width, ceil_mode)
    assume(min(size) >= 1)
    kernel = _core.max_pool_kernel(np.dtype(dtype).char, allowed_bits())
    x = image(kernel, 2, height, width, data.draw(st.sampled_from([1, 3, 8, 16, 17])))
    np.testing.assert_array_equal(window.run(kernel, x, size), peer("MaxPool", x, window, ceil_mode))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_average_pool_agrees_with_onnxruntime(data):
    window = data.draw(windows(dilated=False, reaching=False))
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    ceil_mode = data.draw(st.booleans())
    size = window.output_size(height, width, ceil_mode)
    assume(min(size) >= 1)
    kernel = _core.average_pool_kernel(allowed_bits())
    x = image(kernel, 2, height, width, data.draw(st.sampled_from([1, 3, 8, 16, 17])))
    found = window.run(kernel, x, size)
    np.testing.assert_allclose(found, peer("AveragePool", x, window, ceil_mode), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [2, 3])
def test_nan_and_infinity_are_taken_as_onnxruntime_takes_them(size):
    """With channels in whole vectors: its kernels for other numbers of channels each have a rule of their own."""
    window = Window((size, size), pads=(1, 0, 1, 0))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 8, 9, 16)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[rng.random(x.shape) < 0.1] = np.inf
    for set_name in _core.isa_allowed():
        shape = window.output_size(8, 9)
        kernel = _core.max_pool_kernel("f", allowed_bits(set_name))
        np.testing.assert_array_equal(window.run(kernel, x, shape), peer("MaxPool", x, window))
        np.testing.assert_array_equal(window.run(kernel, x, shape), window.reference(x, shape, average=False))
        kernel = _core.average_pool_kernel(allowed_bits(set_name))
        np.testing.assert_allclose(window.run(kernel, x, shape), peer("AveragePool", x, window), rtol=1e-5, atol=1e-5)


def test_a_maximum_may_be_minus_infinity():
    window = Window((2, 2), pads=(1, 0, 1, 0))
    x = np.full((1, 3, 3, 3), -np.inf, np.float32)
    for set_name in _core.isa_allowed():
        found = window.run(_core.max_pool_kernel("f", allowed_bits(set_name)), x, (4, 2))
        np.testing.assert_array_equal(found, peer("MaxPool", x, window))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_emitters_read_the_attributes_of_planned_operators(op):
    window = Window((3, 2), (2, 1), pads=(1, 0, 2, 1), count_include_pad=op == "AveragePool")
    values = np.random.default_rng(0).standard_normal((2, 9, 7, 20)).astype(np.float32)
    source = Operand.of(values, order=(0, 2, 1, 3), steps=(1, 2, 1, 1))
    size = window.output_size(9, 7)
    output = Operand((2, *size, 20), np.float32, steps=(2, 1, 3, 1))
    attrs = {"kernel": window.kernel, "strides": window.strides, "pads": window.pads}
    attrs |= {"count_include_pad": True} if op == "AveragePool" else {"dilations": (1, 1)}
    found = run_node(op, [source], output, attrs)
    expected = window.reference(values, size, op == "AveragePool")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
