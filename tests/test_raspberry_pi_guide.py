"""The code that docs/raspberry-pi.md shows does what is said of it, without a Raspberry Pi."""

import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from fresh_process import environment
from PIL import Image

import conv_infer
from models import zoo

NETWORK = "shufflenet_v1_g8_x0.25"
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])

# A camera that delivers one picture, in the format that was asked for, and then breaks.
CAMERA = """
import numpy as np
from PIL import Image

class Picamera2:
    def create_preview_configuration(self, main):
        return main

    def configure(self, main):
        self.main, self.pictures = main, 0

    def start(self):
        self.pictures = 1

    def capture_array(self):
        if not self.pictures:
            raise SystemExit
        self.pictures -= 1
        assert self.main["format"] == "BGR888"  # red first in memory
        return np.asarray(Image.open("photo.png").resize(self.main["size"]))
"""
USB_CAMERA = """
import numpy as np
from PIL import Image

COLOR_BGR2RGB = 4

class VideoCapture:
    def __init__(self, number):
        self.pictures = 1

    def read(self):
        self.pictures -= 1
        return (True, np.asarray(Image.open("photo.png"))[:, :, ::-1]) if self.pictures >= 0 else (False, None)

def resize(frame, size):
    return np.asarray(Image.fromarray(frame).resize(size))

def cvtColor(frame, code):
    assert code == COLOR_BGR2RGB
    return frame[:, :, ::-1]
"""


@pytest.fixture(scope="module")
def blocks(root):
    """The Python blocks of the guide: the program, and another source of frames."""
    program, usb_camera = re.findall(
        r"^```python\n(.*?)^```", (root / "docs" / "raspberry-pi.md").read_text(), re.S | re.M
    )
    return program, usb_camera


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the program expects next to it."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "my_network.onnx").write_bytes(zoo.build(NETWORK).SerializeToString())
    (folder / "labels.txt").write_text("\n".join(f"class {number}" for number in range(1000)))
    (folder / "picamera2.py").write_text(CAMERA)
    (folder / "cv2.py").write_text(USB_CAMERA)
    picture = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    Image.fromarray(picture).save(folder / "photo.png")
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """The line that the program prints for the photo."""
    photo = np.asarray(Image.open(folder / "photo.png")).astype(np.float32) / 255
    image = np.moveaxis((photo - MEAN) / DEVIATION, 2, 0)[None]
    (scores,) = conv_infer.run(str(folder / "my_network.onnx"), image.astype(np.float32)).values()
    return f"{scores.max():.2f} class {scores.argmax()}\n"


def run(folder, program, *arguments):
    paths = environment()["PYTHONPATH"]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=f"{folder}:{paths}"),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_file_is_classified(folder, blocks, expected):
    assert run(folder, blocks[0], "photo.png") == expected


def test_a_cameras_frames_are_classified(folder, blocks, expected):
    assert run(folder, blocks[0]) == expected


def test_a_usb_cameras_frames_are_classified(folder, blocks, expected):
    program, usb_camera = blocks
    definition = "def frames_of_file"
    assert program.count("frames_of_camera()") == 2 and program.count(definition) == 1
    program = program.replace(definition, f"{usb_camera}\n\n{definition}").replace(
        "else frames_of_camera()", "else frames_of_usb_camera()"
    )
    assert run(folder, program) == expected
