# Declarations of include/conv_infer/types.h and cpu.h, and how a status becomes an exception.

cdef extern from "conv_infer/types.h":
    ctypedef enum ci_status:
        CI_OK
        CI_ERROR_ARGUMENT
        CI_ERROR_BOUNDS
        CI_ERROR_SCRATCH
        CI_ERROR_OVERFLOW
        CI_ERROR_MEMORY
        CI_ERROR_UNSUPPORTED
    ctypedef struct ci_image:
        int32_t images, height, width, channels
        int64_t image_stride, row_stride, pixel_stride
    ctypedef struct ci_window:
        int32_t kernel_height, kernel_width
        int32_t stride_y, stride_x
        int32_t dilation_y, dilation_x
        int32_t pad_top, pad_left, pad_bottom, pad_right
    ctypedef struct ci_activation:
        int32_t kind
        float alpha, beta

cdef extern from "conv_infer/cpu.h":
    ctypedef enum ci_isa:
        CI_ISA_COUNT
    ctypedef struct ci_cache:
        int64_t l1_data_bytes, l2_bytes
    const char *ci_isa_name(ci_isa isa)
    ci_isa ci_isa_from_name(const char *name)
    uint32_t ci_isa_built()
    uint32_t ci_isa_present()
    uint32_t ci_isa_allowed(ci_isa best)
    ci_cache ci_cache_sizes()
    int32_t ci_cores()
    ci_cache ci_cache_told_in(const char *folder)
    ci_cache ci_cache_of_arm_core(uint64_t midr)
    ctypedef struct ci_arm_cores:
        int32_t known
        int32_t in_order
    int ci_arm_core_is_in_order(uint64_t midr)
    ci_arm_cores ci_arm_cores_told_in(const char *folder)

_STATUS_TEXT = {
    CI_ERROR_ARGUMENT: "a size, stride or geometry is impossible",
    CI_ERROR_BOUNDS: "a view leaves its buffer",
    CI_ERROR_SCRATCH: "the scratch buffer is too small",
    CI_ERROR_OVERFLOW: "sizes overflow",
    CI_ERROR_UNSUPPORTED: "not supported by this build",
}


cdef int check(ci_status status, str what) except -1:
    if status == CI_OK:
        return 0
    if status == CI_ERROR_MEMORY:
        raise MemoryLimitError(f"{what}: the machine refused memory")
    raise ConvInferError(f"{what}: {_STATUS_TEXT[status]}")


cdef ci_image image_of(tuple shape, tuple strides) except *:
    """NHWC shape and the (image, row, pixel) strides in elements."""
    cdef ci_image image
    image.images, image.height, image.width, image.channels = shape
    image.image_stride, image.row_stride, image.pixel_stride = strides
    return image


cdef ci_window window_of(kernel, strides, dilations, pads) except *:
    """Pairs (y, x), and pads as (top, left, bottom, right)."""
    cdef ci_window window
    window.kernel_height, window.kernel_width = kernel
    window.stride_y, window.stride_x = strides
    window.dilation_y, window.dilation_x = dilations
    window.pad_top, window.pad_left, window.pad_bottom, window.pad_right = pads
    return window


cdef ci_activation activation_of(tuple activation) except *:
    """(kind, alpha, beta), the kind as ci_activation_kind numbers it."""
    cdef ci_activation result
    result.kind, result.alpha, result.beta = activation
    return result
