// Attention of few queries over many keys that are read where they lie: decoding with a cache.
#include "few_rows.h"

namespace {

constexpr int64_t PARALLEL_FROM = 1 << 18;  // products below which waking threads costs more than it saves

// k [B, S, K, d] and v [B, S, K, e] with strides; q [B, T, H, d] and y [B, T, H, e] without gaps.
template <typename K, typename V>
void attention(const float* q, const K* k, const V* v, const int64_t* query_positions, const int64_t* key_positions,
               float* y, int64_t batch, int64_t queries, int64_t heads, int64_t key_heads, int64_t keys, int64_t width,
               int64_t value_width, int64_t k_row, int64_t k_token, int64_t k_head, int64_t v_row, int64_t v_token,
               int64_t v_head, int64_t positions_row, int64_t window, double scale, int64_t threads) {
    const int64_t per_key = heads / key_heads;
    const int64_t blocks_per_key = (per_key + HEADS - 1) / HEADS;
    const int64_t tasks = batch * queries * key_heads * blocks_per_key;
#pragma omp parallel num_threads(threads) if (batch * queries * heads * keys * (width + value_width) > PARALLEL_FROM)
    {
        std::vector<int64_t> seen;
        std::vector<float> scores;
#pragma omp for schedule(static)
        for (int64_t task = 0; task < tasks; ++task) {
            const int64_t block = task % blocks_per_key, key_head = task / blocks_per_key % key_heads;
            const int64_t query = task / (blocks_per_key * key_heads), row = query / queries;
            const int64_t first = key_head * per_key + block * HEADS;
            const int64_t number = std::min(HEADS, (key_head + 1) * per_key - first);
            Sight{key_positions + row * positions_row, keys, nullptr, window}.places(query_positions[query], seen);
            const float* queries_of[HEADS];
            float* results_of[HEADS];
            for (int64_t h = 0; h < number; ++h) {
                queries_of[h] = q + (query * heads + first + h) * width;
                results_of[h] = y + (query * heads + first + h) * value_width;
            }
            const Cached<K> none{k, 0, 0}, keys_of{k + row * k_row + key_head * k_head, k_token, width};
            const Cached<V> values_of{v + row * v_row + key_head * v_head, v_token, value_width};
            attend_heads(number, queries_of, queries_of, keys_of, none, values_of, seen, scale, results_of, scores);
        }
    }
}

}  // namespace

#define VARIANT(NAME, K, V)                                                                                            \
    extern "C" void attention_##NAME(                                                                                 \
        const float* q, const K* k, const V* v, const int64_t* query_positions, const int64_t* key_positions,         \
        float* y, int64_t batch, int64_t queries, int64_t heads, int64_t key_heads, int64_t keys, int64_t width,      \
        int64_t value_width, int64_t k_row, int64_t k_token, int64_t k_head, int64_t v_row, int64_t v_token,          \
        int64_t v_head, int64_t positions_row, int64_t window, double scale, int64_t threads) {                       \
        attention(q, k, v, query_positions, key_positions, y, batch, queries, heads, key_heads, keys, width,          \
                  value_width, k_row, k_token, k_head, v_row, v_token, v_head, positions_row, window, scale,          \
                  threads);                                                                                           \
    }

VARIANT(float32_float32, float, float)
VARIANT(float32_bfloat16, float, bfloat16)
VARIANT(bfloat16_float32, bfloat16, float)
VARIANT(bfloat16_bfloat16, bfloat16, bfloat16)
