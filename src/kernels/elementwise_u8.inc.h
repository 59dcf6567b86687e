/* The kernels of conv_infer/elementwise_u8.h in the int8 vector vocabulary. Included once per instruction
 * set, with CI_NAME(kernel), the function's full name. Rows are cut into whole vectors of bytes; what is left
 * of a row passes through buffers of that length. */
#include "conv_infer/microkernel.h"

enum { CHUNK = 4 * VI_LANES };

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
        for (; i + CHUNK <= args->columns; i += CHUNK)
            vb_store(y + i, quantise_chunk(x + i, scale + step * i, zero + step * i, step));
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
    const vi one_a = vi_set1(*a), one_b = vi_set1(*b);
    vi part[4];
    CI_UNROLL
    for (int v = 0; v < 4; v++) {
        const vi p = vi_sub(a_step ? vi_load_bytes(a + v * VI_LANES, VI_LANES) : one_a, way->a_origin);
        const vi q = vi_sub(b_step ? vi_load_bytes(b + v * VI_LANES, VI_LANES) : one_b, way->b_origin);
        vf sum;
        if (multiplies)
            sum = vf_add(vf_mul(vf_mul(vf_from_vi(p), vf_from_vi(q)), way->a_scale), way->constant);
        else
            sum = vf_fma(vf_from_vi(p), way->a_scale, vf_fma(vf_from_vi(q), way->b_scale, way->constant));
        part[v] = vi_from_vf(vf_min(sum, vf_set1(32767.0f)));
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

CI_INLINE vi average_vector(const ci_average_u8_args *args, const uint8_t *const *x, int64_t i, int32_t n) {
    const vf x_scale = vf_set1(args->x_scale);
    const vi x_zero = vi_set1(args->x_zero_point);
    vf sum = vf_set1(0.0f);
    for (int32_t tap = 0; tap < args->taps; tap++)
        sum = vf_add(sum, vf_mul(vf_from_vi(vi_sub(vi_load_bytes(x[tap] + i, n), x_zero)), x_scale));
    const vf level = vf_add(vf_div(vf_div(sum, vf_set1(args->count)), vf_set1(args->y_scale)),
                            vf_set1(args->y_zero_point));
    return vi_from_vf(vf_min(vf_number(level), vf_set1(32767.0f)));
}

void CI_NAME(average_u8_any)(const ci_average_u8_args *args) {
    for (int64_t i = 0; i < args->columns; i += CHUNK) {
        const int64_t left = args->columns - i < CHUNK ? args->columns - i : CHUNK;
        vi part[4];
        for (int v = 0; v < 4; v++) {
            const int64_t n = left - v * VI_LANES;
            part[v] = n <= 0 ? vi_set1(0)
                             : average_vector(args, args->x, i + v * VI_LANES,
                                              n < VI_LANES ? (int32_t)n : VI_LANES);
        }
        vb_store_part(args->y + i, vb_pack(part[0], part[1], part[2], part[3], vi_set1_16(args->y_origin)), 4,
                      0, (int32_t)left);
    }
}
