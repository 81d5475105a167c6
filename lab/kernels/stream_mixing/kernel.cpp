// Reading and mixing residual streams, forward and backward: a token's streams are read once while in fast memory.
#include "vector.h"

namespace {

constexpr int64_t PARALLEL_FROM = 1 << 14;  // numbers below which waking threads costs more than it saves

float product(const float* a, const float* b, int64_t width) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) sum += a[i] * b[i];
    return sum;
}

// out = sum_i weight[i * step] x_i, rows of `width` numbers; `start` is what the sum begins with, or null for nothing.
void weighted_sum(const float* x, const float* weight, int64_t step, const float* start, float scale, float* out,
                  int64_t streams, int64_t width) {
    if (start)
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) out[c] = scale * start[c] + weight[0] * x[c];
    else
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) out[c] = weight[0] * x[c];
    for (int64_t i = 1; i < streams; ++i) {
        const float w = weight[i * step];
        const float* row = x + i * width;
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) out[c] += w * row[c];
    }
}

}  // namespace

// u = sum_i weight_i x_i
extern "C" void stream_read_forward(const float* x, const float* weight, float* u, int64_t tokens, int64_t streams,
                                    int64_t width, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (tokens * streams * width > PARALLEL_FROM)
    for (int64_t t = 0; t < tokens; ++t)
        weighted_sum(x + t * streams * width, weight + t * streams, 1, nullptr, 0, u + t * width, streams, width);
}

extern "C" void stream_read_backward(const float* grad_u, const float* x, const float* weight, float* grad_x,
                                     float* grad_weight, int64_t tokens, int64_t streams, int64_t width,
                                     int64_t threads) {
#pragma omp parallel for num_threads(threads) if (tokens * streams * width > PARALLEL_FROM)
    for (int64_t row = 0; row < tokens * streams; ++row) {
        const float *g = grad_u + row / streams * width, w = weight[row];
        float* out = grad_x + row * width;
        grad_weight[row] = product(g, x + row * width, width);
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) out[c] = w * g[c];
    }
}

// x'_i = sum_j H_ij x_j + share_i y
extern "C" void stream_mix_forward(const float* x, const float* mixing, const float* y, const float* share, float* mixed,
                                   int64_t tokens, int64_t streams, int64_t width, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (tokens * streams * width > PARALLEL_FROM)
    for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < streams; ++i) {
            const int64_t row = t * streams + i;
            weighted_sum(x + t * streams * width, mixing + row * streams, 1, y + t * width, share[row],
                         mixed + row * width, streams, width);
        }
}

extern "C" void stream_mix_backward(const float* grad, const float* x, const float* mixing, const float* y,
                                    const float* share, float* grad_x, float* grad_mixing, float* grad_y,
                                    float* grad_share, int64_t tokens, int64_t streams, int64_t width,
                                    int64_t threads) {
#pragma omp parallel for num_threads(threads) if (tokens * streams * width > PARALLEL_FROM)
    for (int64_t t = 0; t < tokens; ++t) {
        const int64_t first = t * streams;
        const float* g = grad + first * width;
        weighted_sum(g, share + first, 1, nullptr, 0, grad_y + t * width, streams, width);
        for (int64_t i = 0; i < streams; ++i) {
            weighted_sum(g, mixing + first * streams + i, streams, nullptr, 0, grad_x + (first + i) * width, streams,
                         width);
            grad_share[first + i] = product(g + i * width, y + t * width, width);
            for (int64_t j = 0; j < streams; ++j)
                grad_mixing[(first + i) * streams + j] = product(g + i * width, x + (first + j) * width, width);
        }
    }
}
