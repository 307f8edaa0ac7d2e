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
// p * 2^n, both normal, with n as in exp2_rounded.
inline Vec times_exp2(const Vec& p, const Vec& n) {
  return each_lane([&](int i) {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(p.lane[i]) +
                                (std::bit_cast<std::uint32_t>(n.lane[i]) << 23));
  });
}

inline std::uint32_t lane_bits(const Vec& a, int i) {
  return std::bit_cast<std::uint32_t>(a.lane[i]);
}
// A lane of bits holds two bf16, the earlier in its low half; each half as a float.
inline Vec low_halves(const Vec& pairs) {
  return each_lane([&](int i) { return std::bit_cast<float>(lane_bits(pairs, i) << 16); });
}
inline Vec high_halves(const Vec& pairs) {
  return each_lane([&](int i) { return std::bit_cast<float>(lane_bits(pairs, i) & 0xFFFF0000U); });
}
// To the nearest bf16, ties to even, as bits: a value that is not finite may become another.
inline Vec round_to_bf16(const Vec& a) {
  return each_lane([&](int i) {
    const std::uint32_t bits = lane_bits(a, i);
    return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000U);
  });
}
// Lanes of bits that are 32-bit integers.
inline Vec from_integers(const Vec& a) {
  return each_lane(
      [&](int i) { return static_cast<float>(std::bit_cast<std::int32_t>(a.lane[i])); });
}
// sum + the four products of x's unsigned and w's signed bytes, in each lane.
inline Vec add_quads(const Vec& x, const Vec& w, const Vec& sum) {
  return each_lane([&](int i) {
    auto total = std::bit_cast<std::int32_t>(sum.lane[i]);
    for (int byte = 0; byte < 32; byte += 8) {
      const auto unsigned_byte = static_cast<std::uint8_t>(lane_bits(x, i) >> byte);
      total += unsigned_byte * static_cast<std::int8_t>(lane_bits(w, i) >> byte);
    }
    return std::bit_cast<float>(total);
  });
}
// The low byte of each lane's bits, its top bit flipped.
inline void store_bytes(float* p, const Vec& a) {
  for (int i = 0; i < 16; i += 4) {
    std::uint32_t word = 0;
    for (int j = 0; j < 4; ++j) word |= (lane_bits(a, i + j) & 0xFF) << 8 * j;
    p[i / 4] = std::bit_cast<float>(word ^ 0x80808080U);
  }
}

// The largest lane, found as a tree of halves: i and (i + 8), then + 4, + 2, + 1.
inline float max_lanes(Vec a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) {
      if (!(a.lane[i] > a.lane[i + half])) a.lane[i] = a.lane[i + half];
    }
  }
  return a.lane[0];
}
// Lanes added as a tree of halves: i + (i + 8), then + 4, + 2, + 1.
inline float sum_lanes(Vec a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.lane[i] += a.lane[i + half];
  }
  return a.lane[0];
}

}  // namespace
