// Vec on AVX-512: 16 lanes are one register.
#pragma once

#include <immintrin.h>

namespace {

struct Vec {
  __m512 v;
};
struct Mask {
  __mmask16 m;
};

inline Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
inline Vec broadcast(float x) { return {_mm512_set1_ps(x)}; }
inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Mask operator>(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
inline Vec select(Mask m, Vec yes, Vec no) { return {_mm512_mask_blend_ps(m.m, no.v, yes.v)}; }
// a > b ? a : b
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
// a < b ? a : b
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
// 2^n of what kRounder was added to: n is integral in [-126, 127] and lies in the low bits.
inline Vec exp2_rounded(Vec n) {
  const __m512i biased = _mm512_add_epi32(_mm512_castps_si512(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}
// p * 2^n, both normal, with n as in exp2_rounded.
inline Vec times_exp2(Vec p, Vec n) {
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(n.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p.v), exponent))};
}

// A lane of bits holds two bf16, the earlier in its low half; each half as a float.
inline Vec low_halves(Vec pairs) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(pairs.v), 16))};
}
inline Vec high_halves(Vec pairs) {
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
  return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(pairs.v), high))};
}
// To the nearest bf16, ties to even, as bits: a value that is not finite may become another.
inline Vec round_to_bf16(Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
  return high_halves({_mm512_castsi512_ps(_mm512_add_epi32(bits, up))});
}
// Lanes of bits that are 32-bit integers.
inline Vec from_integers(Vec a) { return {_mm512_cvtepi32_ps(_mm512_castps_si512(a.v))}; }
// sum + the four products of x's unsigned and w's signed bytes, in each lane.
inline Vec add_quads(Vec x, Vec w, Vec sum) {
#ifdef __AVX512VNNI__
  // Not its intrinsic: GCC 12 copies each sum there and back between the types, and spills them.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(x.v), "v"(w.v));
  return sum;
#else
  const __m512i bytes = _mm512_castps_si512(x.v), weights = _mm512_castps_si512(w.v);
  const __m512i even = _mm512_and_si512(bytes, _mm512_set1_epi16(0xFF));
  const __m512i odd = _mm512_srli_epi16(bytes, 8);
  const __m512i even_weights = _mm512_srai_epi16(_mm512_slli_epi16(weights, 8), 8);
  const __m512i odd_weights = _mm512_srai_epi16(weights, 8);
  const __m512i products =
      _mm512_add_epi32(_mm512_madd_epi16(even, even_weights), _mm512_madd_epi16(odd, odd_weights));
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(sum.v), products))};
#endif
}
// The low byte of each lane's bits, its top bit flipped.
inline void store_bytes(float* p, Vec a) {
  const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_castps_si512(a.v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_xor_si128(bytes, _mm_set1_epi8(-128)));
}

// The largest lane, found as a tree of halves: i and (i + 8), then + 4, + 2, + 1.
inline float max_lanes(Vec a) {
  const __m256 m8 = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 m4 = _mm_max_ps(_mm256_castps256_ps128(m8), _mm256_extractf128_ps(m8, 1));
  const __m128 m2 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));
  return _mm_cvtss_f32(_mm_max_ss(m2, _mm_movehdup_ps(m2)));
}
// Lanes added as a tree of halves: i + (i + 8), then + 4, + 2, + 1.
inline float sum_lanes(Vec a) {
  const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

}  // namespace
