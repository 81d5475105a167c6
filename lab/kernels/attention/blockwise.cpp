// Softmax attention where each query sees an unbroken run of places that ends with its own: a block of queries at a time.
//
// The scores of a block are two small matrix products away from its result and stay in one core's cache. The products are
// the library's own, called from inside a parallel region, where it uses one thread.
#include <algorithm>
#include <vector>

#include "blas.h"
#include "vector.h"

namespace {

constexpr int64_t QUERIES_PER_BLOCK = 128;

// Queries first to last - 1 of a row, and the places begin to last - 1 that any of them sees.
struct Block {
    int64_t first, last, begin;
    int64_t queries() const { return last - first; }
    int64_t keys() const { return last - begin; }
};

Block block_at(const int64_t* first_visible, int64_t first, int64_t length) {
    const int64_t last = std::min(first + QUERIES_PER_BLOCK, length);
    const int64_t begin = *std::min_element(first_visible + first, first_visible + last);
    return {first, last, std::min(begin, last - 1)};
}

// Scores to exp(score - top) where visible, 0 elsewhere.
inline float exponentials(float* row, int64_t from, int64_t to, int64_t keys, float top) {
    float total = 0;
    std::fill(row, row + from, 0.0f);
#pragma omp simd reduction(+ : total)
    for (int64_t j = from; j < to; ++j) {
        row[j] = vector_exp(row[j] - top);
        total += row[j];
    }
    std::fill(row + to, row + keys, 0.0f);
    return total;
}

}  // namespace

// q [B, T, H, d], k [B, T, K, d], v [B, T, K, e], first_visible [B, T] (T where a query sees nothing) to y [B, T, H, e] and
// log_sum [B, H, T], the logarithm of the sum of exponentials, infinite where a query sees nothing.
extern "C" void attention_forward(const float* q, const float* k, const float* v, const int64_t* first_visible, float* y,
                                  float* log_sum, int64_t sgemm, int64_t batch, int64_t length, int64_t heads,
                                  int64_t key_heads, int64_t d, int64_t e, double scale, int64_t threads) {
    const Product product(sgemm);
    const int64_t blocks = (length + QUERIES_PER_BLOCK - 1) / QUERIES_PER_BLOCK;
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> scores;
#pragma omp for schedule(dynamic) collapse(3)
        for (int64_t b = 0; b < batch; ++b)
            for (int64_t h = 0; h < heads; ++h)
                for (int64_t number = 0; number < blocks; ++number) {
                    const int64_t* visible = first_visible + b * length;
                    const Block block = block_at(visible, number * QUERIES_PER_BLOCK, length);
                    const int64_t kh = h / (heads / key_heads), keys = block.keys();
                    scores.resize(block.queries() * keys);
                    const float* k_rows = k + ((b * length + block.begin) * key_heads + kh) * d;
                    const float* v_rows = v + ((b * length + block.begin) * key_heads + kh) * e;
                    float* out = y + ((b * length + block.first) * heads + h) * e;
                    product(false, true, block.queries(), keys, d, scale, q + ((b * length + block.first) * heads + h) * d,
                            heads * d, k_rows, key_heads * d, 0, scores.data(), keys);
                    std::vector<float> inverse(block.queries(), 0.0f);
                    for (int64_t i = block.first; i < block.last; ++i) {
                        float* row = scores.data() + (i - block.first) * keys;
                        const bool sees = visible[i] <= i;
                        const int64_t from = sees ? visible[i] - block.begin : 0, to = sees ? i + 1 - block.begin : 0;
                        float top = -INFINITY;
#pragma omp simd reduction(max : top)
                        for (int64_t j = from; j < to; ++j) top = row[j] > top ? row[j] : top;
                        const float total = exponentials(row, from, to, keys, top);
                        inverse[i - block.first] = sees ? 1.0f / total : 0.0f;
                        log_sum[(b * heads + h) * length + i] = sees ? top + std::log(total) : INFINITY;
                    }
                    product(false, false, block.queries(), e, keys, 1, scores.data(), keys, v_rows, key_heads * e, 0, out,
                            heads * e);
                    for (int64_t i = 0; i < block.queries(); ++i)
#pragma omp simd
                        for (int64_t j = 0; j < e; ++j) out[i * heads * e + j] *= inverse[i];
                }
    }
}

// Gradients of q, k and v; grad_k and grad_v come as zeros. A thread has a key head of a row to itself.
extern "C" void attention_backward(const float* grad_y, const float* q, const float* k, const float* v, const float* y,
                                   const float* log_sum, const int64_t* first_visible, float* grad_q, float* grad_k,
                                   float* grad_v, int64_t sgemm, int64_t batch, int64_t length, int64_t heads,
                                   int64_t key_heads, int64_t d, int64_t e, double scale, int64_t threads) {
    const Product product(sgemm);
    const int64_t group = heads / key_heads;
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> weights, slopes;
#pragma omp for schedule(dynamic) collapse(2)
        for (int64_t b = 0; b < batch; ++b)
            for (int64_t kh = 0; kh < key_heads; ++kh)
                for (int64_t h = kh * group; h < (kh + 1) * group; ++h)
                    for (int64_t start = 0; start < length; start += QUERIES_PER_BLOCK) {
                        const int64_t* visible = first_visible + b * length;
                        const Block block = block_at(visible, start, length);
                        const int64_t queries = block.queries(), keys = block.keys();
                        weights.resize(queries * keys);
                        slopes.resize(queries * keys);
                        const int64_t query_row = (b * length + block.first) * heads + h;
                        const int64_t key_row = (b * length + block.begin) * key_heads + kh;
                        const float *q_rows = q + query_row * d, *k_rows = k + key_row * d, *v_rows = v + key_row * e;
                        const float *g_rows = grad_y + query_row * e, *y_rows = y + query_row * e;
                        const int64_t q_apart = heads * d, k_apart = key_heads * d, y_apart = heads * e,
                                      v_apart = key_heads * e;
                        product(false, true, queries, keys, d, scale, q_rows, q_apart, k_rows, k_apart, 0, weights.data(),
                                keys);
                        product(false, true, queries, keys, e, 1, g_rows, y_apart, v_rows, v_apart, 0, slopes.data(), keys);
                        for (int64_t i = block.first; i < block.last; ++i) {
                            float* p = weights.data() + (i - block.first) * keys;
                            float* s = slopes.data() + (i - block.first) * keys;
                            const float *g = g_rows + (i - block.first) * y_apart, *o = y_rows + (i - block.first) * y_apart;
                            float along = 0;
#pragma omp simd reduction(+ : along)
                            for (int64_t j = 0; j < e; ++j) along += g[j] * o[j];
                            const bool sees = visible[i] <= i;
                            const int64_t from = sees ? visible[i] - block.begin : 0, to = sees ? i + 1 - block.begin : 0;
                            exponentials(p, from, to, keys, log_sum[(b * heads + h) * length + i]);
                            std::fill(s, s + from, 0.0f);
#pragma omp simd
                            for (int64_t j = from; j < to; ++j) s[j] = p[j] * (s[j] - along);
                            std::fill(s + to, s + keys, 0.0f);
                        }
                        product(false, false, queries, d, keys, scale, slopes.data(), keys, k_rows, k_apart, 0,
                                grad_q + query_row * d, q_apart);
                        product(true, false, keys, d, queries, scale, slopes.data(), keys, q_rows, q_apart, 1,
                                grad_k + key_row * d, k_apart);
                        product(true, false, keys, e, queries, 1, weights.data(), keys, g_rows, y_apart, 1,
                                grad_v + key_row * e, v_apart);
                    }
    }
}
