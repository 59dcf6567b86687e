"""Well-known architectures as ONNX graphs with seeded random weights: the same bytes each time, nothing downloaded.

    python models/zoo.py shufflenet_v1_g3 shufflenet.onnx

Weights are normal, scaled as He et al. (2015) do it by an estimate of the variance of what the layer reads, so that
activations neither vanish nor explode, and each filter sums to zero (Brock et al., 2021), so that outputs depend on
the input and few channels are dead. Outputs mean nothing, but they are as hard to compute as trained ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

OPSET = 13
CLASSES = 1000


class NetworkBuilder:
    """Appends nodes to a graph; tensors are named by strings, `shapes` holds their (channels, height, width).

    `batch` is a number or a symbol's name. With `batch_norm` the normalisations stay nodes of their own; otherwise
    they count as folded, and convolutions have biases.
    """

    def __init__(self, name: str, size: int, batch: int | str, batch_norm: bool, seed: int):
        self.name = name
        self.batch = batch
        self.batch_norm = batch_norm
        self.random = np.random.default_rng(seed)
        self.nodes: list = []
        self.initializers: list[TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {"input": (3, size, size)}
        self.powers: dict[str, float] = {"input": 1.0}  # estimated variances

    def add(self, op: str, inputs: list[str], shape: tuple[int, ...], power: float, outputs: int = 1, **attrs):
        """Appends a node; returns its output, or the list of its outputs where there are several (of one shape)."""
        stem = f"{op.lower()}_{len(self.nodes)}"
        names = [stem] if outputs == 1 else [f"{stem}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"{stem}_node", **attrs))
        for name in names:
            self.shapes[name] = shape
            self.powers[name] = power
        return names[0] if outputs == 1 else names

    def constant(self, array: np.ndarray, role: str) -> str:
        name = f"{role}_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def weights(self, shape: tuple[int, ...], fan_in: int, power: float, gain: float) -> str:
        values = self.random.standard_normal(shape, dtype=np.float32)
        if fan_in > 1:
            values -= values.mean(axis=tuple(range(1, values.ndim)), keepdims=True)
        values *= np.float32(gain / np.sqrt(fan_in * power))
        return self.constant(values, "weight")

    def conv(self, x: str, channels: int, kernel: int, stride=1, pad=0, groups=1, gain=1.0, norm=True) -> str:
        """A convolution, followed by its batch normalisation where the network has one and it is not folded."""
        inputs, height, width = self.shapes[x]
        fan_in = inputs // groups * kernel * kernel
        weight = self.weights((channels, inputs // groups, kernel, kernel), fan_in, self.powers[x], gain)
        shape = (channels, (height + 2 * pad - kernel) // stride + 1, (width + 2 * pad - kernel) // stride + 1)
        explicit = norm and self.batch_norm
        operands = [x, weight]
        if not explicit:
            operands.append(self.small(channels, 0.1 * gain, "bias"))
        y = self.add(
            "Conv",
            operands,
            shape,
            gain**2,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad, pad, pad, pad],
            group=groups,
        )
        if not explicit:
            return y
        scale = self.constant(self.random.uniform(0.8, 1.2, channels).astype(np.float32) * np.float32(gain), "scale")
        variance = self.constant(
            self.random.uniform(0.8, 1.2, channels).astype(np.float32) * np.float32(gain**2), "variance"
        )
        statistics = [
            scale,
            self.small(channels, 0.1 * gain, "shift"),
            self.small(channels, 0.1 * gain, "mean"),
            variance,
        ]
        return self.add("BatchNormalization", [y, *statistics], shape, gain**2, epsilon=1e-5)

    def small(self, count: int, deviation: float, role: str) -> str:
        return self.constant((self.random.standard_normal(count) * deviation).astype(np.float32), role)

    def relu(self, x: str) -> str:
        return self.add("Relu", [x], self.shapes[x], self.powers[x] * 0.34)

    def conv_relu6(self, x: str, channels: int, kernel: int, stride=1, pad=0, groups=1) -> str:
        x = self.conv(x, channels, kernel, stride, pad, groups, gain=3.0)  # so that the upper limit is met
        limits = [self.constant(np.array(limit, np.float32), "limit") for limit in (0, 6)]
        return self.add("Clip", [x, *limits], self.shapes[x], self.powers[x] * 0.34)

    def conv_relu(self, x: str, channels: int, kernel: int, stride=1, pad=0, groups=1, gain=1.0, norm=True) -> str:
        return self.relu(self.conv(x, channels, kernel, stride, pad, groups, gain, norm))

    def pool(self, op: str, x: str, kernel: int, stride: int, pad=0, ceil=False, **attrs) -> str:
        channels, height, width = self.shapes[x]
        round_up = stride - 1 if ceil else 0
        shape = (channels, *((size + 2 * pad - kernel + round_up) // stride + 1 for size in (height, width)))
        power = self.powers[x] * (kernel if op == "MaxPool" else 0.7)
        attrs |= {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, "ceil_mode": int(ceil)}
        return self.add(op, [x], shape, power, **attrs)

    def max_pool(self, x: str, kernel: int, stride: int, pad=0, ceil=False) -> str:
        return self.pool("MaxPool", x, kernel, stride, pad, ceil)

    def sum(self, a: str, b: str) -> str:
        return self.add("Add", [a, b], self.shapes[a], self.powers[a] + self.powers[b])

    def concat(self, *parts: str) -> str:
        channels = [self.shapes[part][0] for part in parts]
        power = sum(count * self.powers[part] for count, part in zip(channels, parts, strict=True)) / sum(channels)
        return self.add("Concat", list(parts), (sum(channels), *self.shapes[parts[0]][1:]), power, axis=1)

    def shuffle(self, x: str, groups: int) -> str:
        """Channel shuffle as PyTorch exports it: Reshape, Transpose, Reshape."""
        channels, height, width = self.shapes[x]
        # A leading 0 copies the batch dimension where it is not a number.
        batch = self.batch if isinstance(self.batch, int) else 0
        apart = self.constant(np.array([batch, groups, channels // groups, height, width]), "shape")
        together = self.constant(np.array([batch, channels, height, width]), "shape")
        power = self.powers[x]
        y = self.add("Reshape", [x, apart], (groups, channels // groups, height, width), power)
        y = self.add("Transpose", [y], (channels // groups, groups, height, width), power, perm=[0, 2, 1, 3, 4])
        return self.add("Reshape", [y, together], (channels, height, width), power)

    def global_pool(self, x: str) -> str:
        return self.add("GlobalAveragePool", [x], (self.shapes[x][0], 1, 1), self.powers[x] * 0.35)

    def flatten(self, x: str) -> str:
        return self.add("Flatten", [x], (int(np.prod(self.shapes[x])),), self.powers[x], axis=1)

    def dense(self, x: str, features: int) -> str:
        (inputs,) = self.shapes[x]
        weight = self.weights((features, inputs), inputs, self.powers[x], 1.0)
        return self.add("Gemm", [x, weight, self.small(features, 0.1, "bias")], (features,), 1.0, transB=1)

    def classify(self, x: str) -> str:
        return self.dense(self.flatten(self.global_pool(x)), CLASSES)

    def finish(self, output: str) -> ModelProto:
        for node in self.nodes:
            for index, name in enumerate(node.output):
                if name == output:
                    node.output[index] = "output"

        def declare(name: str, shape: tuple[int, ...]):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, [self.batch, *shape])

        graph = helper.make_graph(
            self.nodes,
            self.name,
            [declare("input", self.shapes["input"])],
            [declare("output", self.shapes[output])],
            self.initializers,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="conv_infer.zoo")


def alexnet(net: NetworkBuilder) -> str:
    """Krizhevsky et al. (2012): two groups, local response normalisation, three dense layers."""

    def normalise(x: str) -> str:
        # ONNX divides alpha by the size, the paper does not; bias 2 halves the powers by 2^1.5.
        return net.add("LRN", [x], net.shapes[x], net.powers[x] / 2.83, size=5, alpha=5e-4, beta=0.75, bias=2.0)

    # The gain brings the activations to the size that pixels of 0..255 give them, so that normalisation counts.
    x = net.conv_relu("input", 96, 11, stride=4, gain=32.0, norm=False)
    x = net.max_pool(normalise(x), 3, 2)
    x = net.conv_relu(x, 256, 5, pad=2, groups=2, gain=32.0, norm=False)
    x = net.max_pool(normalise(x), 3, 2)
    x = net.conv_relu(x, 384, 3, pad=1, norm=False)
    x = net.conv_relu(x, 384, 3, pad=1, groups=2, norm=False)
    x = net.conv_relu(x, 256, 3, pad=1, groups=2, norm=False)
    x = net.flatten(net.max_pool(x, 3, 2))
    x = net.relu(net.dense(x, 4096))
    x = net.relu(net.dense(x, 4096))
    x = net.dense(x, CLASSES)
    return net.add("Softmax", [x], net.shapes[x], 1.0, axis=1)


def vgg16(net: NetworkBuilder) -> str:
    """Simonyan and Zisserman (2015), configuration D: the convolutional part."""
    x = "input"
    for channels, layers in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(layers):
            x = net.conv_relu(x, channels, 3, pad=1, norm=False)
        x = net.max_pool(x, 2, 2)
    return x


def squeezenet1_1(net: NetworkBuilder) -> str:
    """Iandola et al. (2016), version 1.1."""

    def fire(x: str, squeeze: int, expand: int) -> str:
        x = net.conv_relu(x, squeeze, 1, norm=False)
        return net.concat(
            net.conv_relu(x, expand, 1, norm=False),
            net.conv_relu(x, expand, 3, pad=1, norm=False),
        )

    x = net.conv_relu("input", 64, 3, stride=2, norm=False)
    x = net.max_pool(x, 3, 2, ceil=True)
    x = fire(fire(x, 16, 64), 16, 64)
    x = net.max_pool(x, 3, 2, ceil=True)
    x = fire(fire(x, 32, 128), 32, 128)
    x = net.max_pool(x, 3, 2, ceil=True)
    x = fire(fire(x, 48, 192), 48, 192)
    x = fire(fire(x, 64, 256), 64, 256)
    x = net.conv_relu(x, CLASSES, 1, norm=False)
    return net.flatten(net.global_pool(x))


def resnet(
    net: NetworkBuilder, layers: tuple[int, ...], bottleneck: bool, groups: int = 1, group_width: int = 64
) -> str:
    """He et al. (2016), stride in the 3x3 convolution; with groups, Xie et al. (2017)."""
    x = net.conv_relu("input", 64, 7, stride=2, pad=3)
    x = net.max_pool(x, 3, 2, pad=1)
    for stage, blocks in enumerate(layers):
        planes = 64 << stage
        for block in range(blocks):
            stride = 2 if stage and block == 0 else 1
            outputs = planes * 4 if bottleneck else planes
            if bottleneck:
                width = planes * group_width // 64 * groups
                y = net.conv_relu(x, width, 1)
                y = net.conv_relu(y, width, 3, stride, 1, groups)
                y = net.conv(y, outputs, 1, gain=0.5)
            else:
                y = net.conv_relu(x, planes, 3, stride, 1)
                y = net.conv(y, outputs, 3, pad=1, gain=0.5)
            if net.shapes[x] != net.shapes[y]:
                x = net.conv(x, outputs, 1, stride)
            x = net.relu(net.sum(y, x))
    return net.classify(x)


def mobilenet_v2(net: NetworkBuilder) -> str:
    """Sandler et al. (2018), width 1."""
    x = net.conv_relu6("input", 32, 3, stride=2, pad=1)
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, channels, blocks, first_stride in stages:
        for block in range(blocks):
            inputs = net.shapes[x][0]
            hidden = inputs * expansion
            y = x if expansion == 1 else net.conv_relu6(x, hidden, 1)
            y = net.conv_relu6(y, hidden, 3, 1 if block else first_stride, 1, groups=hidden)
            y = net.conv(y, channels, 1, gain=0.5 if block else 1.0)
            x = net.sum(x, y) if block else y
    return net.classify(net.conv_relu6(x, 1280, 1))


SHUFFLENET_V1_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # of the second stage, by groups


def shufflenet_v1(net: NetworkBuilder, groups: int, width: float) -> str:
    """Zhang et al. (2018), table 1. Where a scaled width is no multiple of the groups, it is brought to one."""

    def unit(x: str, outputs: int, stride: int, first_groups: int) -> str:
        middle = max(1, round(outputs / 4 / groups)) * groups
        y = net.conv_relu(x, middle, 1, groups=first_groups)
        if groups > 1:
            y = net.shuffle(y, groups)
        y = net.conv(y, middle, 3, stride, 1, groups=middle)
        if stride == 1:
            return net.relu(net.sum(x, net.conv(y, outputs, 1, groups=groups, gain=0.5)))
        y = net.conv(y, outputs - net.shapes[x][0], 1, groups=groups)
        shortcut = net.pool("AveragePool", x, 3, 2, pad=1, count_include_pad=1)
        return net.relu(net.concat(shortcut, y))

    stem = -(-int(24 * width) // groups) * groups
    x = net.max_pool(net.conv_relu("input", stem, 3, stride=2, pad=1), 3, 2, pad=1)
    for stage, blocks in enumerate((4, 8, 4)):
        outputs = int(SHUFFLENET_V1_CHANNELS[groups] * width) << stage
        for block in range(blocks):
            # The very first pointwise layer reads too few channels to be grouped.
            x = unit(x, outputs, 1 if block else 2, groups if stage or block else 1)
    return net.classify(x)


def shufflenet_v2(net: NetworkBuilder) -> str:
    """Ma et al. (2018), width 1, in torchvision's spelling: Split, Concat, shuffle by two, ReduceMean."""

    def branch(x: str, channels: int, stride: int) -> str:
        y = net.conv_relu(x, channels, 1)
        y = net.conv(y, channels, 3, stride, 1, groups=channels)
        return net.conv_relu(y, channels, 1)

    x = net.max_pool(net.conv_relu("input", 24, 3, stride=2, pad=1), 3, 2, pad=1)
    for stage, blocks in enumerate((4, 8, 4)):
        half = 58 << stage
        inputs = net.shapes[x][0]
        shortcut = net.conv(x, inputs, 3, 2, 1, groups=inputs)
        x = net.shuffle(net.concat(net.conv_relu(shortcut, half, 1), branch(x, half, 2)), 2)
        for _ in range(blocks - 1):
            sizes = net.constant(np.array([half, half]), "sizes")
            shape = (half, *net.shapes[x][1:])
            kept, changed = net.add("Split", [x, sizes], shape, net.powers[x], outputs=2, axis=1)
            x = net.shuffle(net.concat(kept, branch(changed, half, 1)), 2)
    x = net.conv_relu(x, 1024, 1)
    x = net.add("ReduceMean", [x], (1024,), net.powers[x] * 0.35, axes=[2, 3], keepdims=0)
    return net.dense(x, CLASSES)


NETWORKS: dict[str, Callable[[NetworkBuilder], str]] = {
    "alexnet": alexnet,
    "vgg16": vgg16,
    "squeezenet1_1": squeezenet1_1,
    "resnet18": partial(resnet, layers=(2, 2, 2, 2), bottleneck=False),
    "resnet50": partial(resnet, layers=(3, 4, 6, 3), bottleneck=True),
    "resnext50_32x4d": partial(resnet, layers=(3, 4, 6, 3), bottleneck=True, groups=32, group_width=4),
    "mobilenet_v2": mobilenet_v2,
    **{
        f"shufflenet_v1_g{groups}" + ("" if width == 1 else f"_x{width}"): partial(
            shufflenet_v1, groups=groups, width=width
        )
        for groups in SHUFFLENET_V1_CHANNELS
        for width in (1, 0.5, 0.25)
    },
    "shufflenet_v2": shufflenet_v2,
}


def build(
    name: str, *, batch: int | str = 1, size: int | None = None, batch_norm: bool = False, seed: int = 0
) -> ModelProto:
    """The network `name` of `NETWORKS` as a model: float32 NCHW `input` [batch, 3, size, size] to `output`.

    `batch` may be a symbol's name ("N"); `size` is 224 (AlexNet 227) unless told; `batch_norm` keeps the batch
    normalisations of networks that have them as nodes instead of folding them. Raises KeyError for an unknown name.
    """
    network = NETWORKS[name]
    net = NetworkBuilder(name, size or (227 if name == "alexnet" else 224), batch, batch_norm, seed)
    return net.finish(network(net))


def sample_input(name: str, *, batch: int = 1, size: int | None = None, seed: int = 0) -> np.ndarray:
    """A seeded input of the network: standard normal, NCHW float32."""
    size = size or (227 if name == "alexnet" else 224)
    return np.random.default_rng(seed).standard_normal((batch, 3, size, size), dtype=np.float32)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=NETWORKS, metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("output", type=Path, help="the .onnx file to write")
    parser.add_argument("--batch", default="1", help="images per run, or a symbol such as N (default: 1)")
    parser.add_argument("--size", type=int, help="height and width of the images (default: 224, AlexNet 227)")
    parser.add_argument("--batch-norm", action="store_true", help="keep batch normalisations as nodes of their own")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: 0)")
    options = parser.parse_args(arguments)
    batch = int(options.batch) if options.batch.isdecimal() else options.batch
    model = build(options.name, batch=batch, size=options.size, batch_norm=options.batch_norm, seed=options.seed)
    checker.check_model(model)
    options.output.write_bytes(model.SerializeToString())
    return 0


if __name__ == "__main__":
    sys.exit(main())
