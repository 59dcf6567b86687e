# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The only compiled module: check, take pointers, one call without the GIL, raise. Arithmetic lives in C."""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from conv_infer.errors import ConvInferError, MemoryLimitError, UnsupportedError

include "_core_types.pxi"
include "_core_kernels.pxi"
include "_core_program.pxi"
include "_core_kernels_s8.pxi"
include "_core_gemm_s8.pxi"
include "_core_window_s8.pxi"
include "_core_ops.pxi"
include "_core_steps_pool.pxi"
include "_core_steps_conv.pxi"
include "_core_lowering.pxi"
include "_core_pack.pxi"
include "_core_gemm.pxi"
include "_core_steps_copies.pxi"
include "_core_steps_elementwise.pxi"
include "_core_steps_direct.pxi"
include "_core_steps_reduce.pxi"
include "_core_steps_resize.pxi"
include "_core_steps_qconv.pxi"
include "_core_steps_winograd.pxi"
include "_core_steps_winograd_f32.pxi"
include "_core_steps_depthwise_s8.pxi"
include "_core_steps_quantised.pxi"
include "_core_steps_bottleneck.pxi"
