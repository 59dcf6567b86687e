/* Picks channels by a table: by runs of neighbours where these are long, one by one where not. */
#include "gather.h"

#include <stdlib.h>
#include <string.h>

#include "conv_infer/microkernel.h"

typedef struct {
    int32_t x, y, length; /* elements */
} span;

typedef struct {
    ci_nest nest; /* the axes before the channels */
    ci_split split;
    ci_ref y, x;
    int32_t element_bytes;
    int64_t channels;
    const int32_t *channel;
    int32_t spans; /* 0: one by one */
    const span *span;
    ci_gather_fn *gather;
} gather;

static void copy_spans(const gather *step, char *y, int64_t y_stride, const char *x, int64_t x_stride,
                       int64_t rows) {
    const int64_t element = step->element_bytes;
    for (int64_t row = 0; row < rows; row++) {
        for (int32_t index = 0; index < step->spans; index++) {
            const span *s = &step->span[index];
            memcpy(y + (row * y_stride + s->y) * element, x + (row * x_stride + s->x) * element,
                   (size_t)(s->length * element));
        }
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const gather *step = params;
    ci_nest nest;
    int64_t offset[CI_MAX_OPERANDS], index[CI_MAX_RANK] = {0};
    ci_nest_part(&step->nest, &step->split, task, &nest, offset);
    const int32_t last = nest.rank - 1;
    const int64_t rows = nest.shape[last], y_stride = nest.stride[0][last], x_stride = nest.stride[1][last];
    do {
        char *y = (char *)ci_address(run, step->y) + offset[0] * step->element_bytes;
        const char *x = (const char *)ci_address(run, step->x) + offset[1] * step->element_bytes;
        if (step->spans) {
            copy_spans(step, y, y_stride, x, x_stride, rows);
        } else {
            const ci_gather_args args = {rows, step->channels, step->channel, x, x_stride, y, y_stride};
            step->gather(&args);
        }
    } while (ci_nest_next(&nest, last, index, offset));
}

/* The runs of consecutive channels; 0 where they are too short to be worth a copy each. */
static int32_t find_spans(const ci_gather *given, int32_t channels, span *spans) {
    enum { SHORTEST_BYTES = 32 };
    int32_t count = 0;
    for (int32_t c = 0; c < channels; c++) {
        if (c && given->channel[c] == given->channel[c - 1] + 1)
            spans[count - 1].length++;
        else
            spans[count++] = (span){given->channel[c], c, 1};
    }
    return (int64_t)channels * given->element_bytes >= (int64_t)count * SHORTEST_BYTES || count == 1 ? count
                                                                                                     : 0;
}

ci_status ci_add_gather(ci_program *program, const ci_gather *given) {
    const int32_t bytes = given->element_bytes, last = given->rank - 1;
    if ((bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) ||
        !(given->allowed & CI_ISA_BIT(CI_ISA_SCALAR)))
        return CI_ERROR_ARGUMENT;
    if (last < 0 || last >= CI_MAX_RANK || given->shape[last] > INT32_MAX || given->y.strides[last] != 1 ||
        given->x.strides[last] != 1)
        return CI_ERROR_ARGUMENT;
    const int32_t channels = (int32_t)given->shape[last];
    for (int32_t c = 0; c < channels; c++) {
        if (given->channel[c] < 0 || given->channel[c] >= given->x_channels)
            return CI_ERROR_BOUNDS;
    }
    gather step = {.y = given->y.ref, .x = given->x.ref, .element_bytes = bytes, .channels = channels};
    const ci_view *const y[] = {&given->y}, *const x[] = {&given->x}, *const both[] = {&given->y, &given->x};
    int64_t x_shape[CI_MAX_RANK];
    memcpy(x_shape, given->shape, sizeof x_shape);
    x_shape[last] = given->x_channels;
    ci_status status = ci_nest_make(program, given->rank, given->shape, 1, y, bytes, &step.nest);
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, x_shape, 1, x, bytes, &step.nest);
    if (status == CI_OK)
        status = ci_nest_make(program, last, given->shape, 2, both, bytes, &step.nest);
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&step.nest) || channels == 0)
        return CI_OK;
    ci_nest_simplify(&step.nest);
    step.split =
        ci_nest_split(&step.nest, given->threads, 2 * bytes * channels * ci_nest_elements(&step.nest));

    span *spans = malloc((size_t)channels * sizeof *spans);
    if (!spans)
        return CI_ERROR_MEMORY;
    step.spans = find_spans(given, channels, spans);
    step.span = ci_program_keep(program, spans, (size_t)step.spans * sizeof *spans);
    free(spans);
    step.channel = ci_program_keep(program, given->channel, (size_t)channels * sizeof *given->channel);
    if (!step.span || !step.channel)
        return CI_ERROR_MEMORY;
    static const char *const variants[] = {"x8", "x16", "x32", "x64"};
    const char *variant = variants[bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3];
    step.gather = (ci_gather_fn *)ci_kernel_find(CI_OPERATION_gather, variant, given->allowed)->function;
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks, 0);
}
