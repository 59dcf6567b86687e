/* Packing of int8 depthwise weights. */
#include <string.h>

#include "conv_infer/pack_s8.h"
#include "layout_s8.h"

/* A block is `vectors` vectors of `lanes` channels; a lane holds `taps` taps of a channel. */
typedef struct {
    int32_t lanes, vectors, taps, is_wide, is_3x3;
} layout;

static layout layout_of(const ci_kernel *kernel) {
    const int32_t is_3x3 = strcmp(kernel->variant, "3x3") == 0;
    if (kernel->isa == CI_ISA_SCALAR)
        return (layout){.lanes = 1, .vectors = 1, .taps = 1, .is_wide = 1};
    if (kernel->isa == CI_ISA_NEON)
        return (layout){.lanes = 16, .vectors = 1, .taps = 1};
    const ci_layout_s8 common = ci_layout_s8_of(kernel->isa);
    const int32_t taps = common.is_wide ? 2 : 4;
    return (layout){common.lanes, taps, taps, common.is_wide, is_3x3};
}

/* The channel of a block that lane `lane` of vector `vector` holds: bytes interleaved within 128 bits. */
static int32_t channel_of(const layout *l, int32_t vector, int32_t lane) {
    return lane / 4 * 4 * l->vectors + vector * 4 + lane % 4;
}

static int32_t groups_of(const ci_depthwise_shape_s8 *shape, const layout *l) {
    return (shape->kernel_height * shape->kernel_width + l->taps - 1) / l->taps;
}

/* Elements of packed weights of one block. */
static int64_t block_elems(const ci_depthwise_shape_s8 *shape, const layout *l) {
    const int64_t vectors = l->is_3x3 ? 3 * 2 * 4 : (int64_t)groups_of(shape, l) * l->vectors;
    return vectors * l->lanes * l->taps;
}

ci_status ci_depthwise_s8_measure(const ci_depthwise_shape_s8 *shape, int32_t *padded_channels,
                                  int64_t *weight_bytes) {
    if (!shape->kernel || shape->kernel->operation != CI_OPERATION_depthwise_s8 || shape->channels < 1 ||
        shape->kernel_height < 1 || shape->kernel_width < 1 ||
        shape->kernel_height > CI_DEPTHWISE_S8_TAPS / shape->kernel_width)
        return CI_ERROR_ARGUMENT;
    const layout l = layout_of(shape->kernel);
    if (strcmp(shape->kernel->variant, "3x3") == 0 && (shape->kernel_height != 3 || shape->kernel_width != 3))
        return CI_ERROR_ARGUMENT;
    if (shape->channels > INT32_MAX / 64)
        return CI_ERROR_OVERFLOW;
    const int32_t block = l.lanes * l.vectors;
    const int64_t blocks = ci_round_up(shape->channels, block) / block;
    *padded_channels = (int32_t)(blocks * block);
    *weight_bytes = ci_round_up(blocks * block_elems(shape, &l) * (l.is_wide ? 2 : 1), 64);
    return CI_OK;
}

typedef struct {
    const ci_depthwise_shape_s8 *shape;
    const void *data;
    int32_t is_unsigned;
    const int32_t *zero_point;
} source;

static int32_t weight(const source *from, int32_t tap, int32_t channel) {
    const int64_t at = (int64_t)tap * from->shape->channels + channel;
    return ci_weight_s8(from->data, from->is_unsigned, at) -
           (from->zero_point ? from->zero_point[channel] : 0);
}

static void put(const layout *l, void *packed, int64_t at, int32_t value) {
    if (l->is_wide)
        ((int16_t *)packed)[at] = (int16_t)value;
    else
        ((int8_t *)packed)[at] = (int8_t)value;
}

/* The packed "3x3" form: a lane's taps are rows 0 to 3 (or two pairs of them) of one column. */
static int32_t tap_of_3x3(const layout *l, int32_t kx, int32_t lower, int32_t vector, int32_t element) {
    const int32_t row = vector / l->vectors * l->taps + element - lower;
    return row < 0 || row > 2 ? -1 : row * 3 + kx;
}

static void pack_block(const source *from, const layout *l, int32_t first_channel, void *packed,
                       int64_t base) {
    const int32_t taps = from->shape->kernel_height * from->shape->kernel_width;
    const int32_t outer = l->is_3x3 ? 6 : groups_of(from->shape, l), vectors = l->is_3x3 ? 4 : l->vectors;
    for (int32_t o = 0; o < outer; o++) {
        for (int32_t v = 0; v < vectors; v++) {
            for (int32_t lane = 0; lane < l->lanes; lane++) {
                const int32_t channel = first_channel + channel_of(l, v % l->vectors, lane);
                for (int32_t e = 0; e < l->taps; e++, base++) {
                    const int32_t tap = l->is_3x3 ? tap_of_3x3(l, o / 2, o % 2, v, e) : o * l->taps + e;
                    const int32_t real = channel < from->shape->channels && tap >= 0 && tap < taps;
                    put(l, packed, base, real ? weight(from, tap, channel) : 0);
                }
            }
        }
    }
}

ci_status ci_depthwise_s8_weights(const ci_depthwise_shape_s8 *shape, const void *data, int32_t is_unsigned,
                                  const int32_t *zero_point, void *packed) {
    const layout l = layout_of(shape->kernel);
    const source from = {shape, data, is_unsigned, zero_point};
    const int32_t taps = shape->kernel_height * shape->kernel_width, block = l.lanes * l.vectors;
    for (int32_t tap = 0; tap < taps && !l.is_wide; tap++) {
        for (int32_t channel = 0; channel < shape->channels; channel++) {
            const int32_t value = weight(&from, tap, channel);
            if (value < -128 || value > 127)
                return CI_ERROR_UNSUPPORTED;
        }
    }
    for (int32_t channel = 0; channel < shape->channels; channel += block)
        pack_block(&from, &l, channel, packed, channel / block * block_elems(shape, &l));
    return CI_OK;
}

ci_status ci_depthwise_s8_bias(const ci_depthwise_shape_s8 *shape, const void *data, int32_t is_unsigned,
                               const int32_t *zero_point, int32_t a_zero, const int32_t *bias,
                               int32_t *folded) {
    const source from = {shape, data, is_unsigned, zero_point};
    const ci_layout_s8 common = ci_layout_s8_of(shape->kernel->isa);
    const layout l = layout_of(shape->kernel);
    const int32_t taps = shape->kernel_height * shape->kernel_width, block = l.lanes * l.vectors;
    for (int32_t first = 0; first < shape->channels; first += block) {
        for (int32_t place = 0; place < block; place++) {
            const int32_t channel = first + channel_of(&l, place / l.lanes, place % l.lanes);
            ci_sum_range_s8 range = {0};
            int32_t share = 0; /* what the sum lacks because the kernel takes origins off the bytes of A */
            if (channel < shape->channels) {
                range.bias = bias ? bias[channel] : 0;
                for (int32_t tap = 0; tap < taps; tap++) {
                    const int32_t value = weight(&from, tap, channel);
                    share += value * (tap % 2 ? common.odd_origin : common.origin);
                    ci_sum_range_add(&range, value > 0 ? value : 0, value < 0 ? value : 0, a_zero);
                }
            }
            if (!ci_sum_range_fits(&range))
                return CI_ERROR_OVERFLOW;
            folded[first + place] = (int32_t)((uint32_t)range.bias + (uint32_t)share);
        }
    }
    return CI_OK;
}

void ci_depthwise_s8_columns(const ci_depthwise_shape_s8 *shape, const void *values, void *padded) {
    const layout l = layout_of(shape->kernel);
    const int32_t block = l.lanes * l.vectors;
    const int32_t *from = values;
    int32_t *to = padded;
    for (int32_t first = 0; first < shape->channels; first += block) {
        for (int32_t place = 0; place < block; place++) {
            const int32_t channel = first + channel_of(&l, place / l.lanes, place % l.lanes);
            to[first + place] = channel < shape->channels ? from[channel] : 0;
        }
    }
}
