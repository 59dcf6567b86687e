/* Types that every part of the library shares: status, image views, convolution windows. */
#ifndef CONV_INFER_TYPES_H
#define CONV_INFER_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a checked function answers. Kernels answer nothing: they cannot fail. */
typedef enum {
    CI_OK = 0,
    CI_ERROR_ARGUMENT,    /* a size, stride or geometry that is impossible */
    CI_ERROR_BOUNDS,      /* a view that leaves its buffer */
    CI_ERROR_SCRATCH,     /* a scratch buffer that is too small; nothing was written */
    CI_ERROR_OVERFLOW,    /* sizes whose product does not fit */
    CI_ERROR_MEMORY,      /* the machine refused memory */
    CI_ERROR_UNSUPPORTED, /* legal, but not built */
} ci_status;

/* A view of NHWC images: element (n, y, x, c) lies at n * image_stride + y * row_stride + x * pixel_stride +
 * c. Channels are contiguous. Strides are in elements. A view may be the inside of a padded image or some of
 * the channels of a wider one. */
typedef struct {
    int32_t images, height, width, channels;
    int64_t image_stride, row_stride, pixel_stride;
} ci_image;

/* How a convolution or pooling window moves over a padded input. */
typedef struct {
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
} ci_window;

/* Activations that an epilogue applies while the result is in registers, or that run as a step of their own.
 * Where two numbers are named they are `alpha` and `beta`. */
typedef enum {
    CI_ACTIVATION_CLAMP = 0,    /* min(max(x, alpha), beta): none, Relu, Relu6, Clip */
    CI_ACTIVATION_LEAKY_RELU,   /* x >= 0 ? x : alpha * x */
    CI_ACTIVATION_HARD_SWISH,   /* x * min(max(alpha * x + beta, 0), 1) */
    CI_ACTIVATION_HARD_SIGMOID, /* min(max(alpha * x + beta, 0), 1) */
    CI_ACTIVATION_SIGMOID,
    CI_ACTIVATION_SILU, /* x * sigmoid(alpha * x) */
    CI_ACTIVATION_TANH,
    CI_ACTIVATION_ELU,       /* x >= 0 ? x : alpha * (exp(x) - 1) */
    CI_ACTIVATION_SELU,      /* beta * (x >= 0 ? x : alpha * (exp(x) - 1)) */
    CI_ACTIVATION_CELU,      /* max(0, x) + min(0, alpha * (exp(x / alpha) - 1)) */
    CI_ACTIVATION_MISH,      /* x * tanh(log(1 + exp(x))) */
    CI_ACTIVATION_GELU,      /* x / 2 * (1 + erf(x / sqrt(2))) */
    CI_ACTIVATION_GELU_TANH, /* the tanh approximation */
    CI_ACTIVATION_SOFTPLUS,
    CI_ACTIVATION_SOFTSIGN,
    CI_ACTIVATION_EXP,
    CI_ACTIVATION_LOG,
    CI_ACTIVATION_SQRT,
    CI_ACTIVATION_ABS,
    CI_ACTIVATION_NEG,
    CI_ACTIVATION_RECIPROCAL,
    CI_ACTIVATION_FLOOR,
    CI_ACTIVATION_CEIL,
    CI_ACTIVATION_ROUND, /* half to even */
    CI_ACTIVATION_ERF,
    CI_ACTIVATION_SIN,
    CI_ACTIVATION_COS,
    CI_ACTIVATION_COUNT,
} ci_activation_kind;

typedef struct {
    int32_t kind; /* ci_activation_kind */
    float alpha, beta;
} ci_activation;

/* The last activation that the epilogues of the GEMM and depthwise kernels apply in registers; the ones after
 * it run over the finished rows while they are in cache. */
#define CI_ACTIVATION_LAST_FUSED CI_ACTIVATION_HARD_SIGMOID

#ifdef __cplusplus
}
#endif
#endif
