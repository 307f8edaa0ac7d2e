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
// Lanes added as a tree of halves: i + (i + 8), then + 4, + 2, + 1.
inline float sum_lanes(Vec a) {
  const float32x4_t s4 = vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3]));
  const float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
  return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
}

}  // namespace
