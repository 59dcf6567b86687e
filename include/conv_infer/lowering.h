/* Lowering a convolution to matrix products: the reusable im2row buffer.
 *
 * A buffer holds a strip of the padded input: for strips of output columns, every input row, and of each row the columns
 * that the windows of `strip` neighbouring output columns touch. With strip = 1 that is kernel_width columns:
 *
 *     buffer   [ row 0: kernel_width * C | row 1: kernel_width * C | row 2 ... ]
 *     patch y    ^ base + y * stride_y * kernel_width * C, kernel_height * kernel_width * C elements on end
 *
 * so that the patches of one output column are the rows of a matrix at a fixed offset, shorter than a row where windows
 * overlap: one GEMM with that leading dimension yields the output column, and no patch is ever written out. To go on to
 * the next strip the base moves by strip * stride_x * C elements and only the new columns are written: they land exactly
 * on those that have retired (the last row runs past the old end, hence the buffer's second term). Every element of the
 * padded input is copied once. Where windows do not overlap (stride > kernel) the base stays and the strip is refilled.
 *
 * Strips of output rows are the same with the roles of x and y exchanged. Memory belongs to the caller; nothing is
 * allocated. Source of the method: Wang et al., IEEE Access 2021,
 * doi 10.1109/ACCESS.2021.3110827.
 */
#ifndef CONV_INFER_LOWERING_H
#define CONV_INFER_LOWERING_H

#include "conv_infer/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CI_STRIPS_OF_COLUMNS = 0, /* the buffer moves along x: M = output height * strip */
    CI_STRIPS_OF_ROWS = 1,    /* the buffer moves along y: M = output width * strip */
} ci_strip_direction;

/* The padded input along one axis of the image. */
typedef struct {
    int32_t size;        /* of the input, without padding */
    int32_t pad;         /* before it */
    int32_t reach;       /* elements that all windows together touch, padding included */
    int32_t window;      /* (kernel - 1) * dilation + 1 */
    int32_t stride;      /* from one window to the next */
    int32_t dilation;
    int32_t outputs;
} ci_axis;

/* A reusable buffer. "Along" is the axis in which strips follow one another, "across" the other. Counts in elements. */
typedef struct {
    ci_strip_direction direction;
    ci_axis along, across;
    int32_t channels;
    int32_t strip;  /* outputs along, in one strip */
    int32_t strips; /* how many there are; the last may be narrower */
    int64_t line;   /* from one position across to the next: the columns of a strip, times channels */
    int64_t step;   /* how far the base moves from strip to strip: 0 where nothing is shared */
    int64_t buffer_elems; /* for a whole image */
} ci_reusable;

/* Lays out a buffer for images of the given height, width and channels. CI_ERROR_ARGUMENT where the geometry is
 * impossible (a window past the padded input, a stride or dilation below 1), CI_ERROR_OVERFLOW where sizes do not fit. */
ci_status ci_reusable_layout(int32_t height, int32_t width, int32_t channels, const ci_window *window,
                             ci_strip_direction direction, int32_t strip, ci_reusable *layout);

/* Elements of a buffer that is used for `strips` strips in a row, and elements written while doing so. */
int64_t ci_reusable_buffer_elems(const ci_reusable *layout, int32_t strips);
int64_t ci_reusable_copied_elems(const ci_reusable *layout, int32_t strips);

/* Brings strip number `strip` into the buffer and returns the element offset of its base. `position` counts the strips
 * since the buffer was begun: 0 fills it whole, later ones write what is new. `image` is the first element of the image,
 * its strides are in bytes, channels are contiguous; padding is written as copies of the element at `pad_element`. */
int64_t ci_reusable_fill(const ci_reusable *layout, const void *image, int64_t row_bytes, int64_t pixel_bytes,
                         void *buffer, int32_t strip, int32_t position, int32_t element_bytes, const void *pad_element);

#ifdef __cplusplus
}
#endif
#endif
