// Logits to losses and, in place, to the direction of their own gradient: equations (2) and (3) of the README.
#include "vector.h"

namespace {

constexpr int64_t IGNORED = -100;

// A row is passed over three times, but stays in the cache of its core meanwhile.
template <typename T>
void turn(T* logits, const int64_t* targets, float* losses, float* totals, int64_t rows, int64_t words, int64_t direction,
          int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < rows; ++row) {
        T* z = logits + row * words;
        const bool ignored = targets[row] == IGNORED;
        const int64_t target = ignored ? 0 : targets[row];
        const float at_target = load(z + target);
        float largest = -INFINITY;
#pragma omp simd reduction(max : largest)
        for (int64_t i = 0; i < words; ++i) largest = load(z + i) > largest ? load(z + i) : largest;
        float total = 0;
        if (direction) {
#pragma omp simd reduction(+ : total)
            for (int64_t i = 0; i < words; ++i) {
                const float a = vector_exp(load(z + i) - largest);
                total += a;
                store(z + i, a);
            }
            store(z + target, vector_exp(at_target - largest) - total);
        } else {
#pragma omp simd reduction(+ : total)
            for (int64_t i = 0; i < words; ++i) total += vector_exp(load(z + i) - largest);
        }
        totals[row] = total;
        losses[row] = ignored ? 0.0f : std::log(total) + largest - at_target;
    }
}

}  // namespace

#define TURN(T)                                                                                                     \
    extern "C" void turn_##T(T* logits, const int64_t* targets, float* losses, float* totals, int64_t rows,        \
                             int64_t words, int64_t direction, int64_t threads) {                                  \
        turn(logits, targets, losses, totals, rows, words, direction, threads);                                     \
    }

using float32 = float;
TURN(float32)
TURN(bfloat16)
