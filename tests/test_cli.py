"""The command line: what it prints, where, and with which exit code."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import pytest
from fresh_process import environment
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import conv_infer
from conv_infer import cli, cli_verify


@pytest.fixture
def digits(root):
    return str(root / "models" / "digits.onnx")


@pytest.fixture
def picture(root):
    return str(root / "models" / "digits" / "3.png")


@pytest.fixture
def two_inputs(tmp_path):
    """left [2, 3] + right [2, 3] -> sum, and left * right -> a/product."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["left", "right"], ["sum"]),
            helper.make_node("Mul", ["left", "right"], ["a/product"]),
        ],
        "two",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("left", "right")],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("sum", "a/product")],
    )
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return str(path)


@pytest.fixture
def open_size(tmp_path):
    """A 3x3 convolution of [batch, 3, height, width]."""
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights"], ["features"], pads=[1, 1, 1, 1])],
        "open",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4, "height", "width"])],
        [numpy_helper.from_array(weights, "weights")],
    )
    path = tmp_path / "open.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return str(path)


def run_process(*arguments: str, **options) -> subprocess.CompletedProcess:
    """`python -m conv_infer` in a process of its own, away from the project's folder."""
    command = [sys.executable, "-m", "conv_infer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, **options)


def fails(capsys, *arguments: str) -> str:
    """Runs a command that must end with code 2, an empty stdout and one line on stderr; answers the line."""
    assert cli.main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and captured.err.startswith("conv-infer: ")
    return captured.err


def test_run_reads_a_picture(digits, picture, tmp_path):
    result = run_process("run", digits, picture, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "probability [1, 10] float32"
    assert len(lines) == 1 + 5
    assert lines[1].split() == [lines[1].split()[0], "%", "3"]


def test_run_as_json_and_into_a_file(capsys, digits, picture, tmp_path):
    output = tmp_path / "results.bin"
    assert cli.main(["run", digits, picture, "--json", "--top", "2", "--output", str(output)]) == 0
    result = json.loads(capsys.readouterr().out)
    best = result["outputs"]["probability"]["images"][0]
    assert best[0]["label"] == "3" and len(best) == 2
    with np.load(output) as archive:
        assert archive["probability"].shape == (1, 10)
        assert archive["probability"][0, 3] == pytest.approx(best[0]["score"])


def test_run_on_a_batch_from_an_archive(capsys, root, digits):
    assert cli.main(["run", digits, str(root / "models" / "digits_heldout.npz"), "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "probability [360, 10] float32"
    assert lines[-1] == "  ... and 340 more images; --json or --output gives all"


def test_run_takes_labels_from_a_file(capsys, digits, picture, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"digit {number}" for number in range(10)))
    assert cli.main(["run", digits, picture, "--top", "1", "--labels", str(labels)]) == 0
    assert capsys.readouterr().out.endswith("digit 3\n")


def test_options_outrank_the_metadata(capsys, digits, picture, tmp_path):
    inverted = tmp_path / "inverted.png"
    Image.fromarray(255 - np.asarray(Image.open(picture))).save(inverted)
    # (255 - p) * -1/255 - (0.3 - 1) = p / 255 - 0.3
    assert cli.main(["run", digits, str(inverted), "--scale=-1/255", "--mean=-0.7", "--json"]) == 0
    inverted_scores = json.loads(capsys.readouterr().out)["outputs"]["probability"]["images"][0]
    assert cli.main(["run", digits, picture, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["outputs"]["probability"]["images"][0]
    assert inverted_scores[0]["score"] == pytest.approx(scores[0]["score"], abs=1e-5)


def test_several_inputs_from_several_kinds_of_files(capsys, two_inputs, tmp_path):
    left, right = np.random.default_rng(0).standard_normal((2, 2, 3)).astype(np.float32)
    np.save(tmp_path / "left.npy", left)
    np.save(tmp_path / "right.npy", np.asfortranarray(right))
    np.savez(tmp_path / "both.npz", left=left, right=right, other=np.zeros(3))
    np.savez(tmp_path / "columns.npz", right=np.asfortranarray(right))
    (tmp_path / "right.pb").write_bytes(numpy_helper.from_array(right).SerializeToString())
    output = tmp_path / "sum.npz"
    for inputs in (
        ["left.npy", "right.npy"],
        ["right=right.npy", "left=left.npy"],
        ["both.npz"],
        ["left.npy", "right.pb"],
        ["left.npy", "columns.npz"],
        ["left=both.npz", "right=right.pb"],
    ):
        arguments = [name.replace("=", f"={tmp_path}/") if "=" in name else f"{tmp_path}/{name}" for name in inputs]
        assert cli.main(["run", two_inputs, *arguments, "--output", str(output)]) == 0
        with np.load(output) as archive:
            np.testing.assert_allclose(archive["sum"], left + right, rtol=1e-6)
            np.testing.assert_allclose(archive["a/product"], left * right, rtol=1e-6)
    capsys.readouterr()


def test_run_names_what_is_missing_or_too_much(capsys, two_inputs, tmp_path):
    array = str(tmp_path / "a.npy")
    np.save(array, np.zeros((2, 3), np.float32))
    assert "right" in fails(capsys, "run", two_inputs, array)
    assert "only 2 inputs" in fails(capsys, "run", two_inputs, array, array, array)
    assert "no input of that name" in fails(capsys, "run", two_inputs, f"lefd={array}")
    np.savez(tmp_path / "wrong.npz", a=np.zeros(3), b=np.zeros(3))
    assert "holds a, b" in fails(capsys, "run", two_inputs, str(tmp_path / "wrong.npz"))
    np.save(array, np.zeros((2, 3)))
    assert "float64" in fails(capsys, "run", two_inputs, f"left={array}", f"right={array}")


@pytest.mark.parametrize(
    "name", ["empty.npy", "empty.npz", "empty.pb", "empty.png", "text.npy", "text.npz", "text.png"]
)
def test_damaged_inputs_are_refused(capsys, digits, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"" if name.startswith("empty") else b"this is no such file\n" * 20)
    assert name in fails(capsys, "run", digits, str(path))


@pytest.mark.parametrize("shape", [(9, 1, 8, 8), (-1, 1, 8, 8), (1 << 40,), (1 << 31, 1 << 31, 4), (1 << 70,), "x"])
def test_arrays_that_promise_more_than_they_hold_are_refused(capsys, digits, tmp_path, shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    content = stream.getvalue() + bytes(256)
    path = tmp_path / "damaged.npy"
    path.write_bytes(content)
    assert "damaged.npy" in fails(capsys, "run", digits, str(path))
    archive = tmp_path / "damaged.npz"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("image.npy", content)
    assert "image.npy" in fails(capsys, "run", digits, str(archive))


def test_arrays_of_objects_are_refused(capsys, digits, tmp_path):
    np.save(tmp_path / "objects.npy", np.array([None, 1]), allow_pickle=True)
    assert "objects.npy" in fails(capsys, "run", digits, str(tmp_path / "objects.npy"))
    np.savez(tmp_path / "objects.npz", image=np.array([None, 1]))
    assert "Python objects" in fails(capsys, "run", digits, str(tmp_path / "objects.npz"))


def test_missing_files_are_named(capsys, digits, picture, tmp_path):
    missing = str(tmp_path / "missing")
    assert "No such file" in fails(capsys, "run", missing + ".onnx", picture)
    for suffix in (".png", ".npy", ".npz", ".pb"):
        assert f"missing{suffix}" in fails(capsys, "run", digits, missing + suffix)
    assert "missing" in fails(capsys, "run", digits, picture, "--labels", missing)


def test_pillow_is_asked_for_by_name(capsys, monkeypatch, digits, picture):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install 'conv_infer[cli]'" in fails(capsys, "run", digits, picture)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["run"],
        ["run", "model.onnx"],
        ["run", "model.onnx", "a.npy", "--threads", "0"],
        ["run", "model.onnx", "a.npy", "--max-memory", "lots"],
        ["run", "model.onnx", "a.npy", "--size", "8x8x8"],
        ["run", "model.onnx", "a.npy", "--mean", "1,x"],
        ["inspect", "model.onnx", "--shape", "1,2,3"],
        ["inspect", "model.onnx", "--shape", "x=1,-2"],
        ["verify", "model.onnx", "--tolerance", "-1"],
        ["bench", "model.onnx", "--repeat", "none"],
    ],
)
def test_wrong_usage_ends_with_code_2(capsys, arguments):
    with pytest.raises(SystemExit) as leaving:
        cli.main(arguments)
    assert leaving.value.code == 2
    assert "usage: conv-infer" in capsys.readouterr().err


@pytest.mark.parametrize("command", [None, *cli.COMMANDS])
def test_help_has_examples_and_exit_codes(capsys, command):
    with pytest.raises(SystemExit) as leaving:
        cli.main([command, "--help"] if command else ["--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert "examples:\n  conv-infer " in text and "exit codes:\n  0  done" in text


def test_inspect_shows_plan_and_memory(capsys, digits):
    assert cli.main(["inspect", digits]) == 0
    text = capsys.readouterr().out
    assert "image  tensor(float) [batch, 1, 8, 8]" in text
    assert "plan for image [1, 1, 8, 8]" in text
    assert "every operator is native" in text
    assert cli.main(["inspect", digits, "--json", "--shape", "image=4,1,8,8"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert description["shapes"] == {"image": [4, 1, 8, 8]}
    assert description["not_native"] == []
    assert description["memory"]["peak"] >= description["memory"]["weights"] > 0
    session = conv_infer.load(digits).prepare({"image": (4, 1, 8, 8)})
    assert [step["macs"] for step in description["plan"]] == [step.macs for step in session.plan]
    assert sum(step["macs"] for step in description["plan"]) > 0


def test_inspect_says_which_sizes_it_lacks(capsys, open_size):
    assert cli.main(["inspect", open_size]) == 0
    captured = capsys.readouterr()
    assert "plan" not in captured.out
    assert "--shape image=SIZE,SIZE,..." in captured.err
    assert cli.main(["inspect", open_size, "--shape", "image=1x3x10x12"]) == 0
    assert "plan for image [1, 3, 10, 12]" in capsys.readouterr().out
    assert "no input of that name" in fails(capsys, "inspect", open_size, "--shape", "picture=1,3,8,8")
    assert "declares [batch, 3, height, width]" in fails(capsys, "inspect", open_size, "--shape", "image=1,4,8,8")


def test_inspect_lists_what_is_not_native(capsys, tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Det", ["x"], ["y"])],
        "determinant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )
    path = str(tmp_path / "determinant.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    assert cli.main(["inspect", path]) == 0
    captured = capsys.readouterr()
    assert "not native, run by onnx.reference (slow): Det" in captured.out
    assert captured.err.startswith("conv-infer: warning: ") and "Det" in captured.err
    assert "Det" in fails(capsys, "inspect", path, "--strict")


def test_limited_memory_is_refused(capsys, digits, picture):
    assert "max_memory" in fails(capsys, "run", digits, picture, "--max-memory", "2k")


def test_verify_agrees_with_onnxruntime(capsys, root, digits, open_size):
    assert cli.main(["verify", digits, str(root / "models" / "digits_heldout.npz"), "--json"]) == 0
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert output["name"] == "probability" and output["matches"] and output["shape"] == [360, 10]
    assert cli.main(["verify", open_size, "--shape", "image=2,3,9,7", "--layers"]) == 0
    assert "same" in capsys.readouterr().out


def test_verify_compares_every_tensor(capsys, digits):
    assert cli.main(["verify", digits, "--layers", "--json", "--threads", "1"]) == 0
    tensors = json.loads(capsys.readouterr().out)["tensors"]
    names = {name for node in onnx.load(digits).graph.node for name in node.output} - {"probability"}
    assert {tensor["name"] for tensor in tensors} == names


def test_verify_fails_where_results_depart(capsys, monkeypatch, digits):
    honest = cli_verify.reference_outputs

    def shifted(model, feeds):
        return {name: array + np.float32(0.01) for name, array in honest(model, feeds).items()}

    monkeypatch.setattr(cli_verify, "reference_outputs", shifted)
    assert cli.main(["verify", digits]) == 1
    assert "DEPARTS: error above the tolerance" in capsys.readouterr().out
    assert cli.main(["verify", digits, "--tolerance", "0.5"]) == 0


def test_verify_needs_onnxruntime(capsys, monkeypatch, digits):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install onnxruntime" in fails(capsys, "verify", digits)


def test_bench_prints_times_and_steps(capsys, digits):
    assert cli.main(["bench", digits, "--repeat", "3", "--threads", "1"]) == 0
    text = capsys.readouterr().out
    assert "over 3 runs" in text and "images/s" in text and "GFLOP/s" in text
    assert cli.main(["bench", digits, "--repeat", "3", "--json", "--shape", "image=2,1,8,8"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert 0 < result["minimum_ms"] <= result["median_ms"]
    assert result["images_per_second"] == pytest.approx(2e3 / result["median_ms"])
    assert sum(step["us"] for step in result["steps"]) > 0
    assert result["threads"] == 1
    assert result["machine"]["processor"] in text
    assert result["machine"]["instruction_sets"] == conv_infer.cpu()["allowed"]


def test_bench_calls_a_board_by_its_name(monkeypatch):
    from conv_infer import cli_bench

    files = {"/proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU @ 1 GHz\n"}
    monkeypatch.setattr(cli_bench, "_text_of", lambda path: files.get(path, ""))
    assert cli_bench.processor_name() == "Some CPU @ 1 GHz"
    files["/proc/device-tree/model"] = "Raspberry Pi 4 Model B Rev 1.4\0"
    assert cli_bench.processor_name() == "Raspberry Pi 4 Model B Rev 1.4"
    files.clear()
    assert cli_bench.processor_name()


def test_a_progress_bar_is_for_terminals_only(capsys, monkeypatch):
    from conv_infer import cli_common

    clock = iter(range(100))
    monkeypatch.setattr(cli_common.time, "perf_counter", lambda: next(clock))
    assert list(cli_common.progress([1, 2, 3], "things")) == [1, 2, 3]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(cli_common.progress([1, 2, 3], "things")) == [1, 2, 3]
    assert "things [####################          ] 2/3" in capsys.readouterr().err


def test_an_interrupt_ends_quietly(capsys, monkeypatch, digits):
    from conv_infer import cli_inspect

    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_inspect, "execute", interrupted)
    assert cli.main(["inspect", digits]) == 130
    assert capsys.readouterr().err == "conv-infer: interrupted\n"


def test_a_reader_that_leaves_is_no_error(digits, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "conv_infer", "inspect", digits],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_defects_are_not_hidden(monkeypatch, digits):
    from conv_infer import cli_inspect

    def broken(options):
        raise AssertionError("a defect")

    monkeypatch.setattr(cli_inspect, "execute", broken)
    with pytest.raises(AssertionError):
        cli.main(["inspect", digits])


@pytest.mark.parametrize(
    ("text", "size"), [("1024", 1024), ("1K", 1024), ("1.5M", 3 << 19), ("2GiB", 2 << 30), ("3mb", 3 << 20)]
)
def test_amounts_of_memory(text, size):
    from conv_infer.cli_common import memory_size

    assert memory_size(text) == size
