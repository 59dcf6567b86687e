# Packing of weights, once per model.

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES

cdef extern from "pack.h":
    ci_status ci_packed_gemm_f32_elems(const ci_kernel *kernel, int32_t columns, int32_t depth, int64_t *elems)
    void ci_pack_gemm_f32(const ci_kernel *kernel, const void *weights, int64_t row_stride, int32_t columns,
                          int32_t depth, const int32_t *depth_order, float *packed) nogil


cdef int64_t packed_elems(Kernel kernel, int64_t columns, int64_t depth) except -1:
    cdef int64_t elems = 0
    if not (0 < columns <= 0x7FFFFFFF and 0 < depth <= 0x7FFFFFFF):
        raise ConvInferError(f"packing {columns} columns of depth {depth}: a size is impossible")
    check(ci_packed_gemm_f32_elems(kernel.entry, columns, depth, &elems), f"packing for {kernel.name}")
    return elems


def packed_gemm_f32_elems(Kernel kernel, int64_t depth, int64_t columns=1) -> int:
    """Elements of the packed weights of so many columns: whole panels of kernel.nr columns."""
    return packed_elems(kernel, columns, depth)


def pack_gemm_f32(Kernel kernel, weights, Memory memory, int64_t offset, const int32_t[::1] depth_order=None) -> None:
    """Packs float32 weights [columns, depth] for a gemm_f32 or gemm_dot_f32 kernel into `memory`, from byte `offset`.

    The last axis of `weights` is contiguous; its address may have any alignment. With `depth_order`, packed depth k is
    weights[:, depth_order[k]], and the packed depth is its length.
    """
    cdef Py_buffer view
    cdef int64_t columns, depth, elems, entry
    cdef const int32_t *order = NULL
    PyObject_GetBuffer(weights, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    try:
        if view.ndim != 2 or view.itemsize != 4 or view.format == NULL or view.format not in (b"f", b"<f", b"=f"):
            raise TypeError("weights are not a float32 matrix")
        columns, depth = view.shape[0], view.shape[1]
        if (depth > 1 and view.strides[1] != 4) or view.strides[0] % 4:
            raise ValueError("the rows of the weights are not contiguous")
        if depth_order is not None:
            for entry in range(depth_order.shape[0]):
                if not 0 <= depth_order[entry] < depth:
                    raise ValueError(f"depth_order[{entry}] = {depth_order[entry]} lies outside a depth of {depth}")
            depth = depth_order.shape[0]
        elems = packed_elems(kernel, columns, depth)
        if depth_order is not None:
            order = &depth_order[0]
        if offset < 0 or offset % 4 or offset > memory.nbytes or elems > (memory.nbytes - offset) // 4:
            raise ValueError(f"{elems} packed elements from byte {offset} leave a memory of {memory.nbytes} bytes")
        with nogil:
            ci_pack_gemm_f32(kernel.entry, view.buf, view.strides[0] // 4, columns, depth, order,
                             <float *>(memory.data + offset))
    finally:
        PyBuffer_Release(&view)
