/* cpu_vector_peak: how many multiply-adds of bytes an instruction set does at most.  One text for all of them: the file that
 * includes this says first what its vector of whole numbers is (`whole`) and how the products of two such vectors of bytes
 * are added to sums by the fastest instructions there are (whole_zero, whole_add_products).
 *
 * Nothing is read from memory, and there are as many sums as keep the multipliers busy while each sum waits for itself. */
#ifndef FATHOM_ENGINE_CPU_VECTOR_PEAK_H
#define FATHOM_ENGINE_CPU_VECTOR_PEAK_H

static int64_t multiply_bytes(int64_t n_rounds)
{
    enum { SUMS = 12 };
    whole sums[SUMS], bytes = whole_zero();
    UNROLL
    for (int i = 0; i < SUMS; i++)
        sums[i] = whole_zero();
    for (int64_t round = 0; round < n_rounds; round++) {
        UNROLL
        for (int i = 0; i < SUMS; i++) {
            /* The compiler must not know them, or it multiplies once for all. */
            __asm__ volatile("" : "+x"(bytes));
            sums[i] = whole_add_products(sums[i], bytes, bytes);
        }
    }
    UNROLL
    for (int i = 0; i < SUMS; i++)
        __asm__ volatile("" : : "x"(sums[i]));
    return n_rounds * SUMS * (int64_t)sizeof bytes;
}

#endif
