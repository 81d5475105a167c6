// What the C++ of the operators shares: types, and functions that a compiler can put into vector registers.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

// The upper half of a float32; arithmetic is float32, only memory holds it.
struct bfloat16 {
    uint16_t bits;
};

static inline float load(const float* p) { return *p; }

static inline float load(const bfloat16* p) {
    const uint32_t bits = static_cast<uint32_t>(p->bits) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

static inline void store(float* p, float value) { *p = value; }

// Rounds to nearest, ties to even; NaN stays NaN.
static inline void store(bfloat16* p, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    p->bits = static_cast<uint16_t>(value != value ? 0x7fc0 : rounded);
}

// e^x within 2 units in the last place; 0 below -87.3 (denormals are flushed), infinity above 88.7, NaN stays NaN.
static inline float vector_exp(float x) {
    const float halves = nearbyintf(x * 1.44269504f);
    const float bounded = halves < -127.0f ? -127.0f : halves > 128.0f ? 128.0f : halves;
    float r = __builtin_fmaf(bounded, -0.693145752f, x);  // ln 2 in two parts: the first has few bits
    r = __builtin_fmaf(bounded, -1.42860677e-6f, r);
    float y = 1.98412698e-4f;  // Taylor to the seventh power, |r| <= ln(2) / 2
    y = __builtin_fmaf(y, r, 1.38888889e-3f);
    y = __builtin_fmaf(y, r, 8.33333333e-3f);
    y = __builtin_fmaf(y, r, 4.16666667e-2f);
    y = __builtin_fmaf(y, r, 1.66666667e-1f);
    y = __builtin_fmaf(y, r, 0.5f);
    y = __builtin_fmaf(y, r, 1.0f);
    y = __builtin_fmaf(y, r, 1.0f);
    const int32_t half = static_cast<int32_t>(bounded) >> 1;  // 2^n as a product, so that n = 128 does not overflow early
    const int32_t rest = static_cast<int32_t>(bounded) - half;
    const int32_t low_bits = (half + 127) << 23, high_bits = (rest + 127) << 23;
    float low, high;
    std::memcpy(&low, &low_bits, 4);
    std::memcpy(&high, &high_bits, 4);
    y = y * low * high;
    y = x < -87.3f ? 0.0f : y;
    y = x > 88.73f ? INFINITY : y;
    return x != x ? x : y;
}

// 1 / (1 + e^-x) within 5 units in the last place; 0 below -87, NaN stays NaN. Cheaper than vector_exp: e^-x is bounded,
// so its power of two is added to the exponent.
static inline float vector_sigmoid(float x) {
    const float above = -87.0f > x ? -87.0f : x;  // in this order a NaN passes
    const float bounded = 87.0f < above ? 87.0f : above;
    const float shifted = __builtin_fmaf(bounded, -1.44269504f, 12582912.0f);  // 1.5 * 2^23: rounds to an integer
    const float halves = shifted - 12582912.0f;
    float r = __builtin_fmaf(halves, -0.693145752f, -bounded);
    r = __builtin_fmaf(halves, -1.42860677e-6f, r);
    float y = 1.38888889e-3f;  // Taylor to the sixth power, |r| <= ln(2) / 2
    y = __builtin_fmaf(y, r, 8.33333333e-3f);
    y = __builtin_fmaf(y, r, 4.16666667e-2f);
    y = __builtin_fmaf(y, r, 1.66666667e-1f);
    y = __builtin_fmaf(y, r, 0.5f);
    y = __builtin_fmaf(y, r, 1.0f);
    y = __builtin_fmaf(y, r, 1.0f);
    uint32_t bits, power;
    std::memcpy(&bits, &y, 4);
    std::memcpy(&power, &shifted, 4);
    bits += power << 23;
    std::memcpy(&y, &bits, 4);
    return x < -87.0f ? 0.0f : x != x ? x : 1.0f / (1.0f + y);
}
