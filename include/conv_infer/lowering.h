/* Lowering a convolution to matrix products: the reusable im2row buffer, and every other form behind one
 * interface.
 *
 * The reusable buffer holds a strip of the padded input: for strips of output columns, every input row, and
 * of each row the columns that the windows of `strip` neighbouring output columns touch. With strip = 1 that
 * is kernel_width columns:
 *
 *     buffer   [ row 0: kernel_width * C | row 1: kernel_width * C | row 2 ... ]
 *     patch y    ^ base + y * stride_y * kernel_width * C, kernel_height * kernel_width * C elements on end
 *
 * so that the patches of one output column are the rows of a matrix at a fixed offset, shorter than a row
 * where windows overlap: one GEMM with that leading dimension yields the output column, and no patch is ever
 * written out. To go on to the next strip the base moves by strip * stride_x * C elements and only the new
 * columns are written: they land exactly on those that have retired (the last row runs past the old end,
 * hence the buffer's second term). Every element of the padded input is copied once. Where windows do not
 * overlap (stride > kernel) the base stays and the strip is refilled.
 *
 * Strips of output rows are the same with the roles of x and y exchanged. Memory belongs to the caller;
 * nothing is allocated. Source of the method: Wang et al., IEEE Access 2021, doi 10.1109/ACCESS.2021.3110827.
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
    int32_t size;   /* of the input, without padding */
    int32_t pad;    /* before it */
    int32_t reach;  /* elements that all windows together touch, padding included */
    int32_t window; /* (kernel - 1) * dilation + 1 */
    int32_t stride; /* from one window to the next */
    int32_t dilation;
    int32_t outputs;
} ci_axis;

/* A reusable buffer. "Along" is the axis in which strips follow one another, "across" the other. Counts in
 * elements. */
typedef struct {
    ci_strip_direction direction;
    ci_axis along, across;
    int32_t channels;
    int32_t strip;        /* outputs along, in one strip */
    int32_t strips;       /* how many there are; the last may be narrower */
    int64_t line;         /* from one position across to the next: the columns of a strip, times channels */
    int64_t step;         /* how far the base moves from strip to strip: 0 where nothing is shared */
    int64_t buffer_elems; /* for a whole image */
} ci_reusable;

/* Lays out a buffer for images of the given height, width and channels. CI_ERROR_ARGUMENT where the geometry
 * is impossible (a window past the padded input, a stride or dilation below 1), CI_ERROR_OVERFLOW where sizes
 * do not fit. */
ci_status ci_reusable_layout(int32_t height, int32_t width, int32_t channels, const ci_window *window,
                             ci_strip_direction direction, int32_t strip, ci_reusable *layout);

/* The two axes of a window's way over an image; and a buffer for them, `along` and `across` in the
 * direction's order. */
ci_status ci_window_axes(int32_t height, int32_t width, const ci_window *window, ci_axis *y, ci_axis *x);
ci_status ci_reusable_lay(const ci_axis *along, const ci_axis *across, int32_t channels,
                          ci_strip_direction direction, int32_t strip, ci_reusable *layout);

/* Elements of a buffer that is used for `strips` strips in a row, and elements written while doing so (at
 * most, where these are not all of the image's). */
int64_t ci_reusable_buffer_elems(const ci_reusable *layout, int32_t strips);
int64_t ci_reusable_copied_elems(const ci_reusable *layout, int32_t strips);

/* Where an image lies. Channels are contiguous, strides in bytes (whole elements). */
typedef struct {
    const void *pixels; /* element (0, 0, 0), padding not counted */
    int64_t row_bytes, pixel_bytes;
    int32_t element_bytes; /* 1, 2, 4 or 8 */
    int32_t flip; /* every byte that is copied is XORed with it: 0x80 turns int8 into the unsigned form that
                     the int8 micro-kernels read; 0: plain copies */
    const void *pad; /* one element: what is written for padding, as it is */
} ci_pixels;

/* Brings strip number `strip` into the buffer and returns the element offset of its base. `position` counts
 * the strips since the buffer was begun: 0 fills it whole, later ones write what is new. */
int64_t ci_reusable_fill(const ci_reusable *layout, const ci_pixels *image, void *buffer, int32_t strip,
                         int32_t position);

/* ---- Every form behind one interface ----
 *
 * For one image and the channels of one group, with P = output height * width, K = kernel_height *
 * kernel_width * C, Hp the rows that windows touch, padding included, and strips of one output:
 *
 *     form           buffer                     copied                     products  rows  row to row
 *     im2row         P * K                      P * K                      1         P     K
 *     two_patch      2 * K                      P * K                      P / 2     2     K
 *     mec            OW * Hp * kw * C           OW * Hp * kw * C           OH        OW    Hp * kw * C
 *     reusable       Hp*kw*C + (OW - 1)*sw*C    Hp*C*(kw + (OW - 1)*sw)    OW        OH    sh * kw * C
 *     reusable_rows  the same with x and y exchanged                       OH        OW    sw * kh * C
 *     in_place       0                          0                          1         P     sw * C
 *     indirect       P * kh * kw offsets        0                          1         P     any
 *
 * Sources: traditional, Chellapilla et al., IWFHR 2006; two patches, Lai et al., arXiv:1801.06601 (CMSIS-NN);
 * MEC, Cho and Brand, ICML 2017; indirect, Dukhan, arXiv:1907.02129; the reusable buffer as above. */
typedef enum {
    CI_LOWERING_IM2ROW = 0,
    CI_LOWERING_TWO_PATCH,
    CI_LOWERING_MEC,
    CI_LOWERING_REUSABLE,      /* strips of columns */
    CI_LOWERING_REUSABLE_ROWS, /* strips of rows */
    CI_LOWERING_IN_PLACE,
    CI_LOWERING_INDIRECT,
    CI_LOWERING_COUNT,
} ci_lowering_form;

/* The form's name as in the table above; NULL for a number that is none. */
const char *ci_lowering_name(ci_lowering_form form);

/* Who brings the padding around an image that is read where it lies (in_place, indirect). */
typedef enum {
    CI_FRAME_COPIED = 0, /* the buffer has a copy of the image with padding, where there is any */
    CI_FRAME_PRESENT,    /* the image has its padding around it in memory (in_place; indirect copies) */
    CI_FRAME_ALWAYS,     /* a copy in any case: the image has to be flipped (ci_pixels) */
} ci_framing;

/* How an image is lowered. Counts in elements; those of `indirect` are 4-byte offsets. */
typedef struct {
    ci_lowering_form form;
    ci_framing framing;
    ci_axis y, x;
    ci_reusable reusable; /* of the two reusable forms */
    int32_t kernel_height, kernel_width, channels;
    int32_t depth; /* K */
    int32_t gemms; /* matrix products */
    int32_t rows;  /* M of each; the last may have fewer */
    int64_t lda;   /* from row to row */
    int64_t buffer_elems;
    int64_t copied_elems;
    /* in_place and indirect read padding where they find it. Where the image has none around it (`framing`),
     * a copy in the buffer has: of the rows and columns that windows touch (in_place), or of the image and
     * one pixel of padding (indirect). These elements come on top of the two counts above. 0: no copy. */
    int64_t frame_elems;
} ci_lowering;

/* Plans a form. `strip` is for the reusable forms: how many outputs are lowered at once, 1 in the table.
 * CI_ERROR_ARGUMENT where the geometry is impossible, CI_ERROR_OVERFLOW where sizes do not fit. */
ci_status ci_lowering_plan(ci_lowering_form form, int32_t height, int32_t width, int32_t channels,
                           const ci_window *window, int32_t strip, ci_framing framing, ci_lowering *plan);

/* Narrows a plan to some output rows, from first_row on, and the first columns; the image stays the whole
 * one.
 */
ci_status ci_lowering_narrow(ci_lowering *plan, int32_t first_row, int32_t rows, int32_t columns);

/* Bytes of the buffer: ci_lowering_fill() checks them. */
int64_t ci_lowering_buffer_bytes(const ci_lowering *plan, int32_t element_bytes);

/* One matrix product, ready to be computed. Row m = i * run + j begins at a + i * run_step + j * lda, and
 * element (ky, kx, c) of its patch is ky * depth_y + kx * depth_x + c further on; the row's product belongs
 * to output position output + i * output_run_step + j * output_step (counted row by row). For `indirect`, the
 * patch's tap number t = ky * kernel_width + kx begins at a + taps[t * rows + m] instead. Steps in elements.
 */
typedef struct {
    const void *a;
    int32_t rows, run;
    int64_t lda, run_step;
    int64_t depth_y, depth_x;
    int64_t output, output_step, output_run_step;
    const int32_t *taps; /* NULL but for `indirect` */
} ci_lowered;

/* Brings product number `gemm` into the buffer, which must be aligned to its elements (`indirect`: to 4 bytes
 * and to its elements). Products of an image are asked for in order, 0 first, with the same buffer.
 * CI_ERROR_SCRATCH where the buffer is too small, CI_ERROR_ARGUMENT where there is no such product,
 * CI_ERROR_OVERFLOW where the image's offsets do not fit; nothing is written then. */
ci_status ci_lowering_fill(const ci_lowering *plan, int32_t gemm, const ci_pixels *image, void *buffer,
                           int64_t buffer_bytes, ci_lowered *lowered);

/* The way back: adds the patches of traditional im2row, rows of K elements, onto an image [height][width][C]
 * without gaps, which is set to zero first; what falls on padding is dropped. Patches are added in their
 * order. */
typedef enum {
    CI_ELEMENT_F32 = 0,
    CI_ELEMENT_F64,
    CI_ELEMENT_S8,
    CI_ELEMENT_U8,
    CI_ELEMENT_COUNT
} ci_element;
ci_status ci_row2im(const ci_lowering *plan, ci_element element, const void *rows,
                    void *image); /* 8 bits: to int32 */

#ifdef __cplusplus
}
#endif
#endif
