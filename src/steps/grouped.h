/* Convolution in narrow groups, float32, over a physically padded input. */
#ifndef CI_STEPS_GROUPED_H
#define CI_STEPS_GROUPED_H

#include "steps/direct_conv.h"

/* Checks sizes and bounds and appends the step. The kernel is a grouped_f32 one, its nr the channels of a
 * group; input and output have equally many channels, in whole groups. Answers CI_ERROR_ARGUMENT,
 * CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW or CI_ERROR_MEMORY otherwise. */
ci_status ci_add_grouped(ci_program *program, const ci_direct_conv *grouped);

#endif
