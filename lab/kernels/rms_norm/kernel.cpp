// RMSNorm, forward and backward: each row is read once while it is in fast memory.
#include <vector>

#include "vector.h"

namespace {

constexpr int64_t PARALLEL_FROM = 1 << 14;  // elements below which waking threads costs more than it saves

template <typename X, typename W, typename Y>
void forward(const X* x, const W* weight, Y* y, float* inverse, int64_t rows, int64_t width, double eps, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (rows * width > PARALLEL_FROM)
    for (int64_t row = 0; row < rows; ++row) {
        const X* in = x + row * width;
        Y* out = y + row * width;
        float squares = 0;
#pragma omp simd reduction(+ : squares)
        for (int64_t i = 0; i < width; ++i) squares += load(in + i) * load(in + i);
        const float scale = 1.0f / std::sqrt(squares / width + static_cast<float>(eps));
        inverse[row] = scale;
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) {
            X normalised;
            store(&normalised, load(in + i) * scale);
            store(out + i, load(&normalised) * load(weight + i));
        }
    }
}

// Equations (2) and (3) of the README.
template <typename X, typename W, typename Y>
void backward(const Y* grad_y, const X* x, const W* weight, const float* inverse, X* grad_x, double* grad_weight,
              int64_t rows, int64_t width, int64_t threads) {
    const bool parallel = rows * width > PARALLEL_FROM;
    std::vector<double> shares((parallel ? threads : 1) * width, 0.0);  // one row a thread, added up in a fixed order
    const int64_t parts = shares.size() / width;
#pragma omp parallel for num_threads(parts) schedule(static) if (parallel)
    for (int64_t part = 0; part < parts; ++part) {
        double* share = shares.data() + part * width;
        for (int64_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row) {
            const X* in = x + row * width;
            const Y* grad = grad_y + row * width;
            X* out = grad_x + row * width;
            const float scale = inverse[row];
            float along = 0;
#pragma omp simd reduction(+ : along)
            for (int64_t i = 0; i < width; ++i) {
                const float product = load(grad + i) * (load(in + i) * scale);
                share[i] += product;
                along += product * load(weight + i);
            }
            along /= width;
#pragma omp simd
            for (int64_t i = 0; i < width; ++i)
                store(out + i, (load(grad + i) * load(weight + i) - load(in + i) * scale * along) * scale);
        }
    }
    for (int64_t i = 0; i < width; ++i) grad_weight[i] = 0;
    for (int64_t part = 0; part < parts; ++part)
        for (int64_t i = 0; i < width; ++i) grad_weight[i] += shares[part * width + i];
}

}  // namespace

#define VARIANT(NAME, X, W, Y)                                                                                      \
    extern "C" void rms_norm_forward_##NAME(const X* x, const W* weight, Y* y, float* inverse, int64_t rows,       \
                                            int64_t width, double eps, int64_t threads) {                           \
        forward(x, weight, y, inverse, rows, width, eps, threads);                                                  \
    }                                                                                                               \
    extern "C" void rms_norm_backward_##NAME(const Y* grad_y, const X* x, const W* weight, const float* inverse,    \
                                             X* grad_x, double* grad_weight, int64_t rows, int64_t width,           \
                                             int64_t threads) {                                                     \
        backward(grad_y, x, weight, inverse, grad_x, grad_weight, rows, width, threads);                            \
    }

VARIANT(float32, float, float, float)
VARIANT(bfloat16, bfloat16, bfloat16, bfloat16)
VARIANT(mixed, bfloat16, float, float)
