/* Kernels on quantised tensors, portable C. */
#include "conv_infer/microkernel.h"
#include "requantise.h"

void ci_quantise_u8_any_scalar(const ci_quantise_args *args) {
    for (int64_t row = 0; row < args->rows; row++) {
        const float *x = (const float *)args->x + row * args->x_row_stride;
        uint8_t *y = (uint8_t *)args->y + row * args->y_row_stride;
        for (int64_t i = 0; i < args->columns; i++) {
            const float level = x[i] / args->scale[i * args->column_stride];
            const int32_t rounded = level == level ? ci_round_half_even(level) : 0;
            y[i] = (uint8_t)ci_clamp_s32(rounded + args->zero_point[i * args->column_stride], 0, 255);
        }
    }
}

void ci_dequantise_u8_any_scalar(const ci_quantise_args *args) {
    for (int64_t row = 0; row < args->rows; row++) {
        const uint8_t *x = (const uint8_t *)args->x + row * args->x_row_stride;
        float *y = (float *)args->y + row * args->y_row_stride;
        for (int64_t i = 0; i < args->columns; i++) {
            const int64_t column = i * args->column_stride;
            y[i] = (float)(x[i] - args->zero_point[column]) * args->scale[column];
        }
    }
}

void ci_dequantise_s32_any_scalar(const ci_quantise_args *args) {
    for (int64_t row = 0; row < args->rows; row++) {
        const uint32_t *x = (const uint32_t *)args->x + row * args->x_row_stride;
        float *y = (float *)args->y + row * args->y_row_stride;
        for (int64_t i = 0; i < args->columns; i++) {
            const int64_t column = i * args->column_stride;
            y[i] = (float)(int32_t)(x[i] - (uint32_t)args->zero_point[column]) * args->scale[column];
        }
    }
}

static uint8_t finished(const ci_binary_u8_args *args, float level) {
    return (uint8_t)ci_clamp_s32(ci_round_half_even(level) + args->y_origin, args->minimum, args->maximum);
}

void ci_add_u8_any_scalar(const ci_binary_u8_args *args) {
    for (int64_t row = 0; row < args->rows; row++) {
        const uint8_t *a = args->a + row * args->a_row_stride, *b = args->b + row * args->b_row_stride;
        uint8_t *y = args->y + row * args->y_row_stride;
        for (int64_t i = 0; i < args->columns; i++) {
            const float p = (float)(a[i * args->a_column_stride] - args->a_origin);
            const float q = (float)(b[i * args->b_column_stride] - args->b_origin);
            y[i] = finished(args, fmaf(p, args->a_scale, fmaf(q, args->b_scale, args->constant)));
        }
    }
}

void ci_mul_u8_any_scalar(const ci_binary_u8_args *args) {
    for (int64_t row = 0; row < args->rows; row++) {
        const uint8_t *a = args->a + row * args->a_row_stride, *b = args->b + row * args->b_row_stride;
        uint8_t *y = args->y + row * args->y_row_stride;
        for (int64_t i = 0; i < args->columns; i++) {
            const int32_t p = a[i * args->a_column_stride] - args->a_origin;
            const int32_t q = b[i * args->b_column_stride] - args->b_origin;
            y[i] = finished(args, (float)(p * q) * args->a_scale + args->constant);
        }
    }
}

void ci_lookup_u8_any_scalar(const ci_lookup_u8_args *args) {
    for (int64_t row = 0; row < args->rows; row++) {
        for (int64_t i = 0; i < args->columns; i++)
            args->y[row * args->y_row_stride + i] = args->table[args->x[row * args->x_row_stride + i]];
    }
}

void ci_sum_u8_any_scalar(const ci_sum_u8_args *args) {
    for (int64_t row = 0; row < args->rows; row++) {
        for (int64_t i = 0; i < args->columns; i++)
            args->total[i] += args->x[row * args->x_row_stride + i];
    }
}

void ci_average_u8_any_scalar(const ci_average_u8_args *args) {
    for (int64_t i = 0; i < args->columns; i++) {
        float sum = 0.0f;
        for (int32_t tap = 0; tap < args->taps; tap++)
            sum += (float)(args->x[tap][i] - args->x_zero_point) * args->x_scale;
        const float level = sum / args->count / args->y_scale + args->y_zero_point;
        const int32_t rounded = level == level ? ci_round_half_even(level) : 0;
        args->y[i] = (uint8_t)ci_clamp_s32(rounded + args->y_origin, 0, 255);
    }
}
