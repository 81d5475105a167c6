// Latent attention of few queries: absorbed queries meet the latents where the cache holds them.
#include "few_rows.h"

namespace {

constexpr int64_t PARALLEL_FROM = 1 << 18;  // products below which waking threads costs more than it saves

// q [B, T, H, nope + rope], up [K, nope + v, R], y [B, T, H, v] without gaps; latent [B, S, R] and k_rope [B, S, rope]
// with strides; chosen [B, T, n] places of keys, all where n is 0.
template <typename C, typename W>
void latent_attention(const float* q, const C* latent, const C* k_rope, const W* up, const int64_t* query_positions,
                      const int64_t* key_positions, const int64_t* chosen, float* y, int64_t batch, int64_t queries,
                      int64_t heads, int64_t expanded, int64_t keys, int64_t rank, int64_t nope, int64_t rope,
                      int64_t value_width, int64_t latent_row, int64_t latent_token, int64_t rope_row,
                      int64_t rope_token, int64_t positions_row, int64_t number_chosen, int64_t window, double scale,
                      int64_t threads) {
    const int64_t blocks = (heads + HEADS - 1) / HEADS, tasks = batch * queries * blocks, per_head = heads / expanded;
    const int64_t visited = number_chosen ? number_chosen : keys;
#pragma omp parallel num_threads(threads) if (batch * queries * heads * (visited * (2 * rank + rope) + rank * (nope + value_width)) > PARALLEL_FROM)
    {
        std::vector<int64_t> seen;
        std::vector<float> scores, absorbed(HEADS * rank), read(HEADS * rank);
#pragma omp for schedule(static)
        for (int64_t task = 0; task < tasks; ++task) {
            const int64_t query = task / blocks, row = query / queries, first = task % blocks * HEADS;
            const int64_t number = std::min(HEADS, heads - first);
            const int64_t* places = number_chosen ? chosen + query * number_chosen : nullptr;
            Sight{key_positions + row * positions_row, visited, places, window}.places(query_positions[query], seen);
            const float *absorbed_of[HEADS], *rotated_of[HEADS];
            float* read_of[HEADS];
            for (int64_t h = 0; h < number; ++h) {
                const float* head = q + (query * heads + first + h) * (nope + rope);
                const W* matrix = up + (first + h) / per_head * (nope + value_width) * rank;
                float* sum = absorbed.data() + h * rank;
                std::fill(sum, sum + rank, 0.0f);
                for (int64_t n = 0; n < nope; ++n) add_scaled(sum, matrix + n * rank, head[n], rank);
                absorbed_of[h] = sum;
                rotated_of[h] = head + nope;
                read_of[h] = read.data() + h * rank;
            }
            const Cached<C> latents{latent + row * latent_row, latent_token, rank};
            const Cached<C> rotated{k_rope + row * rope_row, rope_token, rope};
            attend_heads(number, absorbed_of, rotated_of, latents, rotated, latents, seen, scale, read_of, scores);
            for (int64_t h = 0; h < number; ++h) {
                const W* matrix = up + ((first + h) / per_head * (nope + value_width) + nope) * rank;
                float* result = y + (query * heads + first + h) * value_width;
                const float* source = read_of[h];
                product(matrix, 0, value_width, &source, 1, rank, [&](int64_t o, int64_t, float v) { result[o] = v; });
            }
        }
    }
}

}  // namespace

#define VARIANT(NAME, C, W)                                                                                           \
    extern "C" void latent_attention_##NAME(                                                                          \
        const float* q, const C* latent, const C* k_rope, const W* up, const int64_t* query_positions,                \
        const int64_t* key_positions, const int64_t* chosen, float* y, int64_t batch, int64_t queries, int64_t heads, \
        int64_t expanded, int64_t keys, int64_t rank, int64_t nope, int64_t rope, int64_t value_width,                \
        int64_t latent_row, int64_t latent_token, int64_t rope_row, int64_t rope_token, int64_t positions_row,        \
        int64_t number_chosen, int64_t window, double scale, int64_t threads) {                                       \
        latent_attention(q, latent, k_rope, up, query_positions, key_positions, chosen, y, batch, queries, heads,     \
                         expanded, keys, rank, nope, rope, value_width, latent_row, latent_token, rope_row,           \
                         rope_token, positions_row, number_chosen, window, scale, threads);                           \
    }

VARIANT(float32, float, float)
VARIANT(bfloat16, bfloat16, bfloat16)
