// The matrix products of every instruction set that runs here: against loops in double precision,
// bit for bit against the chain of fused multiply-adds that kernels.h promises, and exactly on
// small integers.
#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "tests/reference.h"

namespace mimi::test {
namespace {

using kernels::Activation;
using kernels::Epilogue;
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

// One call of gemm_panel, with everything that it reads.
struct PanelCase {
  PanelCase(Values values, int rows_, int taps, int depth, int row_step, int tap_step, int vecs_)
      : rows(rows_),
        vecs(vecs_),
        input(random_values(static_cast<std::size_t>(rows * row_step + taps * tap_step + depth),
                            values, 1)),
        a({input.data(), row_step, tap_step, taps, depth}),
        weights(static_cast<std::size_t>(taps * depth * columns())),
        bias(random_values(static_cast<std::size_t>(columns()), values, 3)),
        residual(random_values(static_cast<std::size_t>(rows * residual_stride()), values, 4)),
        scale(random_values(static_cast<std::size_t>(columns()), values, 5)) {
    const auto panel = random_values(weights.size(), values, 2);
    std::copy(panel.begin(), panel.end(), weights.data());
  }

  int columns() const { return vecs * kLanes; }
  int residual_stride() const { return columns() + 3; }
  std::ptrdiff_t output_stride() const { return columns() + 13; }

  int rows, vecs;
  std::vector<float> input;
  GemmInput a;
  kernels::AlignedFloats weights;
  std::vector<float> bias, residual, scale;
};

struct EpilogueCase {
  Activation activation;
  bool residual, scale, activated;
};
constexpr EpilogueCase kEpilogues[] = {
    {Activation::kNone, false, false, false}, {Activation::kElu, false, false, false},
    {Activation::kGelu, false, false, false}, {Activation::kNone, true, false, false},
    {Activation::kNone, true, true, false},   {Activation::kElu, true, false, false},
    {Activation::kElu, false, false, true},   {Activation::kElu, true, true, true},
    {Activation::kGelu, true, true, true},
};

// What the kernel's output and its activated output should be at a row and column.
void check_element(const PanelCase& c, const Epilogue& e, const GuardedRows& output,
                   const GuardedRows& activated, int t, int column) {
  const float* weights = c.weights.data() + column;
  const float bias = c.bias[static_cast<std::size_t>(column)];
  const Bounded sum = product(c.a, t, weights, c.columns(), bias);
  const Bounded y = add_residual(e, t, column, sum);
  const Bounded result = activate(e.activation, y);
  const float found = output.at(t, column);
  if (e.activated) {
    REQUIRE(within(y, found));
    REQUIRE(within(result, activated.at(t, column)));
  } else {
    REQUIRE(within(result, found));
  }
  if (e.residual == nullptr && (e.activation == Activation::kNone || e.activated)) {
    REQUIRE(bits(found) == bits(product_chain(c.a, t, weights, c.columns(), bias)));
  }
}

void check_panel(const KernelTable& table, const PanelCase& c, const EpilogueCase& kind) {
  GuardedRows output(c.rows, c.columns(), c.output_stride());
  GuardedRows activated(c.rows, kind.activated ? c.columns() : 0, c.output_stride());
  Epilogue e = {.activation = kind.activation};
  if (kind.residual) e.residual = c.residual.data();
  e.residual_stride = c.residual_stride();
  if (kind.scale) e.scale = c.scale.data();
  if (kind.activated) e.activated = activated.data();
  e.activated_stride = activated.stride();
  table.gemm_panel({.a = c.a,
                    .rows = c.rows,
                    .panel = c.weights.data(),
                    .vecs = c.vecs,
                    .bias = c.bias.data(),
                    .output = output.data(),
                    .output_stride = output.stride(),
                    .epilogue = &e});
  CHECK(output.fault() == "");
  CHECK(activated.fault() == "");
  for (int t = 0; t < c.rows; ++t) {
    for (int column = 0; column < c.columns(); ++column) {
      check_element(c, e, output, activated, t, column);
    }
  }
}

// Calls `check` for rows around the register tile's, and each panel width.
template <typename Check>
void for_each_tile_size(const KernelTable& table, Check check) {
  const int tile = table.tile_rows;
  for (const int rows : {1, tile - 1, tile, tile + 1, 2 * tile + 1}) {
    for (int vecs = 1; vecs <= table.panel_vecs; ++vecs) {
      CAPTURE(rows);
      CAPTURE(vecs);
      if (rows > 0) check(rows, vecs);
    }
  }
}

TEST_CASE("gemm_panel: rows, taps, overlaps and epilogues") {
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    for_each_tile_size(*table, [&](int rows, int vecs) {
      for (const EpilogueCase& kind : kEpilogues) {
        check_panel(*table, {Values::kReal, rows, 1, 1, 1, 0, vecs}, kind);
        check_panel(*table, {Values::kReal, rows, 1, 37, 11, 0, vecs}, kind);   // rows overlap
        check_panel(*table, {Values::kReal, rows, 3, 16, 19, 23, vecs}, kind);  // taps lie apart
      }
    });
  }
}

TEST_CASE("gemm_panel: exact on small integers") {
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    for_each_tile_size(*table, [&](int rows, int vecs) {
      const PanelCase c(Values::kInteger, rows, 2, 29, 31, 37, vecs);
      GuardedRows output(rows, c.columns(), c.output_stride());
      const Epilogue e = {.residual = c.residual.data(),
                          .residual_stride = c.residual_stride(),
                          .scale = c.scale.data()};
      table->gemm_panel({.a = c.a,
                         .rows = rows,
                         .panel = c.weights.data(),
                         .vecs = vecs,
                         .bias = c.bias.data(),
                         .output = output.data(),
                         .output_stride = output.stride(),
                         .epilogue = &e});
      for (int t = 0; t < rows; ++t) {
        for (int column = 0; column < c.columns(); ++column) {
          const Bounded sum = product(c.a, t, c.weights.data() + column, c.columns(),
                                      c.bias[static_cast<std::size_t>(column)]);
          REQUIRE(output.at(t, column) == add_residual(e, t, column, sum).value);
        }
      }
    });
  }
}

TEST_CASE("gemm_panel: depth cut in two gives the same bits") {
  const Epilogue none;
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    for_each_tile_size(*table, [&](int rows, int vecs) {
      constexpr int kDepth = 41, kCut = 17;
      const PanelCase c(Values::kReal, rows, 1, kDepth, 43, 0, vecs);
      GuardedRows output(rows, c.columns(), c.output_stride());
      GemmInput first = c.a, second = c.a;
      first.depth = kCut;
      second.data += kCut;
      second.depth = kDepth - kCut;
      table->gemm_panel({first, rows, c.weights.data(), vecs, c.bias.data(), output.data(),
                         output.stride(), nullptr});
      table->gemm_panel({second, rows, c.weights.data() + kCut * c.columns(), vecs, nullptr,
                         output.data(), output.stride(), &none});
      CHECK(output.fault() == "");
      for (int t = 0; t < rows; ++t) {
        for (int column = 0; column < c.columns(); ++column) {
          const float chain = product_chain(c.a, t, c.weights.data() + column, c.columns(),
                                            c.bias[static_cast<std::size_t>(column)]);
          REQUIRE(bits(output.at(t, column)) == bits(chain));
        }
      }
    });
  }
}

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
      joined.push_back(m.layout.data[tap * m.layout.tap_step + d * m.layout.depth_step +
                                     column * m.layout.column_step]);
    }
  }
  return joined;
}

struct GemmCase {
  int rows, taps, depth, columns;
};
// Below, at and above the blocks of 192 rows and a depth of 384.
constexpr GemmCase kGemmCases[] = {
    {1, 1, 1, 1},     {5, 7, 1, 33},     {193, 1, 20, 17},  {25, 3, 257, 65},
    {33, 1, 769, 40}, {14, 2, 400, 130}, {200, 3, 300, 16},
};

TEST_CASE("gemm and parallel_gemm: the same chain for any blocking and threads") {
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    for (const GemmCase& size : kGemmCases) {
      const int rows = size.rows, taps = size.taps, depth = size.depth, columns = size.columns;
      CAPTURE(rows);
      CAPTURE(columns);
      const MatrixCase m(Values::kReal, taps, depth, columns);
      const PackedMatrix packed(*table, m.layout, m.bias);
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
    const PackedMatrix packed(*table, m.layout, m.bias);
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

// The lowest column with the largest score, on integers: in double and exact.
int best_column(const MatrixCase& m, const GemmInput& a, int t) {
  int best = 0;
  double best_score = -std::numeric_limits<double>::infinity();
  for (int column = 0; column < m.layout.columns; ++column) {
    const double score =
        product(a, t, joined_column(m, column).data(), 1, m.bias[static_cast<std::size_t>(column)])
            .value;
    if (score > best_score) {
      best = column;
      best_score = score;
    }
  }
  return best;
}

std::vector<int> find_nearest(const KernelTable& table, const MatrixCase& m, const GemmInput& a,
                              int rows) {
  constexpr std::int32_t kPoison = -12345;
  const PackedMatrix packed(table, m.layout, m.bias, -std::numeric_limits<float>::infinity());
  std::vector<std::int32_t> found(static_cast<std::size_t>(rows) + 2, kPoison);
  table.nearest({.a = a,
                 .rows = rows,
                 .panels = packed.panel(0),
                 .columns = packed.columns(),
                 .bias = packed.bias(0),
                 .nearest = found.data() + 1});
  CHECK(found.front() == kPoison);
  CHECK(found.back() == kPoison);
  return {found.begin() + 1, found.end() - 1};
}

TEST_CASE("nearest: the lowest of many equal scores, and never the padding") {
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    for (const int columns : {1, 15, 16, 17, 31, 32, 33, 100}) {
      for (const int rows : {1, table->tile_rows, 2 * table->tile_rows + 1}) {
        CAPTURE(columns);
        CAPTURE(rows);
        constexpr int kDepth = 3;  // few values: many ties
        MatrixCase m(Values::kInteger, 1, kDepth, columns);
        for (float& b : m.bias) b -= 50;  // all scores negative: below the padding's raw 0
        const auto input =
            random_values(static_cast<std::size_t>(rows * kDepth), Values::kInteger, 11);
        const GemmInput a = {input.data(), kDepth, 0, 1, kDepth};
        const auto found = find_nearest(*table, m, a, rows);
        for (int t = 0; t < rows; ++t) {
          REQUIRE(found[static_cast<std::size_t>(t)] == best_column(m, a, t));
        }
      }
    }
  }
}

TEST_CASE("nearest: the best of 2048 in double precision, the same on every ISA") {
  constexpr int kRows = 15, kDepth = 32, kColumns = 2048;
  const MatrixCase m(Values::kReal, 1, kDepth, kColumns);
  auto input = random_values(kRows * kDepth, Values::kReal, 12);
  const GemmInput a = {input.data(), kDepth, 0, 1, kDepth};
  const auto expected = find_nearest(*kernels::available().back(), m, a, kRows);
  for (int t = 0; t < kRows; ++t) {
    const auto score = [&](int column) {
      return product(a, t, joined_column(m, column).data(), 1,
                     m.bias[static_cast<std::size_t>(column)]);
    };
    const Bounded best = score(best_column(m, a, t));
    const Bounded found = score(expected[static_cast<std::size_t>(t)]);
    CHECK(found.value >= best.value - best.bound - found.bound);
  }
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    CHECK(find_nearest(*table, m, a, kRows) == expected);
  }
}

TEST_CASE("nearest: scores that are not numbers choose column 0") {
  const MatrixCase m(Values::kReal, 1, 4, 40);
  const std::vector<float> input(4, std::numeric_limits<float>::quiet_NaN());
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    CHECK(find_nearest(*table, m, {input.data(), 4, 0, 1, 4}, 1) == std::vector<int>{0});
  }
}

}  // namespace
}  // namespace mimi::test
