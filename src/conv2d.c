/* Convolution by any form of lowering: for each product of the plan, fill the buffer, then run the kernels
 * over it. */
#include "conv_infer/conv2d.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "conv2d_exact.h"
#include "conv_infer/microkernel.h"
#include "pack.h"
#include "parallel.h"

#define LARGEST (INT32_MAX / 2)

/* What every thread reads. */
typedef struct {
    const ci_conv2d_args *args;
    ci_lowering plan;                  /* of a whole image */
    int32_t input_bytes, output_bytes; /* of an element */
    int32_t group_channels, group_columns;
    /* float32: the columns of a group in panels, all as wide as the first but the last */
    const ci_kernel *kernel, *last_kernel;
    int32_t panels;
    int64_t panel_elems, group_elems;  /* packed */
    int32_t block_rows;                /* so many rows of A pass over all panels before the next do */
    int32_t depth_blocks, block_depth; /* a panel's depth in blocks that stay in the first-level cache */
    float *packed, *bias;
    char *threads_scratch;
    int64_t buffer_bytes, thread_bytes;
    int32_t bands, band_rows;
    atomic_int next; /* the image and band to be done next */
} conv;

static int64_t aligned(int64_t bytes) {
    return (bytes + 63) & ~(int64_t)63;
}

static const ci_kernel *narrowest(uint32_t allowed, int32_t columns) {
    int32_t count;
    const ci_kernel *kernels = ci_kernels(&count), *found = NULL;
    for (int32_t index = 0; index < count; index++) {
        const ci_kernel *kernel = &kernels[index];
        if (kernel->operation != CI_OPERATION_gemm_f32 || !(allowed & CI_ISA_BIT(kernel->isa)))
            continue;
        const int better = !found || kernel->isa > found->isa ||
                           (kernel->isa == found->isa &&
                            (found->nr < columns ? kernel->nr > found->nr
                                                 : kernel->nr >= columns && kernel->nr < found->nr));
        if (better)
            found = kernel;
    }
    return found;
}

/* As few panels as the widest kernel needs, with the narrowest kernel that covers the columns in so many. */
static void cut_columns(conv *c) {
    const uint32_t all = ci_isa_allowed(CI_ISA_COUNT);
    const uint32_t allowed = (c->args->allowed ? c->args->allowed & all : all) | CI_ISA_BIT(CI_ISA_SCALAR);
    const int32_t columns = c->group_columns, widest = narrowest(allowed, INT32_MAX)->nr;
    const int32_t least = (columns - 1) / widest + 1;
    c->kernel = narrowest(allowed, (columns - 1) / least + 1);
    c->panels = (columns - 1) / c->kernel->nr + 1;
    c->last_kernel = narrowest(allowed, columns - (c->panels - 1) * c->kernel->nr);
}

/* Every tile of rows reads a panel anew. Patches that are read by taps have a block for each tap. */
static void cut_depth(conv *c) {
    const ci_lowering *plan = &c->plan;
    const int32_t fits = (int32_t)(ci_cache_sizes().l1_data_bytes / (c->kernel->nr * (int64_t)sizeof(float)));
    c->depth_blocks = 1;
    if (plan->form == CI_LOWERING_INDIRECT)
        c->depth_blocks = plan->kernel_height * plan->kernel_width;
    else if (plan->rows > c->kernel->mr && fits > 0)
        c->depth_blocks = (plan->depth - 1) / fits + 1;
    c->block_depth = (plan->depth - 1) / c->depth_blocks + 1;
    c->depth_blocks = (plan->depth - 1) / c->block_depth + 1;
}

static ci_status measure(const ci_conv2d_args *args, conv *c, int64_t *bytes) {
    *c = (conv){.args = args};
    const ci_window *w = &args->window;
    if (!args->input || !args->weights || !args->output)
        return CI_ERROR_ARGUMENT;
    if ((unsigned)args->element >= CI_ELEMENT_COUNT || args->images < 1 || args->groups < 1 ||
        args->channels < 1 || args->columns < 1 || args->channels % args->groups ||
        args->columns % args->groups || args->threads < 1 || args->activation.kind < 0 ||
        args->activation.kind > CI_ACTIVATION_LAST_FUSED ||
        (args->element >= CI_ELEMENT_S8 && args->activation.kind != CI_ACTIVATION_CLAMP))
        return CI_ERROR_ARGUMENT;
    c->group_channels = args->channels / args->groups;
    c->group_columns = args->columns / args->groups;
    c->input_bytes = args->element == CI_ELEMENT_F64 ? 8 : args->element == CI_ELEMENT_F32 ? 4 : 1;
    c->output_bytes = args->element == CI_ELEMENT_F64 ? 8 : 4;
    ci_status status = ci_lowering_plan(args->form, args->height, args->width, c->group_channels, w,
                                        args->strip, CI_FRAME_COPIED, &c->plan);
    if (status != CI_OK)
        return status;
    const ci_lowering *plan = &c->plan;
    const int64_t positions = (int64_t)plan->y.outputs * plan->x.outputs, depth = plan->depth;
    if ((int64_t)args->width * args->channels > LARGEST / args->height ||
        args->columns > LARGEST / positions || (c->input_bytes == 1 && depth > INT32_MAX / (255 * 255)))
        return CI_ERROR_OVERFLOW;

    /* One image after another keeps every thread busy where there are enough; otherwise images are cut into
     * bands. */
    const int32_t parts = args->threads > args->images ? (args->threads - 1) / args->images + 1 : 1;
    c->band_rows = (plan->y.outputs - 1) / (parts < plan->y.outputs ? parts : plan->y.outputs) + 1;
    c->bands = (plan->y.outputs - 1) / c->band_rows + 1;
    int64_t buffer = 0; /* bands at the border may need a frame where others do not */
    for (int32_t first = 0; first < plan->y.outputs; first += c->band_rows) {
        const int32_t left = plan->y.outputs - first;
        ci_lowering band = *plan;
        status = ci_lowering_narrow(&band, first, left < c->band_rows ? left : c->band_rows, plan->x.outputs);
        if (status != CI_OK)
            return status;
        const int64_t needed = ci_lowering_buffer_bytes(&band, c->input_bytes);
        buffer = needed > buffer ? needed : buffer;
    }
    c->buffer_bytes =
        aligned(plan->form == CI_LOWERING_TWO_PATCH && c->input_bytes == 1 ? 2 * buffer : buffer);
    c->thread_bytes = c->buffer_bytes + 2 * aligned(4 * (int64_t)plan->rows) + aligned(4 * depth);
    int64_t shared = 0;
    if (args->element == CI_ELEMENT_F32) {
        cut_columns(c);
        int64_t last = 0;
        status = ci_packed_gemm_f32_elems(c->kernel, c->kernel->nr, (int32_t)depth, &c->panel_elems);
        if (status == CI_OK)
            status = ci_packed_gemm_f32_elems(c->last_kernel, c->last_kernel->nr, (int32_t)depth, &last);
        if (status != CI_OK)
            return status;
        c->panel_elems = (c->panel_elems + 15) & ~(int64_t)15;
        if (c->panel_elems > INT64_MAX / 64 / ((int64_t)c->panels * args->groups))
            return CI_ERROR_OVERFLOW;
        c->group_elems = (c->panels - 1) * c->panel_elems + ((last + 15) & ~(int64_t)15);
        shared = aligned(args->groups * c->group_elems * 4) +
                 aligned((int64_t)args->groups * c->panels * c->kernel->nr * 4);
        const int64_t fits = ci_cache_sizes().l2_bytes / 2 / (depth * 4), most = c->kernel->mr * (int64_t)8;
        c->block_rows = (int32_t)(fits > most ? (fits < plan->rows ? fits : plan->rows) : most);
        cut_depth(c);
        if (c->depth_blocks > 1)
            c->thread_bytes += aligned((int64_t)c->block_rows * c->kernel->nr * 4);
    }
    *bytes = shared;
    const int64_t teams =
        (int64_t)args->images * c->bands < args->threads ? (int64_t)args->images * c->bands : args->threads;
    if (c->thread_bytes > (INT64_MAX / 4 - shared) / teams)
        return CI_ERROR_OVERFLOW;
    *bytes += teams * c->thread_bytes;
    return CI_OK;
}

static void pack(conv *c, char *scratch) {
    const ci_conv2d_args *args = c->args;
    const int32_t depth = c->plan.depth, nr = c->kernel->nr;
    c->packed = (float *)scratch;
    c->bias = (float *)(scratch + aligned(args->groups * c->group_elems * 4));
    c->threads_scratch = (char *)c->bias + aligned((int64_t)args->groups * c->panels * nr * 4);
    if (args->is_packed)
        return;
    memset(c->bias, 0, (size_t)((int64_t)args->groups * c->panels * nr) * sizeof(float));
    for (int32_t group = 0; group < args->groups; group++)
        for (int32_t panel = 0; panel < c->panels; panel++) {
            const int32_t first = panel * nr, left = c->group_columns - first;
            const int64_t column = (int64_t)group * c->group_columns + first;
            const ci_kernel *kernel = panel == c->panels - 1 ? c->last_kernel : c->kernel;
            const int32_t columns = left < kernel->nr ? left : kernel->nr;
            ci_pack_gemm_f32(kernel, (const float *)args->weights + column * depth, depth, columns, depth,
                             NULL, c->packed + group * c->group_elems + panel * c->panel_elems);
            if (args->bias)
                memcpy(c->bias + ((int64_t)group * c->panels + panel) * nr,
                       (const float *)args->bias + column, (size_t)columns * sizeof(float));
        }
}

/* One thread's scratch. */
typedef struct {
    char *buffer;
    int32_t *row, *output_row, *depth;
    float *sums;
} workspace;

/* Panels over blocks of rows, and their depth in blocks. Where patches are read by taps, each tap is a block
 * with rows of its own. */
static void multiply_f32(const conv *c, const workspace *work, const ci_lowered *lowered, int32_t group,
                         float *output) {
    const int32_t depth = lowered->taps ? c->block_depth : c->plan.depth;
    ci_gemm_f32_args args = {.a_is_contiguous = 1, .activation = c->args->activation};
    for (int32_t k = 0; k < depth && args.a_is_contiguous; k++)
        args.a_is_contiguous = work->depth[k] == k;
    for (int32_t first = 0; first < lowered->rows; first += c->block_rows) {
        args.rows = lowered->rows - first < c->block_rows ? lowered->rows - first : c->block_rows;
        args.c_row = work->output_row + first;
        for (int32_t panel = 0; panel < c->panels; panel++) {
            const ci_kernel *kernel = panel == c->panels - 1 ? c->last_kernel : c->kernel;
            const int32_t column = panel * c->kernel->nr, left = c->group_columns - column;
            const float *weights = c->packed + group * c->group_elems + panel * c->panel_elems;
            args.columns = left < kernel->nr ? left : kernel->nr;
            args.bias = c->bias + ((int64_t)group * c->panels + panel) * c->kernel->nr;
            args.c = output + column;
            for (int32_t block = 0; block < c->depth_blocks; block++) {
                const int32_t begin = block * c->block_depth, rest = c->plan.depth - begin;
                const int32_t moved = lowered->taps ? 0 : begin; /* along A */
                args.depth = rest < c->block_depth ? rest : c->block_depth;
                args.a = (const float *)lowered->a + (args.a_is_contiguous ? moved : 0);
                args.a_depth = work->depth + (args.a_is_contiguous ? 0 : moved);
                args.a_row =
                    first + (lowered->taps ? lowered->taps + (int64_t)block * lowered->rows : work->row);
                args.b = weights + (int64_t)begin * kernel->nr;
                args.start = block > 0 ? work->sums : NULL;
                args.sums = block < c->depth_blocks - 1 ? work->sums : NULL;
                ((ci_gemm_f32_fn *)kernel->function)(&args);
            }
        }
    }
}

/* Two patches of bytes become int16 in one buffer: the bytes are in its second half, each read before it is
 * written over. */
static void widen(ci_element element, char *buffer, const char *bytes, int64_t elems) {
    int16_t *to = (int16_t *)(void *)buffer;
    if (element == CI_ELEMENT_S8)
        for (int64_t index = 0; index < elems; index++)
            to[index] = ((const int8_t *)bytes)[index];
    else
        for (int64_t index = 0; index < elems; index++)
            to[index] = ((const uint8_t *)bytes)[index];
}

static void multiply_exact(const conv *c, const workspace *work, ci_lowered *lowered, int32_t group,
                           char *output) {
    const ci_conv2d_args *args = c->args;
    const int64_t column = (int64_t)group * c->group_columns;
    ci_exact_kind kind = args->element == CI_ELEMENT_F64  ? CI_A_F64
                         : args->element == CI_ELEMENT_S8 ? CI_A_S8
                                                          : CI_A_U8;
    if (c->plan.form == CI_LOWERING_TWO_PATCH && c->input_bytes == 1) {
        widen(args->element, work->buffer, lowered->a, (int64_t)lowered->rows * c->plan.depth);
        lowered->a = work->buffer;
        kind = args->element == CI_ELEMENT_S8 ? CI_A_S16_S8 : CI_A_S16_U8;
    }
    const int32_t taps = lowered->taps ? c->plan.kernel_height * c->plan.kernel_width : 0;
    const ci_exact_product product = {
        .a = lowered->a,
        .row = taps ? lowered->taps : work->row,
        .depth = work->depth,
        .rows = lowered->rows,
        .depth_elems = c->plan.depth / (taps ? taps : 1),
        .taps = taps,
        .weights = (const char *)args->weights + column * c->plan.depth * c->input_bytes,
        .bias = args->bias ? (const char *)args->bias + column * c->output_bytes : NULL,
        .columns = c->group_columns,
        .output = output,
        .output_row = work->output_row,
        .activation = args->activation,
    };
    ci_multiply_exact(kind, &product);
}

static void lay_tables(const conv *c, const workspace *work, const ci_lowered *lowered) {
    const int32_t columns = c->args->columns;
    for (int32_t row = 0; row < lowered->rows; row++) {
        const int64_t run = row / lowered->run, at = row % lowered->run;
        work->row[row] = (int32_t)(run * lowered->run_step + at * lowered->lda);
        work->output_row[row] =
            (int32_t)((run * lowered->output_run_step + at * lowered->output_step) * columns);
    }
    const ci_lowering *plan = &c->plan;
    const int32_t height = lowered->taps ? 1 : plan->kernel_height,
                  width = lowered->taps ? 1 : plan->kernel_width;
    int32_t *to = work->depth;
    for (int32_t ky = 0; ky < height; ky++)
        for (int32_t kx = 0; kx < width; kx++)
            for (int32_t channel = 0; channel < plan->channels; channel++)
                *to++ = (int32_t)(ky * lowered->depth_y + kx * lowered->depth_x + channel);
}

/* Some output rows of one image, group after group. */
static void run_band(const conv *c, const workspace *work, int32_t image, int32_t first_row, int32_t rows) {
    const ci_conv2d_args *args = c->args;
    ci_lowering plan = c->plan;
    (void)ci_lowering_narrow(&plan, first_row, rows, plan.x.outputs); /* of a plan that fits */
    const double zero = 0.0;                                          /* in every type */
    const int64_t pixel = (int64_t)args->channels * c->input_bytes;
    const int64_t positions = (int64_t)c->plan.y.outputs * c->plan.x.outputs;
    const int64_t first = image * positions + (int64_t)first_row * c->plan.x.outputs;
    const int is_widened = plan.form == CI_LOWERING_TWO_PATCH && c->input_bytes == 1;
    char *buffer = work->buffer + (is_widened ? plan.buffer_elems : 0);
    for (int32_t group = 0; group < args->groups; group++) {
        const int64_t at = (int64_t)image * args->height * args->width * pixel +
                           (int64_t)group * c->group_channels * c->input_bytes;
        const ci_pixels pixels = {
            (const char *)args->input + at, args->width * pixel, pixel, c->input_bytes, 0, &zero};
        int32_t laid = 0; /* rows that the tables are for */
        for (int32_t gemm = 0; gemm < plan.gemms; gemm++) {
            ci_lowered lowered;
            (void)ci_lowering_fill(&plan, gemm, &pixels, buffer,
                                   ci_lowering_buffer_bytes(&plan, c->input_bytes), &lowered);
            if (lowered.rows != laid)
                lay_tables(c, work, &lowered);
            laid = lowered.rows;
            const int64_t output =
                (first + lowered.output) * args->columns + (int64_t)group * c->group_columns;
            if (args->element == CI_ELEMENT_F32)
                multiply_f32(c, work, &lowered, group, (float *)args->output + output);
            else
                multiply_exact(c, work, &lowered, group, (char *)args->output + output * c->output_bytes);
        }
    }
}

static void worker(void *context, int32_t thread, int32_t threads) {
    conv *c = context;
    (void)threads;
    char *scratch = c->threads_scratch + thread * c->thread_bytes;
    const int64_t tables = aligned(4 * (int64_t)c->plan.rows);
    workspace work = {.buffer = scratch};
    work.row = (int32_t *)(void *)(scratch += c->buffer_bytes);
    work.output_row = (int32_t *)(void *)(scratch += tables);
    work.depth = (int32_t *)(void *)(scratch += tables);
    work.sums = (float *)(void *)(scratch + aligned(4 * (int64_t)c->plan.depth));
    const int32_t units = c->args->images * c->bands;
    for (int32_t unit = atomic_fetch_add(&c->next, 1); unit < units; unit = atomic_fetch_add(&c->next, 1)) {
        const int32_t first = unit % c->bands * c->band_rows, left = c->plan.y.outputs - first;
        run_band(c, &work, unit / c->bands, first, left < c->band_rows ? left : c->band_rows);
    }
}

ci_status ci_conv2d_scratch_bytes(const ci_conv2d_args *args, int64_t *bytes) {
    conv c;
    return measure(args, &c, bytes);
}

ci_status ci_conv2d(const ci_conv2d_args *args, void *scratch, int64_t scratch_bytes) {
    conv c;
    int64_t bytes;
    ci_status status = measure(args, &c, &bytes);
    if (status != CI_OK)
        return status;
    if (!scratch || scratch_bytes < bytes)
        return CI_ERROR_SCRATCH;
    if ((uintptr_t)scratch % 64)
        return CI_ERROR_ARGUMENT;
    if (args->element == CI_ELEMENT_F32)
        pack(&c, scratch);
    else
        c.threads_scratch = scratch;
    const int64_t units = (int64_t)args->images * c.bands;
    ci_parallel(units < args->threads ? (int32_t)units : args->threads, worker, &c);
    return CI_OK;
}
