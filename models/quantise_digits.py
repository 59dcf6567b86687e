"""Makes digits_int8.onnx: the network of digits.onnx in int8, calibrated with the digits that it was trained on.

    python models/quantise_digits.py

needs torch, scikit-learn and onnxruntime. The accuracy on the digits that were held back is recorded in the metadata,
as onnxruntime computes it.
"""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import onnxruntime
from quantise import quantise
from train_digits import load_split, prepare

FOLDER = Path(__file__).parent
CALIBRATION_IMAGES = 512


def main() -> None:
    pixels, _, held_back, labels = load_split()
    images = prepare(pixels[:CALIBRATION_IMAGES])
    model = quantise(onnx.load(FOLDER / "digits.onnx"), [{"image": images}])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"image": prepare(held_back)})
    correct = int((probabilities.argmax(axis=1) == labels).sum())
    for entry in model.metadata_props:
        if entry.key == "accuracy":
            entry.value = json.dumps({**json.loads(entry.value), "correct": correct, "of": len(labels)})
    onnx.save(model, FOLDER / "digits_int8.onnx")
    print(f"{correct} of {len(labels)} held back digits are read")


if __name__ == "__main__":
    main()
