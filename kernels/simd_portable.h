// Vec without any instruction set's help: 16 floats. The reference that the others are held to.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace {

struct Vec {
  float lane[16];
};
struct Mask {
  bool lane[16];
};

template <typename Op>
inline Vec each_lane(Op op) {
  Vec r;
  for (int i = 0; i < 16; ++i) r.lane[i] = op(i);
  return r;
}

inline Vec load(const float* p) {
  return each_lane([p](int i) { return p[i]; });
}
inline void store(float* p, const Vec& a) {
  for (int i = 0; i < 16; ++i) p[i] = a.lane[i];
}
inline Vec broadcast(float x) {
  return each_lane([x](int) { return x; });
}
inline Vec operator+(const Vec& a, const Vec& b) {
  return each_lane([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Vec operator-(const Vec& a, const Vec& b) {
  return each_lane([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline Vec operator*(const Vec& a, const Vec& b) {
  return each_lane([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline Vec operator/(const Vec& a, const Vec& b) {
  return each_lane([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline Vec fma(const Vec& a, const Vec& b, const Vec& c) {
  return each_lane([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
inline Mask operator>(const Vec& a, const Vec& b) {
  Mask m;
  for (int i = 0; i < 16; ++i) m.lane[i] = a.lane[i] > b.lane[i];
  return m;
}
inline Vec select(const Mask& m, const Vec& yes, const Vec& no) {
  return each_lane([&](int i) { return m.lane[i] ? yes.lane[i] : no.lane[i]; });
}
// a > b ? a : b
inline Vec max(const Vec& a, const Vec& b) { return select(a > b, a, b); }
// a < b ? a : b
inline Vec min(const Vec& a, const Vec& b) { return select(b > a, a, b); }
// 2^n of what kRounder was added to: n is integral in [-126, 127] and lies in the low bits.
inline Vec exp2_rounded(const Vec& n) {
  return each_lane([&](int i) {
    return std::bit_cast<float>((std::bit_cast<std::uint32_t>(n.lane[i]) + 127) << 23);
  });
}
// Lanes added as a tree of halves: i + (i + 8), then + 4, + 2, + 1.
inline float sum_lanes(Vec a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.lane[i] += a.lane[i + half];
  }
  return a.lane[0];
}

}  // namespace
