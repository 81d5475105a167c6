// Sinkhorn, forward and backward: all rounds of sixteen matrices at once, which lie side by side in vector registers.
#include <algorithm>
#include <vector>

#include "vector.h"

namespace {

constexpr int64_t LANES = 16;
constexpr int64_t PARALLEL_FROM = 64;  // matrices below which waking threads costs more than it saves
constexpr float SMALLEST_SUM = 1e-8f;

// One division: matrix[i, j] of `after` is that of `before` times factor[i] for rows, factor[j] for columns. `learns` is
// 1 where the sum was not held at its lower bound.
void divide(const float* before, float* after, float* factor, float* learns, int64_t size, bool rows) {
    const int64_t step = (rows ? 1 : size) * LANES, start = (rows ? size : 1) * LANES;
    for (int64_t line = 0; line < size; ++line)
#pragma omp simd
        for (int64_t lane = 0; lane < LANES; ++lane) {
            const float* in = before + line * start + lane;
            float sum = 0;
            for (int64_t i = 0; i < size; ++i) sum += in[i * step];
            const bool held = sum < SMALLEST_SUM;
            const float inverse = 1.0f / (held ? SMALLEST_SUM : sum);
            factor[line * LANES + lane] = inverse;
            learns[line * LANES + lane] = held ? 0.0f : 1.0f;
            for (int64_t i = 0; i < size; ++i) after[line * start + lane + i * step] = in[i * step] * inverse;
        }
}

// Its gradient, in place: d before = factor (d after - learns sum(d after * after)).
void divide_back(float* grad, const float* after, const float* factor, const float* learns, int64_t size, bool rows) {
    const int64_t step = (rows ? 1 : size) * LANES, start = (rows ? size : 1) * LANES;
    for (int64_t line = 0; line < size; ++line)
#pragma omp simd
        for (int64_t lane = 0; lane < LANES; ++lane) {
            const int64_t at = line * start + lane, of = line * LANES + lane;
            float along = 0;
            for (int64_t i = 0; i < size; ++i) along += grad[at + i * step] * after[at + i * step];
            along *= learns[of];
            for (int64_t i = 0; i < size; ++i) grad[at + i * step] = factor[of] * (grad[at + i * step] - along);
        }
}

// The matrices of `first` and the next ones side by side; those beyond the last are zeros.
void gather(const float* matrices, float* lanes, int64_t first, int64_t number, int64_t entries) {
    std::fill(lanes, lanes + entries * LANES, 0.0f);
    for (int64_t lane = 0; lane < std::min(LANES, number - first); ++lane)
        for (int64_t i = 0; i < entries; ++i) lanes[i * LANES + lane] = matrices[(first + lane) * entries + i];
}

void scatter(const float* lanes, float* matrices, int64_t first, int64_t number, int64_t entries) {
    for (int64_t lane = 0; lane < std::min(LANES, number - first); ++lane)
        for (int64_t i = 0; i < entries; ++i) matrices[(first + lane) * entries + i] = lanes[i * LANES + lane];
}

void exponential(float* lanes, int64_t entries) {
#pragma omp simd
    for (int64_t i = 0; i < entries * LANES; ++i) lanes[i] = vector_exp(lanes[i]);
}

}  // namespace

extern "C" void sinkhorn_forward(const float* logits, float* result, int64_t number, int64_t size, int64_t rounds,
                                 int64_t threads) {
    const int64_t entries = size * size;
#pragma omp parallel num_threads(threads) if (number > PARALLEL_FROM)
    {
        std::vector<float> matrix(entries * LANES), sums(2 * size * LANES);
#pragma omp for schedule(static)
        for (int64_t first = 0; first < number; first += LANES) {
            gather(logits, matrix.data(), first, number, entries);
            exponential(matrix.data(), entries);
            for (int64_t half = 0; half < 2 * rounds; ++half)
                divide(matrix.data(), matrix.data(), sums.data(), sums.data() + size * LANES, size, half % 2 == 0);
            scatter(matrix.data(), result, first, number, entries);
        }
    }
}

// Every division is made again and kept for the way back, sixteen matrices at a time.
extern "C" void sinkhorn_backward(const float* grad_result, const float* logits, float* grad_logits, int64_t number,
                                  int64_t size, int64_t rounds, int64_t threads) {
    const int64_t entries = size * size, matrix = entries * LANES, line = size * LANES;
#pragma omp parallel num_threads(threads) if (number > PARALLEL_FROM)
    {
        std::vector<float> kept((2 * rounds + 1) * matrix), sums(2 * rounds * 2 * line), grad(matrix);
#pragma omp for schedule(static)
        for (int64_t first = 0; first < number; first += LANES) {
            gather(logits, kept.data(), first, number, entries);
            exponential(kept.data(), entries);
            for (int64_t half = 0; half < 2 * rounds; ++half) {
                float *before = kept.data() + half * matrix, *factor = sums.data() + half * 2 * line;
                divide(before, before + matrix, factor, factor + line, size, half % 2 == 0);
            }
            gather(grad_result, grad.data(), first, number, entries);
            for (int64_t half = 2 * rounds - 1; half >= 0; --half) {
                const float *after = kept.data() + (half + 1) * matrix, *factor = sums.data() + half * 2 * line;
                divide_back(grad.data(), after, factor, factor + line, size, half % 2 == 0);
            }
#pragma omp simd
            for (int64_t i = 0; i < matrix; ++i) grad[i] *= kept[i];
            scatter(grad.data(), grad_logits, first, number, entries);
        }
    }
}
