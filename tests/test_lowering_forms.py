"""Every form of lowering as the library plans and fills it: sizes by the published formulae, copies counted in memory,
the rows of every product against patches taken by NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conv_infer import ConvInferError, InputError, _core
from conv_infer.graph import INTERNAL, Graph, Node, TensorType
from conv_infer.ops import lowering_report
from conv_infer.ops_forms import strip_for
from conv_infer.ops_geometry import Geometry
from conv_infer.ops_patches import plan_of
from conv_infer.ops_report import predicted_ns
from conv_infer.planner.lowering import REUSABLE_ROWS, choose_lowering

FORMS = ("im2row", "two_patch", "mec", "reusable", "reusable_rows", "in_place", "indirect")


def plan(form, size, kernel, stride=(1, 1), dilation=(1, 1), pads=(0, 0, 0, 0), strip=1, is_framed=False):
    return _core.LoweringPlan(form, size, kernel, stride, dilation, pads, strip, is_framed)


def by_form(*args, **kwargs):
    return {report.form: report for report in lowering_report(*args, **kwargs)}


def padded(image, pads):
    top, left, bottom, right = pads
    return np.pad(image, ((top, bottom), (left, right), (0, 0)))


def patches(image, kernel, stride, dilation, pads):
    """[OH * OW, kh * kw * C], elements in the order (ky, kx, c)."""
    image = padded(image, pads)
    tall = (kernel[0] - 1) * dilation[0] + 1
    wide = (kernel[1] - 1) * dilation[1] + 1
    return np.array(
        [
            image[y : y + tall : dilation[0], x : x + wide : dilation[1]].ravel()
            for y in range(0, image.shape[0] - tall + 1, stride[0])
            for x in range(0, image.shape[1] - wide + 1, stride[1])
        ]
    )


def product_rows(made, filled, buffer, kernel, channels):
    """The patches of one product as its description says where they are."""
    ky, kx, c = np.meshgrid(*(np.arange(size) for size in (*kernel, channels)), indexing="ij")
    depth = (ky * filled["depth_y"] + kx * filled["depth_x"] + c).ravel()
    row = np.arange(filled["rows"])
    starts = filled["start"] + row // filled["run"] * filled["run_step"] + row % filled["run"] * filled["lda"]
    output = filled["output"] + row // filled["run"] * filled["output_run_step"]
    output += row % filled["run"] * filled["output_step"]
    return output, buffer[starts[:, None] + depth]


geometries = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "dilation": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "pads": st.tuples(*[st.integers(0, 3)] * 4),
    }
)


def is_possible(size, kernel, dilation, pads, **_):
    return all((kernel[a] - 1) * dilation[a] < size[a] + pads[a] + pads[a + 2] for a in (0, 1))


@settings(max_examples=150, deadline=None)
@given(
    geometry=geometries,
    form=st.sampled_from([form for form in FORMS if form != "indirect"]),
    strip=st.integers(1, 4),
    dtype=st.sampled_from(["int8", "int16", "float32", "float64"]),
)
def test_products_hold_the_patches(geometry, form, strip, dtype):
    if not is_possible(**geometry):
        with pytest.raises(ConvInferError):
            plan(form, **geometry)
        return
    size = geometry["size"]
    image = (1 + np.arange(np.prod(size)) % 120).astype(dtype).reshape(size)
    expected = patches(image, *(geometry[key] for key in ("kernel", "stride", "dilation", "pads")))
    made = plan(form, **geometry, strip=strip)
    buffer = np.zeros(made.buffer_bytes(image.itemsize) // image.itemsize, dtype)
    got = np.full_like(expected, -1)
    for gemm in range(made.gemms):
        filled = made.fill(gemm, image, buffer)
        where = buffer
        if filled["start"] is None or not buffer.size:  # in place: rows begin in the image
            where, filled["start"] = image.ravel(), 0
        output, rows = product_rows(made, filled, where, geometry["kernel"], size[2])
        got[output] = rows
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 2, 0, 1)])
def test_the_indirection_buffer_points_to_pixels(pads):
    size, kernel, stride, dilation = (6, 5, 2), (3, 2), (2, 1), (1, 2)
    image = np.arange(1, 61, dtype=np.float32).reshape(size)
    made = plan("indirect", size, kernel, stride, dilation, pads)
    buffer = np.zeros(made.buffer_bytes(4), np.uint8)
    made.fill(0, image, buffer)
    offsets = buffer[: made.buffer_elems * 4].view(np.int32).reshape(6, -1)
    pixels = image.ravel() if not any(pads) else buffer[(made.buffer_elems * 4 + 7) // 8 * 8 :].view(np.float32)
    got = pixels[offsets[..., None] + np.arange(2)].transpose(1, 0, 2).reshape(offsets.shape[1], -1)
    np.testing.assert_array_equal(got, patches(image, kernel, stride, dilation, pads))


@settings(max_examples=100, deadline=None)
@given(geometry=geometries, form=st.sampled_from(FORMS[:5]), strip=st.integers(1, 3))
def test_copies_are_as_many_as_are_planned(geometry, form, strip):
    """Counted in memory: before every product the buffer is overwritten with a value that the image has not."""
    if not is_possible(**geometry):
        return
    image = np.ones(geometry["size"], np.int8)
    made = plan(form, **geometry, strip=strip)
    buffer = np.empty(made.buffer_elems, np.int8)
    written = 0
    for gemm in range(made.gemms):
        buffer[:] = -1
        made.fill(gemm, image, buffer)
        written += np.count_nonzero(buffer != -1)
    assert written == made.copied_elems


@settings(max_examples=100, deadline=None)
@given(geometry=geometries)
def test_the_reusable_buffer_copies_the_padded_input_once(geometry):
    """Wherever windows overlap or touch: exactly the elements of the padded input that some window's span covers."""
    geometry["dilation"] = (1, 1)
    if not is_possible(**geometry) or geometry["stride"][1] > geometry["kernel"][1]:
        return
    made = plan("reusable", **geometry)
    high, wide = made.output_size
    touched = (high - 1) * geometry["stride"][0] + geometry["kernel"][0]
    touched *= (wide - 1) * geometry["stride"][1] + geometry["kernel"][1]
    assert made.copied_elems == touched * geometry["size"][2]


def test_too_small_a_buffer_is_refused_and_left_alone():
    image = np.ones((6, 6, 2), np.float32)
    for form in FORMS:
        made = plan(form, image.shape, (3, 3), pads=(1, 1, 1, 1))
        buffer = np.full(made.buffer_bytes(4) - 1, 7, np.uint8)
        with pytest.raises(ConvInferError, match="too small"):
            made.fill(0, image, buffer)
        assert (buffer == 7).all()
        with pytest.raises(ConvInferError):
            made.fill(made.gemms, image, np.zeros(made.buffer_bytes(4), np.uint8))


def test_alexnet_first_layer():
    reports = by_form((1, 3, 227, 227), (96, 3, 11, 11), stride=4)
    assert tuple(reports) == FORMS
    assert reports["im2row"].gemm == (3025, 96, 363, 363, 1)
    assert reports["im2row"].buffer_elems == reports["im2row"].copied_elems == 363 * 3025
    assert reports["two_patch"].buffer_elems == 2 * 363
    assert reports["two_patch"].copied_elems == 363 * 3025
    assert reports["mec"].buffer_elems == reports["mec"].copied_elems == 55 * 227 * 11 * 3
    assert reports["mec"].gemm == (55, 96, 363, 227 * 11 * 3, 55)
    assert reports["reusable"].buffer_elems == 227 * 11 * 3 + 54 * 4 * 3
    assert reports["reusable"].copied_elems == 227 * 3 * (11 + 54 * 4) == 227 * 227 * 3
    assert reports["reusable"].gemm == (55, 96, 363, 4 * 11 * 3, 55)
    assert reports["reusable_rows"].gemm == (55, 96, 363, 4 * 11 * 3, 55)
    assert reports["in_place"].buffer_elems == reports["in_place"].copied_elems == 0
    assert reports["in_place"].gemm == (3025, 96, 363, 4 * 3, 1)
    assert reports["indirect"].buffer_elems == 3025 * 121
    assert all(report.predicted_ns > 0 for report in reports.values())


def test_the_worked_example_step_by_step():
    """6 rows of one channel, 3x3: 9 elements, 3 more for each further output row, 18; then 6 a step."""
    assert plan("reusable", (3, 3, 1), (3, 3)).buffer_elems == 9
    for rows in (4, 5, 6):
        assert plan("reusable", (rows, 3, 1), (3, 3)).buffer_elems == 9 + 3 * (rows - 3)
    report = by_form((1, 1, 6, 4), (1, 1, 3, 3))["reusable"]
    assert report.buffer_elems == 18 + 1  # two output columns: one more place
    assert report.copied_elems == 18 + 6
    report = by_form((1, 1, 6, 6), (1, 1, 3, 3))["reusable"]
    assert report.buffer_elems == 18 + 3
    assert report.copied_elems == 6 * 6
    assert report.gemm == (4, 1, 9, 3, 4)

    image = np.arange(36, dtype=np.int8).reshape(6, 6, 1)
    made, buffer = plan("reusable", (6, 6, 1), (3, 3)), np.full(21, -1, np.int8)
    made.fill(0, image, buffer)
    np.testing.assert_array_equal(buffer[:18].reshape(6, 3), image[:, :3, 0])
    assert (buffer[18:] == -1).all()
    before = buffer.copy()
    assert made.fill(1, image, buffer)["start"] == 1
    assert np.count_nonzero(buffer != before) == 6
    np.testing.assert_array_equal(buffer[1:19].reshape(6, 3), image[:, 1:4, 0])


@settings(max_examples=60, deadline=None)
@given(geometry=geometries)
def test_reports_follow_the_formulae(geometry):
    geometry["dilation"] = (1, 1)
    if not is_possible(**geometry):
        return
    (height, width, channels), (kh, kw), (sh, sw) = geometry["size"], geometry["kernel"], geometry["stride"]
    top, left, bottom, right = geometry["pads"]
    oh, ow = (height + top + bottom - kh) // sh + 1, (width + left + right - kw) // sw + 1
    hp, wp, depth = (oh - 1) * sh + kh, (ow - 1) * sw + kw, kh * kw * channels
    reports = by_form(
        (2, channels * 3, height, width), (6, channels, kh, kw), (sh, sw), geometry["pads"], groups=3, dtype="int8"
    )
    line = hp * kw * channels
    expected = {
        "im2row": (oh * ow * depth, oh * ow * depth, (oh * ow, 2, depth, depth)),
        "mec": (ow * line, ow * line, (ow, 2, depth, line)),
        "reusable": (
            line + (ow - 1) * sw * channels,
            hp * channels * (kw + (ow - 1) * sw),
            (oh, 2, depth, sh * kw * channels),
        )
        if sw <= kw
        else (line, line * ow, (oh, 2, depth, sh * kw * channels)),
        "in_place": (0, 0, (oh * ow, 2, depth, sw * channels)),
        "indirect": (oh * ow * kh * kw, 0, (oh * ow, 2, depth, 0)),
    }
    if sh <= kh:
        line = wp * kh * channels
        buffer = line + (oh - 1) * sh * channels
        expected["reusable_rows"] = (buffer, wp * channels * hp, (ow, 2, depth, sw * kh * channels))
    for form, (buffer, copied, gemm) in expected.items():
        report = reports[form]
        assert (report.buffer_elems, report.copied_elems, report.gemm[:4]) == (buffer, 6 * copied, gemm), form
        assert report.buffer_bytes == buffer * (4 if form == "indirect" else 1)
    assert reports["two_patch"].buffer_bytes == 2 * 2 * depth  # widened to int16


@pytest.mark.parametrize("height, width, kernel, stride, pad", [(8, 9, 3, 1, 1), (40, 7, 5, 2, 2), (6, 60, 3, 1, 0)])
def test_times_are_those_of_the_planner(height, width, kernel, stride, pad):
    """The report's prediction for strips as the planner cuts them is what the planner goes by."""
    channels, columns = 6, 10
    geometry = Geometry((height, width), (kernel, kernel), stride, pad, 1)
    attrs = {"strides": geometry.strides, "pads": geometry.pads, "dilations": (1, 1), "groups": 1}
    shapes = {
        "x": (1, height, width, channels),
        "w": (columns, kernel, kernel, channels),
        "y": (1, geometry.out_height, geometry.out_width, columns),
    }
    types = {name: TensorType(np.dtype(np.float32), shape) for name, shape in shapes.items()}
    node = Node("Conv", ["x", "w", ""], ["y"], attrs, domain=INTERNAL)
    graph = Graph([node], ["x"], ["y"], types, {"w": np.zeros(shapes["w"], np.float32)}, {"": 13})
    chosen = choose_lowering(graph, node, can_be_framed=False, spare_memory=True)
    form = "reusable_rows" if chosen.form == REUSABLE_ROWS else "reusable"
    made = plan_of(form, geometry, channels, strip_for(form, geometry))
    assert made.buffer_elems == chosen.buffer_elems and made.copied_elems == chosen.copied_elems
    assert predicted_ns(form, made, geometry, columns) == pytest.approx(chosen.predicted_ns)


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"input": (1, 3, 5)}, "input"),
        ({"input": (1, 3, 5, 0)}, r"input\[3\]"),
        ({"weight": (4, 2, 3, 3)}, "weight"),
        ({"groups": 2}, "groups"),
        ({"stride": 0}, "stride"),
        ({"dilation": (1, 0)}, r"dilation\[1\]"),
        ({"weight": (4, 3, 6, 3)}, "weight"),
        ({"dtype": "complex64"}, "dtype"),
        ({"dtype": "nothing"}, "dtype"),
        ({"pad": -1}, "pad"),
        ({"pad": 2**40}, "pad"),
        ({"input": (1, 3, 2**30, 2**30)}, "too large"),
    ],
)
def test_reports_refuse_what_cannot_be(arguments, named):
    with pytest.raises(InputError, match=named):
        lowering_report(**{"input": (1, 3, 5, 5), "weight": (4, 3, 3, 3), **arguments})
