#include <cuda_runtime.h>
__constant__ float table[16];
// Adds.
__global__ void add(const float *a, float *b, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) b[i] += a[i] * scale(i); }
template <int N> __device__ __forceinline__ float scale(int i) { __shared__ float s[N]; return s[i]; }
void launch(float *a, float *b) { add<<<1, 256>>>(a, b, 256); }
