// SwiGLU, forward and backward: one pass each. Rows may lie apart, as those of a half do.
#include "vector.h"

namespace {

constexpr int64_t PARALLEL_FROM = 1 << 15;  // elements below which waking threads costs more than it saves

template <typename X>
void forward(const X* gate, const X* up, X* y, int64_t rows, int64_t width, int64_t gate_stride, int64_t up_stride,
             int64_t threads) {
#pragma omp parallel for num_threads(threads) if (rows * width > PARALLEL_FROM)
    for (int64_t row = 0; row < rows; ++row) {
        const X *g = gate + row * gate_stride, *u = up + row * up_stride;
        X* out = y + row * width;
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) store(out + i, load(g + i) * vector_sigmoid(load(g + i)) * load(u + i));
    }
}

// Equations (2) and (3) of the README.
template <typename X>
void backward(const X* grad_y, const X* gate, const X* up, X* grad_gate, X* grad_up, int64_t rows, int64_t width,
              int64_t grad_stride, int64_t gate_stride, int64_t up_stride, int64_t result_stride, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (rows * width > PARALLEL_FROM)
    for (int64_t row = 0; row < rows; ++row) {
        const X *grad = grad_y + row * grad_stride, *g = gate + row * gate_stride, *u = up + row * up_stride;
        X *to_gate = grad_gate + row * result_stride, *to_up = grad_up + row * result_stride;
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) {
            const float incoming = load(grad + i), x = load(g + i), share = vector_sigmoid(x);
            store(to_gate + i, incoming * load(u + i) * share * (1.0f + x * (1.0f - share)));
            store(to_up + i, incoming * x * share);
        }
    }
}

}  // namespace

#define VARIANT(NAME, X)                                                                                            \
    extern "C" void swiglu_forward_##NAME(const X* gate, const X* up, X* y, int64_t rows, int64_t width,           \
                                          int64_t gate_stride, int64_t up_stride, int64_t threads) {                \
        forward(gate, up, y, rows, width, gate_stride, up_stride, threads);                                         \
    }                                                                                                               \
    extern "C" void swiglu_backward_##NAME(const X* grad_y, const X* gate, const X* up, X* grad_gate, X* grad_up,  \
                                           int64_t rows, int64_t width, int64_t grad_stride, int64_t gate_stride,  \
                                           int64_t up_stride, int64_t result_stride, int64_t threads) {             \
        backward(grad_y, gate, up, grad_gate, grad_up, rows, width, grad_stride, gate_stride, up_stride,           \
                 result_stride, threads);                                                                           \
    }

VARIANT(float32, float)
VARIANT(bfloat16, bfloat16)
