// Whole matrix products, cut into blocks, on every instruction set that runs here: bit for bit
// against the chain of fused multiply-adds that kernels.h promises. kernel_check tests the kernels.
#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "tests/guarded.h"
#include "tests/reference.h"

namespace mimi::test {
namespace {

using kernels::GemmInput;
using kernels::KernelTable;
using kernels::kLanes;
using kernels::PackedMatrix;

enum class Values { kReal, kInteger };

std::vector<float> random_values(std::size_t count, Values kind, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<float> values(count);
  for (float& v : values) {
    const auto draw = static_cast<int>(random() % 4001) - 2000;
    v = kind == Values::kReal ? static_cast<float>(draw) / 1777.0F : static_cast<float>(draw % 4);
  }
  return values;
}

std::uint32_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }

// A matrix to be packed, its columns apart by a prime.
struct MatrixCase {
  MatrixCase(Values values, int taps, int depth, int columns)
      : source(
            random_values(static_cast<std::size_t>(columns * column_step(taps, depth)), values, 6)),
        bias(random_values(static_cast<std::size_t>(columns), values, 7)),
        layout({.data = source.data(),
                .tap_step = 1,
                .depth_step = taps,
                .column_step = column_step(taps, depth),
                .taps = taps,
                .depth = depth,
                .columns = columns}) {}

  static std::ptrdiff_t column_step(int taps, int depth) { return taps * depth + 7; }

  std::vector<float> source, bias;
  kernels::WeightLayout layout;
};

// The column of `m` that the rows of A meet, in the order of the joined depth.
std::vector<float> joined_column(const MatrixCase& m, int column) {
  std::vector<float> joined;
  for (int tap = 0; tap < m.layout.taps; ++tap) {
    for (int d = 0; d < m.layout.depth; ++d) {
      const std::ptrdiff_t place =
          tap * m.layout.tap_step + d * m.layout.depth_step + column * m.layout.column_step;
      joined.push_back(m.source[static_cast<std::size_t>(place)]);
    }
  }
  return joined;
}

struct GemmCase {
  int rows, taps, depth, columns;
};
// Below, at and above the blocks of 192 rows and a depth of 512.
constexpr GemmCase kGemmCases[] = {
    {1, 1, 1, 1},      {5, 7, 1, 33},     {193, 1, 20, 17},  {25, 3, 257, 65},
    {33, 1, 1025, 40}, {14, 2, 513, 130}, {200, 3, 300, 16},
};

TEST_CASE("gemm and parallel_gemm: the same chain for any blocking and threads") {
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    for (const GemmCase& size : kGemmCases) {
      const int rows = size.rows, taps = size.taps, depth = size.depth, columns = size.columns;
      CAPTURE(rows);
      CAPTURE(columns);
      const MatrixCase m(Values::kReal, taps, depth, columns);
      const PackedMatrix packed({table}, m.layout, m.bias);
      const int padded = (columns + kLanes - 1) / kLanes * kLanes;
      const int row_step = depth + 5, tap_step = depth + 2;
      const auto input = random_values(
          static_cast<std::size_t>(rows * row_step + taps * tap_step + depth), Values::kReal, 8);
      const GemmInput a = {input.data(), row_step, tap_step, taps, depth};

      GuardedRows alone(rows, padded, padded + 11);
      kernels::gemm(packed, a, {alone.data(), alone.stride(), {}}, {0, rows, 0, packed.panels()});
      CHECK(alone.fault() == "");
      for (int column = 0; column < columns; ++column) {
        const auto weights = joined_column(m, column);
        for (int t = 0; t < rows; ++t) {
          const float chain =
              product_chain(a, t, weights.data(), 1, m.bias[static_cast<std::size_t>(column)]);
          REQUIRE(bits(alone.at(t, column)) == bits(chain));
        }
      }
      for (const int threads : {2, 3}) {
        GuardedRows shared(rows, padded, padded + 11);
        kernels::parallel_gemm(threads, packed, a, rows, {shared.data(), shared.stride(), {}});
        CHECK(shared.fault() == "");
        for (int t = 0; t < rows; ++t) {
          for (int column = 0; column < padded; ++column) {
            REQUIRE(bits(shared.at(t, column)) == bits(alone.at(t, column)));
          }
        }
      }
      for (int column = columns; column < padded; ++column) CHECK(alone.at(0, column) == 0.0F);
    }
  }
}

TEST_CASE("gemm: a range writes its own rows and panels only") {
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    constexpr int kRows = 20, kDepth = 33;
    const int columns = 3 * table->panel_vecs * kLanes;
    const MatrixCase m(Values::kInteger, 1, kDepth, columns);
    const PackedMatrix packed({table}, m.layout, m.bias);
    const auto input = random_values(kRows * kDepth, Values::kInteger, 9);
    const GemmInput a = {input.data(), kDepth, 0, 1, kDepth};
    // The guard's rows are those of the second panel, rows 3 to 16.
    const int width = packed.panel_columns();
    GuardedRows inside(14, width, columns);
    kernels::gemm(packed, a, {inside.data() - 3 * columns - width, columns, {}}, {3, 17, 1, 2});
    CHECK(inside.fault() == "");
    for (int t = 0; t < 14; ++t) {
      for (int column = 0; column < width; ++column) {
        const auto weights = joined_column(m, width + column);
        const float bias = m.bias[static_cast<std::size_t>(width + column)];
        REQUIRE(inside.at(t, column) == product(a, t + 3, weights.data(), 1, bias).value);
      }
    }
  }
}

}  // namespace
}  // namespace mimi::test
