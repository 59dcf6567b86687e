"""One direct convolution (depthwise, or in narrow groups): geometry, data, memory, float64 reference, run, check."""

import numpy as np
from placing import NO_BUFFER, Placed, Steps, activate

from conv_infer import _core
from conv_infer.isa import allowed_isa_bits

EPSILON = 2.0**-23
NO_ACTIVATION = (0, -np.inf, np.inf)
LATE = (4, 0.0, 0.0)  # the sigmoid, which kernels leave to another
ACTIVATIONS = [NO_ACTIVATION, (0, 0.0, 6.0), (1, 0.1, 0.0), (2, 1 / 6, 0.5), (3, 0.2, 0.5), LATE]


class Case:
    """A convolution of groups of `group` input channels and group * multiplier output channels."""

    def __init__(
        self, *, output, kernel_shape=(3, 3), strides=(1, 1), dilations=(1, 1), group=1, multiplier=1, extra=(0, 0),
        seed=0, activation=NO_ACTIVATION, residual=False, pixel_gap=0, row_gap=0, offset=0,
    ):  # fmt: skip
        images, height, width, channels = output
        self.output_shape, self.kernel_shape, self.strides, self.dilations = output, kernel_shape, strides, dilations
        self.group, self.activation, self.in_place = group, activation, residual == "in place"
        rng = np.random.default_rng(seed)
        spans = [
            (size - 1) * stride + (taps - 1) * dilation + 1 + more
            for size, stride, taps, dilation, more in zip(
                (height, width), strides, kernel_shape, dilations, extra, strict=True
            )
        ]
        self.input = rng.standard_normal((images, *spans, channels // multiplier)).astype(np.float32)
        self.weights = rng.standard_normal((channels, *kernel_shape, group)).astype(np.float32)
        self.bias = rng.standard_normal(channels).astype(np.float32)
        self.residual = rng.standard_normal(output).astype(np.float32) if residual else None
        self.gaps, self.offset = (0, row_gap, pixel_gap, 0), offset

    def reference(self, magnitude: bool = False) -> np.ndarray:
        """In float64. With `magnitude` the sum of absolute values: what rounding errors are relative to."""
        x, w, b = (array.astype(np.float64) for array in (self.input, self.weights, self.bias))
        if magnitude:
            x, w, b = np.abs(x), np.abs(w), np.abs(b)
        _, height, width, channels = self.output_shape
        groups = x.shape[3] // self.group
        x = x.reshape(*x.shape[:3], groups, self.group)
        w = w.reshape(groups, channels // groups, *self.kernel_shape, self.group)
        total = np.broadcast_to(b, self.output_shape).copy()
        for i in range(self.kernel_shape[0]):
            for j in range(self.kernel_shape[1]):
                y0, x0 = i * self.dilations[0], j * self.dilations[1]
                rows = slice(y0, y0 + (height - 1) * self.strides[0] + 1, self.strides[0])
                columns = slice(x0, x0 + (width - 1) * self.strides[1] + 1, self.strides[1])
                tap = (x[:, rows, columns, :, None, :] * w[:, :, i, j, :]).sum(axis=-1)
                total += tap.reshape(self.output_shape)
        if self.residual is not None:
            total += np.abs(self.residual) if magnitude else self.residual
        return total if magnitude else activate(total, self.activation)

    def packed_weights(self) -> np.ndarray:
        channels = self.output_shape[3]
        if self.group > 1:
            memory = _core.Memory(4 * _core.packed_grouped_f32_elems(channels, self.group, self.kernel_shape))
            _core.pack_grouped_f32(self.weights, memory, 0)
        else:
            rows, row = _core.packed_depthwise_f32_shape(channels, self.kernel_shape[0] * self.kernel_shape[1])
            memory = _core.Memory(4 * rows * row)
            _core.pack_depthwise_f32(self.weights, memory, 0)
        return np.frombuffer(memory, np.float32)

    def run(self, kernel, threads: int = 1) -> np.ndarray:
        channels = self.output_shape[3]
        bias = np.zeros(-(-channels // 16) * 16, np.float32)
        bias[:channels] = self.bias
        source = Placed(self.input, self.gaps, self.offset)
        start = np.zeros(self.output_shape, np.float32)
        target = Placed(self.residual if self.in_place else start, self.gaps, self.offset + 1)
        arrays = [source, Placed(self.packed_weights(), offset=self.offset), Placed(bias), target]
        if self.residual is not None and not self.in_place:
            arrays.append(Placed(self.residual, self.gaps, self.offset + 2))
        steps = Steps(*arrays)
        residual = NO_BUFFER if self.residual is None else steps.refs[3 if self.in_place else 4]
        add = _core.add_grouped if kernel.operation == "grouped_f32" else _core.add_depthwise
        add(
            steps.program, kernel=kernel, input=steps.refs[0], weights=steps.refs[1], bias=steps.refs[2],
            output=steps.refs[3], residual=residual, input_shape=self.input.shape, input_strides=source.strides[:3],
            output_shape=self.output_shape, output_strides=target.strides[:3],
            residual_strides=arrays[-1].strides[:3], kernel_shape=self.kernel_shape, strides=self.strides,
            dilations=self.dilations, activation=self.activation, threads=threads,
            late_activation=_core.activation_f32_kernel(allowed_isa_bits()) if self.activation == LATE else None,
        )  # fmt: skip
        steps.run(threads)
        target.assert_guards_hold()
        return target.view.copy()

    def check(self, kernel) -> None:
        found = self.run(kernel)
        size = self.reference(magnitude=True)
        products = self.kernel_shape[0] * self.kernel_shape[1] * self.group
        bound = (products + 6) * EPSILON * (size + 1)
        if self.activation[0] == 2:  # x * gate(x): the error of the gate is multiplied by x
            bound = bound * (2 + size)
        assert (np.abs(found - self.reference()) <= bound).all()
