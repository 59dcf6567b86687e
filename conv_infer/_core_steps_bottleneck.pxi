# The step of src/steps/bottleneck.h.

from libc.string cimport memset

cdef extern from "steps/bottleneck.h":
    ctypedef struct ci_bottleneck:
        ci_conv expand
        ci_depthwise depthwise
        ci_conv project
        int32_t band, rows_per_task
    ci_status ci_add_bottleneck(ci_program *program, const ci_bottleneck *bottleneck)


def add_bottleneck(
    Program program, *, GemmConv expand, DirectConv depthwise, GemmConv project, int band, int rows_per_task
) -> None:
    """Appends a float32 bottleneck: [1x1 convolution] -> depthwise -> 1x1 convolution, `band` output rows at once in
    the thread's scratch. `expand` may be None: the depthwise convolution then reads its input, padding included, in
    place. What lies in scratch has no refs (-1, 0) and its strides are not read."""
    cdef ci_bottleneck bottleneck
    memset(&bottleneck, 0, sizeof(bottleneck))
    if expand is not None:
        bottleneck.expand = expand.conv
    bottleneck.depthwise = depthwise_of(depthwise)
    bottleneck.project = project.conv
    bottleneck.band, bottleneck.rows_per_task = band, rows_per_task
    check(ci_add_bottleneck(program.program, &bottleneck), "bottleneck in bands")
