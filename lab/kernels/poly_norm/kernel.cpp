// PolyNorm, forward and backward: each row is read once while it is in fast memory. Equations are those of the README.
#include "vector.h"

namespace {

constexpr int64_t PARALLEL_FROM = 1 << 14;  // elements below which waking threads costs more than it saves

// Equations (1) and (2). Weights and bias are of all rows (stride 0) or a row's own (stride 1).
template <typename X>
void forward(const X* gate, const X* up, const float* weight, const float* bias, X* y, float* inverse, int64_t rows,
             int64_t width, int64_t gate_stride, int64_t up_stride, int64_t own, double eps, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (rows * width > PARALLEL_FROM)
    for (int64_t row = 0; row < rows; ++row) {
        const X *g = gate + row * gate_stride, *u = up + row * up_stride;
        X* out = y + row * width;
        float first = 0, second = 0, third = 0;
#pragma omp simd reduction(+ : first, second, third)
        for (int64_t i = 0; i < width; ++i) {
            const float square = load(g + i) * load(g + i), fourth = square * square;
            first += square;
            second += fourth;
            third += fourth * square;
        }
        const float added = static_cast<float>(eps);
        float* r = inverse + 3 * row;  // in the order of the weights
        r[0] = 1.0f / std::sqrt(third / width + added);
        r[1] = 1.0f / std::sqrt(second / width + added);
        r[2] = 1.0f / std::sqrt(first / width + added);
        const float* w = weight + 3 * own * row;
        const float c3 = w[0] * r[0], c2 = w[1] * r[1], c1 = w[2] * r[2], b = bias[own * row];
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) {
            const float x = load(g + i);
            store(out + i, (((c3 * x + c2) * x + c1) * x + b) * load(u + i));
        }
    }
}

// Equations (3) and (4); a row's gradients of weight and bias are written as four numbers of their own.
template <typename X>
void backward(const X* grad_y, const X* gate, const X* up, const float* weight, const float* bias, const float* inverse,
              X* grad_gate, X* grad_up, float* grad_coefficients, int64_t rows, int64_t width, int64_t grad_stride,
              int64_t gate_stride, int64_t up_stride, int64_t own, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (rows * width > PARALLEL_FROM)
    for (int64_t row = 0; row < rows; ++row) {
        const X *grad = grad_y + row * grad_stride, *g = gate + row * gate_stride, *u = up + row * up_stride;
        X *to_gate = grad_gate + row * width, *to_up = grad_up + row * width;
        const float *r = inverse + 3 * row, *w = weight + 3 * own * row;
        const float c3 = w[0] * r[0], c2 = w[1] * r[1], c1 = w[2] * r[2], b = bias[own * row];
        float zeroth = 0, first = 0, second = 0, third = 0;
#pragma omp simd reduction(+ : zeroth, first, second, third)
        for (int64_t i = 0; i < width; ++i) {
            const float x = load(g + i), incoming = load(grad + i), value = incoming * load(u + i);
            const float moment = value * x, next = moment * x;
            zeroth += value;
            first += moment;
            second += next;
            third += next * x;
            store(to_up + i, (((c3 * x + c2) * x + c1) * x + b) * incoming);
        }
        float* sums = grad_coefficients + 4 * row;
        sums[0] = r[0] * third;
        sums[1] = r[1] * second;
        sums[2] = r[2] * first;
        sums[3] = zeroth;
        const float t3 = 3 * (c3 * r[0] * sums[0] / width), t2 = 2 * (c2 * r[1] * sums[1] / width);
        const float t1 = c1 * r[2] * sums[2] / width;
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) {
            const float x = load(g + i), square = x * x, value = load(grad + i) * load(u + i);
            const float slope = (3 * c3 * x + 2 * c2) * x + c1;
            store(to_gate + i, value * slope - x * ((t3 * square + t2) * square + t1));
        }
    }
}

}  // namespace

#define VARIANT(NAME, X)                                                                                            \
    extern "C" void poly_norm_forward_##NAME(const X* gate, const X* up, const float* weight, const float* bias,   \
                                             X* y, float* inverse, int64_t rows, int64_t width,                     \
                                             int64_t gate_stride, int64_t up_stride, int64_t own, double eps,      \
                                             int64_t threads) {                                                     \
        forward(gate, up, weight, bias, y, inverse, rows, width, gate_stride, up_stride, own, eps, threads);        \
    }                                                                                                               \
    extern "C" void poly_norm_backward_##NAME(const X* grad_y, const X* gate, const X* up, const float* weight,    \
                                              const float* bias, const float* inverse, X* grad_gate, X* grad_up,   \
                                              float* grad_coefficients, int64_t rows, int64_t width,               \
                                              int64_t grad_stride, int64_t gate_stride, int64_t up_stride,         \
                                              int64_t own, int64_t threads) {                                       \
        backward(grad_y, gate, up, weight, bias, inverse, grad_gate, grad_up, grad_coefficients, rows, width,       \
                 grad_stride, gate_stride, up_stride, own, threads);                                                \
    }

VARIANT(float32, float)
VARIANT(bfloat16, bfloat16)
