# Steps of src/steps/conv.h.

from libc.string cimport memset

cdef extern from "steps/rows.h":
    ctypedef struct ci_row_strides:
        int64_t image, row, pixel

cdef extern from "conv_infer/lowering.h":
    ctypedef enum ci_strip_direction:
        CI_STRIPS_OF_COLUMNS
        CI_STRIPS_OF_ROWS
    ctypedef struct ci_axis:
        int32_t size, pad, reach, window, stride, dilation, outputs
    ctypedef struct ci_reusable:
        ci_strip_direction direction
        ci_axis along, across
        int32_t channels, strip, strips
        int64_t line, step, buffer_elems
    ci_status ci_reusable_layout(
        int32_t height, int32_t width, int32_t channels, const ci_window *window, ci_strip_direction direction,
        int32_t strip, ci_reusable *layout,
    )
    int64_t ci_reusable_buffer_elems(const ci_reusable *layout, int32_t strips)
    int64_t ci_reusable_copied_elems(const ci_reusable *layout, int32_t strips)

cdef extern from "steps/conv.h":
    ctypedef struct ci_conv_panel:
        const ci_kernel *kernel
        int32_t first_column, columns, depth_table
        int64_t input_offset, weights_offset
    ctypedef struct ci_depth_part:
        int32_t first, count
    ctypedef struct ci_conv:
        ci_ref input, weights, bias, output, residual
        int32_t images, height, width
        ci_row_strides input_strides, output_strides, residual_strides
        int32_t depth, depth_tables
        const int32_t *depth_offsets
        int32_t depth_parts
        const ci_depth_part *depth_part
        int32_t panels
        const ci_conv_panel *panel
        ci_activation activation
        const ci_kernel *late_activation
        int32_t rows_per_task, panels_per_task
        int32_t depth_block, prefetch_distance
    ci_status ci_add_conv(ci_program *program, const ci_conv *conv)
    ctypedef struct ci_conv_bands:
        ci_image image
        int64_t channel_stride
        int32_t is_planar, padded_width
        ci_window window
        int32_t rows, rows_per_task
        ci_pool pool
        int32_t pooled_rows
    ci_status ci_add_conv_bands(ci_program *program, const ci_conv *conv, const ci_conv_bands *bands)
    ci_status ci_add_conv_reusable(
        ci_program *program, const ci_conv *conv, const ci_reusable *layout, int32_t strips_per_task
    )


cdef class ReusableBuffer:
    """The layout of a reusable im2row buffer: strips of output columns, or of output rows, of one image.

    `size` is (height, width, channels); `strip` outputs are lowered at once. Sizes are in elements.
    """

    cdef ci_reusable layout

    def __cinit__(self, tuple size, kernel, strides, dilations, pads, bint strips_of_rows, int strip):
        cdef ci_window window = window_of(kernel, strides, dilations, pads)
        cdef ci_strip_direction direction = CI_STRIPS_OF_ROWS if strips_of_rows else CI_STRIPS_OF_COLUMNS
        check(
            ci_reusable_layout(size[0], size[1], size[2], &window, direction, strip, &self.layout), "reusable buffer"
        )

    @property
    def strips(self) -> int:
        return self.layout.strips

    @property
    def along_stride(self) -> int:
        """Buffer elements from one position along to the next."""
        return self.layout.channels

    @property
    def across_stride(self) -> int:
        """Buffer elements from one position across to the next."""
        return self.layout.line

    def buffer_elems(self, int strips) -> int:
        """Elements of a buffer used for so many strips in a row."""
        return ci_reusable_buffer_elems(&self.layout, strips)

    def copied_elems(self, int strips) -> int:
        """Elements written while so many strips pass."""
        return ci_reusable_copied_elems(&self.layout, strips)


cdef ci_row_strides row_strides_of(tuple strides) except *:
    """(image, row, pixel) in elements."""
    cdef ci_row_strides result
    result.image, result.row, result.pixel = strides
    return result


cdef class GemmConv:
    """What a convolution as a GEMM reads and writes: what add_conv and add_bottleneck take.

    `output_shape` is (images, height, width); strides are (image, row, pixel) in elements, the input's from one window
    to the next; `panels` is a list of (kernel, first column, columns, depth table, input offset, weights offset);
    `late_activation` is the kernel for an activation that those of the panels do not apply, or None; `depth_parts` is
    int32 [runs, (first, count)] where only these of the depth are summed up.
    """

    cdef ci_conv conv
    cdef ci_conv_panel *panel
    cdef const int32_t[:, ::1] depth_offsets, depth_parts

    def __cinit__(
        self,
        *,
        tuple input,
        tuple weights,
        tuple bias,
        tuple output,
        tuple residual,
        tuple output_shape,
        tuple input_strides,
        tuple output_strides,
        tuple residual_strides,
        const int32_t[:, ::1] depth_offsets,
        list panels,
        tuple activation,
        int depth_block,
        int32_t prefetch_distance,
        Kernel late_activation=None,
        const int32_t[:, ::1] depth_parts=None,
        int rows_per_task=1,
        int panels_per_task=1,
    ):
        cdef Kernel kernel
        self.panel = <ci_conv_panel *>calloc(len(panels) or 1, sizeof(ci_conv_panel))
        if self.panel == NULL:
            raise MemoryError
        for index, (kernel, first, columns, table, input_offset, weights_offset) in enumerate(panels):
            self.panel[index].kernel = kernel.entry
            self.panel[index].first_column, self.panel[index].columns = first, columns
            self.panel[index].depth_table = table
            self.panel[index].input_offset, self.panel[index].weights_offset = input_offset, weights_offset
        self.depth_offsets = depth_offsets
        self.conv.input, self.conv.weights, self.conv.bias = ref_of(input), ref_of(weights), ref_of(bias)
        self.conv.output, self.conv.residual = ref_of(output), ref_of(residual)
        self.conv.images, self.conv.height, self.conv.width = output_shape
        self.conv.input_strides = row_strides_of(input_strides)
        self.conv.output_strides = row_strides_of(output_strides)
        self.conv.residual_strides = row_strides_of(residual_strides)
        self.conv.depth_tables, self.conv.depth = depth_offsets.shape[0], depth_offsets.shape[1]
        self.conv.depth_offsets = &self.depth_offsets[0, 0]
        self.conv.depth_parts = 0
        if depth_parts is not None:
            self.depth_parts = depth_parts
            self.conv.depth_parts = depth_parts.shape[0]
            self.conv.depth_part = <const ci_depth_part *>&self.depth_parts[0, 0]
        self.conv.panels = len(panels)
        self.conv.panel = self.panel
        self.conv.activation = activation_of(activation)
        self.conv.late_activation = NULL
        if late_activation is not None:
            self.conv.late_activation = late_activation.entry
        self.conv.rows_per_task, self.conv.panels_per_task = rows_per_task, panels_per_task
        self.conv.depth_block, self.conv.prefetch_distance = depth_block, prefetch_distance

    def __dealloc__(self):
        free(self.panel)


def add_conv(Program program, *, ReusableBuffer reusable=None, int strips_per_task=1, **where) -> None:
    """Appends a float32 convolution: see GemmConv. With `reusable` the windows are lowered through that buffer: the
    input's strides are then those of its images, rows and pixels, and depth offsets those of the buffer."""
    cdef GemmConv gemm = GemmConv(**where)
    if reusable is None:
        check(ci_add_conv(program.program, &gemm.conv), "convolution")
    else:
        check(
            ci_add_conv_reusable(program.program, &gemm.conv, &reusable.layout, strips_per_task),
            "convolution through the reusable buffer",
        )


def add_conv_bands(
    Program program,
    *,
    tuple image_shape,
    tuple image_strides,
    bint is_planar,
    int padded_width,
    tuple kernel_shape,
    tuple strides,
    tuple dilations,
    tuple pads,
    int rows,
    int task_rows,
    Pool pool=None,
    int pooled_rows=0,
    **where,
) -> None:
    """Appends a float32 convolution whose padded input is copied into scratch for `rows` output rows at once: see
    GemmConv, whose `input_strides` are not read. `image_shape` is NHWC, `image_strides` (image, row, pixel, channel) in
    elements; depth offsets are those of the band, [rows][padded_width][channels] or planar. With `pool`, a maximum, its
    output is what is written, `pooled_rows` at once, and the convolution's stays in scratch."""
    cdef GemmConv gemm = GemmConv(**where)
    cdef ci_conv_bands bands
    memset(&bands, 0, sizeof(bands))
    if pool is not None:
        bands.pool, bands.pooled_rows = pool.pool, pooled_rows
    bands.image = image_of(image_shape, image_strides[:3])
    bands.channel_stride = image_strides[3]
    bands.is_planar, bands.padded_width = is_planar, padded_width
    bands.window = window_of(kernel_shape, strides, dilations, pads)
    bands.rows, bands.rows_per_task = rows, task_rows
    check(ci_add_conv_bands(program.program, &gemm.conv, &bands), "convolution in bands")
