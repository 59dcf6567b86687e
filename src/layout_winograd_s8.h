/* Where the int8 Winograd kernels keep transformed patches and sums: shared by them and the query of their
 * scratch. */
#ifndef CI_LAYOUT_WINOGRAD_S8_H
#define CI_LAYOUT_WINOGRAD_S8_H

#include "conv_infer/microkernel_s8.h"

enum { CI_WINOGRAD_POSITIONS = 16 /* of a transformed 4x4 patch */ };

typedef struct {
    int64_t depth_elems;    /* of one tile: channels rounded up to `width` */
    int64_t patch_position; /* from one position's int16 patches to the next; not a power of two, for the
                               caches */
    int64_t sum_position;   /* from one position's int32 sums to the next */
    int64_t sums_offset;    /* bytes from the scratch's beginning */
    int64_t bytes;
} ci_winograd_layout_s8;

/* `width`: columns of a panel. */
static inline ci_winograd_layout_s8 ci_winograd_layout_s8_of(int32_t depth, int32_t width) {
    ci_winograd_layout_s8 layout;
    layout.depth_elems = ((int64_t)depth + width - 1) / width * width;
    layout.patch_position = CI_WINOGRAD_S8_TILES * layout.depth_elems + 32;
    layout.sum_position = CI_WINOGRAD_S8_TILES * (int64_t)width + 16;
    layout.sums_offset = CI_WINOGRAD_POSITIONS * layout.patch_position * 2;
    layout.bytes = layout.sums_offset + CI_WINOGRAD_POSITIONS * layout.sum_position * 4;
    return layout;
}

#endif
