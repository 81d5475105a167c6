// PyTorch's own float32 matrix product, for matrices that lie by rows.
#pragma once

#include <cstdint>

// The Fortran interface of BLAS: matrices by columns. Inside a parallel region it uses one thread.
using Sgemm = void (*)(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*,
                       const float*, const int*, const float*, float*, const int*);

// C [m, n] = alpha op(A) op(B) + beta C by rows, so to BLAS this is C^T = op(B)^T op(A)^T; ld are distances between rows.
struct Product {
    Sgemm sgemm;

    explicit Product(int64_t address) : sgemm(reinterpret_cast<Sgemm>(address)) {}

    void operator()(bool a_transposed, bool b_transposed, int64_t m64, int64_t n64, int64_t k64, float alpha, const float* a,
                    int64_t lda64, const float* b, int64_t ldb64, float beta, float* c, int64_t ldc64) const {
        const int m = m64, n = n64, k = k64, lda = lda64, ldb = ldb64, ldc = ldc64;
        sgemm(b_transposed ? "T" : "N", a_transposed ? "T" : "N", &n, &m, &k, &alpha, b, &ldb, a, &lda, &beta, c, &ldc);
    }
};
