/* The sums of the int8 GEMM of Arm without dot products (gemm_s8_neon.c says how), of up to 4 rows and 4
 * columns at a time: sum_tile() for gemm_s8.inc.h. With GEMM_S8_IN_ORDER four rows have a loop of their own,
 * sum_four_rows(). */

/* Orders what compilers would spread: the sums of two columns are finished before the next two columns are
 * used, or registers run out. */
#define FINISH_BEFORE(p, a, b)                                                                               \
    __asm__ volatile(""                                                                                      \
                     : "+w"(a), "+w"(b), "+w"((p)[0]), "+w"((p)[1]), "+w"((p)[4]), "+w"((p)[5]),             \
                       "+w"((p)[8]), "+w"((p)[9]), "+w"((p)[12]), "+w"((p)[13]))

/* Adds the products of two columns, whose sums are part[4 * row] and the next; the first begin the sums. */
CI_INLINE void add_products(const int rows, const int is_first, vi *part, const int8x16_t *a, int8x16_t left,
                            int8x16_t right) {
    int16x8_t joint[4 * 2];
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        joint[2 * r] = vmull_s8(vget_low_s8(a[r]), vget_low_s8(left));
        joint[2 * r + 1] = vmull_s8(vget_low_s8(a[r]), vget_low_s8(right));
    }
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        joint[2 * r] = vmlsl_high_s8(joint[2 * r], a[r], left);
        joint[2 * r + 1] = vmlsl_high_s8(joint[2 * r + 1], a[r], right);
    }
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        part[4 * r] = is_first ? vpaddlq_s16(joint[2 * r]) : vpadalq_s16(part[4 * r], joint[2 * r]);
        part[4 * r + 1] =
            is_first ? vpaddlq_s16(joint[2 * r + 1]) : vpadalq_s16(part[4 * r + 1], joint[2 * r + 1]);
    }
}

/* Adds one block of depth of four columns. */
CI_INLINE void add_block(const int rows, const int is_first, vi *part, const uint8_t *const *row,
                         int32_t offset, const int8_t *b) {
    const uint8x16_t signs = vcombine_u8(vdup_n_u8(0x80), vdup_n_u8(0x7f));
    int8x16_t a[4], third = vld1q_s8(b + 32), fourth = vld1q_s8(b + 48);
    CI_UNROLL
    for (int r = 0; r < rows; r++)
        a[r] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(row[r] + offset), signs));
    add_products(rows, is_first, part, a, vld1q_s8(b), vld1q_s8(b + 16));
    if (rows == 4 && !is_first)
        FINISH_BEFORE(part, third, fourth);
    add_products(rows, is_first, part + 2, a, third, fourth);
}

/* The sums of `rows` rows and four columns. */
CI_INLINE void sum_columns(const int rows, const ci_gemm_s8_args *args, const uint8_t *const *row,
                           const int8_t *b, int64_t b_step, vi bias, vi *sum, const int sum_step,
                           const char *prefetch, int64_t prefetch_step) {
    vi part[4 * 4];
    const int32_t *depth = args->a_depth, *const end = depth + args->k_blocks;
#ifdef GEMM_S8_IN_ORDER
    if (rows == 4) {
        sum_four_rows(args, part, row, b, b_step, prefetch, prefetch_step);
    } else
#endif
    {
        CI_PREFETCH_L2(prefetch);
        add_block(rows, 1, part, row, *depth, b);
        while (++depth != end) {
            prefetch += prefetch_step;
            b += b_step;
            CI_PREFETCH_L2(prefetch);
            add_block(rows, 0, part, row, *depth, b);
        }
    }
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        const vi *p = part + r * 4;
        sum[r * sum_step] = vaddq_s32(bias, vpaddq_s32(vpaddq_s32(p[0], p[1]), vpaddq_s32(p[2], p[3])));
    }
}

CI_INLINE void sum_tile(const int rows, const int vectors, const ci_gemm_s8_args *args,
                        const uint8_t *const *row, vi *sum, const char *prefetch, int64_t step) {
    const int8_t *b = args->b;
    const int32_t *bias = args->bias;
    for (vi *end = sum + vectors; sum < end; sum++) {
        sum_columns(rows, args, row, b, vectors * 64, vi_load(bias), sum, vectors, prefetch, step);
        b += 64;
        bias += VI_LANES;
        step = 0; /* the first columns have drawn all near */
    }
}
