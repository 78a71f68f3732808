/* wide_on_avx2: the AVX-512 kernels, run by AVX2 alone. */
#ifndef FATHOM_TESTS_WIDE_ON_AVX2_H
#define FATHOM_TESTS_WIDE_ON_AVX2_H

#include "engine/cpu_kernels.h"

#if defined(__x86_64__)
extern const struct cpu_kernels cpu_wide_kernels;
#endif

#endif
