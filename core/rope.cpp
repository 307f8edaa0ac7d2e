#include "core/rope.h"

#include <bit>
#include <cmath>

namespace mimi {
namespace {

// 1/n!, from the highest down: the Taylor series are cut where a term is below 1e-17.
double sin_series(double r) {
  const double s = r * r;
  double p = -1.0 / 1307674368000.0;
  p = std::fma(p, s, 1.0 / 6227020800.0);
  p = std::fma(p, s, -1.0 / 39916800.0);
  p = std::fma(p, s, 1.0 / 362880.0);
  p = std::fma(p, s, -1.0 / 5040.0);
  p = std::fma(p, s, 1.0 / 120.0);
  p = std::fma(p, s, -1.0 / 6.0);
  return std::fma(r * s, p, r);
}

double cos_series(double r) {
  const double s = r * r;
  double p = 1.0 / 20922789888000.0;
  p = std::fma(p, s, -1.0 / 87178291200.0);
  p = std::fma(p, s, 1.0 / 479001600.0);
  p = std::fma(p, s, -1.0 / 3628800.0);
  p = std::fma(p, s, 1.0 / 40320.0);
  p = std::fma(p, s, -1.0 / 720.0);
  p = std::fma(p, s, 1.0 / 24.0);
  p = std::fma(p, s, -0.5);
  return std::fma(p, s, 1.0);
}

// ln x = e ln 2 + 2 artanh((m - 1) / (m + 1)) with x = m 2^e, m in [sqrt(1/2), sqrt 2].
double natural_log(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double s2 = s * s;
  double p = 1.0 / 23.0;
  for (int n = 21; n >= 1; n -= 2) p = std::fma(p, s2, 1.0 / n);
  return std::fma(exponent, 0.69314718055994531, 2.0 * s * p);
}

double exponential(double x) {
  const double n = std::nearbyint(x * 1.4426950408889634);
  double r = std::fma(n, -0.69314718055994531, x);
  r = std::fma(n, -2.3190468138462996e-17, r);
  double p = 1.0;
  for (int k = 17; k >= 1; --k) p = std::fma(p, r / k, 1.0);
  return std::ldexp(p, static_cast<int>(n));
}

}  // namespace

SinCos sin_cos(double x) {
  // x = quarter * pi/2 + r, |r| <= pi/4, with pi/2 in three parts.
  const double quarter = std::nearbyint(x * 0.63661977236758134);
  double r = std::fma(quarter, -1.5707963267948966, x);
  r = std::fma(quarter, -6.123233995736766e-17, r);
  r = std::fma(quarter, 1.4973849048591833e-33, r);
  const double s = sin_series(r), c = cos_series(r);
  switch (static_cast<std::int64_t>(quarter) & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

double power(double base, double exponent) { return exponential(exponent * natural_log(base)); }

Rope::Rope(int head_dim, double theta, int capacity) : half_(head_dim / 2) {
  for (int i = 0; i < half_; ++i) frequencies_.push_back(power(theta, -2.0 * i / head_dim));
  const auto size = static_cast<std::size_t>(capacity) * static_cast<std::size_t>(half_);
  cosines_.resize(size);
  sines_.resize(size);
}

void Rope::prepare(std::int64_t first_step, int count) {
  std::size_t at = 0;
  for (int row = 0; row < count; ++row) {
    const auto step = static_cast<double>(first_step + row);
    for (const double frequency : frequencies_) {
      const auto [s, c] = sin_cos(step * frequency);
      sines_[at] = static_cast<float>(s);
      cosines_[at++] = static_cast<float>(c);
    }
  }
}

void Rope::rotate(int row, const float* in, float scale, float* out) const {
  const float* cosine = cosines_.data() + std::ptrdiff_t{row} * half_;
  const float* sine = sines_.data() + std::ptrdiff_t{row} * half_;
  for (int i = 0; i < half_; ++i) {
    const float x = in[i], y = in[i + half_];
    out[i] = (x * cosine[i] - y * sine[i]) * scale;
    out[i + half_] = (y * cosine[i] + x * sine[i]) * scale;
  }
}

}  // namespace mimi
