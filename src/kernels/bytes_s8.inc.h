/* What the kernels on quantised tensors add to their vector vocabulary, where an instruction set has nothing
 * better of its own. */
#ifndef CONV_INFER_KERNELS_BYTES_S8_INC_H
#define CONV_INFER_KERNELS_BYTES_S8_INC_H

/* What leaves int32 becomes the least int32: right downwards, where bytes saturate, and wrong upwards. So
 * values that may be as large need a bound, which is far outside of any byte, but where the conversion itself
 * saturates. */
#ifndef vi_from_large_vf
#    define vi_from_large_vf(x) vi_from_vf(vf_min(x, vf_set1(32767.0f)))
#endif

/* `count` vectors, at most four, of bytes less a number that is a byte too; the first n bytes are there. */
CI_INLINE void vi_load_bytes_less(vi *x, const int count, const uint8_t *p, int32_t n, vi number) {
#ifdef vi_load_16_bytes_less
    if (count == 4 && n >= 16) {
        vi_load_16_bytes_less(x, p, number);
        return;
    }
#endif
    CI_UNROLL
    for (int v = 0; v < count; v++) {
        const int32_t left = n - v * VI_LANES;
        x[v] = vi_sub(vi_load_bytes(p + v * VI_LANES, left > 0 ? left : 0), number);
    }
}

#endif
