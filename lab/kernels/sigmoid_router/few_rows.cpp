// Routing of few tokens: scores, groups, choice and weights of a token while its scores are in fast memory.
#include "few_rows.h"

namespace {

constexpr float SMALLEST_SUM = 1e-20f;
constexpr int64_t PARALLEL_FROM = 1 << 16;  // products below which waking threads costs more than it saves

// Places of the `number` largest of `values`, best first.
void best(const float* values, int64_t size, int64_t number, int64_t* places, std::vector<int64_t>& order) {
    order.resize(size);
    for (int64_t i = 0; i < size; ++i) order[i] = i;
    std::partial_sort(order.begin(), order.begin() + number, order.end(),
                      [&](int64_t a, int64_t b) { return values[a] > values[b] || (values[a] == values[b] && a < b); });
    std::copy(order.begin(), order.begin() + number, places);
}

}  // namespace

// x [N, D], weight [E, D], bias [E] to chosen [N, k], weights [N, k], scores [N, E].
extern "C" void route(const float* x, const float* weight, const float* bias, int64_t* chosen, float* weights,
                      float* scores, int64_t tokens, int64_t width, int64_t experts, int64_t top_k, int64_t groups,
                      int64_t kept, int64_t normalise, double outside, double scale, int64_t threads) {
    const int64_t size = experts / groups;
#pragma omp parallel num_threads(threads) if (tokens > 1 && tokens * experts * width > PARALLEL_FROM)
    {
        std::vector<float> choice(experts), of_group(groups);
        std::vector<int64_t> order, best_groups(groups);
#pragma omp for schedule(static)
        for (int64_t token = 0; token < tokens; ++token) {
            const float* row = x + token * width;
            float* score = scores + token * experts;
            product(weight, 0, experts, &row, 1, width, [&](int64_t o, int64_t, float value) { score[o] = value; });
#pragma omp simd
            for (int64_t e = 0; e < experts; ++e) {
                score[e] = vector_sigmoid(score[e]);
                choice[e] = score[e] + bias[e];
            }
            if (kept < groups) {
                for (int64_t g = 0; g < groups; ++g) {
                    float first = -INFINITY, second = -INFINITY;
                    for (int64_t e = g * size; e < (g + 1) * size; ++e) {
                        second = std::max(second, std::min(first, choice[e]));
                        first = std::max(first, choice[e]);
                    }
                    of_group[g] = first + second;
                }
                best(of_group.data(), groups, groups, best_groups.data(), order);
                for (int64_t i = kept; i < groups; ++i)
                    std::fill_n(choice.begin() + best_groups[i] * size, size, static_cast<float>(outside));
            }
            int64_t* places = chosen + token * top_k;
            best(choice.data(), experts, top_k, places, order);
            float total = normalise ? SMALLEST_SUM : 1.0f;
            for (int64_t k = 0; normalise && k < top_k; ++k) total += score[places[k]];
            for (int64_t k = 0; k < top_k; ++k)
                weights[token * top_k + k] = score[places[k]] / total * static_cast<float>(scale);
        }
    }
}
