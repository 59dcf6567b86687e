/* The reusable im2row buffer in int16, and a GEMM whose rows lie in it at a fixed offset.
 *
 * Rows of the product run along the longer side of the output (across), the window moves along the other one
 * from product to product (along), as in the library's own int8 convolution. Each element of the padded input
 * is extended once, in order: order must survive the base's moving by any number of elements. */
#include "forms.h"
#include "output.h"
#include "wide_tile.h"
#include "widen.h"

typedef struct {
    int32_t inputs, outputs, taps, stride, pad;
    int32_t input_step, output_step; /* elements from position to position */
} axis;

typedef struct {
    axis across, along;
    int32_t channels, columns, depth, fours;
    int32_t positions; /* across, padding included */
    int32_t line;      /* elements from position to position in the buffer */
    int32_t is_whole;  /* neighbouring taps along are neighbours in memory */
} plan;

int32_t reusable_along_x(const ci_convolve_s8_args *conv) {
    return conv->output_width <= conv->output_height;
}

static plan plan_of(const ci_convolve_s8_args *conv) {
    const axis y = {conv->input_height,
                    conv->output_height,
                    conv->filter_height,
                    conv->stride_y,
                    conv->pad_y,
                    conv->input_width * conv->input_channels,
                    conv->output_width * conv->output_channels};
    const axis x = {conv->input_width, conv->output_width,   conv->filter_width,   conv->stride_x,
                    conv->pad_x,       conv->input_channels, conv->output_channels};
    const int32_t along_x = reusable_along_x(conv);
    plan p = {.across = along_x ? y : x, .along = along_x ? x : y};
    p.channels = conv->input_channels / conv->groups;
    p.columns = conv->output_channels / conv->groups;
    p.line = p.along.taps * p.channels;
    p.depth = p.across.taps * p.line;
    p.fours = (p.depth + 3) / 4;
    p.positions = (p.across.outputs - 1) * p.across.stride + p.across.taps;
    p.is_whole = p.along.input_step == p.channels;
    return p;
}

/* The last four of the last row may reach past it. */
int64_t reusable_buffer_elems(const ci_convolve_s8_args *conv) {
    const plan p = plan_of(conv);
    const int64_t moves =
        p.along.stride <= p.along.taps ? (int64_t)(p.along.outputs - 1) * p.along.stride * p.channels : 0;
    return (int64_t)p.positions * p.line + moves + 3;
}

int64_t wide_weight_bytes(const ci_convolve_s8_args *conv) {
    const plan p = plan_of(conv);
    return (int64_t)conv->groups * ((p.columns + 1) / 2) * p.fours * 16;
}

/* In the order of a patch: kernel rows outside and columns within, or the other way round. */
void wide_pack(const ci_convolve_s8_args *conv, int32_t along_x, int16_t *weights) {
    const int32_t channels = conv->input_channels / conv->groups;
    const int32_t columns = conv->output_channels / conv->groups;
    const int32_t taps = along_x ? conv->filter_width : conv->filter_height;
    const int32_t depth = conv->filter_height * conv->filter_width * channels;
    for (int32_t group = 0; group < conv->groups; group++)
        for (int32_t n = 0; n < columns; n += 2)
            for (int32_t four = 0; four < (depth + 3) / 4; four++)
                for (int32_t element = 0; element < 8; element++) {
                    const int32_t k = 4 * four + element / 4 * 2 + element % 2;
                    const int32_t column = n + element / 2 % 2;
                    const int32_t outer = k / channels / taps, inner = k / channels % taps;
                    const int32_t tap =
                        along_x ? outer * conv->filter_width + inner : inner * conv->filter_width + outer;
                    const int64_t at = (int64_t)(group * columns + column) * depth + tap * channels;
                    *weights++ = k < depth && column < columns ? conv->filter[at + k % channels] : 0;
                }
}

static void write_zeros(int16_t *to, int32_t line, int32_t positions, int32_t elems) {
    for (int32_t p = 0; p < positions; p++, to += line)
        for (int32_t e = 0; e < elems; e++)
            to[e] = 0;
}

/* A few elements for each position. */
static void write_block(int16_t *to, int32_t line, const int8_t *from, int32_t step, int32_t positions,
                        int32_t elems, int32_t offset) {
    if (elems == 1) {
        for (int32_t p = 0; p < positions; p++, to += line, from += step)
            *to = (int16_t)(*from + offset);
        return;
    }
    if (elems == 2) {
        for (int32_t p = 0; p < positions; p++, to += line, from += step) {
            to[0] = (int16_t)(from[0] + offset);
            to[1] = (int16_t)(from[1] + offset);
        }
        return;
    }
    for (int32_t p = 0; p < positions; p++, to += line, from += step)
        widen(to, from, elems, offset);
}

/* Taps first_tap .. of the window that begins at `start` along, for every position across. */
static int64_t fill(const plan *p, const int8_t *input, int32_t offset, int32_t start, int32_t first_tap,
                    int16_t *base) {
    const int32_t last = p->along.inputs - start, taps = p->along.taps, channels = p->channels;
    int32_t begin = start + first_tap < 0 ? -start : first_tap, end = last < taps ? last : taps;
    begin = begin > taps ? taps : begin;
    end = end < begin ? begin : end;
    if (begin > first_tap)
        write_zeros(base + first_tap * channels, p->line, p->positions, (begin - first_tap) * channels);
    if (end < taps)
        write_zeros(base + end * channels, p->line, p->positions, (taps - end) * channels);
    const int32_t above = p->across.pad < p->positions ? p->across.pad : p->positions;
    int32_t inside = p->positions - above < p->across.inputs ? p->positions - above : p->across.inputs;
    const int32_t block = p->is_whole ? end - begin : 1;
    for (int32_t tap = begin; tap < end; tap += block) {
        int16_t *to = base + tap * channels;
        write_zeros(to, p->line, above, block * channels);
        write_block(to + above * p->line, p->line, input + (start + tap) * p->along.input_step,
                    p->across.input_step, inside, block * channels, offset);
        write_zeros(to + (above + inside) * p->line, p->line, p->positions - above - inside,
                    block * channels);
    }
    return (int64_t)(taps - first_tap) * channels * p->positions;
}

/* Every row of one product times the channels of a group. */
ALWAYS_INLINE void multiply(const form *form, const plan *p, int32_t group, const int16_t *a, int8_t *output,
                            int32_t takes_all) {
    const ci_convolve_s8_args *conv = form->conv;
    const ci_quantisation_s8 q = conv->quantisation; /* which no store of a byte can change */
    const int32_t rows = p->across.outputs, lda = p->across.stride * p->line, step = p->across.output_step;
    const int16_t *weights = (const int16_t *)form->weights;
    weights += (int64_t)group * ((p->columns + 1) / 2) * p->fours * 8;
    for (int32_t n = 0; n < p->columns; n += 2, weights += p->fours * 8) {
        const int32_t at = group * p->columns + n, both = n + 1 < p->columns;
        const output_rule *rule0 = form->rules + at, *rule1 = rule0 + both;
        int8_t *out = output + at;
        const int16_t *row = a;
        for (int32_t m = 0; m < rows; m += 2, row += 2 * lda, out += 2 * step) {
            const int32_t second = m + 1 < rows;
            int8_t *next = second ? out + step : out;
            int32_t sums[4] = {rule0->bias, rule1->bias, 0, 0};
            wide_tile(row, second ? row + lda : row, weights, p->fours, sums);
            to_outputs(sums[0], sums[2], rule0, &q, takes_all, out, next);
            if (both)
                to_outputs(sums[1], sums[3], rule1, &q, takes_all, out + 1, next + 1);
        }
    }
}

void reusable_run(form *form) {
    const ci_convolve_s8_args *conv = form->conv;
    const plan p = plan_of(conv);
    const int32_t shares = p.along.stride <= p.along.taps;
    form->copied_elems = 0;
    for (int32_t group = 0; group < conv->groups; group++) {
        const int8_t *input = conv->input + group * p.channels;
        int16_t *base = form->buffer;
        for (int32_t o = 0; o < p.along.outputs; o++) {
            const int32_t reuses = shares && o > 0;
            base += reuses ? p.along.stride * p.channels : 0;
            form->copied_elems +=
                fill(&p, input, conv->quantisation.input_offset, o * p.along.stride - p.along.pad,
                     reuses ? p.along.taps - p.along.stride : 0, base);
            int8_t *output = conv->output + (int64_t)o * p.along.output_step;
            if (!form->lowers_only && takes_all(&conv->quantisation))
                multiply(form, &p, group, base, output, 1);
            else if (!form->lowers_only)
                multiply(form, &p, group, base, output, 0);
        }
    }
}
