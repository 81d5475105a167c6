// Float32 numbers as bfloat16 would hold them.
#include "vector.h"

extern "C" void round_to_bfloat16(const float* x, float* y, int64_t count, int64_t threads) {
#pragma omp parallel for simd num_threads(threads) schedule(static) if (count > 1 << 14)
    for (int64_t i = 0; i < count; ++i) {
        bfloat16 half;
        store(&half, x[i]);
        y[i] = load(&half);
    }
}
