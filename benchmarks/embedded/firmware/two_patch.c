/* The two-patch form as CMSIS-NN does it, in our own words: two patches in int16, then every pair of output
 * channels times both, the int8 weights extended in the loop. Method: Lai et al., arXiv:1801.06601.
 *
 * Where channels come in fours, the patch is left in the order that extending four bytes at once gives, and
 * the weights are read as the model has them. Elsewhere the patch is in order and the weights were reordered
 * when they were packed, so that the loop is the same. */
#include "forms.h"
#include "output.h"
#include "wide_tile.h"
#include "widen.h"

typedef struct {
    int32_t channels, columns, run, depth, fours; /* of one group */
} shape;

static shape shape_of(const ci_convolve_s8_args *conv) {
    const int32_t channels = conv->input_channels / conv->groups;
    const int32_t run = conv->filter_width * channels, depth = conv->filter_height * run;
    return (shape){channels, conv->output_channels / conv->groups, run, depth, (depth + 3) / 4};
}

int64_t two_patch_buffer_elems(const ci_convolve_s8_args *conv) {
    return 2 * 4 * (int64_t)shape_of(conv).fours;
}

int64_t two_patch_weight_bytes(const ci_convolve_s8_args *conv) {
    return (int64_t)conv->groups * (shape_of(conv).columns + 1) * shape_of(conv).fours * 4;
}

void two_patch_pack(const ci_convolve_s8_args *conv, int8_t *weights) {
    static const int8_t reordered[4] = {0, 2, 1, 3};
    const shape s = shape_of(conv);
    for (int32_t group = 0; group < conv->groups; group++) {
        for (int32_t n = 0; n < (s.columns + 1) / 2 * 2; n++) {
            const int8_t *from = conv->filter + (int64_t)(group * s.columns + n) * s.depth;
            for (int32_t k = 0; k < 4 * s.fours; k++) {
                const int32_t source = s.channels % 4 ? k / 4 * 4 + reordered[k % 4] : k;
                *weights++ = source < s.depth && n < s.columns ? from[source] : 0;
            }
        }
    }
}

/* sums: row 0 times weights w0 and w1, row 1 likewise. */
ALWAYS_INLINE void narrow_tile(const int16_t *a0, const int16_t *a1, const int8_t *w0, const int8_t *w1,
                               int32_t fours, int32_t *sums) {
    int32_t s00 = sums[0], s01 = sums[1], s10 = sums[0], s11 = sums[1];
#define FOUR                                                                                                 \
    "ldr r5, [%[w0]], #4\n\t"                                                                                \
    "ldr r8, [%[w1]], #4\n\t"                                                                                \
    "sxtb16 r4, r5\n\t"                                                                                      \
    "sxtb16 r5, r5, ror #8\n\t"                                                                              \
    "sxtb16 r6, r8\n\t"                                                                                      \
    "sxtb16 r8, r8, ror #8\n\t"                                                                              \
    "ldr r9, [%[a0]], #4\n\t"                                                                                \
    "smlad %[s00], r9, r4, %[s00]\n\t"                                                                       \
    "smlad %[s01], r9, r6, %[s01]\n\t"                                                                       \
    "ldr r9, [%[a0]], #4\n\t"                                                                                \
    "smlad %[s00], r9, r5, %[s00]\n\t"                                                                       \
    "smlad %[s01], r9, r8, %[s01]\n\t"                                                                       \
    "ldr r9, [%[a1]], #4\n\t"                                                                                \
    "smlad %[s10], r9, r4, %[s10]\n\t"                                                                       \
    "smlad %[s11], r9, r6, %[s11]\n\t"                                                                       \
    "ldr r9, [%[a1]], #4\n\t"                                                                                \
    "smlad %[s10], r9, r5, %[s10]\n\t"                                                                       \
    "smlad %[s11], r9, r8, %[s11]\n\t"
    __asm__ volatile("lsrs %[count], %[count], #1\n\t"
                     "bcc 1f\n\t" FOUR "1:\n\t"
                     "beq 3f\n\t"
                     "2:\n\t" FOUR FOUR "subs %[count], %[count], #1\n\t"
                     "bne 2b\n\t"
                     "3:\n\t"
                     : [s00] "+r"(s00), [s01] "+r"(s01), [s10] "+r"(s10), [s11] "+r"(s11), [a0] "+r"(a0),
                       [a1] "+r"(a1), [w0] "+r"(w0), [w1] "+r"(w1), [count] "+r"(fours)
                     :
                     : "r4", "r5", "r6", "r8", "r9", "cc", "memory");
#undef FOUR
    sums[0] = s00;
    sums[1] = s01;
    sums[2] = s10;
    sums[3] = s11;
}

/* One patch; padding is 0, the offset being in the elements. */
static inline void gather(const ci_convolve_s8_args *conv, const shape *s, const int8_t *input, int32_t y,
                          int32_t x, int32_t reorders, int16_t *to) {
    const int32_t offset = conv->quantisation.input_offset, pixel = conv->input_channels;
    const int32_t top = y * conv->stride_y - conv->pad_y, left = x * conv->stride_x - conv->pad_x;
    const int32_t before = left < 0 ? -left : 0;
    const int32_t end = conv->input_width - left;
    const int32_t inside = end < conv->filter_width ? end : conv->filter_width;
    for (int32_t ky = 0; ky < conv->filter_height; ky++, to += s->run) {
        const int32_t row = top + ky;
        if (row < 0 || row >= conv->input_height || inside <= before) {
            memset(to, 0, (size_t)s->run * sizeof *to);
            continue;
        }
        const int8_t *from = input + ((int64_t)row * conv->input_width + left) * pixel;
        if (before)
            memset(to, 0, (size_t)(before * s->channels) * sizeof *to);
        if (inside < conv->filter_width)
            memset(to + inside * s->channels, 0,
                   (size_t)((conv->filter_width - inside) * s->channels) * sizeof *to);
        if (pixel != s->channels) {
            for (int32_t kx = before; kx < inside; kx++) {
                if (reorders)
                    widen_reordered(to + kx * s->channels, from + kx * pixel, s->channels, offset);
                else
                    widen(to + kx * s->channels, from + kx * pixel, s->channels, offset);
            }
        } else if (reorders) {
            widen_reordered(to + before * pixel, from + before * pixel, (inside - before) * pixel, offset);
        } else {
            widen(to + before * pixel, from + before * pixel, (inside - before) * pixel, offset);
        }
    }
}

/* Two patches times all the channels of a group; where there is no second output, out1 is out0. */
ALWAYS_INLINE void multiply(const form *form, const shape *s, int32_t group, const int16_t *patches,
                            int8_t *out0, int8_t *out1, int32_t takes_all) {
    const ci_quantisation_s8 q = form->conv->quantisation; /* which no store of a byte can change */
    const int32_t first = group * s->columns, stride = 4 * s->fours;
    const int64_t pairs = (int64_t)(s->columns + 1) / 2;
    const int8_t *narrow = (const int8_t *)form->weights + group * pairs * 2 * stride;
    const int16_t *wide = (const int16_t *)form->weights + group * pairs * 2 * stride;
    for (int32_t n = 0; n < s->columns; n += 2, narrow += 2 * stride, wide += 2 * stride) {
        const int32_t both = n + 1 < s->columns, at = first + n;
        const output_rule *rule0 = form->rules + at, *rule1 = rule0 + both;
        int32_t sums[4] = {rule0->bias, rule1->bias, 0, 0};
        if (form->multiplies_wide)
            wide_tile(patches, patches + stride, wide, s->fours, sums);
        else
            narrow_tile(patches, patches + stride, narrow, narrow + stride, s->fours, sums);
        to_outputs(sums[0], sums[2], rule0, &q, takes_all, out0 + at, out1 + at);
        if (both)
            to_outputs(sums[1], sums[3], rule1, &q, takes_all, out0 + at + 1, out1 + at + 1);
    }
}

void two_patch_run(form *form) {
    const ci_convolve_s8_args *conv = form->conv;
    const shape s = shape_of(conv);
    const int32_t positions = conv->output_height * conv->output_width, stride = 4 * s.fours;
    const int32_t reorders = s.channels % 4 == 0 && !form->multiplies_wide;
    form->copied_elems = (int64_t)conv->groups * positions * s.depth;
    memset(form->buffer, 0, (size_t)(2 * stride) * sizeof *form->buffer);
    for (int32_t group = 0; group < conv->groups; group++) {
        const int8_t *input = conv->input + group * s.channels;
        int32_t y = 0, x = 0;
        for (int32_t position = 0; position < positions; position += 2) {
            const int32_t patches = position + 1 < positions ? 2 : 1;
            int8_t *out = conv->output + (int64_t)position * conv->output_channels;
            for (int32_t patch = 0; patch < patches; patch++) {
                gather(conv, &s, input, y, x, reorders, form->buffer + patch * stride);
                if (++x == conv->output_width) {
                    x = 0;
                    y++;
                }
            }
            int8_t *next = patches == 2 ? out + conv->output_channels : out;
            if (!form->lowers_only && takes_all(&conv->quantisation))
                multiply(form, &s, group, form->buffer, out, next, 1);
            else if (!form->lowers_only)
                multiply(form, &s, group, form->buffer, out, next, 0);
        }
    }
}
