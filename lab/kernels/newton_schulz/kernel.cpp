// A whole Muon step of many matrices: each is iterated by one thread while the cache holds it, at half the products' cost.
//
// Every matrix is held high, Y [long side, short side], so that G = Y^T Y is the Gram matrix of the short side and a step
// is Y <- Y Q with Q = a I + b G + c G^2. G, Q and all polynomials of G are symmetric and commute, so of each of their
// products only tiles on and below the diagonal are computed, and mirrored.
//
// Buffers are padded with zeros to whole tiles, which changes nothing: a row of zeros stays one. The rows of a buffer lie an
// odd number of cache lines apart; at a power of two they would share few sets of the cache.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

using Index = int64_t;

#if defined(__AVX512F__)
constexpr Index BYTES = 64;
#elif defined(__AVX2__)
constexpr Index BYTES = 32;
#else
constexpr Index BYTES = 16;
#endif
typedef float Vector __attribute__((vector_size(BYTES), may_alias));

constexpr Index W = BYTES / sizeof(float);                   // numbers in a register
constexpr Index ROWS = W < 8 ? 4 : W / 2, COLUMNS = 2 * W;  // of a tile, whose sums fill half of the registers
constexpr Index DEPTH = 256;                                 // terms of a product at a time, so that a panel stays near
constexpr Index LINE = 16;                                   // numbers in a cache line

inline Vector spread(float x) { return x - Vector{}; }
inline Vector& at(float* p) { return *reinterpret_cast<Vector*>(p); }
inline const Vector& at(const float* p) { return *reinterpret_cast<const Vector*>(p); }
Index padded(Index n, Index to) { return (n + to - 1) / to * to; }
Index row_length(Index n) { return (padded(n, LINE) / LINE | 1) * LINE; }

// Four rows of one register each, written as W rows of four numbers.
inline void write_transposed(const Vector rows[4], float* to, Index length) {
#if defined(__AVX512F__)
    const __m512 a = _mm512_unpacklo_ps(rows[0], rows[1]), b = _mm512_unpackhi_ps(rows[0], rows[1]);
    const __m512 c = _mm512_unpacklo_ps(rows[2], rows[3]), d = _mm512_unpackhi_ps(rows[2], rows[3]);
    const __m512 columns[4] = {_mm512_shuffle_ps(a, c, 0x44), _mm512_shuffle_ps(a, c, 0xee),
                               _mm512_shuffle_ps(b, d, 0x44), _mm512_shuffle_ps(b, d, 0xee)};
#elif defined(__AVX2__)
    const __m256 a = _mm256_unpacklo_ps(rows[0], rows[1]), b = _mm256_unpackhi_ps(rows[0], rows[1]);
    const __m256 c = _mm256_unpacklo_ps(rows[2], rows[3]), d = _mm256_unpackhi_ps(rows[2], rows[3]);
    const __m256 columns[4] = {_mm256_shuffle_ps(a, c, 0x44), _mm256_shuffle_ps(a, c, 0xee),
                               _mm256_shuffle_ps(b, d, 0x44), _mm256_shuffle_ps(b, d, 0xee)};
#endif
#if defined(__AVX2__)
    for (Index column = 0; column < 4; ++column) {
        const __m128* quarters = reinterpret_cast<const __m128*>(&columns[column]);
        for (Index lane = 0; lane < W / 4; ++lane) _mm_store_ps(to + (4 * lane + column) * length, quarters[lane]);
    }
#else
    for (Index j = 0; j < W; ++j)
        for (Index i = 0; i < 4; ++i) to[j * length + i] = rows[i][j];
#endif
}

void transpose(const float* from, Index from_length, Index rows, Index columns, float* to, Index to_length) {
    for (Index i = 0; i < rows; i += 4)
        for (Index j = 0; j < columns; j += W) {
            Vector block[4];
            for (Index r = 0; r < 4; ++r) block[r] = at(from + (i + r) * from_length + j);
            write_transposed(block, to + j * to_length + i, to_length);
        }
}

// ---- products ----

struct Left {  // the left factor: element (i, k) lies at data[i * row + k * column]
    const float* data;
    Index row, column;
};

struct Right {  // the right factor, or a result: element (k, j) lies at data[k * length + j]
    float* data;
    Index length;

    float* operator()(Index k, Index j) const { return data + k * length + j; }
    Left turned() const { return {data, 1, length}; }
};

// Adds to `sum` the product of ROWS rows of `a` with WIDTH registers of columns of `b`.
template <Index WIDTH>
inline void accumulate(const Left& a, const float* b, Index length, Index depth, Vector sum[ROWS][WIDTH]) {
    const float* p = a.data;
    for (Index k = 0; k < depth; ++k, p += a.column, b += length) {
        Vector right[WIDTH];
        for (Index w = 0; w < WIDTH; ++w) right[w] = at(b + w * W);
        for (Index i = 0; i < ROWS; ++i) {
            const Vector left = spread(p[i * a.row]);
            for (Index w = 0; w < WIDTH; ++w) sum[i][w] += left * right[w];
        }
    }
}

// The tile of C = A B at (i, j): `depth` terms from the k-th. The first `mirrored` registers are written at (j, i) too.
template <Index WIDTH>
inline void tile(const Left& a, const Right& b, const Right& c, Index i, Index j, Index k, Index depth, Index mirrored) {
    Vector sum[ROWS][WIDTH];
    for (Index r = 0; r < ROWS; ++r)
        for (Index w = 0; w < WIDTH; ++w) sum[r][w] = k ? at(c(i + r, j + w * W)) : spread(0);
    const float* first = a.data + i * a.row + k * a.column;
    if (a.row == 1)  // a constant that the compiler can make use of
        accumulate<WIDTH>({first, 1, a.column}, b(k, j), b.length, depth, sum);
    else
        accumulate<WIDTH>({first, a.row, 1}, b(k, j), b.length, depth, sum);
    for (Index r = 0; r < ROWS; ++r)
        for (Index w = 0; w < WIDTH; ++w) at(c(i + r, j + w * W)) = sum[r][w];
    for (Index w = 0; w < mirrored; ++w)
        for (Index r = 0; r < ROWS; r += 4) {
            const Vector rows[4] = {sum[r][w], sum[r + 1][w], sum[r + 2][w], sum[r + 3][w]};
            write_transposed(rows, c(j + w * W, i + r), c.length);
        }
}

// C [rows, columns] = A B.
void multiply(const Left& a, const Right& b, const Right& c, Index rows, Index columns, Index depth) {
    for (Index k = 0; k < depth; k += DEPTH)
        for (Index j = 0; j < columns; j += COLUMNS)
            for (Index i = 0; i < rows; i += ROWS) tile<2>(a, b, c, i, j, k, std::min(DEPTH, depth - k), 0);
}

// C [side, side] = A B where C is known to be symmetric. It becomes so to the last bit: matrices that are not quite
// symmetric do not quite commute, and a step makes the difference up to a^2 times as large.
void multiply_symmetric(const Left& a, const Right& b, const Right& c, Index side, Index depth) {
    for (Index k = 0; k < depth; k += DEPTH) {
        const Index terms = std::min(DEPTH, depth - k);
        const bool last = k + terms == depth;
        for (Index j = 0; j < side; j += COLUMNS) {
            for (Index i = j; i < j + W; i += ROWS) tile<1>(a, b, c, i, j, k, terms, 0);
            for (Index i = j + W; i < j + COLUMNS; i += ROWS) tile<2>(a, b, c, i, j, k, terms, last ? 1 : 0);
            for (Index i = j + COLUMNS; i < side; i += ROWS) tile<2>(a, b, c, i, j, k, terms, last ? 2 : 0);
            for (Index block = j; last && block < j + COLUMNS; block += W)
                for (Index row = block; row < block + W; ++row)
                    for (Index column = row + 1; column < block + W; ++column) *c(row, column) = *c(column, row);
        }
    }
}

// ---- the iteration ----

struct Polynomial {
    float linear, cubic, quintic;
};

// What a matrix is iterated in; grows to what the largest one needs.
class Buffers {
   public:
    Right y, other, gram, polynomial, total, spare;
    Index side = 0, height = 0;  // of Y, padded
    Index wide_length = 0;       // of the rows of a matrix that is not held high

    void fit(Index shorter, Index longer) {
        side = padded(shorter, COLUMNS), height = padded(longer, W);
        wide_length = row_length(height);
        const Index length = row_length(side), square = side * length;
        const Index whole = std::max(height * length, side * wide_length), needed = 2 * whole + 4 * square;
        if (needed > size_) {
            std::free(memory_);
            memory_ = static_cast<float*>(std::aligned_alloc(LINE * sizeof(float), needed * sizeof(float)));
            if (memory_ == nullptr) std::abort();
            size_ = needed;
        }
        float* squares = memory_ + 2 * whole;
        y = {memory_, length}, other = {memory_ + whole, length};
        gram = {squares, length}, polynomial = {squares + square, length};
        total = {squares + 2 * square, length}, spare = {squares + 3 * square, length};
    }
    Right wide() const { return {other.data, wide_length}; }
    ~Buffers() { std::free(memory_); }

   private:
    float* memory_ = nullptr;
    Index size_ = 0;
};

// `polynomial` = a I + b G + c G^2.
void evaluate(Buffers& s, Index shorter, const Polynomial& p) {
    multiply_symmetric(s.gram.turned(), s.gram, s.polynomial, s.side, s.side);
    const Index size = s.side * s.gram.length;
    for (Index i = 0; i < size; i += W)
        at(s.polynomial.data + i) = spread(p.quintic) * at(s.polynomial.data + i) + spread(p.cubic) * at(s.gram.data + i);
    for (Index i = 0; i < shorter; ++i) *s.polynomial(i, i) += p.linear;
}

// `x` becomes its product with `polynomial`.
void advance(Buffers& s, Right& x) {
    multiply_symmetric(s.polynomial.turned(), x, s.spare, s.side, s.side);
    std::swap(x, s.spare);
}

// `steps` of the iteration on G = Y^T Y alone, equation (4), applied to Y at the end.
void iterate(Buffers& s, Index shorter, Index steps, const Polynomial& p) {
    multiply_symmetric(s.y.turned(), s.y, s.gram, s.side, s.height);
    for (Index step = 0; step < steps; ++step) {
        evaluate(s, shorter, p);
        if (step + 1 < steps) {
            advance(s, s.gram);
            advance(s, s.gram);
        }
        if (step == 0)
            std::swap(s.total, s.polynomial);
        else
            advance(s, s.total);
    }
    multiply({s.y.data, s.y.length, 1}, s.total, s.other, s.height, s.side, s.side);
    std::swap(s.y, s.other);
}

// Iterating on G alone costs less from here on; a square Y costs as much either way, and is more exact step by step.
constexpr double GRAM_FROM = 1.5;
// Rounding errors of G grow by a^2 a step, to a few thousandths in so many; then G is taken from Y again.
constexpr Index STEPS_ON_GRAM = 5;

void orthogonalise(Buffers& s, Index shorter, Index longer, Index steps, const Polynomial& p) {
    const Index most = longer < GRAM_FROM * shorter ? 1 : STEPS_ON_GRAM;
    for (; steps > 0; steps -= most) iterate(s, shorter, std::min(steps, most), p);
}

// ---- the optimiser around it ----

// Matrices: W <- keep W - size NewtonSchulz(update), all of them [count, rows, columns] without gaps. The update is the
// gradient or, where there is a momentum, what becomes of both. With `keep` = 0 W is written and never read.
struct Stack {
    float* weight;
    const float* gradient;
    float* momentum;
    Index count, rows, columns;
    float keep, size;

    Stack matrix(Index n) const {
        const Index offset = n * rows * columns;
        return {weight + offset, gradient + offset, momentum ? momentum + offset : nullptr, 1, rows, columns, keep, size};
    }
    Index shorter() const { return std::min(rows, columns); }
    Index longer() const { return std::max(rows, columns); }
    bool wide() const { return rows < columns; }
    Index cost() const { return shorter() * shorter() * longer(); }
};

struct Momentum {
    float share;  // of the running mean that stays
    bool nesterov;
};

inline float between(float start, float end, float weight) {  // exact at both ends
    return weight < 0.5f ? start + weight * (end - start) : end - (end - start) * (1 - weight);
}

// One row of the update into `to`; returns its sum of squares.
float take_row(const Stack& m, const Momentum& momentum, Index row, float* to) {
    const float* gradient = m.gradient + row * m.columns;
    if (m.momentum == nullptr) {
        std::memcpy(to, gradient, m.columns * sizeof(float));
    } else {
        float* means = m.momentum + row * m.columns;
        for (Index j = 0; j < m.columns; ++j) {
            const float mean = between(means[j], gradient[j], 1 - momentum.share);
            means[j] = mean;
            to[j] = momentum.nesterov ? between(gradient[j], mean, momentum.share) : mean;
        }
    }
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (Index j = 0; j < m.columns; ++j) squares += to[j] * to[j];
    return squares;
}

// The update, divided by its norm, into `y`.
void take(Buffers& s, const Stack& m, const Momentum& momentum, float smallest_norm) {
    const Right to = m.wide() ? s.wide() : s.y;
    const Index rows = m.wide() ? s.side : s.height, columns = m.wide() ? s.height : s.side;
    double squares = 0;
    for (Index i = 0; i < m.rows; ++i) {
        squares += take_row(m, momentum, i, to(i, 0));
        std::memset(to(i, m.columns), 0, (columns - m.columns) * sizeof(float));
    }
    for (Index i = m.rows; i < rows; ++i) std::memset(to(i, 0), 0, columns * sizeof(float));
    const Vector factor = spread(1 / std::max(static_cast<float>(std::sqrt(squares)), smallest_norm));
    for (Index i = 0; i < m.rows; ++i)
        for (Index j = 0; j < columns; j += W) at(to(i, j)) *= factor;
    if (m.wide()) transpose(to.data, to.length, rows, columns, s.y.data, s.y.length);
}

// The weights one step on, from `y`.
void give(Buffers& s, const Stack& m) {
    if (m.wide()) transpose(s.y.data, s.y.length, s.height, s.side, s.wide().data, s.wide_length);
    const Right from = m.wide() ? s.wide() : s.y;
    for (Index i = 0; i < m.rows; ++i) {
        float* weight = m.weight + i * m.columns;
        const float* update = from(i, 0);
        if (m.keep == 0)
            for (Index j = 0; j < m.columns; ++j) weight[j] = -m.size * update[j];
        else
            for (Index j = 0; j < m.columns; ++j) weight[j] = m.keep * weight[j] - m.size * update[j];
    }
}

}  // namespace

// `table` [num_stacks, 6] holds of each stack the addresses of weight, gradient and momentum (or 0), count, rows, columns;
// `factors` [num_stacks, 2] its `keep` and `size`.
extern "C" void update(const int64_t* table, const float* factors, int64_t num_stacks, int64_t steps, int64_t nesterov,
                       double share, double linear, double cubic, double quintic, double smallest_norm, int64_t threads) {
    std::vector<Stack> matrices;
    for (Index n = 0; n < num_stacks; ++n, table += 6, factors += 2) {
        const Stack stack{reinterpret_cast<float*>(table[0]), reinterpret_cast<const float*>(table[1]),
                          reinterpret_cast<float*>(table[2]), table[3], table[4], table[5], factors[0], factors[1]};
        for (Index i = 0; i < stack.count; ++i) matrices.push_back(stack.matrix(i));
    }
    // the dearest first, so that no thread is left alone with a large one at the end
    std::stable_sort(matrices.begin(), matrices.end(), [](const Stack& a, const Stack& b) { return a.cost() > b.cost(); });
    const Index count = static_cast<Index>(matrices.size());
    const Polynomial polynomial{static_cast<float>(linear), static_cast<float>(cubic), static_cast<float>(quintic)};
    const Momentum momentum{static_cast<float>(share), nesterov != 0};
#pragma omp parallel num_threads(threads)
    {
        Buffers buffers;
#pragma omp for schedule(dynamic)
        for (Index n = 0; n < count; ++n) {
            const Stack& m = matrices[n];
            buffers.fit(m.shorter(), m.longer());
            take(buffers, m, momentum, static_cast<float>(smallest_norm));
            orthogonalise(buffers, m.shorter(), m.longer(), steps, polynomial);
            give(buffers, m);
        }
    }
}
