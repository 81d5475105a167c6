// Rotation of heads [B, T, H, d] whose last axis alone must be without gaps; the result has none at all.
#include "vector.h"

namespace {

constexpr int64_t PARALLEL_FROM = 1 << 15;  // elements below which waking threads costs more than it saves

// Equation (1) of the README; direction -1 turns back.
template <typename X>
void rotate(const X* x, const float* cos, const float* sin, X* y, int64_t batch, int64_t length, int64_t heads,
            int64_t half, int64_t batch_stride, int64_t token_stride, int64_t head_stride, double direction,
            int64_t threads) {
    const float sign = static_cast<float>(direction);
#pragma omp parallel for num_threads(threads) if (batch * length * heads * half > PARALLEL_FROM)
    for (int64_t token = 0; token < batch * length; ++token) {
        const X* in = x + token / length * batch_stride + token % length * token_stride;
        X* out = y + token * heads * 2 * half;
        const float *c = cos + token * half, *s = sin + token * half;
        for (int64_t head = 0; head < heads; ++head, in += head_stride, out += 2 * half) {
#pragma omp simd
            for (int64_t i = 0; i < half; ++i) {
                const float first = load(in + i), second = load(in + half + i), turn = sign * s[i];
                store(out + i, first * c[i] - second * turn);
                store(out + half + i, second * c[i] + first * turn);
            }
        }
    }
}

}  // namespace

#define VARIANT(NAME, X)                                                                                            \
    extern "C" void rotate_##NAME(const X* x, const float* cos, const float* sin, X* y, int64_t batch,             \
                                  int64_t length, int64_t heads, int64_t half, int64_t batch_stride,               \
                                  int64_t token_stride, int64_t head_stride, double direction, int64_t threads) {  \
        rotate(x, cos, sin, y, batch, length, heads, half, batch_stride, token_stride, head_stride, direction,     \
               threads);                                                                                            \
    }

VARIANT(float32, float)
VARIANT(bfloat16, bfloat16)
