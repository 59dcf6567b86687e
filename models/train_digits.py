"""Trains the ShuffleNet of digits.onnx on scikit-learn's handwritten digits (8x8 pixels).

    python models/train_digits.py

needs torch and scikit-learn, takes some minutes on one core, and is only needed to make the files anew: digits.onnx,
digits_heldout.npz (`image` float32 NCHW as the network wants it, `label`) and a few of these digits as PNG in digits/.
A fifth of the digits, drawn once and evenly over the classes, is held back and never trained on.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

FOLDER = Path(__file__).parent
GROUPS = 4
STEM = 24
STAGES = ((96, 3), (192, 3))  # channels and units; each stage halves the image
EPOCHS = 150
PREPROCESSING = {"size": [8, 8], "gray": True, "scale": 1 / 255, "mean": [0.3], "std": [0.37], "layout": "NCHW"}


class Unit(nn.Module):
    """A ShuffleNet v1 unit: grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; added, or with stride 2 concatenated."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        middle = outputs // 4
        self.stride = stride
        branch_outputs = outputs - inputs if stride == 2 else outputs
        self.reduce = nn.Conv2d(inputs, middle, 1, groups=GROUPS, bias=False)
        self.reduce_norm = nn.BatchNorm2d(middle)
        self.depthwise = nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(middle)
        self.expand = nn.Conv2d(middle, branch_outputs, 1, groups=GROUPS, bias=False)
        self.expand_norm = nn.BatchNorm2d(branch_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.reduce_norm(self.reduce(x)))
        y = functional.channel_shuffle(y, GROUPS)
        y = self.expand_norm(self.expand(self.depthwise_norm(self.depthwise(y))))
        if self.stride == 2:
            return functional.relu(torch.cat([functional.avg_pool2d(x, 3, 2, 1), y], 1))
        return functional.relu(x + y)


class DigitsNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, STEM, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(STEM)
        units = []
        channels = STEM
        for outputs, count in STAGES:
            units.append(Unit(channels, outputs, 2))
            units += [Unit(outputs, outputs, 1) for _ in range(count - 1)]
            channels = outputs
        self.units = nn.ModuleList(units)
        self.classify = nn.Linear(channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem_norm(self.stem(x)))
        for unit in self.units:
            x = unit(x)
        return self.classify(x.mean((2, 3)))


def load_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (uint8 [N, 8, 8]) and labels to train on, then those held back."""
    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    train_x, held_x, train_y, held_y = train_test_split(
        pixels, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    return train_x, train_y, held_x, held_y


def prepare(pixels: np.ndarray) -> np.ndarray:
    """uint8 [N, 8, 8] -> float32 [N, 1, 8, 8], as PREPROCESSING says."""
    scaled = pixels.astype(np.float32) * np.float32(PREPROCESSING["scale"])
    mean, deviation = (np.float32(PREPROCESSING[key][0]) for key in ("mean", "std"))
    return ((scaled - mean) / deviation)[:, None]


def distort(batch: torch.Tensor) -> torch.Tensor:
    """Moves, turns and stretches each image a little; beyond the edge lies the background."""
    count = batch.shape[0]
    angle = torch.randn(count) * 0.12
    stretch = 1 + torch.randn(count, 2) * 0.08
    transforms = torch.zeros(count, 2, 3)
    transforms[:, 0, 0] = angle.cos() * stretch[:, 0]
    transforms[:, 0, 1] = -angle.sin()
    transforms[:, 1, 0] = angle.sin()
    transforms[:, 1, 1] = angle.cos() * stretch[:, 1]
    transforms[:, :, 2] = torch.randn(count, 2) * 0.1
    background = batch.min()
    grid = functional.affine_grid(transforms, list(batch.shape), align_corners=False)
    return functional.grid_sample(batch - background, grid, align_corners=False) + background


def train(images: np.ndarray, labels: np.ndarray) -> DigitsNetwork:
    """Trains with AdamW, a one-cycle learning rate and label smoothing."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = DigitsNetwork()
    inputs, targets = torch.from_numpy(images), torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.02)
    batches = [range(start, start + 64) for start in range(0, len(inputs) - 63, 64)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=EPOCHS * len(batches))
    for epoch in range(EPOCHS):
        order = torch.randperm(len(inputs))
        total = 0.0
        for batch in batches:
            chosen = order[batch.start : batch.stop]
            loss = functional.cross_entropy(network(distort(inputs[chosen])), targets[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:3} of {EPOCHS}: loss {total / len(batches):.4f}")
    return network.eval()


class Exporter:
    """Writes the trained network as ONNX operators; batch normalisations stay as they are."""

    def __init__(self):
        self.nodes: list = []
        self.initializers: list[TensorProto] = []

    def add(self, op: str, inputs: list[str], name: str, **attrs) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{name}_{op.lower()}", **attrs))
        return name

    def constant(self, name: str, values: torch.Tensor | np.ndarray) -> str:
        array = values.detach().numpy() if isinstance(values, torch.Tensor) else values
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def conv_norm(self, x: str, conv: nn.Conv2d, norm: nn.BatchNorm2d, name: str) -> str:
        y = self.add(
            "Conv",
            [x, self.constant(f"{name}.weight", conv.weight)],
            f"{name}.conv",
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=list(conv.padding) * 2,
            group=conv.groups,
        )
        parameters = {
            "scale": norm.weight,
            "shift": norm.bias,
            "mean": norm.running_mean,
            "variance": norm.running_var,
        }
        constants = [self.constant(f"{name}.{role}", values) for role, values in parameters.items()]
        return self.add("BatchNormalization", [y, *constants], f"{name}.norm", epsilon=norm.eps)

    def shuffle(self, x: str, channels: int, size: int, name: str) -> str:
        apart = self.constant(f"{name}.apart", np.array([0, GROUPS, channels // GROUPS, size, size]))
        together = self.constant(f"{name}.together", np.array([0, channels, size, size]))
        y = self.add("Reshape", [x, apart], f"{name}.grouped")
        y = self.add("Transpose", [y], f"{name}.transposed", perm=[0, 2, 1, 3, 4])
        return self.add("Reshape", [y, together], f"{name}.shuffled")

    def unit(self, x: str, unit: Unit, size: int, name: str) -> str:
        y = self.conv_norm(x, unit.reduce, unit.reduce_norm, f"{name}.reduce")
        y = self.add("Relu", [y], f"{name}.reduce.relu")
        y = self.shuffle(y, unit.reduce.out_channels, size, name)
        y = self.conv_norm(y, unit.depthwise, unit.depthwise_norm, f"{name}.depthwise")
        y = self.conv_norm(y, unit.expand, unit.expand_norm, f"{name}.expand")
        if unit.stride == 2:
            window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}
            shortcut = self.add("AveragePool", [x], f"{name}.pool", **window)
            y = self.add("Concat", [shortcut, y], f"{name}.concat", axis=1)
        else:
            y = self.add("Add", [x, y], f"{name}.sum")
        return self.add("Relu", [y], f"{name}.output")

    def export(self, network: DigitsNetwork, metadata: dict[str, str]) -> ModelProto:
        x = self.conv_norm("image", network.stem, network.stem_norm, "stem")
        x = self.add("Relu", [x], "stem.relu")
        size = 8
        for index, unit in enumerate(network.units):
            x = self.unit(x, unit, size, f"unit{index + 1}")
            size //= unit.stride
        x = self.add("GlobalAveragePool", [x], "pooled")
        x = self.add("Flatten", [x], "features", axis=1)
        weight = self.constant("classify.weight", network.classify.weight)
        bias = self.constant("classify.bias", network.classify.bias)
        x = self.add("Gemm", [x, weight, bias], "logits", transB=1)
        self.add("Softmax", [x], "probability", axis=1)
        graph = helper.make_graph(
            self.nodes,
            "digits",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", 10])],
            self.initializers,
        )
        opsets = [helper.make_opsetid("", 13)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="train_digits")
        helper.set_model_props(model, metadata)
        checker.check_model(model, full_check=True)
        return model


def main() -> None:
    train_pixels, train_labels, held_pixels, held_labels = load_split()
    network = train(prepare(train_pixels), train_labels)
    held_images = prepare(held_pixels)
    with torch.no_grad():
        guesses = network(torch.from_numpy(held_images)).argmax(1).numpy()
    correct = int((guesses == held_labels).sum())
    print(f"{correct} of {len(held_labels)} held-back digits are right")
    metadata = {
        "labels": json.dumps([str(digit) for digit in range(10)]),
        "preprocessing": json.dumps(PREPROCESSING),
        "accuracy": json.dumps({"correct": correct, "of": len(held_labels), "data": "digits_heldout.npz"}),
    }
    (FOLDER / "digits.onnx").write_bytes(Exporter().export(network, metadata).SerializeToString())
    np.savez_compressed(FOLDER / "digits_heldout.npz", image=held_images, label=held_labels.astype(np.int64))
    (FOLDER / "digits").mkdir(exist_ok=True)
    for digit in (0, 3, 4, 5, 7, 8):
        first = int(np.flatnonzero(held_labels == digit)[0])
        Image.fromarray(held_pixels[first]).save(FOLDER / "digits" / f"{digit}.png")


if __name__ == "__main__":
    main()
