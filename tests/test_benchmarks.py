"""The benchmarks measure what they say, on a small network; no test looks at how fast anything is."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import layers, lowering, networks, peers
from benchmarks.limits import Limits
from models import zoo


def test_peers_compares_and_reports(capsys, monkeypatch, root, tmp_path):
    monkeypatch.setattr(peers, "STARTS", 1)
    output = tmp_path / "figures.json"
    digits = str(root / "models" / "digits.onnx")
    arguments = [digits, "--engines", "conv_infer,onnxruntime", "--repeat", "2", "--json", str(output)]
    assert peers.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "| network, ms | conv_infer | onnxruntime | times the best peer | departure |" in printed
    (row,) = json.loads(output.read_text())["rows"]
    assert row["network"] == "digits"
    assert row["departure"]["onnxruntime"] < 1e-4
    medians = {engine: values["median_ms"] for engine, values in row["engines"].items()}
    assert row["ratio"] == pytest.approx(medians["onnxruntime"] / medians["conv_infer"])
    for values in row["engines"].values():
        assert len(values["round_medians_ms"]) == 2
        assert values["minimum_ms"] <= values["median_ms"]
        assert values["memory_bytes"] > 0
        assert values["import_ms"] > 0 and values["load_ms"] > 0 and values["first_run_ms"] > 0


def test_peers_compares_in_int8(capsys, monkeypatch, root):
    digits = str(root / "models" / "digits.onnx")
    arguments = [digits, "--int8", "--engines", "conv_infer,onnxruntime", "--repeat", "1", "--no-start"]
    assert peers.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "| conv_infer | onnxruntime | conv_infer s8s8 | conv_infer float32 | times the best peer |" in printed
    assert "| digits u8s8 |" in printed


def test_an_engine_that_fails_is_reported(capsys, tmp_path):
    broken = tmp_path / "broken.onnx"
    whole = zoo.build("shufflenet_v1_g8_x0.25", size=32)
    whole.graph.node[0].op_type = "NoSuchOperator"
    broken.write_bytes(whole.SerializeToString())
    assert peers.main([str(broken), "--engines", "onnxruntime", "--repeat", "1", "--no-start"]) == 0
    assert "broken: onnxruntime failed: " in capsys.readouterr().out


def test_unknown_networks_are_refused(capsys):
    assert peers.main(["--networks", "lenet_9000"]) == 2
    assert "'lenet_9000' is neither a file nor one of the zoo" in capsys.readouterr().err


def test_a_worker_counts_its_own_memory_only(root):
    """A process started by one that has taken 300 MB does not seem to have taken them."""
    script = (
        "import subprocess, sys; ballast = bytearray(300 << 20); ballast[::4096] = b'x' * len(ballast[::4096]);"
        "print(subprocess.check_output([sys.executable, '-c', "
        "'from benchmarks.worker import peak_memory_bytes; print(peak_memory_bytes())'], text=True))"
    )
    peak = int(subprocess.check_output([sys.executable, "-c", script], cwd=root, text=True))
    assert 10 << 20 < peak < 200 << 20


def test_variants_have_inputs_that_fit(root, tmp_path):
    digits = str(root / "models" / "digits.onnx")
    wanted = ["shufflenet_v1_g8_x0.25", digits]
    first, second = networks.variants(wanted, tmp_path, {"image": (3, 1, 8, 8)})
    assert (first.network, first.kind) == ("shufflenet_v1_g8_x0.25", "float32")
    with np.load(first.feeds) as archive:
        assert archive["input"].shape == (1, 3, 224, 224)
    with np.load(second.feeds) as archive:
        assert archive["image"].shape == (3, 1, 8, 8)


def test_layers_in_int8_compares_with_the_limit_of_int8(root, tmp_path):
    output = tmp_path / "layers.json"
    arguments = [str(root / "models" / "digits.onnx"), "--int8", "--repeat", "2", "--json", str(output)]
    assert layers.main(arguments) == 0
    result = json.loads(output.read_text())
    assert result["gops_peak"] > 0
    assert sum(layer["operator"] == "QConv" for layer in result["layers"]) >= 19


def test_layers_compares_convolutions_with_limits(capsys, root, tmp_path):
    output = tmp_path / "layers.json"
    assert layers.main([str(root / "models" / "digits.onnx"), "--repeat", "2", "--json", str(output)]) == 0
    assert "of the limit" in capsys.readouterr().out
    result = json.loads(output.read_text())
    assert sum(layer["operator"] == "Conv" for layer in result["layers"]) >= 19
    timed = [layer for layer in result["layers"] if layer["us"] > 0]  # others are shorter than the clock can tell
    assert len(timed) > 10
    for layer in timed:
        assert layer["fraction"] == pytest.approx(layer["limit_us"] / layer["us"])


def test_limits_need_a_compiler(monkeypatch):
    monkeypatch.setenv("CC", "false")
    with pytest.raises(RuntimeError, match="refuses"):
        Limits("scalar", 1)


def test_lowering_counts_and_compares(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    names = ["1x28x28->8 5x5", "10x49x1->64 10x4 s2", "60x14x14->60 3x3 g3"]
    arguments = ["--layers", *names, "--dtype", "float32", "int8", "--isa", "scalar", "--rounds", "1"]
    lowering.main([*arguments, "--json", str(tmp_path / "all.json"), "--pictures", str(tmp_path / "pictures")])
    printed = capsys.readouterr().out
    assert "holds: the reusable buffer copies the padded input exactly once" in printed
    assert "holds: it is smaller than the input" in printed
    found = json.loads((tmp_path / "all.json").read_text())
    assert list(found) == ["float32, scalar", "int8, scalar"]
    for result in found.values():
        first, second, third = result["layers"]
        for form in ("im2row", "two_patch", "mec"):
            assert first["forms"][form]["counted_elems"] == first["forms"][form]["copied_elems"]
        assert first["forms"]["reusable"]["counted_elems"] == 32 * 32  # 28x28 and 2 of padding all round
        assert second["forms"]["reusable"]["counted_elems"] == (24 * 2 + 10) * (4 * 2 + 4)
        assert third["forms"]["reusable"]["counted_elems"] == 16 * 16 * 60
        assert third["forms"]["in_place"]["counted_elems"] == 16 * 16 * 60  # the frame
        assert first["forms"]["im2row"]["to_traditional"] == 1
        assert first["auto_from_best"] >= 1 or first["auto"] == first["best"]
    assert len(list((tmp_path / "pictures").glob("lowering_*.svg"))) == 4
