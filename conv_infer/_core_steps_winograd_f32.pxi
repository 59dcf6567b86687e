# Steps of src/steps/winograd.h, and the transformation of their weights.

cdef extern from "conv_infer/microkernel.h":
    ci_operation CI_OPERATION_winograd_input_f32
    ci_operation CI_OPERATION_winograd_output_f32

cdef extern from "pack.h":
    void ci_pack_winograd_f32(const ci_kernel *kernel, const void *weights, const int64_t *strides, int32_t columns,
                              int32_t depth, float *packed) nogil

cdef extern from "steps/winograd.h":
    ctypedef struct ci_winograd_panel:
        const ci_kernel *kernel
        int32_t first_column, columns
        int64_t input_offset, weights_offset
    ctypedef struct ci_winograd:
        const ci_kernel *input_kernel
        const ci_kernel *output_kernel
        ci_ref input, weights, bias, output, residual
        int32_t images, height, width, channels, depth
        ci_row_strides input_strides, output_strides, residual_strides
        int32_t panels
        const ci_winograd_panel *panel
        ci_activation activation
        const ci_kernel *late_activation
        int32_t tiles_per_task, panels_per_task, prefetch_distance
    ci_status ci_add_winograd(ci_program *program, const ci_winograd *conv)


WINOGRAD_POSITIONS = 16


def pack_winograd_f32(Kernel kernel, weights, Memory memory, int64_t offset) -> None:
    """Transforms float32 weights [columns, 3, 3, depth], which may be strided, and packs them for a gemm_f32 kernel
    into `memory`, from byte `offset`: as many times WINOGRAD_POSITIONS elements as `packed_gemm_f32_elems` says."""
    cdef Py_buffer view
    cdef int64_t elems
    cdef int64_t[4] strides
    PyObject_GetBuffer(weights, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    try:
        if view.ndim != 4 or view.itemsize != 4 or view.format == NULL or view.format not in (b"f", b"<f", b"=f"):
            raise TypeError("weights are not a float32 array of four axes")
        if view.shape[1] != 3 or view.shape[2] != 3:
            raise ValueError(f"windows of {view.shape[1]}x{view.shape[2]}, not 3x3")
        for axis in range(4):
            if view.strides[axis] % 4:
                raise ValueError("weights lie at odd distances")
            strides[axis] = view.strides[axis] // 4
        elems = packed_elems(kernel, view.shape[0], view.shape[3])
        if elems > 0x7FFFFFFFFFFFFFFF // 64:
            raise ConvInferError(f"packing for {kernel.name}: a size is impossible")
        elems *= 16
        if offset < 0 or offset % 4 or offset > memory.nbytes or elems > (memory.nbytes - offset) // 4:
            raise ValueError(f"{elems} packed elements from byte {offset} leave a memory of {memory.nbytes} bytes")
        with nogil:
            ci_pack_winograd_f32(kernel.entry, view.buf, strides, <int32_t>view.shape[0], <int32_t>view.shape[3],
                                 <float *>(memory.data + offset))
    finally:
        PyBuffer_Release(&view)


def add_winograd_f32(
    Program program,
    *,
    uint32_t allowed,
    tuple input,
    tuple weights,
    tuple bias,
    tuple output,
    tuple residual,
    tuple output_shape,
    int channels,
    int depth,
    tuple input_strides,
    tuple output_strides,
    tuple residual_strides,
    list panels,
    tuple activation,
    Kernel late_activation=None,
    int tiles_per_task,
    int panels_per_task,
    int32_t prefetch_distance=0,
) -> None:
    """Appends a 3x3 float32 convolution of stride 1. `output_shape` is (images, height, width); strides are (image, row,
    pixel) in elements; `panels` is a list of (kernel, first column, columns, input offset, weights offset): see
    src/steps/winograd.h."""
    cdef ci_winograd conv
    cdef Kernel kernel
    cdef ci_winograd_panel *panel = <ci_winograd_panel *>calloc(len(panels) or 1, sizeof(ci_winograd_panel))
    if panel == NULL:
        raise MemoryError
    try:
        for index, (kernel, first, columns, input_offset, weights_offset) in enumerate(panels):
            panel[index].kernel = kernel.entry
            panel[index].first_column, panel[index].columns = first, columns
            panel[index].input_offset, panel[index].weights_offset = input_offset, weights_offset
        conv.input_kernel = ci_kernel_find(CI_OPERATION_winograd_input_f32, b"3x3", allowed)
        conv.output_kernel = ci_kernel_find(CI_OPERATION_winograd_output_f32, b"3x3", allowed)
        conv.input, conv.weights, conv.bias = ref_of(input), ref_of(weights), ref_of(bias)
        conv.output, conv.residual = ref_of(output), ref_of(residual)
        conv.images, conv.height, conv.width = output_shape
        conv.channels, conv.depth = channels, depth
        conv.input_strides = row_strides_of(input_strides)
        conv.output_strides = row_strides_of(output_strides)
        conv.residual_strides = row_strides_of(residual_strides)
        conv.panels, conv.panel = len(panels), panel
        conv.activation = activation_of(activation)
        conv.late_activation = NULL
        if late_activation is not None:
            conv.late_activation = late_activation.entry
        conv.tiles_per_task, conv.panels_per_task = tiles_per_task, panels_per_task
        conv.prefetch_distance = prefetch_distance
        check(ci_add_winograd(program.program, &conv), "Winograd convolution")
    finally:
        free(panel)
