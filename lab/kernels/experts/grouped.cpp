// Products of rows that belong to experts with the matrices of those experts, an expert a thread.
//
// Rows are in the order of their experts: those of expert e are offsets[e] to offsets[e + 1]. The matrix products are the
// library's own, called from inside a parallel region, where it uses one thread; so a thread gathers rows into its fast
// memory and multiplies them there, and threads meet once a call, not once an expert.
#include <algorithm>
#include <vector>

#include "blas.h"
#include "vector.h"

namespace {

constexpr int64_t ROWS_PER_TASK = 512;

struct Task {
    int64_t expert, start, count;
};

// Rows start, start + 1, ... as they stand, or gathered into the buffer by index and scaled.
const float* gathered(const float* x, const int64_t* index, const float* scale, int64_t start, int64_t count, int64_t width,
                      std::vector<float>& buffer) {
    if (!index) return x + start * width;
    buffer.resize(count * width);
    for (int64_t i = 0; i < count; ++i) {
        const float* from = x + index[start + i] * width;
        const float factor = scale ? scale[start + i] : 1.0f;
        float* to = buffer.data() + i * width;
#pragma omp simd
        for (int64_t j = 0; j < width; ++j) to[j] = from[j] * factor;
    }
    return buffer.data();
}

}  // namespace

// Pairs (token, choice) in the order of their experts; within an expert in the order of tokens.
extern "C" void sort_by_expert(const int64_t* indices, int64_t* offsets, int64_t* token_of_row, int64_t* expert_of_row,
                               int64_t* row_of_pair, int64_t pairs, int64_t experts, int64_t top_k, int64_t) {
    std::fill(offsets, offsets + experts + 1, 0);
    for (int64_t pair = 0; pair < pairs; ++pair) ++offsets[indices[pair] + 1];
    for (int64_t e = 0; e < experts; ++e) offsets[e + 1] += offsets[e];
    std::vector<int64_t> next(offsets, offsets + experts);
    for (int64_t pair = 0; pair < pairs; ++pair) {
        const int64_t row = next[indices[pair]]++;
        token_of_row[row] = pair / top_k;
        expert_of_row[row] = indices[pair];
        row_of_pair[pair] = row;
    }
}

// result [M, out] of each row of x, gathered by index if there is one, times its expert's matrix: [out, in] transposed, or
// [in, out].
extern "C" void product_by_expert(const float* x, const int64_t* index, const float* matrices, const int64_t* offsets,
                                  float* result, int64_t sgemm, int64_t experts, int64_t in, int64_t out,
                                  int64_t transposed, int64_t threads) {
    const Product product(sgemm);
    std::vector<Task> tasks;
    for (int64_t e = 0; e < experts; ++e)
        for (int64_t start = offsets[e]; start < offsets[e + 1]; start += ROWS_PER_TASK)
            tasks.push_back({e, start, std::min(ROWS_PER_TASK, offsets[e + 1] - start)});
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> buffer;
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < tasks.size(); ++i) {
            const Task& task = tasks[i];
            const float* rows = gathered(x, index, nullptr, task.start, task.count, in, buffer);
            product(false, transposed, task.count, out, in, 1, rows, in, matrices + task.expert * in * out,
                    transposed ? in : out, 0, result + task.start * out, out);
        }
    }
}

// gradient [E, left, right]: for each expert the sum over its rows of left^T right, either side gathered by an index if it
// has one, the left side scaled. An expert without rows gets zeros; one with many is shared by several threads.
extern "C" void matrix_gradients(const float* left, const int64_t* left_index, const float* left_scale, const float* right,
                                 const int64_t* right_index, const int64_t* offsets, float* gradient, int64_t sgemm,
                                 int64_t experts, int64_t left_width, int64_t right_width, int64_t threads) {
    const Product product(sgemm);
    std::vector<Task> tasks;  // of an expert, the columns of its left side
    const int64_t rows = std::max<int64_t>(offsets[experts], 1);
    for (int64_t e = 0; e < experts; ++e) {
        const int64_t share = 2 * threads * (offsets[e + 1] - offsets[e]) / rows;
        const int64_t parts = std::min(std::max<int64_t>(share, 1), std::min(threads, left_width));
        for (int64_t part = 0; part < parts; ++part) {
            const int64_t start = left_width * part / parts;
            tasks.push_back({e, start, left_width * (part + 1) / parts - start});
        }
    }
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> left_buffer, right_buffer;
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < tasks.size(); ++i) {
            const auto [expert, column, columns] = tasks[i];
            const int64_t start = offsets[expert], count = offsets[expert + 1] - start;
            float* to = gradient + (expert * left_width + column) * right_width;
            if (count == 0) {
                std::fill(to, to + columns * right_width, 0.0f);
                continue;
            }
            const float* a = gathered(left, left_index, left_scale, start, count, left_width, left_buffer);
            const float* b = gathered(right, right_index, nullptr, start, count, right_width, right_buffer);
            product(true, false, columns, right_width, count, 1, a + column, left_width, b, right_width, 0, to, right_width);
        }
    }
}

// y [N, width]: the sum of each token's rows, weighted if there are weights [N, k].
extern "C" void sum_of_rows(const float* rows, const int64_t* row_of_pair, const float* weights, float* y, int64_t tokens,
                            int64_t top_k, int64_t width, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t token = 0; token < tokens; ++token) {
        float* to = y + token * width;
        for (int64_t k = 0; k < top_k; ++k) {
            const float* from = rows + row_of_pair[token * top_k + k] * width;
            const float factor = weights ? weights[token * top_k + k] : 1.0f;
            if (k == 0)
#pragma omp simd
                for (int64_t j = 0; j < width; ++j) to[j] = from[j] * factor;
            else
#pragma omp simd
                for (int64_t j = 0; j < width; ++j) to[j] += from[j] * factor;
        }
    }
}

// What came back through the matrices for rows without their weights, in place: it gets the weight; its product with the row
// is the gradient of the weight.
extern "C" void weigh_rows(float* gradient, const float* rows, const float* weight_of_row, float* grad_weight, int64_t count,
                           int64_t width, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < count; ++row) {
        float* g = gradient + row * width;
        const float* h = rows + row * width;
        const float weight = weight_of_row[row];
        float along = 0;
#pragma omp simd reduction(+ : along)
        for (int64_t j = 0; j < width; ++j) {
            along += g[j] * h[j];
            g[j] *= weight;
        }
        grad_weight[row] = along;
    }
}
