"""The trained network reads the digits that were held back from its training as well as it is recorded to."""

import json

import numpy as np
import pytest
from onnxruntime_sessions import open_session
from PIL import Image

import conv_infer
from conv_infer.images import Preprocessing, fields_from_metadata


@pytest.fixture(scope="module")
def model(root):
    return root / "models" / "digits.onnx"


@pytest.fixture(scope="module")
def int8_model(root):
    return root / "models" / "digits_int8.onnx"


def correct_and_recorded(model, images, labels):
    session = conv_infer.load(model, strict=True)
    recorded = json.loads(session.get_modelmeta().custom_metadata_map["accuracy"])
    (probabilities,) = session.run(None, {"image": images})
    return int((probabilities.argmax(axis=1) == labels).sum()), recorded


@pytest.fixture(scope="module")
def held_back(root):
    with np.load(root / "models" / "digits_heldout.npz") as archive:
        return archive["image"], archive["label"]


def test_accuracy_is_the_recorded_one(model, held_back):
    images, labels = held_back
    correct, recorded = correct_and_recorded(model, images, labels)
    assert (correct, len(labels)) == (recorded["correct"], recorded["of"])
    assert correct >= 0.98 * len(labels)
    assert len(labels) >= 300 and set(labels) == set(range(10))


def test_probabilities_are_those_of_onnxruntime(model, held_back):
    images, _ = held_back
    reference = open_session(model)
    (expected,) = reference.run(None, {"image": images})
    for chosen in (slice(0, None), slice(0, 1), slice(5, 12)):
        (result,) = conv_infer.run(model, images[chosen]).values()
        np.testing.assert_allclose(result, expected[chosen], atol=1e-5)


def test_int8_loses_at_most_half_a_point(model, int8_model, held_back):
    images, labels = held_back
    correct, recorded = correct_and_recorded(int8_model, images, labels)
    assert (correct, len(labels)) == (recorded["correct"], recorded["of"])
    in_float32, _ = correct_and_recorded(model, images, labels)
    assert in_float32 - correct <= 0.005 * len(labels)
    plan = conv_infer.load(int8_model).prepare({"image": (1, 1, 8, 8)}).plan
    assert not [step.name for step in plan if step.operator in ("Conv", "Affine", "Binary")]


def test_pictures_are_held_back_digits(root, model, held_back):
    images, labels = held_back
    session = conv_infer.load(model)
    preprocessing = Preprocessing(**fields_from_metadata(session.get_modelmeta().custom_metadata_map))
    paths = sorted((root / "models" / "digits").glob("*.png"))
    assert len(paths) >= 3
    for path in paths:
        prepared = preprocessing.apply(np.asarray(Image.open(path)), np.dtype(np.float32))
        same = [index for index, image in enumerate(images) if np.allclose(image, prepared[0], atol=1e-6)]
        assert any(str(labels[index]) == path.stem for index in same)
        (probability,) = session.run(None, {"image": prepared})
        assert probability.argmax() == int(path.stem)


def test_operators_are_those_of_a_shufflenet(model):
    plan = conv_infer.load(model).prepare({"image": (1, 1, 8, 8)}).plan
    assert not [step.name for step in plan if step.is_reference]
    assert model.stat().st_size < 500_000
