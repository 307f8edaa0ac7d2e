// Rotary positions against long double, up to hours into a stream.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/rope.h"

namespace mimi::test {
namespace {

constexpr int kHeadDim = 64;
constexpr double kTheta = 10000.0;
constexpr std::int64_t kTenHours = 10 * 3600 * 25;  // in steps
constexpr std::int64_t kStarts[] = {0, 249, 25 * 3600, kTenHours, 100 * kTenHours};

// A head turned to the row-th prepared step.
std::vector<float> rotated(const Rope& rope, int row, const std::vector<float>& head, float scale) {
  std::vector<float> out(head.size());
  rope.rotate(row, head.data(), scale, out.data());
  return out;
}

TEST_CASE("sine and cosine") {
  for (int i = -20000; i <= 20000; ++i) {
    for (const double x : {i * 1e-3, i * 53.1, i * 50037.7}) {
      const auto [s, c] = sin_cos(x);
      CAPTURE(x);
      REQUIRE(std::abs(s - std::sin(static_cast<long double>(x))) <= 2e-16L);
      REQUIRE(std::abs(c - std::cos(static_cast<long double>(x))) <= 2e-16L);
    }
  }
}

TEST_CASE("powers") {
  for (const double base : {10000.0, 100000.0, 2.0, 0.3, 1.0}) {
    for (int i = -64; i <= 64; ++i) {
      const double exponent = i / 64.0;
      const long double expected = std::pow(static_cast<long double>(base), exponent);
      CAPTURE(base);
      CAPTURE(exponent);
      CHECK(std::abs(power(base, exponent) - expected) <= 4e-15L * expected);
    }
  }
}

TEST_CASE("angles are right from the first step to the thousandth hour") {
  constexpr int kSteps = 40, kHalf = kHeadDim / 2;
  Rope rope(kHeadDim, kTheta, kSteps);
  std::vector<float> unit(kHeadDim);
  for (int i = 0; i < kHalf; ++i) unit[static_cast<std::size_t>(i)] = 1;
  for (const std::int64_t start : kStarts) {
    rope.prepare(start, kSteps);
    for (int row = 0; row < kSteps; ++row) {
      const auto found = rotated(rope, row, unit, 1.0F);  // cosines, then sines
      for (int i = 0; i < kHalf; ++i) {
        const long double angle = static_cast<long double>(start + row) *
                                  std::pow(static_cast<long double>(kTheta), -2.0L * i / kHeadDim);
        // Float32's rounding, and double's of frequency and angle.
        const long double bound = 0x1p-25L + 1e-15L * angle;
        CAPTURE(start);
        CAPTURE(i);
        REQUIRE(std::abs(found[static_cast<std::size_t>(i)] - std::cos(angle)) <= bound);
        REQUIRE(std::abs(found[static_cast<std::size_t>(i + kHalf)] - std::sin(angle)) <= bound);
      }
    }
  }
}

TEST_CASE("a head is turned and scaled") {
  Rope rope(4, kTheta, 1);
  rope.prepare(3, 1);
  const std::vector<float> head = {0.5F, -1.25F, 2.0F, 0.75F};
  const auto found = rotated(rope, 0, head, 0.25F);
  const double angles[] = {3.0, 3.0 / 100};
  for (std::size_t i = 0; i < 2; ++i) {
    const double s = std::sin(angles[i]), c = std::cos(angles[i]);
    CHECK(std::abs(found[i] - 0.25 * (head[i] * c - head[i + 2] * s)) <= 2e-7);
    CHECK(std::abs(found[i + 2] - 0.25 * (head[i + 2] * c + head[i] * s)) <= 2e-7);
  }
}

TEST_CASE("a step's angles do not depend on the block that it is in") {
  constexpr int kSteps = 64;
  std::vector<float> head(kHeadDim);
  for (int i = 0; i < kHeadDim; ++i) {
    head[static_cast<std::size_t>(i)] = static_cast<float>(i - 20) / 7;
  }
  Rope whole(kHeadDim, kTheta, kSteps), single(kHeadDim, kTheta, 1);
  for (const std::int64_t start : kStarts) {
    whole.prepare(start, kSteps);
    for (int row = 0; row < kSteps; ++row) {
      single.prepare(start + row, 1);
      const auto a = rotated(whole, row, head, 0.125F), b = rotated(single, 0, head, 0.125F);
      for (std::size_t i = 0; i < a.size(); ++i) {
        REQUIRE(std::bit_cast<std::uint32_t>(a[i]) == std::bit_cast<std::uint32_t>(b[i]));
      }
    }
  }
}

}  // namespace
}  // namespace mimi::test
