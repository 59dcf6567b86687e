# Steps of src/steps/conv.h.

cdef extern from "steps/rows.h":
    ctypedef struct ci_row_strides:
        int64_t image, row, pixel

cdef extern from "steps/conv.h":
    ctypedef struct ci_conv_panel:
        const ci_kernel *kernel
        int32_t first_column, columns, depth_table
        int64_t input_offset, weights_offset
    ctypedef struct ci_conv:
        ci_ref input, weights, bias, output, residual
        int32_t images, height, width
        ci_row_strides input_strides, output_strides, residual_strides
        int32_t depth, depth_tables
        const int32_t *depth_offsets
        int32_t panels
        const ci_conv_panel *panel
        ci_activation activation
        int32_t rows_per_task, panels_per_task
        int64_t prefetch_bytes
    ci_status ci_add_conv(ci_program *program, const ci_conv *conv)


cdef ci_row_strides row_strides_of(tuple strides) except *:
    """(image, row, pixel) in elements."""
    cdef ci_row_strides result
    result.image, result.row, result.pixel = strides
    return result


def add_conv(
    Program program,
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
    int rows_per_task,
    int panels_per_task,
    int64_t prefetch_bytes,
) -> None:
    """Appends a float32 convolution. `output_shape` is (images, height, width); strides are (image, row, pixel) in
    elements, the input's from one window to the next; `panels` is a list of (kernel, first column, columns, depth
    table, input offset, weights offset)."""
    cdef ci_conv conv
    cdef ci_conv_panel *panel = <ci_conv_panel *>calloc(len(panels) or 1, sizeof(ci_conv_panel))
    cdef Kernel kernel
    if panel == NULL:
        raise MemoryError
    try:
        for index, (kernel, first, columns, table, input_offset, weights_offset) in enumerate(panels):
            panel[index].kernel = kernel.entry
            panel[index].first_column, panel[index].columns = first, columns
            panel[index].depth_table = table
            panel[index].input_offset, panel[index].weights_offset = input_offset, weights_offset
        conv.input, conv.weights, conv.bias = ref_of(input), ref_of(weights), ref_of(bias)
        conv.output, conv.residual = ref_of(output), ref_of(residual)
        conv.images, conv.height, conv.width = output_shape
        conv.input_strides = row_strides_of(input_strides)
        conv.output_strides = row_strides_of(output_strides)
        conv.residual_strides = row_strides_of(residual_strides)
        conv.depth_tables, conv.depth = depth_offsets.shape[0], depth_offsets.shape[1]
        conv.depth_offsets = &depth_offsets[0, 0]
        conv.panels = len(panels)
        conv.panel = panel
        conv.activation = activation_of(activation)
        conv.rows_per_task, conv.panels_per_task = rows_per_task, panels_per_task
        conv.prefetch_bytes = prefetch_bytes
        check(ci_add_conv(program.program, &conv), "convolution")
    finally:
        free(panel)
