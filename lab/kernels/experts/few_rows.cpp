// Few tokens through their chosen experts: the matrices of a chosen expert are read once, those of others never.
#include <numeric>

#include "few_rows.h"

namespace {

constexpr int64_t PARALLEL_FROM = 1 << 15;  // products below which waking threads costs more than it saves
constexpr int64_t OUTPUTS = 32;  // of one expert, one task

// The pairs (token, choice) of each expert that has any.
struct Groups {
    std::vector<int64_t> pairs, starts;

    Groups(const int64_t* experts, int64_t number) : pairs(number) {
        std::iota(pairs.begin(), pairs.end(), 0);
        std::stable_sort(pairs.begin(), pairs.end(), [&](int64_t a, int64_t b) { return experts[a] < experts[b]; });
        for (int64_t i = 0; i < number; ++i)
            if (i == 0 || experts[pairs[i]] != experts[pairs[i - 1]]) starts.push_back(i);
        starts.push_back(number);
    }

    int64_t size() const { return starts.size() - 1; }
};

// put(pair, output, W_expert[output] . x_of(pair)) for all pairs and outputs; called by every thread of a team.
template <typename W, typename RowOf, typename Put>
void by_expert(const Groups& groups, const int64_t* experts, const W* w, int64_t outputs, int64_t width, RowOf x_of,
               Put put) {
    const int64_t blocks = (outputs + OUTPUTS - 1) / OUTPUTS;
    std::vector<const float*> rows;
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < groups.size() * blocks; ++task) {
        const int64_t group = task / blocks, begin = task % blocks * OUTPUTS;
        const int64_t* pairs = groups.pairs.data() + groups.starts[group];
        rows.clear();
        for (int64_t i = groups.starts[group]; i < groups.starts[group + 1]; ++i) rows.push_back(x_of(groups.pairs[i]));
        product(w + experts[pairs[0]] * outputs * width, begin, std::min(outputs, begin + OUTPUTS), rows.data(),
                rows.size(), width, [&](int64_t o, int64_t r, float value) { put(pairs[r], o, value); });
    }
}

// x [N, D] and w [E, 2F, D] to gate and up, each [N k, F].
template <typename W>
void experts_in(const float* x, const int64_t* experts, const W* w, float* gate, float* up, int64_t tokens, int64_t top_k,
                int64_t width, int64_t hidden, int64_t threads) {
    const Groups groups(experts, tokens * top_k);
#pragma omp parallel num_threads(threads) if (tokens * top_k * hidden * width > PARALLEL_FROM)
    by_expert(groups, experts, w, 2 * hidden, width, [&](int64_t pair) { return x + pair / top_k * width; },
              [&](int64_t pair, int64_t o, float value) {
                  (o < hidden ? gate + pair * hidden + o : up + pair * hidden + o - hidden)[0] = value;
              });
}

// h [N k, F] and w [E, D, F] to y [N, D], each token the sum of its choices by their weights [N, k].
template <typename W>
void experts_out(const float* h, const int64_t* experts, const float* weights, const W* w, float* y, int64_t tokens,
                 int64_t top_k, int64_t width, int64_t hidden, int64_t threads) {
    const Groups groups(experts, tokens * top_k);
    std::vector<float> outputs(tokens * top_k * width);
#pragma omp parallel num_threads(threads) if (tokens * top_k * hidden * width > PARALLEL_FROM)
    {
        by_expert(groups, experts, w, width, hidden, [&](int64_t pair) { return h + pair * hidden; },
                  [&](int64_t pair, int64_t o, float value) { outputs[pair * width + o] = weights[pair] * value; });
#pragma omp for schedule(static)
        for (int64_t token = 0; token < tokens; ++token) {
            float* sum = y + token * width;
            std::fill(sum, sum + width, 0.0f);
            for (int64_t k = 0; k < top_k; ++k)
                add_scaled(sum, outputs.data() + (token * top_k + k) * width, 1.0f, width);
        }
    }
}

}  // namespace

#define VARIANT(NAME, W)                                                                                              \
    extern "C" void experts_in_##NAME(const float* x, const int64_t* experts, const W* w, float* gate, float* up,    \
                                      int64_t tokens, int64_t top_k, int64_t width, int64_t hidden,                  \
                                      int64_t threads) {                                                              \
        experts_in(x, experts, w, gate, up, tokens, top_k, width, hidden, threads);                                   \
    }                                                                                                                 \
    extern "C" void experts_out_##NAME(const float* h, const int64_t* experts, const float* weights, const W* w,     \
                                       float* y, int64_t tokens, int64_t top_k, int64_t width, int64_t hidden,       \
                                       int64_t threads) {                                                             \
        experts_out(h, experts, weights, w, y, tokens, top_k, width, hidden, threads);                                \
    }

VARIANT(float32, float)
VARIANT(bfloat16, bfloat16)
