# The forms of lowering of include/conv_infer/lowering.h, and convolution by them (conv2d.h).

cdef extern from "conv_infer/lowering.h":
    ctypedef enum ci_lowering_form:
        CI_LOWERING_COUNT
    ctypedef enum ci_framing:
        CI_FRAME_COPIED
        CI_FRAME_PRESENT
    ctypedef enum ci_element:
        CI_ELEMENT_COUNT
    ctypedef struct ci_lowering:
        ci_axis y, x
        int32_t channels, depth, gemms, rows
        int64_t lda, buffer_elems, copied_elems, frame_elems
    ctypedef struct ci_pixels:
        const void *pixels
        int64_t row_bytes, pixel_bytes
        int32_t element_bytes, flip
        const void *pad
    ctypedef struct ci_lowered:
        const void *a
        int32_t rows, run
        int64_t lda, run_step, depth_y, depth_x, output, output_step, output_run_step
        const int32_t *taps
    const char *ci_lowering_name(ci_lowering_form form)
    ci_status ci_lowering_plan(
        ci_lowering_form form, int32_t height, int32_t width, int32_t channels, const ci_window *window, int32_t strip,
        ci_framing framing, ci_lowering *plan,
    )
    int64_t ci_lowering_buffer_bytes(const ci_lowering *plan, int32_t element_bytes)
    ci_status ci_lowering_fill(
        const ci_lowering *plan, int32_t gemm, const ci_pixels *image, void *buffer, int64_t buffer_bytes,
        ci_lowered *lowered,
    ) nogil
    ci_status ci_row2im(const ci_lowering *plan, ci_element element, const void *rows, void *image) nogil

cdef extern from "conv_infer/conv2d.h":
    ctypedef struct ci_conv2d_args:
        ci_element element
        const void *input
        int32_t images, height, width, channels
        const void *weights
        int32_t columns
        const void *bias
        void *output
        ci_window window
        int32_t groups
        ci_lowering_form form
        int32_t strip
        ci_activation activation
        int32_t threads
        int32_t is_packed
        uint32_t allowed
    ctypedef struct ci_conv2d_s8_args:
        ci_convolve_s8_args convolution
        ci_lowering_form form
        int32_t strip
        int32_t is_packed
    ci_status ci_conv2d_s8_scratch_bytes(const ci_conv2d_s8_args *args, int64_t *bytes)
    ci_status ci_conv2d_s8(const ci_conv2d_s8_args *args, void *scratch, int64_t scratch_bytes) nogil
    ci_status ci_conv2d_scratch_bytes(const ci_conv2d_args *args, int64_t *bytes)
    ci_status ci_conv2d(const ci_conv2d_args *args, void *scratch, int64_t scratch_bytes) nogil

from cpython.buffer cimport PyBUF_ND

_ELEMENTS = ("f", "d", "b", "B")  # in the order of ci_element, as the buffer protocol names them
_SUM_FORMATS = ("f", "d", "i", "i")


def lowering_forms() -> list[str]:
    """The names of the forms."""
    return [ci_lowering_name(<ci_lowering_form>form).decode() for form in range(<int>CI_LOWERING_COUNT)]


cdef class LoweringPlan:
    """How an image (height, width, channels) is lowered by one form. Sizes in elements (`indirect`: 4-byte offsets).

    `is_framed`: the image has its padding around it in memory, which in_place can use."""

    cdef ci_lowering plan

    def __cinit__(self, str form, tuple size, kernel, strides, dilations, pads, int strip=1, bint is_framed=False):
        cdef ci_window window = window_of(kernel, strides, dilations, pads)
        check(
            ci_lowering_plan(
                <ci_lowering_form><int>lowering_forms().index(form), size[0], size[1], size[2], &window, strip,
                CI_FRAME_PRESENT if is_framed else CI_FRAME_COPIED, &self.plan,
            ),
            f"lowering {form}",
        )

    @property
    def output_size(self) -> tuple[int, int]:
        return self.plan.y.outputs, self.plan.x.outputs

    @property
    def depth(self) -> int:
        return self.plan.depth

    @property
    def gemms(self) -> int:
        return self.plan.gemms

    @property
    def rows(self) -> int:
        return self.plan.rows

    @property
    def lda(self) -> int:
        return self.plan.lda

    @property
    def buffer_elems(self) -> int:
        return self.plan.buffer_elems

    @property
    def copied_elems(self) -> int:
        return self.plan.copied_elems

    @property
    def frame_elems(self) -> int:
        return self.plan.frame_elems

    def buffer_bytes(self, int element_bytes) -> int:
        """Bytes of the buffer, the frame's included."""
        return ci_lowering_buffer_bytes(&self.plan, element_bytes)

    def fill(self, int gemm, image, buffer) -> dict[str, int]:
        """Brings product number `gemm` of an image [height, width, channels] into the buffer, zeros for padding.

        Answers the members of ci_lowered that describe the product, `start` (the first element of its first row, from
        the buffer's beginning) in place of `a`; None for `start` where rows are read from the image itself."""
        cdef Py_buffer source, target
        cdef ci_pixels pixels
        cdef ci_lowered lowered
        cdef ci_status status
        cdef double zero = 0.0
        PyObject_GetBuffer(image, &source, PyBUF_STRIDES)
        try:
            PyObject_GetBuffer(buffer, &target, PyBUF_SIMPLE | PyBUF_WRITABLE)
            try:
                if (
                    source.ndim != 3 or source.shape[0] != self.plan.y.size or source.shape[1] != self.plan.x.size
                    or source.strides[2] != source.itemsize
                ):
                    raise ValueError("the image is not the one that was planned for")
                pixels.pixels, pixels.row_bytes, pixels.pixel_bytes = source.buf, source.strides[0], source.strides[1]
                pixels.element_bytes, pixels.flip, pixels.pad = source.itemsize, 0, &zero
                check(
                    ci_lowering_fill(&self.plan, gemm, &pixels, target.buf, target.len, &lowered), "filling the buffer"
                )
                start = (<const char *>lowered.a) - (<const char *>target.buf)
                return {
                    "start": start // source.itemsize if 0 <= start <= target.len and target.len else None,
                    "rows": lowered.rows, "run": lowered.run, "lda": lowered.lda, "run_step": lowered.run_step,
                    "depth_y": lowered.depth_y, "depth_x": lowered.depth_x, "output": lowered.output,
                    "output_step": lowered.output_step, "output_run_step": lowered.output_run_step,
                }
            finally:
                PyBuffer_Release(&target)
        finally:
            PyBuffer_Release(&source)

    def scatter(self, rows, image) -> None:
        """Adds patches [positions, depth] onto an image [height, width, channels], which is zeroed first. 8-bit rows
        give an int32 image."""
        cdef Py_buffer source, target
        cdef ci_element element
        PyObject_GetBuffer(rows, &source, PyBUF_FORMAT | PyBUF_ND)
        try:
            PyObject_GetBuffer(image, &target, PyBUF_FORMAT | PyBUF_ND | PyBUF_WRITABLE)
            try:
                code = _ELEMENTS.index(source.format.decode())
                element = <ci_element><int>code
                if (
                    target.format.decode() != _SUM_FORMATS[code]
                    or source.len // source.itemsize
                    != <int64_t>self.plan.y.outputs * self.plan.x.outputs * self.plan.depth
                    or target.len // target.itemsize
                    != <int64_t>self.plan.y.size * self.plan.x.size * self.plan.channels
                ):
                    raise ValueError("rows and image are not those that were planned for")
                with nogil:
                    ci_row2im(&self.plan, element, source.buf, target.buf)
            finally:
                PyBuffer_Release(&target)
        finally:
            PyBuffer_Release(&source)


cdef class Conv2d:
    """A convolution of contiguous NHWC images with OHWI weights, all of one element type; `b` may be None, `output` has
    the type of sums (int32 for 8-bit elements). Weights are packed by the first run; later ones may find other images
    in the same arrays. The caller has matched the shapes; the geometry is checked in C."""

    cdef Py_buffer views[4]
    cdef int taken
    cdef ci_conv2d_args args
    cdef Memory scratch
    cdef str form

    def __cinit__(
        self, x, w, b, output, *, str form, kernel, strides, dilations, pads, int groups, int strip, tuple activation,
        int threads, uint32_t allowed,
    ):
        cdef int64_t nbytes = 0
        for array in (x, w, output) if b is None else (x, w, output, b):
            flags = PyBUF_FORMAT | PyBUF_ND | (PyBUF_WRITABLE if array is output else 0)
            PyObject_GetBuffer(array, &self.views[self.taken], flags)
            self.taken += 1
        shapes = [[self.views[at].shape[axis] for axis in range(self.views[at].ndim)] for at in range(self.taken)]
        formats = [self.views[at].format.decode() for at in range(self.taken)]
        code = _ELEMENTS.index(formats[0])
        self.form = form
        self.args.element = <ci_element><int>code
        self.args.images, self.args.height, self.args.width, self.args.channels = shapes[0]
        self.args.columns = shapes[1][0]
        self.args.window = window_of(kernel, strides, dilations, pads)
        self.args.input, self.args.weights = self.views[0].buf, self.views[1].buf
        self.args.output = self.views[2].buf
        self.args.bias = NULL if b is None else self.views[3].buf
        self.args.groups, self.args.strip = groups, strip
        self.args.threads, self.args.allowed, self.args.is_packed = threads, allowed, 0
        self.args.form = <ci_lowering_form><int>lowering_forms().index(form)
        self.args.activation = activation_of(activation)
        plan = LoweringPlan(form, tuple(shapes[0][1:]), kernel, strides, dilations, pads)
        expected = [shapes[0], [shapes[1][0], *kernel, shapes[0][3] // groups]]
        expected += [[shapes[0][0], *plan.output_size, shapes[1][0]], [shapes[1][0]]]
        sums = _SUM_FORMATS[code]
        if shapes != expected[: self.taken] or formats != [formats[0], formats[0], sums, sums][: self.taken]:
            raise ValueError("the shapes or types of the arrays do not fit each other")
        check(ci_conv2d_scratch_bytes(&self.args, &nbytes), f"conv2d, lowering {form}")
        self.scratch = Memory(nbytes)

    def __dealloc__(self):
        for index in range(self.taken):
            PyBuffer_Release(&self.views[index])

    @property
    def scratch_bytes(self) -> int:
        return self.scratch.nbytes

    def run(self) -> None:
        """Not from two threads at once: the scratch is one."""
        cdef ci_status status
        with nogil:
            status = ci_conv2d(&self.args, self.scratch.data, self.scratch.nbytes)
        check(status, f"conv2d, lowering {self.form}")
        self.args.is_packed = 1


cdef class Conv2dS8:
    """As convolve_s8, by a form of lowering. The first run packs the weights into its scratch; later ones, with the same,
    may find another image in the same array."""

    cdef ci_conv2d_s8_args args
    cdef tuple arrays  # which the arguments point into
    cdef str form
    cdef readonly int64_t scratch_bytes

    def __cinit__(
        self, input, filter, bias, output, dict quantisation, stride, pad, dilation, int groups, uint32_t allowed,
        str form, int strip,
    ):
        self.arrays, self.form = (input, filter, bias, output, *quantisation.values()), form
        self.args.convolution = convolution_of(
            input, filter, bias, output, quantisation, stride, pad, dilation, groups, allowed)
        self.args.form, self.args.strip = <ci_lowering_form><int>lowering_forms().index(form), strip
        self.args.is_packed = 0
        check_operator(ci_conv2d_s8_scratch_bytes(&self.args, &self.scratch_bytes), f"conv2d_s8, lowering {form}")

    def run(self, scratch) -> None:
        """Not from two threads at once: the scratch is one."""
        cdef void *memory = data_of(scratch)
        cdef int64_t memory_bytes = scratch.nbytes
        cdef ci_status status
        with nogil:
            status = ci_conv2d_s8(&self.args, memory, memory_bytes)
        if status != CI_OK:
            check_operator(status, f"conv2d_s8, lowering {self.form}")
        self.args.is_packed = 1
