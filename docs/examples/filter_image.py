"""Filters a photograph with a random symmetric kernel and shows it.

    python docs/examples/filter_image.py [filtered.png]

Needs scikit-learn (for the photograph) and Pillow.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

from conv_infer import ops


def symmetric_kernel(size: int, seed: int = 0) -> np.ndarray:
    """Random, the same turned by half a turn (so that convolution and correlation agree), of sum 1."""
    kernel = np.random.default_rng(seed).random((size, size))
    kernel += kernel[::-1, ::-1]
    return kernel / kernel.sum()


def filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Every channel of a uint8 image [H, W, C] convolved with the kernel, the size kept."""
    channels = [ops.convolve2d(image[..., c] / 255.0, kernel, "same") for c in range(image.shape[2])]
    return np.clip(np.stack(channels, axis=2) * 255.0 + 0.5, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    result = Image.fromarray(filtered(load_sample_image("china.jpg"), symmetric_kernel(9)))
    if len(sys.argv) > 1:
        result.save(sys.argv[1])
    else:
        result.show()
