// The matrix products in bf16 and int8 of every instruction set that runs here: bit for bit against
// scalar loops that follow kernels.h and gemm.h, for any number of rows, blocks and threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/float_mode.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "tests/emulated_amx.h"
#include "tests/guarded.h"

namespace mimi::test {
namespace {

using kernels::Dtype;
using kernels::GemmInput;
using kernels::KernelTable;
using kernels::kLanes;
using kernels::PackedMatrix;

float rounded_to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000U);
}

float flushed(float x) {
  return std::abs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x;
}

// A causal convolution's rows and weights.
struct Case {
  int rows, taps, stride, depth, columns;
  float magnitude;  // of the values: tiny ones make subnormal products

  int time_steps() const { return (rows - 1) * stride + taps; }
  std::ptrdiff_t row_floats() const { return (depth + kLanes - 1) / kLanes * kLanes; }
};

struct Problem {
  explicit Problem(const Case& c) : shape(c), rows(size(c.time_steps() * c.row_floats())) {
    std::minstd_rand random(1);
    const auto value = [&] {
      return c.magnitude * (static_cast<float>(random() % 4001) - 2000.0F) / 1777.0F;
    };
    for (int t = 0; t < c.time_steps(); ++t) {
      for (int d = 0; d < c.depth; ++d) rows[size(t * c.row_floats() + d)] = value();
    }
    // A silent step, and a column of zeros.
    std::fill_n(rows.begin() + c.time_steps() / 2 * c.row_floats(), c.depth, 0.0F);
    weights.resize(size(c.taps * c.depth * c.columns));
    for (float& w : weights) w = value();
    std::fill_n(weights.begin(), c.taps * c.depth, 0.0F);
    for (int i = 0; i < c.columns; ++i) bias.push_back(value());
  }

  static std::size_t size(std::ptrdiff_t n) { return static_cast<std::size_t>(n); }

  kernels::WeightLayout layout() const {
    return {.data = weights.data(),
            .tap_step = 1,
            .depth_step = shape.taps,
            .column_step = std::ptrdiff_t{shape.taps} * shape.depth,
            .taps = shape.taps,
            .depth = shape.depth,
            .columns = shape.columns};
  }
  GemmInput input() const {
    return {rows.data(), shape.stride * shape.row_floats(), shape.row_floats(), shape.taps,
            shape.depth};
  }
  float x(int t, int tap, int d) const {
    return rows[size((t * shape.stride + tap) * shape.row_floats() + d)];
  }
  float w(int tap, int d, int column) const {
    return weights[size((column * shape.depth + d) * shape.taps + tap)];
  }

  Case shape;
  std::vector<float> rows, weights, bias;
};

float bf16_sum(const Problem& p, int t, int column) {
  float sum = flushed(p.bias[Problem::size(column)]);
  for (int tap = 0; tap < p.shape.taps; ++tap) {
    for (int pair = 0; pair < p.shape.depth; pair += 2) {
      for (int d = std::min(pair + 1, p.shape.depth - 1); d >= pair; --d) {
        const float x = flushed(rounded_to_bf16(p.x(t, tap, d)));
        const float w = flushed(rounded_to_bf16(p.w(tap, d, column)));
        sum = flushed(std::fma(x, w, sum));
      }
    }
  }
  return sum;
}

struct Bytes {
  std::vector<std::int32_t> values;
  float scale;
};

Bytes row_bytes(const Problem& p, int t, int tap) {
  float largest = 0;
  for (int d = 0; d < p.shape.depth; ++d) largest = std::max(largest, std::abs(p.x(t, tap, d)));
  Bytes row = {.values = {}, .scale = largest / 127.0F};
  for (int d = 0; d < p.shape.depth; ++d) {
    const float inverse = largest >= 1e-30F ? 127.0F / largest : 0.0F;
    row.values.push_back(static_cast<std::int32_t>(std::nearbyint(p.x(t, tap, d) * inverse)));
  }
  return row;
}

float column_scale(const Problem& p, int column) {
  float largest = 0;
  for (int tap = 0; tap < p.shape.taps; ++tap) {
    for (int d = 0; d < p.shape.depth; ++d) {
      largest = std::max(largest, std::abs(p.w(tap, d, column)));
    }
  }
  const auto bits = std::bit_cast<std::uint32_t>(largest / 127.0F);
  return std::bit_cast<float>((bits + 0xFF) & 0xFFFFFF00U);
}

float int8_sum(const Problem& p, int t, int column) {
  const float scale = column_scale(p, column);
  float sum = 0;
  for (int tap = 0; tap < p.shape.taps; ++tap) {
    const Bytes row = row_bytes(p, t, tap);
    std::int32_t products = 0;
    for (int d = 0; d < p.shape.depth; ++d) {
      const float w = p.w(tap, d, column);
      const auto byte = scale > 0 ? static_cast<std::int32_t>(std::nearbyint(w / scale)) : 0;
      REQUIRE(std::abs(byte) <= 127);
      products += row.values[Problem::size(d)] * byte;
    }
    sum = std::fma(static_cast<float>(products), row.scale, sum);
  }
  return std::fma(sum, scale, p.bias[Problem::size(column)]);
}

std::vector<float> expected_sums(const Problem& p, Dtype dtype) {
  const kernels::ScopedFloatMode mode;
  std::vector<float> sums;
  for (int t = 0; t < p.shape.rows; ++t) {
    for (int column = 0; column < p.shape.columns; ++column) {
      sums.push_back(dtype == Dtype::kBf16 ? bf16_sum(p, t, column) : int8_sum(p, t, column));
    }
  }
  return sums;
}

void check_rows(const GuardedRows& found, const std::vector<float>& expected, const Case& c) {
  CHECK(found.fault() == "");
  for (int t = 0; t < c.rows; ++t) {
    for (int column = 0; column < c.columns; ++column) {
      const float sum = expected[Problem::size(t * c.columns + column)];
      REQUIRE(std::bit_cast<std::uint32_t>(found.at(t, column)) ==
              std::bit_cast<std::uint32_t>(sum));
    }
  }
}

// Odd depths, which leave the last step of a tap in part empty; taps that overlap and that do not;
// depths and rows beyond one block.
constexpr Case kCases[] = {
    {1, 1, 1, 1, 1, 1.0F},     {2, 3, 1, 5, 33, 1.0F},    {7, 4, 2, 31, 40, 1.0F},
    {13, 2, 1, 66, 17, 1.0F},  {200, 3, 1, 16, 40, 1.0F}, {25, 1, 1, 2051, 33, 1.0F},
    {26, 5, 2, 513, 65, 1.0F}, {9, 2, 1, 64, 40, 1e-19F}, {5, 3, 1, 32, 20, 1e-38F},
};

TEST_CASE("gemm and parallel_gemm in bf16 and int8: the same sums everywhere") {
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kInt8}) {
    for (const Case& c : kCases) {
      CAPTURE(c.rows);
      CAPTURE(c.depth);
      const Problem p(c);
      const auto expected = expected_sums(p, dtype);
      for (const KernelTable* table : checked_tables()) {
        CAPTURE(std::string(table->name));
        const PackedMatrix packed({table, dtype}, p.layout(), p.bias);
        const int padded = (c.columns + kLanes - 1) / kLanes * kLanes;
        {
          const kernels::ScopedFloatMode mode;
          GuardedRows alone(c.rows, padded, padded + 3);
          kernels::gemm(packed, p.input(), {alone.data(), alone.stride(), {}},
                        {0, c.rows, 0, packed.panels()});
          check_rows(alone, expected, c);
          GuardedRows one_by_one(c.rows, padded, padded + 3);
          for (int t = 0; t < c.rows; ++t) {
            kernels::gemm(packed, p.input(), {one_by_one.data(), one_by_one.stride(), {}},
                          {t, t + 1, 0, packed.panels()});
          }
          check_rows(one_by_one, expected, c);
        }
        for (const int threads : {1, 3}) {
          GuardedRows shared(c.rows, padded, padded + 3);
          kernels::parallel_gemm(threads, packed, p.input(), c.rows,
                                 {shared.data(), shared.stride(), {}});
          check_rows(shared, expected, c);
        }
      }
    }
  }
}

// What a file of int8 or bf16 weights rests on.
TEST_CASE("PackedMatrix: weights that are bytes times their scale pack to those bytes again") {
  const Problem p({3, 2, 1, 37, 21, 1.0F});
  Problem exact = p;
  for (int column = 0; column < p.shape.columns; ++column) {
    const float scale = column_scale(p, column);
    for (int i = 0; i < p.shape.taps * p.shape.depth; ++i) {
      float& w = exact.weights[Problem::size(column * p.shape.taps * p.shape.depth + i)];
      if (scale > 0) w = static_cast<float>(std::nearbyint(w / scale)) * scale;
    }
    CHECK(column_scale(exact, column) == scale);
  }
  CHECK(expected_sums(exact, Dtype::kInt8) == expected_sums(p, Dtype::kInt8));
}

TEST_CASE("low precision: an epilogue with everything, over several panels") {
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kInt8}) {
    const Problem p({30, 2, 1, 48, 80, 1.0F});
    std::vector<float> first;
    for (const KernelTable* table : checked_tables()) {
      CAPTURE(std::string(table->name));
      const PackedMatrix packed({table, dtype}, p.layout(), p.bias);
      std::vector<float> residual(Problem::size(30 * 80), 0.25F), scale(80, 0.5F);
      std::vector<float> activated(Problem::size(30 * 80)), output(activated.size());
      kernels::parallel_gemm(2, packed, p.input(), 30,
                             {output.data(),
                              80,
                              {.activation = kernels::Activation::kElu,
                               .residual = residual.data(),
                               .residual_stride = 80,
                               .scale = scale.data(),
                               .activated = activated.data(),
                               .activated_stride = 80}});
      const auto sums = expected_sums(p, dtype);
      for (std::size_t i = 0; i < sums.size(); ++i) {
        REQUIRE(output[i] == std::fma(0.5F, sums[i], 0.25F));
        REQUIRE(activated[i] ==
                doctest::Approx(output[i] > 0 ? output[i] : std::expm1(output[i])).epsilon(1e-5));
      }
      output.insert(output.end(), activated.begin(), activated.end());
      if (first.empty()) first = output;
      CHECK(output == first);
    }
  }
}

}  // namespace
}  // namespace mimi::test
