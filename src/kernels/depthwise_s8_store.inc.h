/* How the int8 depthwise kernels store the sums of a block of channels, written in the vector vocabulary. The
 * including file says with DEPTHWISE_S8_VECTORS how many vectors of sums a block has, 2 or 4. */
#include "conv_infer/microkernel.h"
#include "requantise_s8.inc.h"

#define VECTORS DEPTHWISE_S8_VECTORS
#define BLOCK (DEPTHWISE_S8_VECTORS * VI_LANES)

/* Whether sums take the way most travelled: scaled by less than 1, and nothing else. */
static int only_scales(const ci_depthwise_s8_args *args) {
    int scales = args->requantise.rule == CI_REQUANTISE_SCALE && !args->requantise.flip;
    for (int32_t channel = 0; channel < args->channels && scales; channel += VI_LANES)
        scales = vf_all_below_1(vf_load(args->requantise.scale + channel));
    return scales;
}

/* One block of channels, read once: bytes are stored through a pointer that might point anywhere. */
typedef struct {
    int32_t n; /* channels of it */
    const vi *b;
    const int32_t *bias;
    const float *scale;
    ci_requantise requantise; /* of the block's channels */
    s8_range range;
    void *c;
} block;

static block block_of(const ci_depthwise_s8_args *args, int32_t channel, int64_t vectors_of_b) {
    block result = {
        .n = args->channels - channel < BLOCK ? args->channels - channel : BLOCK,
        .b = (const vi *)args->b + channel / BLOCK * vectors_of_b,
        .bias = args->bias + channel,
        .requantise = args->requantise,
        .range = s8_range_of(&args->requantise),
        .c = args->c,
    };
    if (args->requantise.rule == CI_REQUANTISE_SCALE)
        result.scale = result.requantise.scale += channel;
    if (args->requantise.rule == CI_REQUANTISE_MULTIPLIER) {
        result.requantise.multiplier += channel;
        result.requantise.shift += channel;
    }
    return result;
}

CI_INLINE vb pack_block(const vi *part, vi zero_point) {
#if DEPTHWISE_S8_VECTORS == 4
    return vb_pack_interleaved(part[0], part[1], part[2], part[3], zero_point);
#else
    return vb_pack_interleaved_2(part[0], part[1], zero_point);
#endif
}

/* Stores the channels of one pixel in any other way; raw sums are put in order. */
static CI_NOINLINE void store_generally(const block *in, const int32_t *sums, int64_t offset) {
    if (in->requantise.rule == CI_REQUANTISE_NONE) {
        for (int32_t channel = 0; channel < in->n; channel++) {
            const int32_t quarter = channel / (4 * VECTORS), rest = channel % (4 * VECTORS);
            ((int32_t *)in->c)[offset + channel] = sums[rest / 4 * VI_LANES + quarter * 4 + rest % 4];
        }
        return;
    }
    vi part[VECTORS];
    for (int v = 0; v < VECTORS; v++)
        part[v] = s8_rounded(vi_load(sums + v * VI_LANES), &in->requantise, v * VI_LANES);
    const vb bytes = vb_clamp(pack_block(part, in->range.zero_point), in->range.minimum, in->range.maximum);
    vb_store_part((uint8_t *)in->c + offset, vb_xor(bytes, in->range.flip), VECTORS, 0, in->n);
}

/* Stores the channels of one pixel; `offset` is that of the block's first. */
CI_INLINE void store_pixel(const int scales, const block *in, const vi *sum, int64_t offset) {
    vi part[VECTORS];
    if (!scales) {
        int32_t sums[BLOCK];
        CI_UNROLL
        for (int v = 0; v < VECTORS; v++)
            vi_store(sums + v * VI_LANES, sum[v]);
        store_generally(in, sums, offset);
        return;
    }
    CI_UNROLL
    for (int v = 0; v < VECTORS; v++)
        part[v] = s8_scale_small(sum[v], vf_load(in->scale + v * VI_LANES));
    const vb bytes = vb_clamp(pack_block(part, in->range.zero_point), in->range.minimum, in->range.maximum);
    vb_store_part((uint8_t *)in->c + offset, bytes, VECTORS, 0, in->n);
}

CI_INLINE void load_bias(vi *sum, const int32_t *bias) {
    CI_UNROLL
    for (int v = 0; v < VECTORS; v++)
        sum[v] = vi_load(bias + v * VI_LANES);
}
