"""The session: onnxruntime's surface, plans, memory, Python threads, pickles, and the checking of inputs."""

import pickle
import re
import subprocess
import sys
import threading
import warnings

import numpy as np
import onnx
import pytest
from agreement import assert_agrees, assert_same_bits
from make_models import make_model
from onnx import TensorProto, helper
from onnxruntime_sessions import open_session

import conv_infer
from conv_infer import session as session_module
from conv_infer.errors import ConvInferError, InputError, MemoryLimitError, ModelError, UnsupportedError
from conv_infer.parity import reference_outputs
from models import zoo

FLOAT = TensorProto.FLOAT
NAME = "shufflenet_v1_g3_x0.25"
SIZE = 64


@pytest.fixture(scope="module")
def model() -> bytes:
    return zoo.build(NAME, batch="N", size=SIZE).SerializeToString()


@pytest.fixture(scope="module")
def fixed_model() -> bytes:
    return zoo.build(NAME, size=SIZE).SerializeToString()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return zoo.sample_input(NAME, size=SIZE)


def two_by_two(opset=17) -> onnx.ModelProto:
    """Two inputs, two outputs: their sum and their product."""
    nodes = [
        helper.make_node("Add", ["first", "second"], ["sum"]),
        helper.make_node("Mul", ["first", "second"], ["product"]),
    ]
    inputs = [("first", FLOAT, ["rows", 3]), ("second", FLOAT, ["rows", 3])]
    return make_model(nodes, inputs, ["sum", "product"], opset=opset)


FIRST = np.arange(6, dtype=np.float32).reshape(2, 3)
SECOND = np.float32([[1, 2, 3], [-1, -2, -3]])


# ---- onnxruntime's surface


def test_outputs_come_in_the_order_asked_for():
    session = conv_infer.load(two_by_two())
    feeds = {"second": SECOND, "first": FIRST}
    for names in (["sum", "product"], ["product", "sum"], ["product"], ["sum", "sum"]):
        wanted = {"sum": FIRST + SECOND, "product": FIRST * SECOND}
        found = session.run(names, feeds)
        assert isinstance(found, list) and len(found) == len(names)
        for name, array in zip(names, found, strict=True):
            np.testing.assert_array_equal(array, wanted[name])
    np.testing.assert_array_equal(session.run(None, feeds)[1], FIRST * SECOND)
    assert session.run([], feeds) == []


@pytest.mark.parametrize("names", [["sums"], ["sum", "first"], "sum", [""]])
def test_unknown_outputs(names):
    with pytest.raises(InputError, match="output"):
        conv_infer.load(two_by_two()).run(names, {"first": FIRST, "second": SECOND})


def test_run_takes_an_array_a_list_or_a_dict(model, image):
    wanted = {"sum": FIRST + SECOND, "product": FIRST * SECOND}
    proto = two_by_two()
    assert_same_bits(conv_infer.run(proto, [FIRST, SECOND]), wanted)
    assert_same_bits(conv_infer.run(proto, (FIRST, SECOND)), wanted)
    assert_same_bits(conv_infer.run(proto, {"second": SECOND, "first": FIRST}), wanted)
    assert_same_bits(conv_infer.run(proto.SerializeToString(), [FIRST.tolist(), SECOND] and [FIRST, SECOND]), wanted)
    alone = conv_infer.run(model, image)
    assert_same_bits(conv_infer.run(model, [image]), alone)
    assert_same_bits(conv_infer.run(model, {"input": image}), alone)


@pytest.mark.parametrize("inputs", [FIRST, [FIRST], [FIRST] * 3, []])
def test_run_with_another_number_of_inputs(inputs):
    with pytest.raises(InputError, match="2 inputs"):
        conv_infer.run(two_by_two(), inputs)


def test_sources_agree(tmp_path, fixed_model, image):
    path = tmp_path / "model.onnx"
    path.write_bytes(fixed_model)
    first = conv_infer.run(path, image)
    for source in (str(path), fixed_model, bytearray(fixed_model), onnx.load(path)):
        assert_same_bits(conv_infer.run(source, image), first)


def described(session):
    def entries(values):
        return [(value.name, list(value.shape), value.type) for value in values]

    return entries(session.get_inputs()), entries(session.get_outputs())


def metadata(session):
    meta = session.get_modelmeta()
    names = ("producer_name", "graph_name", "domain", "description", "graph_description", "version")
    return {name: getattr(meta, name) for name in names}, dict(meta.custom_metadata_map)


def test_descriptions_are_onnxruntimes(root, model):
    documented = onnx.load_from_string(model)
    documented.doc_string, documented.graph.doc_string = "a model", "a graph"
    documented.domain, documented.model_version = "org.example", 7
    helper.set_model_props(documented, {"labels": "a b", "empty": ""})
    typed = make_model(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT64)], [("x", TensorProto.FLOAT16, ["a", None, 3])], []
    )
    typed.graph.output.append(helper.make_tensor_value_info("y", TensorProto.INT64, ["a", None, 3]))
    digits = (root / "models" / "digits.onnx").read_bytes()
    for source in (documented.SerializeToString(), typed.SerializeToString(), digits):
        ours = conv_infer.load(source)
        theirs = open_session(source)
        assert described(ours) == described(theirs)
        assert metadata(ours) == metadata(theirs)


# ---- plans and memory


def test_memory_is_known_before_the_first_run_and_stays(fixed_model, image):
    session = conv_infer.load(fixed_model, threads=2)
    before = session.memory
    assert before.weights > 0 and before.arena >= before.live > 0
    assert before.peak == before.weights + before.arena + before.scratch
    session.run(None, {"input": image})
    assert repr(session.memory) == repr(before)


def test_memory_of_dynamic_inputs_is_known_after_prepare(model, image):
    session = conv_infer.load(model)
    for ask in (lambda: session.memory, lambda: session.plan, lambda: session.threads):
        with pytest.raises(ConvInferError, match="prepare"):
            ask()
    one = session.prepare({"input": (1, 3, SIZE, SIZE)}).memory
    four = session.prepare({"input": [4, 3, SIZE, SIZE]}).memory
    assert four.arena > one.arena
    session.run(None, {"input": image})
    assert repr(session.memory) == repr(one)


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"input": (1, 3)},
        {"input": (1, 4, SIZE, SIZE)},
        {"input": (-1, 3, SIZE, SIZE)},
        {"input": ("N", 3, SIZE, SIZE)},
        {"input": (1.5, 3, SIZE, SIZE)},
        {"input": None},
        {"input": (1, 3, SIZE, SIZE), "other": (1,)},
        {"inptu": (1, 3, SIZE, SIZE)},
        {"input": (2**62, 3, SIZE, SIZE)},
        {"input": (2**33, 3, SIZE, SIZE)},
    ],
    ids=str,
)
def test_shapes_that_cannot_be_prepared(model, shapes):
    session = conv_infer.load(model)
    with pytest.raises(ConvInferError):
        session.prepare(shapes)
    session.prepare({"input": (1, 3, SIZE, SIZE)})


def test_the_plan_lists_every_step(fixed_model):
    plan = conv_infer.load(fixed_model, threads=1).plan
    convolutions = [step for step in plan if step.operator == "Conv"]
    nodes = onnx.load_from_string(fixed_model).graph.node
    assert len(convolutions) == sum(node.op_type in ("Conv", "Gemm") for node in nodes)
    for step in convolutions:
        assert step.kernel and step.lowering and step.name and step.macs > 0 and step.weight_bytes > 0
        assert len(step.output_shape) == 4 and step.input_shapes
    assert not any(step.is_reference for step in plan)
    first = convolutions[0]
    assert first.macs == np.prod(first.output_shape) * 27


def test_profile_times_every_line(fixed_model, image):
    session = conv_infer.load(fixed_model, threads=2)
    times = session.profile({"input": image})
    assert [time.step for time in times] == session.plan
    assert sum(time.seconds for time in times) > 0
    assert all(time.seconds >= 0 for time in times)
    assert all(time.seconds > 0 for time in times if time.step.operator == "Conv")


def test_plans_are_kept_for_a_bounded_number_of_shapes(model):
    session = conv_infer.load(model, threads=1)
    batches = range(1, session_module.PLANS_KEPT + 4)
    first = {batch: session.run(None, {"input": batch_of(batch)})[0] for batch in batches}
    assert len(session._plans) == session_module.PLANS_KEPT
    weights = {id(plan.weights) for plan in session._plans.values()}
    assert len(weights) == 1  # packed alike, so kept once
    for batch in batches:
        np.testing.assert_array_equal(session.run(None, {"input": batch_of(batch)})[0], first[batch])


def batch_of(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 3, SIZE, SIZE), dtype=np.float32)


def test_results_of_a_smaller_shape_after_a_larger_one(model):
    session = conv_infer.load(model, threads=1)
    one = session.run(None, {"input": batch_of(1)})[0]
    session.run(None, {"input": batch_of(5)})
    np.testing.assert_array_equal(session.run(None, {"input": batch_of(1)})[0], one)


def test_results_are_the_callers_own(model, image):
    session = conv_infer.load(model)
    first = session.run(None, {"input": image})[0]
    kept = first.copy()
    session.run(None, {"input": image + 1})
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(session.run(None, {"input": image})[0], kept)


def test_inputs_are_not_written(model, image):
    given = image.copy()
    given.flags.writeable = False
    conv_infer.run(model, given)
    np.testing.assert_array_equal(given, image)


def test_outputs_that_are_inputs_or_constants():
    nodes = [helper.make_node("Identity", ["x"], ["same"]), helper.make_node("Constant", [], ["c"], value_float=2.0)]
    x = np.float32([1, 2])
    found = conv_infer.run(make_model(nodes, [("x", FLOAT, [2])], ["same", "c"]), x)
    np.testing.assert_array_equal(found["same"], x)
    assert found["c"] == 2 and found["c"].dtype == np.float32
    found["same"][0] = 5
    assert x[0] == 1


# ---- limits and options


def test_limits_of_memory(fixed_model, image):
    use = conv_infer.load(fixed_model, threads=1).memory
    limited = conv_infer.load(fixed_model, threads=1, max_memory=use.peak)
    assert limited.memory.peak <= use.peak
    np.testing.assert_array_equal(
        limited.run(None, {"input": image})[0], conv_infer.run(fixed_model, image, threads=1)["output"]
    )
    for limit in (1, use.live // 2, use.weights):
        with pytest.raises(MemoryLimitError, match=re.escape(f"max_memory={limit:,}")):
            conv_infer.load(fixed_model, threads=1, max_memory=limit)


def test_limits_of_memory_hold_for_every_shape(model):
    limit = conv_infer.load(model, threads=1).prepare({"input": (1, 3, SIZE, SIZE)}).memory.peak
    session = conv_infer.load(model, threads=1, max_memory=limit)
    session.run(None, {"input": batch_of(1)})
    with pytest.raises(MemoryLimitError):
        session.run(None, {"input": batch_of(8)})
    session.run(None, {"input": batch_of(1)})


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, 10**6, float("nan")])
def test_threads_that_make_no_sense(model, threads):
    with pytest.raises(InputError, match="threads="):
        conv_infer.load(model, threads=threads)


@pytest.mark.parametrize("limit", [0, -5, 1.5, "2", True])
def test_limits_that_make_no_sense(model, limit):
    with pytest.raises(InputError, match="max_memory="):
        conv_infer.load(model, max_memory=limit)


def test_numpy_numbers_are_numbers(fixed_model):
    assert conv_infer.load(fixed_model, threads=np.int64(2), max_memory=np.int32(2**30)).threads == 2


def left_to_the_reference() -> onnx.ModelProto:
    """Three nodes outside the native set, of two operators, between native ones."""
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("CumSum", ["positive", "axis"], ["added"], name="running_sum"),
        helper.make_node("Hardmax", ["added"], ["largest"], name="largest_of_all"),
        helper.make_node("CumSum", ["largest", "axis"], ["steps"], name="other_sum"),
        helper.make_node("Neg", ["steps"], ["y"]),
    ]
    return make_model(nodes, [("x", FLOAT, ["N", 4])], ["y"], {"axis": np.int64(1)})


def test_strict_names_all_that_is_not_native():
    with pytest.raises(UnsupportedError) as caught:
        conv_infer.load(left_to_the_reference(), strict=True).prepare({"x": (2, 4)})
    message = str(caught.value)
    for part in ("3 nodes", "running_sum", "largest_of_all", "other_sum", "CumSum", "Hardmax", "operator set 18"):
        assert part in message


def test_reference_nodes_run_marked_and_warned_of_once():
    session = conv_infer.load(left_to_the_reference())
    x = np.float32([[1, -2, 3, 0.5], [0, 1, 0, 2]])
    with pytest.warns(UserWarning, match="CumSum, Hardmax") as caught:
        first = session.run(None, {"x": x})[0]
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.run(None, {"x": x[:1]})
    assert [step.operator for step in session.plan if step.is_reference] == ["CumSum", "Hardmax", "CumSum"]
    assert_agrees({"y": first}, reference_outputs(left_to_the_reference().SerializeToString(), {"x": x}))
    assert len(session.profile({"x": x})) == len(session.plan)


def test_loading_warns_where_the_caller_is():
    fixed = left_to_the_reference()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    for load in (conv_infer.load, lambda source: conv_infer.run(source, np.ones((2, 4), np.float32))):
        with pytest.warns(UserWarning, match="onnx.reference") as caught:
            load(fixed)
        assert [warning.filename for warning in caught] == [__file__]


# ---- several threads, pickles, imports


def test_python_threads_share_a_session(model):
    session = conv_infer.load(model, threads=2)
    inputs = [batch_of(count) for count in (1, 2, 3)]
    alone = [session.run(None, {"input": array})[0] for array in inputs]
    wrong = []

    def work(index: int) -> None:
        for turn in range(6):
            which = (index + turn) % len(inputs)
            found = session.run(None, {"input": inputs[which]})[0]
            if found.tobytes() != alone[which].tobytes():
                wrong.append((index, turn))

    workers = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_python_threads_load_prepare_and_look(model):
    """All that many threads may do at once with one session, and with sessions of their own."""
    inputs = [batch_of(count) for count in (1, 2, 3, 4)]
    shared = conv_infer.load(model, threads=1)
    expected = [shared.run(None, {"input": array})[0].tobytes() for array in inputs]
    start, wrong = threading.Barrier(8), []

    def work(index: int) -> None:
        start.wait()
        for turn in range(4):
            which = (index + turn) % len(inputs)
            session = conv_infer.load(model, threads=1 + index % 2) if index < 4 else shared
            session.prepare({"input": inputs[which].shape})
            described = session.memory.arena, len(session.plan), session.threads, pickle.dumps(session)[:1]
            found = session.run(None, {"input": inputs[which]})[0].tobytes()
            times = session.profile({"input": inputs[which]})
            if found != expected[which] or not times or None in described:
                wrong.append((index, turn))

    workers = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_python_threads_with_a_session_each(fixed_model, image):
    first = conv_infer.run(fixed_model, image, threads=2)["output"]
    results = []

    def work() -> None:
        session = conv_infer.load(fixed_model, threads=2)
        results.extend(session.run(None, {"input": image})[0] for _ in range(4))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 12
    assert all(result.tobytes() == first.tobytes() for result in results)


def test_pickles(tmp_path, monkeypatch, fixed_model, image):
    (tmp_path / "model.onnx").write_bytes(fixed_model)
    monkeypatch.chdir(tmp_path)
    feeds = {"input": image}
    for source in ("model.onnx", fixed_model, onnx.load_from_string(fixed_model)):
        session = conv_infer.load(source, threads=2, max_memory=10**9, strict=True)
        monkeypatch.chdir(tmp_path.parent)
        copy = pickle.loads(pickle.dumps(session))
        monkeypatch.chdir(tmp_path)
        assert copy.threads == 2
        np.testing.assert_array_equal(copy.run(None, feeds)[0], session.run(None, feeds)[0])


def run_python(code: str, *arguments: str) -> str:
    paths = [entry for entry in sys.path if entry]
    code = f"import sys; sys.path[:0] = {paths!r}\n{code}"
    done = subprocess.run([sys.executable, "-P", "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_native_network_needs_numpy_only(root):
    code = """
import numpy as np, conv_infer
conv_infer.run(sys.argv[1], np.zeros((1, 1, 8, 8), np.float32))
print(sorted({"onnx", "onnxruntime", "google", "PIL", "torch"} & set(sys.modules)))
"""
    assert run_python(code, str(root / "models" / "digits.onnx")) == "[]"


def test_importing_brings_in_no_other_package():
    code = """
before = set(sys.modules)
import conv_infer
added = [module for name, module in sys.modules.items() if name not in before and getattr(module, "__file__", None)]
packages = {module.__name__.partition(".")[0] for module in added}
print(sorted(packages - set(sys.stdlib_module_names)))
"""
    assert run_python(code) == "['conv_infer']"


# ---- inputs


def test_strided_and_byte_swapped_arrays(model, image):
    wanted = conv_infer.run(model, image)
    padded = np.zeros((2, 3, SIZE * 2, SIZE + 5), np.float32)
    padded[::2, :, ::2, 5:] = image
    for array in (
        padded[::2, :, ::2, 5:],
        np.asfortranarray(image),
        image.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
        image[:, ::-1, :, ::-1].copy()[:, ::-1, :, ::-1],
        image.astype(">f4"),
        image.astype("<f4"),
        unaligned(image),
        image.tolist() and np.asarray(image.tolist(), np.float32),
    ):
        np.testing.assert_array_equal(array, image)
        assert_same_bits(conv_infer.run(model, array), wanted)


def unaligned(array: np.ndarray) -> np.ndarray:
    """The same array, one byte past where its elements belong."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    moved = memory[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


@pytest.mark.parametrize(
    ("feeds", "parts"),
    [
        ({}, ["missing", "'input'"]),
        ({"inptu": 0}, ["'inptu'", "did you mean 'input'?", "missing: 'input'"]),
        ({"input": 0, "zzz": 0}, ["'zzz'", "inputs: 'input'"]),
        ({3: 0}, ["'3'", "missing"]),
        ([1], ["expected a dict", "list"]),
        (None, ["expected a dict"]),
        ({"input": np.zeros((1, 3, SIZE, SIZE))}, ["'input'", "float64", "float32", "astype"]),
        ({"input": np.zeros((1, 3, SIZE, SIZE), np.uint8)}, ["uint8", "astype"]),
        ({"input": np.zeros((3, SIZE, SIZE), np.float32)}, ["'input'", "(N, 3, 64, 64)", "(3, 64, 64)"]),
        ({"input": np.zeros((1, 1, SIZE, SIZE), np.float32)}, ["(1, 1, 64, 64)"]),
        ({"input": np.zeros((1, SIZE, SIZE, 3), np.float32)}, ["(1, 64, 64, 3)"]),
        ({"input": np.zeros((1, 3, SIZE, SIZE + 1), np.float32)}, ["(1, 3, 64, 65)"]),
        ({"input": "a picture"}, ["'input'"]),
        ({"input": None}, ["'input'"]),
        ({"input": [[1], [2, 3]]}, ["'input'", "not an array"]),
        ({"input": {"a": 1}}, ["'input'"]),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_inputs(model, image, feeds, parts):
    session = conv_infer.load(model)
    with pytest.raises(InputError) as caught:
        session.run(None, feeds)
    for part in parts:
        assert part in str(caught.value)
    session.run(None, {"input": image})


def test_symbols_stand_for_one_size():
    session = conv_infer.load(two_by_two())
    with pytest.raises(ConvInferError, match=r"rows|second"):
        session.run(None, {"first": FIRST, "second": np.zeros((3, 3), np.float32)})


def test_not_a_number_and_infinity_stay_what_they_are():
    weights = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("MaxPool", ["c"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["y"]),
    ]
    network = make_model(nodes, [("x", FLOAT, [1, 3, 8, 8])], ["c", "m", "r", "y"], {"w": weights})
    source = network.SerializeToString()
    x = np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)
    for value in (np.nan, np.inf, -np.inf):
        spoiled = x.copy()
        spoiled[0, 1, 5, 6] = value
        ours, theirs = conv_infer.run(source, spoiled), reference_outputs(source, {"x": spoiled})
        # Only the convolution's own values: what a pool or Relu makes of NaN differs between implementations.
        finite = np.isfinite(theirs["c"])
        assert (np.isfinite(ours["c"]) == finite).all()
        np.testing.assert_allclose(ours["c"][finite], theirs["c"][finite], rtol=1e-4, atol=1e-5)
        assert np.isfinite(ours["m"][0, :, 0, 0]).all()


def test_arrays_without_elements(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Concat", ["r", "x"], ["y"], axis=1)]
        network = make_model(nodes, [("x", FLOAT, ["N", 2])], ["y"])
        for source, empty, shape in (
            (network, np.zeros((0, 2), np.float32), (0, 4)),
            (model, np.zeros((0, 3, SIZE, SIZE), np.float32), (0, 1000)),
        ):
            try:
                (found,) = conv_infer.run(source, empty).values()
            except (InputError, UnsupportedError, ModelError) as error:
                assert "no elements" in str(error) or "rejects" in str(error)
            else:
                assert found.shape == shape


def test_scalars_keep_their_rank():
    nodes = [helper.make_node("Add", ["a", "b"], ["y"])]
    network = make_model(nodes, [("a", FLOAT, []), ("b", FLOAT, [])], ["y"])
    y = conv_infer.run(network, [np.float32(2), np.array(3, np.float32)])["y"]
    assert y.shape == () and y == 5
