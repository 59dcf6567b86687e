/* How the int8 GEMM kernels for NEON store the tiles that go one of the two common ways
 * (gemm_s8_store.inc.h): sixteen columns, or as many rows of few columns, at a time. What the rows of a tile
 * share is read before the first is stored, as bytes are stored through a pointer that might point anywhere.
 */
#include "gemm_s8_store.inc.h"

#define GEMM_S8_STORES_QUICKLY

enum { MOST_BYTES = 4 * VI_LANES }; /* of a row */

/* Rows of bytes in memory. Of panels that are not full, copies are used, which are. */
typedef struct {
    uint8_t *data;
    const int32_t *row;
} byte_rows;

static const int32_t row_of_copies[GEMM_S8_MAX_ROWS] = {
    0,
    MOST_BYTES,
    2 * MOST_BYTES,
    3 * MOST_BYTES,
    4 * MOST_BYTES,
    5 * MOST_BYTES,
    6 * MOST_BYTES,
    7 * MOST_BYTES,
};

CI_INLINE void copy_rows(const byte_rows *to, const byte_rows *from, int32_t rows, int32_t columns) {
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t i = 0; i < columns; i++) {
            CI_ONE_BY_ONE;
            to->data[to->row[r] + i] = from->data[from->row[r] + i];
        }
    }
}

/* Of `count` rows of `vectors` vectors each, beginning with number r: 16 bytes, or less. */
CI_INLINE vb load_rows(const byte_rows *rows, const int vectors, const int r, const int count) {
    const uint8_t *data = rows->data;
    const int32_t *row = rows->row + r;
    if (vectors == 4)
        return vld1q_u8(data + row[0]);
    if (vectors == 2)
        return vcombine_u8(vld1_u8(data + row[0]), vld1_u8(data + row[count > 1 ? 1 : 0]));
    uint32_t four[4];
    if (vectors == 3)
        memcpy(four, data + row[0], 3 * VI_LANES);
    if (vectors == 1) {
        CI_UNROLL
        for (int i = 0; i < 4; i++)
            memcpy(&four[i], data + row[i < count ? i : 0], VI_LANES);
    } else {
        four[3] = four[2];
    }
    return vreinterpretq_u8_u32(vld1q_u32(four));
}

CI_INLINE void store_rows(const byte_rows *rows, const int vectors, const int r, const int count, vb x) {
    uint8_t *data = rows->data;
    const int32_t *row = rows->row + r;
    const uint32x4_t quarters = vreinterpretq_u32_u8(x);
    if (vectors == 4) {
        vst1q_u8(data + row[0], x);
    } else if (vectors == 3) {
        vst1_u8(data + row[0], vget_low_u8(x));
        vst1q_lane_u32((uint32_t *)(void *)(data + row[0] + 8), quarters, 2);
    } else if (vectors == 2) {
        vst1_u8(data + row[0], vget_low_u8(x));
        if (count > 1)
            vst1q_lane_u64((uint64_t *)(void *)(data + row[1]), vreinterpretq_u64_u8(x), 1);
    } else {
        vst1q_lane_u32((uint32_t *)(void *)(data + row[0]), quarters, 0);
        if (count > 1)
            vst1q_lane_u32((uint32_t *)(void *)(data + row[1]), quarters, 1);
        if (count > 2)
            vst1q_lane_u32((uint32_t *)(void *)(data + row[2]), quarters, 2);
        if (count > 3)
            vst1q_lane_u32((uint32_t *)(void *)(data + row[3]), quarters, 3);
    }
}

/* Scaled values become bytes. */
CI_INLINE vb finish_scaled(const int vectors, const vf *x, const s8_range *range) {
    vi rounded[4];
    CI_UNROLL
    for (int v = 0; v < vectors; v++)
        rounded[v] = vi_from_vf(x[v]);
    const vi last = rounded[vectors - 1];
    return pack_bytes(rounded[0], rounded[vectors > 1 ? 1 : 0], vectors > 2 ? rounded[2] : last,
                      vectors > 3 ? rounded[3] : last, range);
}

/* What adding a residual needs in registers. */
typedef struct {
    vf low, high, to_integer, own_offset, data_offset; /* as in s8_addition */
    vf factors;                                        /* scale, data_scale, constant */
    vf to_stored; /* what brings a sum, rounded, plus the output's origin into the lower half of each lane */
} adding;

CI_INLINE adding adding_of(const storing *way, const ci_residual_s8 *residual) {
    const s8_addition *addition = &way->addition;
    float factors[4];
    memcpy(factors, &residual->scale, sizeof factors);
    return (adding){
        .low = addition->low,
        .high = addition->high,
        .to_integer = addition->to_integer,
        .own_offset = addition->own_offset,
        .data_offset = addition->data_offset,
        .factors = vld1q_f32(factors),
        .to_stored = vaddq_f32(addition->to_integer, vcvtq_f32_s32(vld1q_dup_s32(&residual->out_origin))),
    };
}

/* Sums of the constant, the residual's part and one's own, of two vectors: as intrinsics, gcc 12 spreads the
 * lanes of the factors over registers, and copies sums. */
CI_INLINE void add_up(vf *sum, const vf *own, const vf *other, vf factors) {
    __asm__("dup %0.4s, %6.s[2]\n\t"
            "dup %1.4s, %6.s[2]\n\t"
            "fmla %0.4s, %4.4s, %6.s[1]\n\t"
            "fmla %1.4s, %5.4s, %6.s[1]\n\t"
            "fmla %0.4s, %2.4s, %6.s[0]\n\t"
            "fmla %1.4s, %3.4s, %6.s[0]"
            : "=&w"(sum[0]), "=&w"(sum[1])
            : "w"(own[0]), "w"(own[1]), "w"(other[0]), "w"(other[1]), "w"(factors));
}

/* Bytes b as floats of 2^23 + b: the lower half of each lane is the byte, the upper one this. */
#define ABOVE_2_23 0x4b00

/* Scaled values and the bytes of a residual become bytes. No sum leaves 16 bits (s8_adds_little). Adding 1.5
 * * 2^23 leaves the rounded value in the lower half of a float's bits; the output's origin may be added with
 * it, as it is even. */
CI_INLINE vb finish_added(const int vectors, vf *x, vb data, const adding *with, const s8_range *range) {
    const uint16x8_t above = vdupq_n_u16(ABOVE_2_23);
    uint16x8_t words[2] = {above, vmovl_high_u8(data)};
    __asm__("uxtl %0.8h, %1.8b" : "=w"(words[0]) : "w"(data)); /* for which gcc 12 copies the vector first */
    int16x8_t half[2];
    CI_UNROLL
    for (int v = 0; v < vectors; v += 2) {
        vf own[2], other[2], sum[2];
        CI_UNROLL
        for (int i = 0; i < 2; i++) {
            const vf limited = vmaxq_f32(vminq_f32(x[v + i < vectors ? v + i : v], with->high), with->low);
            own[i] = vaddq_f32(vaddq_f32(limited, with->to_integer), with->own_offset);
            const uint16x8_t pairs = i ? vzip2q_u16(words[v / 2], above) : vzip1q_u16(words[v / 2], above);
            other[i] = vaddq_f32(vreinterpretq_f32_u16(pairs), with->data_offset);
        }
        add_up(sum, own, other, with->factors);
        half[v / 2] = vuzp1q_s16(vreinterpretq_s16_f32(vaddq_f32(sum[0], with->to_stored)),
                                 vreinterpretq_s16_f32(vaddq_f32(sum[1], with->to_stored)));
    }
    if (vectors < 3)
        return vb_clamp(vcombine_u8(vqmovun_s16(half[0]), vdup_n_u8(0)), range->minimum, range->maximum);
    const int16x8_t low = half[0], high = half[1];
    return vb_clamp(vqmovun_high_s16(vqmovun_s16(low), high), range->minimum, range->maximum);
}

CI_INLINE int32_t least_of(const int32_t *x, int32_t count) {
    int32_t i = 0, least = INT32_MAX;
    int32x4_t four[4] = {vdupq_n_s32(least), vdupq_n_s32(least), vdupq_n_s32(least), vdupq_n_s32(least)};
    for (; i + 16 <= count; i += 16) {
        CI_UNROLL
        for (int v = 0; v < 4; v++)
            four[v] = vminq_s32(four[v], vld1q_s32(x + i + 4 * v));
    }
    for (; i < count; i++) {
        CI_ONE_BY_ONE;
        least = x[i] < least ? x[i] : least;
    }
    const int32_t others = vminvq_s32(vminq_s32(vminq_s32(four[0], four[1]), vminq_s32(four[2], four[3])));
    return others < least ? others : least;
}

/* Whether a call's tiles may go their way below: rows that are skipped may not, nor sums out of 16 bits. */
static int stores_quickly(const ci_gemm_s8_args *args) {
    const ci_residual_s8 *residual = &args->requantise.residual;
    const float limit = 30.0f, constant = residual->constant; /* (30 + 30) * 255 + 500 * 30 + 128 < 2^15 */
    return least_of(args->c_row, args->rows) != CI_ROW_SKIPPED &&
           (!residual->data ||
            (residual->scale < limit && residual->data_scale < limit && constant < 500 * limit &&
             constant > -500 * limit && residual->out_origin % 2 == 0));
}

CI_INLINE void store_quickly(const int rows, const int vectors, const int adds, const ci_gemm_s8_args *args,
                             const storing *way, int32_t first, const vi *sum) {
    const ci_residual_s8 *residual = &args->requantise.residual;
    const int is_full = args->columns == vectors * VI_LANES;
    const byte_rows out = {args->c, args->c_row + first};
    const byte_rows in = {(uint8_t *)(uintptr_t)residual->data, adds ? residual->row + first : NULL};
    uint8_t copy_out[GEMM_S8_MAX_ROWS * MOST_BYTES], copy_in[GEMM_S8_MAX_ROWS * MOST_BYTES];
    byte_rows to = out, from = in;
    if (!CI_LIKELY(is_full)) {
        to = (byte_rows){copy_out, row_of_copies};
        from = (byte_rows){copy_in, row_of_copies};
        if (adds)
            copy_rows(&from, &in, rows, args->columns);
    }
    const s8_range range = way->range;
    adding with;
    if (adds)
        with = adding_of(way, residual);
    vf scale[4];
    CI_UNROLL
    for (int v = 0; v < vectors; v++)
        scale[v] = vf_load(args->requantise.scale + v * VI_LANES);
    const int together = vectors > 2 ? 1 : 4 / vectors; /* rows */
    CI_UNROLL
    for (int row = 0; row < rows; row += together) {
        const int here = rows - row < together ? rows - row : together;
        vf x[4];
        CI_UNROLL
        for (int v = 0; v < here * vectors; v++)
            x[v] = vf_mul(vf_from_vi(sum[row * vectors + v]), scale[v % vectors]);
        const vb bytes =
            adds ? finish_added(here * vectors, x, load_rows(&from, vectors, row, here), &with, &way->range)
                 : finish_scaled(here * vectors, x, &range);
        store_rows(&to, vectors, row, here, bytes);
    }
    if (!CI_LIKELY(is_full))
        copy_rows(&out, &to, rows, args->columns);
}
