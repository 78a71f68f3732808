/* cpu_peak_avx512_vnni: the most multiply-adds of bytes by AVX-512 VNNI, which has an instruction for it. */
#include "engine/cpu_kernels.h"

#if defined(__AVX512F__) && defined(__AVX512VNNI__)

#include <immintrin.h>

#include "engine/cpu_avx2_types.h"

typedef __m512i whole;

INLINE whole whole_zero(void)
{
    return _mm512_setzero_si512();
}

INLINE whole whole_add_products(whole sums, whole a, whole b)
{
    return _mm512_dpbusd_epi32(sums, a, b);
}

#include "engine/cpu_vector_peak.h"

int64_t cpu_multiply_bytes_avx512_vnni(int64_t n_rounds)
{
    return multiply_bytes(n_rounds);
}

#endif
