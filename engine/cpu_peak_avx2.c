/* cpu_peak_avx2: the most multiply-adds of bytes by AVX2, in three instructions. */
#include "engine/cpu_kernels.h"

#if defined(__AVX2__)

#include <immintrin.h>

#include "engine/cpu_avx2_types.h"

typedef __m256i whole;

INLINE whole whole_zero(void)
{
    return _mm256_setzero_si256();
}

INLINE whole whole_add_products(whole sums, whole a, whole b)
{
    return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}

#include "engine/cpu_vector_peak.h"

int64_t cpu_multiply_bytes_avx2(int64_t n_rounds)
{
    return multiply_bytes(n_rounds);
}

#endif
