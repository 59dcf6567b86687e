/* Reductions, normalisations and interpolation, float32, AVX2 and FMA. */
#define CI_NAME(kernel) ci_##kernel##_avx2
#include "reduce_f32.inc.h"
