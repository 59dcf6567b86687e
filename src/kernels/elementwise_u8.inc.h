/* The kernels of conv_infer/elementwise_u8.h in the int8 vector vocabulary. Included once per instruction
 * set, with CI_NAME(kernel), the function's full name. Rows are cut into whole vectors of bytes; what is left
 * of a row passes through buffers of that length. AVERAGE_PAIRS says how many pairs of vectors a mean of
 * windows takes at once, if more than one. */
#include <math.h>

#include "bytes_s8.inc.h"
#include "conv_infer/microkernel.h"

/* A network's input comes from far away, so that it is drawn near beforehand: floats of a cache line, and how
 * far ahead. */
enum { CHUNK = 4 * VI_LANES, LINE = 16, AHEAD_BYTES = 4096 };

/* The scale and zero point of a column: one for all, or each its own. */
#define SCALE(i) (step ? vf_load(scale + (i)) : vf_set1(*scale))
#define ZERO(i) (step ? vi_load(zero + (i)) : vi_set1(*zero))

/* -------- float32 to bytes -------- */

CI_INLINE vi quantise_vector(vf x, vf scale, vi zero) {
    const vf low = vf_set1(-32768.0f), high = vf_set1(32767.0f);
    return vi_add(vi_from_vf(vf_max(vf_min(vf_number(vf_div(x, scale)), high), low)), zero);
}

CI_INLINE vb quantise_chunk(const float *x, const float *scale, const int32_t *zero, const int step) {
    vi part[4];
    CI_UNROLL
    for (int v = 0; v < 4; v++)
        part[v] = quantise_vector(vf_load(x + v * VI_LANES), SCALE(v * VI_LANES), ZERO(v * VI_LANES));
    return vb_pack(part[0], part[1], part[2], part[3], vi_set1_16(0));
}

CI_INLINE void quantise_rows(const ci_quantise_args *args, const int step) {
    for (int64_t row = 0; row < args->rows; row++) {
        const float *x = (const float *)args->x + row * args->x_row_stride, *scale = args->scale;
        uint8_t *y = (uint8_t *)args->y + row * args->y_row_stride;
        const int32_t *zero = args->zero_point;
        int64_t i = 0;
        for (; i + CHUNK <= args->columns; i += CHUNK) {
            for (int line = 0; line < CHUNK; line += LINE)
                CI_PREFETCH_L1((const void *)((uintptr_t)(x + i + line) + AHEAD_BYTES));
            vb_store(y + i, quantise_chunk(x + i, scale + step * i, zero + step * i, step));
        }
        const int64_t left = args->columns - i;
        if (left) {
            float last[CHUNK] = {0}, last_scale[CHUNK];
            int32_t last_zero[CHUNK] = {0};
            for (int64_t j = 0; j < CHUNK; j++)
                last_scale[j] = 1.0f;
            for (int64_t j = 0; j < left; j++) {
                last[j] = x[i + j];
                last_scale[j] = scale[step * (i + j)];
                last_zero[j] = zero[step * (i + j)];
            }
            vb_store_part(y + i, quantise_chunk(last, last_scale, last_zero, 1), 4, 0, (int32_t)left);
        }
    }
}

void CI_NAME(quantise_u8_any)(const ci_quantise_args *args) {
    if (args->column_stride)
        quantise_rows(args, 1);
    else
        quantise_rows(args, 0);
}

/* -------- integers to float32 -------- */

CI_INLINE vi load_integers(const void *x, int64_t i, const int is_bytes) {
    return is_bytes ? vi_load_bytes((const uint8_t *)x + i, VI_LANES) : vi_load((const int32_t *)x + i);
}

CI_INLINE void dequantise_row(const void *x, float *y, int64_t columns, const float *scale,
                              const int32_t *zero, const int step, const int is_bytes) {
    int64_t i = 0;
    for (; i + VI_LANES <= columns; i += VI_LANES)
        vf_store(y + i, vf_mul(vf_from_vi(vi_sub(load_integers(x, i, is_bytes), ZERO(i))), SCALE(i)));
    for (; i < columns; i++) {
        const uint32_t given = is_bytes ? ((const uint8_t *)x)[i] : ((const uint32_t *)x)[i];
        y[i] = (float)(int32_t)(given - (uint32_t)zero[step * i]) * scale[step * i];
    }
}

CI_INLINE void dequantise_rows(const ci_quantise_args *args, const int is_bytes) {
    const int64_t bytes = is_bytes ? 1 : 4;
    for (int64_t row = 0; row < args->rows; row++) {
        const char *x = (const char *)args->x + row * args->x_row_stride * bytes;
        float *y = (float *)args->y + row * args->y_row_stride;
        if (args->column_stride)
            dequantise_row(x, y, args->columns, args->scale, args->zero_point, 1, is_bytes);
        else
            dequantise_row(x, y, args->columns, args->scale, args->zero_point, 0, is_bytes);
    }
}

void CI_NAME(dequantise_u8_any)(const ci_quantise_args *args) {
    dequantise_rows(args, 1);
}

void CI_NAME(dequantise_s32_any)(const ci_quantise_args *args) {
    dequantise_rows(args, 0);
}
#undef SCALE
#undef ZERO

/* -------- two tensors -------- */

typedef struct {
    vf a_scale, b_scale, constant;
    vi a_origin, b_origin, y_origin; /* the last as int16 */
    vb minimum, maximum;
} binary_way;

CI_INLINE vb binary_chunk(const binary_way *way, const uint8_t *a, const uint8_t *b, const int a_step,
                          const int b_step, const int multiplies) {
    const vi one_a = vi_sub(vi_set1(*a), way->a_origin), one_b = vi_sub(vi_set1(*b), way->b_origin);
    vi part[4], p[4] = {one_a, one_a, one_a, one_a}, q[4] = {one_b, one_b, one_b, one_b};
    if (a_step)
        vi_load_bytes_less(p, 4, a, CHUNK, way->a_origin);
    if (b_step)
        vi_load_bytes_less(q, 4, b, CHUNK, way->b_origin);
    CI_UNROLL
    for (int v = 0; v < 4; v++) {
        const vf x = vf_from_vi(p[v]), y = vf_from_vi(q[v]);
        part[v] =
            vi_from_large_vf(multiplies ? vf_add(vf_mul(vf_mul(x, y), way->a_scale), way->constant)
                                        : vf_fma(x, way->a_scale, vf_fma(y, way->b_scale, way->constant)));
    }
    return vb_clamp(vb_pack(part[0], part[1], part[2], part[3], way->y_origin), way->minimum, way->maximum);
}

CI_INLINE void binary_row(const binary_way *way, const uint8_t *a, const uint8_t *b, uint8_t *y,
                          int64_t columns, const int a_step, const int b_step, const int multiplies) {
    int64_t i = 0;
    for (; i + CHUNK <= columns; i += CHUNK)
        vb_store(y + i, binary_chunk(way, a + a_step * i, b + b_step * i, a_step, b_step, multiplies));
    const int64_t left = columns - i;
    if (left) {
        uint8_t last_a[CHUNK] = {0}, last_b[CHUNK] = {0};
        for (int64_t j = 0; j < left; j++) {
            last_a[j] = a[a_step * (i + j)];
            last_b[j] = b[b_step * (i + j)];
        }
        vb_store_part(y + i, binary_chunk(way, last_a, last_b, 1, 1, multiplies), 4, 0, (int32_t)left);
    }
}

CI_INLINE void binary_rows(const ci_binary_u8_args *args, const int multiplies) {
    const binary_way way = {
        .a_scale = vf_set1(args->a_scale),
        .b_scale = vf_set1(args->b_scale),
        .constant = vf_set1(args->constant),
        .a_origin = vi_set1(args->a_origin),
        .b_origin = vi_set1(args->b_origin),
        .y_origin = vi_set1_16(args->y_origin),
        .minimum = vb_set1(args->minimum),
        .maximum = vb_set1(args->maximum),
    };
    for (int64_t row = 0; row < args->rows; row++) {
        const uint8_t *a = args->a + row * args->a_row_stride, *b = args->b + row * args->b_row_stride;
        uint8_t *y = args->y + row * args->y_row_stride;
        if (args->a_column_stride && args->b_column_stride)
            binary_row(&way, a, b, y, args->columns, 1, 1, multiplies);
        else if (args->a_column_stride)
            binary_row(&way, a, b, y, args->columns, 1, 0, multiplies);
        else
            binary_row(&way, a, b, y, args->columns, 0, 1, multiplies);
    }
}

void CI_NAME(add_u8_any)(const ci_binary_u8_args *args) {
    binary_rows(args, 0);
}

void CI_NAME(mul_u8_any)(const ci_binary_u8_args *args) {
    binary_rows(args, 1);
}

/* -------- tables -------- */

/* Lookups in VB_TABLE_VECTORS times sixteen entries each: an index XORed with 16 * k is below as many where
 * it names one of those from the k-th sixteen on. */
CI_INLINE vb lookup_chunk(const vb *table, vb index) {
    vb found = vb_lookup(table, index);
    CI_UNROLL
    for (int k = VB_TABLE_VECTORS; k < 16; k += VB_TABLE_VECTORS)
        found = vb_or(found, vb_lookup(table + k, vb_xor(index, vb_set1(16 * k))));
    return found;
}

void CI_NAME(lookup_u8_any)(const ci_lookup_u8_args *args) {
    vb table[16];
    CI_UNROLL
    for (int k = 0; k < 16; k++)
        table[k] = vb_repeat_16(args->table + 16 * k);
    for (int64_t row = 0; row < args->rows; row++) {
        const uint8_t *x = args->x + row * args->x_row_stride;
        uint8_t *y = args->y + row * args->y_row_stride;
        int64_t i = 0;
        for (; i + CHUNK <= args->columns; i += CHUNK)
            vb_store(y + i, lookup_chunk(table, vb_load(x + i)));
        for (; i < args->columns; i++)
            y[i] = args->table[x[i]];
    }
}

/* -------- sums over rows -------- */

void CI_NAME(sum_u8_any)(const ci_sum_u8_args *args) {
    int64_t i = 0;
    for (; i + VI_LANES <= args->columns; i += VI_LANES) {
        vi total = vi_load(args->total + i);
        for (int64_t row = 0; row < args->rows; row++)
            total = vi_add(total, vi_load_bytes(args->x + row * args->x_row_stride + i, VI_LANES));
        vi_store(args->total + i, total);
    }
    for (; i < args->columns; i++) {
        for (int64_t row = 0; row < args->rows; row++)
            args->total[i] += args->x[row * args->x_row_stride + i];
    }
}

/* -------- means of windows -------- */

#ifndef AVERAGE_PAIRS
#    define AVERAGE_PAIRS 1
#endif

/* Every rounding of the sum of taps is kept: what the estimate below is not sure of goes this way. */
static CI_NOINLINE vi average_exactly(const ci_average_u8_args *args, int64_t i, int32_t n) {
    const vf x_scale = vf_set1(args->x_scale);
    const vi x_zero = vi_set1(args->x_zero_point);
    vf sum = vf_set1(0.0f);
    for (int32_t tap = 0; tap < args->taps; tap++)
        sum = vf_add(sum, vf_mul(vf_from_vi(vi_sub(vi_load_bytes(args->x[tap] + i, n), x_zero)), x_scale));
    const vf level = vf_add(vf_div(vf_div(sum, vf_set1(args->count)), vf_set1(args->y_scale)),
                            vf_set1(args->y_zero_point));
    return vi_from_vf(vf_min(vf_number(level), vf_set1(32767.0f)));
}

/* The level is estimated from the taps' sum as an integer. Where the estimate is further from the middle
 * between two levels than both ways together can err, it rounds to the same. With u = 2^-24, in parts of the
 * largest level, taps * 255 * ratio, the exact way errs by taps + 2 roundings, the estimate by 3; what
 * y_zero_point is added to is rounded twice. Scales so small that products lose bits are left to the exact
 * way. */
typedef struct {
    vf ratio, y_zero_point;
    vf per_margin; /* 1 over the distance from a level within which the estimate is sure; infinity: nowhere */
    vi x_zeros;
} estimate;

enum { MOST_TAPS = 257 }; /* whose sum fits 16 bits */

static estimate estimate_of(const ci_average_u8_args *args) {
    const float ratio = args->x_scale / args->count / args->y_scale, taps = (float)args->taps;
    const float largest = taps * 255.0f * ratio;
    const float margin = 0.499999f - 6.1e-8f * ((taps + 8.0f) * largest + 1024.0f);
    const int is_sure = args->taps <= MOST_TAPS && args->x_scale >= 1e-30f && margin > 0.0f;
    return (estimate){
        .ratio = vf_set1(ratio),
        .y_zero_point = vf_set1(args->y_zero_point),
        .per_margin = vf_set1(is_sure ? 1.0f / margin : INFINITY),
        .x_zeros = vi_set1(is_sure ? args->x_zero_point * args->taps : 0),
    };
}

/* Rounds the level of a sum of taps; `doubt` is below 1 where that is sure. */
CI_INLINE vi estimate_level(const estimate *by, vi sum, vf *doubt) {
    const vf level = vf_fma(vf_from_vi(vi_sub(sum, by->x_zeros)), by->ratio, by->y_zero_point);
    const vf limited = vf_max(vf_min(level, vf_set1(32767.0f)), vf_set1(-32768.0f));
    const vi rounded = vi_from_vf(limited);
    const vf rest = vf_mul(vf_fma(vf_from_vi(rounded), vf_set1(-1.0f), limited), by->per_margin);
    *doubt = vf_mul(rest, rest);
    return rounded;
}

/* The first n columns from column i on, as many as there are lanes or fewer. */
CI_INLINE void average_vector(const ci_average_u8_args *args, const estimate *by, int64_t i, int32_t n) {
    vi sum = vi_set1(0);
    for (int32_t tap = 0; tap < args->taps; tap++)
        sum = vi_add(sum, vi_load_bytes(args->x[tap] + i, n));
    vf doubt;
    vi level = estimate_level(by, sum, &doubt);
    if (!vf_all_below_1(doubt))
        level = average_exactly(args, i, n);
    vb_store_part(args->y + i, vb_pack(level, level, level, level, vi_set1_16(args->y_origin)), 1, 0, n);
}

/* Pairs of vectors of columns, all of them there: taps are added up in 16 bits. */
CI_INLINE void average_pairs(const int pairs, const ci_average_u8_args *args, const estimate *by, int64_t i) {
    const vi origin = vi_set1_16(args->y_origin);
    vi words[AVERAGE_PAIRS], sum[2 * AVERAGE_PAIRS], level[2 * AVERAGE_PAIRS];
    CI_UNROLL
    for (int pair = 0; pair < pairs; pair++)
        words[pair] = vi_set1(0);
    for (int32_t tap = 0; tap < args->taps; tap++) {
        const uint8_t *x = args->x[tap] + i;
        CI_UNROLL
        for (int pair = 0; pair < pairs; pair++)
            words[pair] = vi_add_16(words[pair], vi_load_words(x + pair * 2 * VI_LANES, 2 * VI_LANES));
    }
    vf most = vf_set1(0.0f);
    CI_UNROLL
    for (int v = 0; v < 2 * pairs; v++) {
        vf doubt;
        if (v % 2 == 0)
            vi_interleave_pairs(words[v / 2], vi_set1(0), sum + v);
        level[v] = estimate_level(by, sum[v], &doubt);
        most = v ? vf_max(most, doubt) : doubt;
    }
    const int is_sure = CI_LIKELY(vf_all_below_1(most));
    CI_UNROLL
    for (int pair = 0; pair < pairs; pair++) {
        const int64_t first = i + pair * 2 * VI_LANES;
        vi *own = level + 2 * pair;
        vb bytes;
        if (is_sure) {
            bytes = vb_pack_interleaved_2(own[0], own[1], origin);
        } else {
            own[0] = average_exactly(args, first, VI_LANES);
            own[1] = average_exactly(args, first + VI_LANES, VI_LANES);
            bytes = vb_pack(own[0], own[1], own[0], own[1], origin);
        }
        vb_store_part(args->y + first, bytes, 2, 0, 2 * VI_LANES);
    }
}

void CI_NAME(average_u8_any)(const ci_average_u8_args *args) {
    const int64_t columns = args->columns, pair = 2 * VI_LANES, many = AVERAGE_PAIRS * pair;
    const estimate by = estimate_of(args);
    if (columns < pair || args->taps > MOST_TAPS) {
        for (int64_t i = 0; i < columns; i += VI_LANES)
            average_vector(args, &by, i, columns - i < VI_LANES ? (int32_t)(columns - i) : VI_LANES);
        return;
    }
    int64_t i = 0;
    for (; i + many <= columns; i += many)
        average_pairs(AVERAGE_PAIRS, args, &by, i);
    if (AVERAGE_PAIRS > 1) {
        for (; i + pair <= columns; i += pair)
            average_pairs(1, args, &by, i);
    }
    if (columns % pair)
        average_pairs(1, args, &by, columns - pair); /* some for the second time */
}
