"""The layers and networks that are counted, and the C tables made of them."""

from __future__ import annotations

from typing import NamedTuple


class Layer(NamedTuple):
    """One operator over an image of height x width x channels; padding before it, as much behind as outputs need."""

    name: str
    channels: int
    height: int
    width: int
    outputs: int
    kernel: tuple[int, int]
    stride: int
    pads: tuple[int, int]
    output: tuple[int, int]
    groups: int = 1
    kind: str = "CONVOLUTION"  # as in memory.h

    def macs(self) -> int:
        """Multiply-adds of a convolution, padding counted."""
        depth = self.kernel[0] * self.kernel[1] * self.channels // self.groups
        return self.output[0] * self.output[1] * self.outputs * depth if self.kind != "ADD" else 0

    def in_c(self) -> str:
        """As an initialiser of `layer` in memory.h."""
        numbers = (
            self.channels, self.height, self.width, self.outputs, *self.kernel, self.stride, *self.pads, *self.output,
            self.groups,
        )  # fmt: skip
        return "{" + ", ".join([*map(str, numbers), f"LAYER_{self.kind}"]) + "}"


def convolution(channels: int, height: int, width: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
    """A square kernel that keeps the size at stride 1 and takes only whole windows at others but 7x7, stride 2."""
    pad = kernel // 2 if stride == 1 else 2 if kernel == 7 else 0
    if kernel == 7:
        size = (height // stride, width // stride)
    else:
        size = ((height + 2 * pad - kernel) // stride + 1, (width + 2 * pad - kernel) // stride + 1)
    name = f"{channels}x{height}x{width}->{outputs} {kernel}x{kernel}"
    name += f" s{stride}" * (stride > 1) + f" groups {groups}" * (groups > 1)
    return Layer(name, channels, height, width, outputs, (kernel, kernel), stride, (pad, pad), size, groups)


LAYERS = [
    convolution(1, 28, 28, 8, 5),
    convolution(3, 32, 32, 32, 5),
    convolution(32, 16, 16, 32, 5),
    convolution(32, 8, 8, 64, 5),
    convolution(3, 96, 96, 8, 3, 2),
    convolution(3, 64, 64, 16, 7, 2),
    convolution(16, 32, 32, 16, 3),
    convolution(32, 16, 16, 32, 3),
    convolution(64, 8, 8, 64, 3),
    convolution(3, 55, 55, 24, 11, 4),
    Layer("1x49x10->64 10x4 s2 (KWS)", 1, 49, 10, 64, (10, 4), 2, (4, 1), (25, 5)),
    convolution(60, 14, 14, 60, 3, groups=3),
]


def _same(channels: int, size: int, outputs: int, kernel: int, stride: int = 1) -> Layer:
    """A layer of ResNet-8: padded so that the output has size / stride."""
    after = size // stride
    pad = max(0, (after - 1) * stride + kernel - size) // 2
    name = f"{channels}x{size}x{size}->{outputs} {kernel}x{kernel}" + f" s{stride}" * (stride > 1)
    return Layer(name, channels, size, size, outputs, (kernel, kernel), stride, (pad, pad), (after, after))


def _add(channels: int, size: int) -> Layer:
    return Layer("sum", channels, size, size, channels, (1, 1), 1, (0, 0), (size, size), kind="ADD")


def _pool(channels: int, height: int, width: int) -> Layer:
    return Layer("mean", channels, height, width, channels, (height, width), 1, (0, 0), (1, 1), kind="AVERAGE")


def _dense(inputs: int, outputs: int) -> Layer:
    return Layer(f"dense {inputs}->{outputs}", inputs, 1, 1, outputs, (1, 1), 1, (0, 0), (1, 1))


# The shapes of MLPerf Tiny's image classification and of CMSIS-NN's small keyword-spotting network.
RESNET_8 = [
    _same(3, 32, 16, 3), _same(16, 32, 16, 3), _same(16, 32, 16, 3), _add(16, 32),
    _same(16, 32, 32, 3, 2), _same(32, 16, 32, 3), _same(16, 32, 32, 1, 2), _add(32, 16),
    _same(32, 16, 64, 3, 2), _same(64, 8, 64, 3), _same(32, 16, 64, 1, 2), _add(64, 8),
    _pool(64, 8, 8), _dense(64, 10),
]  # fmt: skip
_BLOCK = [
    Layer("64x25x5 3x3 depthwise", 64, 25, 5, 64, (3, 3), 1, (1, 1), (25, 5), 64, "DEPTHWISE"),
    Layer("64x25x5->64 1x1", 64, 25, 5, 64, (1, 1), 1, (0, 0), (25, 5)),
]
DS_CNN = [LAYERS[10], *_BLOCK * 4, _pool(64, 25, 5), _dense(64, 12)]
NETWORKS = {"ResNet-8": RESNET_8, "DS-CNN": DS_CNN}


def table_header(layers: list[Layer]) -> str:
    """layers_table.h."""
    return "static const layer layers[] = {\n" + "".join(f"    {layer.in_c()},\n" for layer in layers) + "};\n"
