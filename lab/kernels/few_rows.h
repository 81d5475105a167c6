// What decoding is made of: few rows against many. Every matrix is read once, by whole vectors.
#pragma once

#include <algorithm>
#include <vector>

#include "vector.h"

#ifdef __AVX512F__
#include <immintrin.h>
constexpr int64_t LANES = 16;
#else
constexpr int64_t LANES = 8;
#endif

typedef float Lanes __attribute__((vector_size(LANES * 4)));

static inline Lanes lanes(const float* p) {
    Lanes value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

static inline Lanes lanes(const bfloat16* p) {
    typedef uint16_t Narrow __attribute__((vector_size(LANES * 2)));
    typedef uint32_t Wide __attribute__((vector_size(LANES * 4)));
    Narrow bits;
    std::memcpy(&bits, p, sizeof bits);
    const Wide wide = __builtin_convertvector(bits, Wide) << 16;
    Lanes value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

static inline float sum_of(Lanes value) {
#ifdef __AVX512F__
    return _mm512_reduce_add_ps((__m512)value);
#else
    float total = 0;
    for (int64_t i = 0; i < LANES; ++i) total += value[i];
    return total;
#endif
}

// sums[o][r] = w_o . x_r for OUT rows of w, `w_stride` apart, and ROWS rows of x.
template <int OUT, int ROWS, typename W>
static inline void dots(const W* w, int64_t w_stride, const float* const* x, int64_t width, float sums[OUT][ROWS]) {
    Lanes parts[OUT][ROWS] = {};
    int64_t i = 0;
    for (; i + LANES <= width; i += LANES) {
        Lanes loaded[ROWS];
        for (int r = 0; r < ROWS; ++r) loaded[r] = lanes(x[r] + i);
        for (int o = 0; o < OUT; ++o) {
            __builtin_prefetch(w + (OUT + o) * w_stride + i);
            const Lanes weight = lanes(w + o * w_stride + i);
            for (int r = 0; r < ROWS; ++r) parts[o][r] += weight * loaded[r];
        }
    }
    for (int o = 0; o < OUT; ++o)
        for (int r = 0; r < ROWS; ++r) sums[o][r] = sum_of(parts[o][r]);
    for (; i < width; ++i)
        for (int o = 0; o < OUT; ++o)
            for (int r = 0; r < ROWS; ++r) sums[o][r] += load(w + o * w_stride + i) * x[r][i];
}

// put(o, r, w_o . x_r) for ROWS rows of x and the outputs from `begin` to `end`.
template <int ROWS, typename W, typename Put>
static inline void product_of_rows(const W* w, int64_t begin, int64_t end, const float* const* x, int64_t width, Put put) {
    constexpr int OUT = 4;
    int64_t o = begin;
    for (; o + OUT <= end; o += OUT) {
        float sums[OUT][ROWS];
        dots<OUT, ROWS>(w + o * width, width, x, width, sums);
        for (int i = 0; i < OUT; ++i)
            for (int r = 0; r < ROWS; ++r) put(o + i, r, sums[i][r]);
    }
    for (; o < end; ++o) {
        float sums[1][ROWS];
        dots<1, ROWS>(w + o * width, width, x, width, sums);
        for (int r = 0; r < ROWS; ++r) put(o, r, sums[0][r]);
    }
}

// put(o, r, w_o . x_r) for all rows of x and the outputs from `begin` to `end`; w [outputs, width].
template <typename W, typename Put>
static inline void product(const W* w, int64_t begin, int64_t end, const float* const* x, int64_t rows, int64_t width,
                           Put put) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
        product_of_rows<4>(w, begin, end, x + r, width, [&](int64_t o, int64_t i, float v) { put(o, r + i, v); });
    const auto rest = [&](int64_t o, int64_t i, float v) { put(o, r + i, v); };
    if (rows - r == 3) product_of_rows<3>(w, begin, end, x + r, width, rest);
    if (rows - r == 2) product_of_rows<2>(w, begin, end, x + r, width, rest);
    if (rows - r == 1) product_of_rows<1>(w, begin, end, x + r, width, rest);
}

// y += factor x
template <typename X>
static inline void add_scaled(float* y, const X* x, float factor, int64_t width) {
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) y[i] += factor * load(x + i);
}

// The keys that one query sees, of those in reach or of those `chosen`.
struct Sight {
    const int64_t* key_positions;  // -1 marks an empty slot
    int64_t num_keys;
    const int64_t* chosen;  // places of keys, or null for all
    int64_t window;         // 0 for none

    void places(int64_t query_position, std::vector<int64_t>& seen) const {
        seen.clear();
        const int64_t oldest = window ? std::max<int64_t>(0, query_position - window + 1) : 0;
        for (int64_t i = 0; i < num_keys; ++i) {
            const int64_t place = chosen ? chosen[i] : i;
            const int64_t position = key_positions[place];
            if (position >= oldest && position <= query_position) seen.push_back(place);
        }
    }
};

// Vectors of some width, one a cached token, `stride` apart.
template <typename T>
struct Cached {
    const T* at;
    int64_t stride, width;

    const T* operator[](int64_t place) const { return at + place * stride; }
};

constexpr int64_t HEADS = 4;  // query heads that read a key together

// y_h = sum_j softmax_j(scale (q_h . k_j + q'_h . k'_j)) v_j over the places seen, for up to HEADS query heads at once;
// k' is a second part of the keys. Zeros where nothing is seen.
template <int N, typename K, typename V>
static inline void attend(const float* const* q, const float* const* q_more, Cached<K> k, Cached<K> k_more, Cached<V> v,
                          const std::vector<int64_t>& seen, float scale, float* const* y, std::vector<float>& scores) {
    const int64_t keys = seen.size();
    scores.resize(N * keys);
    for (int64_t j = 0; j < keys; ++j) {
        float sums[1][N];
        dots<1, N>(k[seen[j]], 0, q, k.width, sums);
        if (k_more.width) {
            float more[1][N];
            dots<1, N>(k_more[seen[j]], 0, q_more, k_more.width, more);
            for (int h = 0; h < N; ++h) sums[0][h] += more[0][h];
        }
        for (int h = 0; h < N; ++h) scores[h * keys + j] = scale * sums[0][h];
    }
    for (int h = 0; h < N; ++h) {
        float* p = scores.data() + h * keys;
        float largest = -INFINITY, total = 0;
#pragma omp simd reduction(max : largest)
        for (int64_t j = 0; j < keys; ++j) largest = largest > p[j] ? largest : p[j];
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < keys; ++j) {
            p[j] = vector_exp(p[j] - largest);
            total += p[j];
        }
        const float inverse = 1.0f / total;
#pragma omp simd
        for (int64_t j = 0; j < keys; ++j) p[j] *= inverse;
    }
    int64_t i = 0;
    for (; i + LANES <= v.width; i += LANES) {  // a strip of the values at a time, its sums in registers
        Lanes sums[N] = {};
        for (int64_t j = 0; j < keys; ++j) {
            const Lanes value = lanes(v[seen[j]] + i);
            for (int h = 0; h < N; ++h) sums[h] += scores[h * keys + j] * value;
        }
        for (int h = 0; h < N; ++h) std::memcpy(y[h] + i, &sums[h], sizeof sums[h]);
    }
    for (; i < v.width; ++i)
        for (int h = 0; h < N; ++h) {
            float sum = 0;
            for (int64_t j = 0; j < keys; ++j) sum += scores[h * keys + j] * load(v[seen[j]] + i);
            y[h][i] = sum;
        }
}

// The same for a number of heads that is only known when it runs, HEADS at most.
template <typename... Rest>
static inline void attend_heads(int64_t heads, Rest&&... rest) {
    if (heads == 4) attend<4>(rest...);
    if (heads == 3) attend<3>(rest...);
    if (heads == 2) attend<2>(rest...);
    if (heads == 1) attend<1>(rest...);
}
