// Vec on AVX2 and FMA: 16 lanes are two registers.
#pragma once

#include <immintrin.h>

namespace {

struct Vec {
  __m256 lo, hi;
};
using Mask = Vec;

inline Vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
inline Vec broadcast(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
inline Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline Mask operator>(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_GT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_GT_OQ)};
}
inline Vec select(Mask m, Vec yes, Vec no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, m.lo), _mm256_blendv_ps(no.hi, yes.hi, m.hi)};
}
// a > b ? a : b
inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
// a < b ? a : b
inline Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
// 2^n of what kRounder was added to: n is integral in [-126, 127] and lies in the low bits.
inline Vec exp2_rounded(Vec n) {
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i lo = _mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(n.lo), bias), 23);
  const __m256i hi = _mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(n.hi), bias), 23);
  return {_mm256_castsi256_ps(lo), _mm256_castsi256_ps(hi)};
}
// p * 2^n, both normal, with n as in exp2_rounded.
inline Vec times_exp2(Vec p, Vec n) {
  const auto times = [](__m256 a, __m256 b) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(b), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), exponent));
  };
  return {times(p.lo, n.lo), times(p.hi, n.hi)};
}

// A lane of bits holds two bf16, the earlier in its low half; each half as a float.
inline Vec low_halves(Vec pairs) {
  const auto shift = [](__m256 a) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 16));
  };
  return {shift(pairs.lo), shift(pairs.hi)};
}
inline Vec high_halves(Vec pairs) {
  const __m256 high = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xFFFF0000)));
  return {_mm256_and_ps(pairs.lo, high), _mm256_and_ps(pairs.hi, high)};
}
// To the nearest bf16, ties to even, as bits: a value that is not finite may become another.
inline Vec round_to_bf16(Vec a) {
  const auto round = [](__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, up));
  };
  return high_halves({round(a.lo), round(a.hi)});
}
// Lanes of bits that are 32-bit integers.
inline Vec from_integers(Vec a) {
  return {_mm256_cvtepi32_ps(_mm256_castps_si256(a.lo)),
          _mm256_cvtepi32_ps(_mm256_castps_si256(a.hi))};
}
// sum + the four products of x's unsigned and w's signed bytes, in each lane.
inline Vec add_quads(Vec x, Vec w, Vec sum) {
#ifdef __AVXVNNI__
  // Not its intrinsic, for the reason that simd_avx512.h has.
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.lo) : "x"(x.lo), "x"(w.lo));
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.hi) : "x"(x.hi), "x"(w.hi));
  return sum;
#else
  const auto add = [](__m256 x8, __m256 w8, __m256 sum8) {
    const __m256i bytes = _mm256_castps_si256(x8), weights = _mm256_castps_si256(w8);
    const __m256i even = _mm256_and_si256(bytes, _mm256_set1_epi16(0xFF));
    const __m256i odd = _mm256_srli_epi16(bytes, 8);
    const __m256i even_weights = _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8);
    const __m256i odd_weights = _mm256_srai_epi16(weights, 8);
    const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(even, even_weights),
                                              _mm256_madd_epi16(odd, odd_weights));
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(sum8), products));
  };
  return {add(x.lo, w.lo, sum.lo), add(x.hi, w.hi, sum.hi)};
#endif
}
// The low byte of each lane's bits, its top bit flipped.
inline void store_bytes(float* p, Vec a) {
  const __m256i low = _mm256_set1_epi32(0xFF);
  const __m256i lo = _mm256_and_si256(_mm256_castps_si256(a.lo), low);
  const __m256i hi = _mm256_and_si256(_mm256_castps_si256(a.hi), low);
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xD8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_xor_si128(bytes, _mm_set1_epi8(-128)));
}

// The largest lane, found as a tree of halves: i and (i + 8), then + 4, + 2, + 1.
inline float max_lanes(Vec a) {
  const __m256 m8 = _mm256_max_ps(a.lo, a.hi);
  const __m128 m4 = _mm_max_ps(_mm256_castps256_ps128(m8), _mm256_extractf128_ps(m8, 1));
  const __m128 m2 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));
  return _mm_cvtss_f32(_mm_max_ss(m2, _mm_movehdup_ps(m2)));
}
// Lanes added as a tree of halves: i + (i + 8), then + 4, + 2, + 1.
inline float sum_lanes(Vec a) {
  const __m256 s8 = _mm256_add_ps(a.lo, a.hi);
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

}  // namespace
