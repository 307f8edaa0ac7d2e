// Vec on AArch64: 16 lanes are four registers.
#pragma once

#include <arm_neon.h>

namespace {

struct Vec {
  float32x4_t q[4];
};
struct Mask {
  uint32x4_t q[4];
};

inline Vec load(const float* p) {
  return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
}
inline void store(float* p, Vec a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.q[i]);
}
inline Vec broadcast(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  return {{v, v, v, v}};
}
template <typename Op>
inline Vec map(Op op, Vec a, Vec b) {
  return {{op(a.q[0], b.q[0]), op(a.q[1], b.q[1]), op(a.q[2], b.q[2]), op(a.q[3], b.q[3])}};
}
inline Vec operator+(Vec a, Vec b) {
  return map([](float32x4_t x, float32x4_t y) { return vaddq_f32(x, y); }, a, b);
}
inline Vec operator-(Vec a, Vec b) {
  return map([](float32x4_t x, float32x4_t y) { return vsubq_f32(x, y); }, a, b);
}
inline Vec operator*(Vec a, Vec b) {
  return map([](float32x4_t x, float32x4_t y) { return vmulq_f32(x, y); }, a, b);
}
inline Vec operator/(Vec a, Vec b) {
  return map([](float32x4_t x, float32x4_t y) { return vdivq_f32(x, y); }, a, b);
}
inline Vec fma(Vec a, Vec b, Vec c) {
  for (int i = 0; i < 4; ++i) c.q[i] = vfmaq_f32(c.q[i], a.q[i], b.q[i]);
  return c;
}
inline Mask operator>(Vec a, Vec b) {
  Mask m;
  for (int i = 0; i < 4; ++i) m.q[i] = vcgtq_f32(a.q[i], b.q[i]);
  return m;
}
inline Vec select(Mask m, Vec yes, Vec no) {
  for (int i = 0; i < 4; ++i) no.q[i] = vbslq_f32(m.q[i], yes.q[i], no.q[i]);
  return no;
}
// a > b ? a : b, which vmaxq is not for NaN and signed zeros
inline Vec max(Vec a, Vec b) { return select(a > b, a, b); }
// a < b ? a : b
inline Vec min(Vec a, Vec b) { return select(b > a, a, b); }
// 2^n of what kRounder was added to: n is integral in [-126, 127] and lies in the low bits.
inline Vec exp2_rounded(Vec n) {
  for (int i = 0; i < 4; ++i) {
    const int32x4_t biased = vaddq_s32(vreinterpretq_s32_f32(n.q[i]), vdupq_n_s32(127));
    n.q[i] = vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
  }
  return n;
}
// p * 2^n, both normal, with n as in exp2_rounded.
inline Vec times_exp2(Vec p, Vec n) {
  for (int i = 0; i < 4; ++i) {
    const int32x4_t exponent = vshlq_n_s32(vreinterpretq_s32_f32(n.q[i]), 23);
    p.q[i] = vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p.q[i]), exponent));
  }
  return p;
}

// A lane of bits holds two bf16, the earlier in its low half; each half as a float.
inline Vec low_halves(Vec pairs) {
  for (float32x4_t& q : pairs.q) {
    q = vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(q), 16));
  }
  return pairs;
}
inline Vec high_halves(Vec pairs) {
  const uint32x4_t high = vdupq_n_u32(0xFFFF0000U);
  for (float32x4_t& q : pairs.q) {
    q = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(q), high));
  }
  return pairs;
}
// To the nearest bf16, ties to even, as bits: a value that is not finite may become another.
inline Vec round_to_bf16(Vec a) {
  for (float32x4_t& q : a.q) {
    const uint32x4_t bits = vreinterpretq_u32_f32(q);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    q = vreinterpretq_f32_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF))));
  }
  return high_halves(a);
}
// Lanes of bits that are 32-bit integers.
inline Vec from_integers(Vec a) {
  for (float32x4_t& q : a.q) q = vcvtq_f32_s32(vreinterpretq_s32_f32(q));
  return a;
}
// sum + the four products of x's unsigned and w's signed bytes, in each lane.
inline Vec add_quads(Vec x, Vec w, Vec sum) {
  for (int i = 0; i < 4; ++i) {
    const int32x4_t before = vreinterpretq_s32_f32(sum.q[i]);
    const int8x16_t weights = vreinterpretq_s8_f32(w.q[i]);
    const uint8x16_t bytes = vreinterpretq_u8_f32(x.q[i]);
    const auto widened = [](uint8x8_t half) { return vreinterpretq_s16_u16(vmovl_u8(half)); };
    const int16x8_t low_bytes = widened(vget_low_u8(bytes));
    const int16x8_t high_bytes = widened(vget_high_u8(bytes));
    const int16x8_t low_weights = vmovl_s8(vget_low_s8(weights));
    const int16x8_t high_weights = vmovl_s8(vget_high_s8(weights));
    // Each holds the sums of two neighbours' products: four to a lane once added in pairs.
    const int32x4_t low = vpaddq_s32(vmull_s16(vget_low_s16(low_bytes), vget_low_s16(low_weights)),
                                     vmull_high_s16(low_bytes, low_weights));
    const int32x4_t high =
        vpaddq_s32(vmull_s16(vget_low_s16(high_bytes), vget_low_s16(high_weights)),
                   vmull_high_s16(high_bytes, high_weights));
    sum.q[i] = vreinterpretq_f32_s32(vaddq_s32(before, vpaddq_s32(low, high)));
  }
  return sum;
}
// The low byte of each lane's bits, its top bit flipped.
inline void store_bytes(float* p, Vec a) {
  const auto narrow = [](float32x4_t lo, float32x4_t hi) {
    return vcombine_u16(vmovn_u32(vreinterpretq_u32_f32(lo)), vmovn_u32(vreinterpretq_u32_f32(hi)));
  };
  const uint8x16_t bytes =
      vcombine_u8(vmovn_u16(narrow(a.q[0], a.q[1])), vmovn_u16(narrow(a.q[2], a.q[3])));
  vst1q_f32(p, vreinterpretq_f32_u8(veorq_u8(bytes, vdupq_n_u8(0x80))));
}

// The largest lane, found as a tree of halves: i and (i + 8), then + 4, + 2, + 1.
inline float max_lanes(Vec a) {
  const auto larger = [](float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); };
  const float32x4_t m4 = larger(larger(a.q[0], a.q[2]), larger(a.q[1], a.q[3]));
  const float32x4_t m2 = larger(m4, vextq_f32(m4, m4, 2));
  return vgetq_lane_f32(larger(m2, vextq_f32(m2, m2, 1)), 0);
}
// Lanes added as a tree of halves: i + (i + 8), then + 4, + 2, + 1.
inline float sum_lanes(Vec a) {
  const float32x4_t s4 = vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3]));
  const float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
  return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
}

}  // namespace
