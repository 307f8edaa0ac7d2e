// The kernels that are not matrix products, and exp, ELU and GELU, on every instruction set that
// runs here: against double precision, and the same bits on all.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/kernels.h"
#include "tests/reference.h"

namespace mimi::test {
namespace {

using kernels::Activation;
using kernels::AttentionTask;
using kernels::Epilogue;
using kernels::GemmInput;
using kernels::KernelTable;
using kernels::kLanes;

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(static_cast<int>(random() % 4001) - 2000) / 1777;
  return values;
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<std::uint32_t>(v));
  return bits;
}

int padded(int channels) { return (channels + kLanes - 1) / kLanes * kLanes; }

// Runs `kernel`, which returns its output, on every ISA; all must give the bits of the last, the
// portable one, which is returned.
template <typename Kernel>
std::vector<float> same_on_all(Kernel kernel) {
  const std::vector<float> portable = kernel(*kernels::available().back());
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    CHECK(bits_of(kernel(*table)) == bits_of(portable));
  }
  return portable;
}

std::vector<float> written(const GuardedRows& rows, int count, int columns) {
  CHECK(rows.fault() == "");
  std::vector<float> values;
  for (int t = 0; t < count; ++t) {
    for (int c = 0; c < columns; ++c) values.push_back(rows.at(t, c));
  }
  return values;
}

TEST_CASE("dot_rows") {
  constexpr int kRows = 9;
  for (const auto& size : {std::pair{1, 16}, {3, 4}, {3, 64}, {7, 17}}) {
    const int taps = size.first, depth = size.second;
    CAPTURE(taps);
    CAPTURE(depth);
    const int row_step = padded(depth), tap_step = padded(depth);
    auto input = random_values(static_cast<std::size_t>((kRows + taps) * row_step), 1);
    auto weights = random_values(static_cast<std::size_t>(taps * padded(depth)), 2);
    for (int i = 0; i < taps * padded(depth); ++i) {
      if (i % padded(depth) >= depth) weights[static_cast<std::size_t>(i)] = 0;
    }
    const GemmInput a = {input.data(), row_step, tap_step, taps, depth};
    const auto found = same_on_all([&](const KernelTable& table) {
      GuardedRows output(kRows, 1, 1);
      table.dot_rows(a, kRows, weights.data(), 0.25F, output.data());
      return written(output, kRows, 1);
    });
    // The depth with its padding, whose products are zero.
    const GemmInput whole = {input.data(), row_step, tap_step, taps, padded(depth)};
    for (int t = 0; t < kRows; ++t) {
      CHECK(within(product(whole, t, weights.data(), 1, 0.25), found[static_cast<std::size_t>(t)]));
    }
  }
}

TEST_CASE("layer_norm") {
  constexpr int kRows = 3;
  for (const int channels : {1, 15, 16, 17, 32, 192, 500, 512}) {
    CAPTURE(channels);
    const int width = padded(channels), stride = width + kLanes;
    auto x = random_values(static_cast<std::size_t>(kRows * stride), 3);
    for (float& v : x) v += 0.5F;
    auto weight = random_values(static_cast<std::size_t>(width), 4);
    auto bias = random_values(static_cast<std::size_t>(width), 5);
    for (auto c = static_cast<std::size_t>(channels); c < static_cast<std::size_t>(width); ++c) {
      weight[c] = bias[c] = 0;
      for (std::size_t t = 0; t < kRows; ++t) x[t * static_cast<std::size_t>(stride) + c] = 0;
    }
    const auto found = same_on_all([&](const KernelTable& table) {
      GuardedRows y(kRows, width, stride + 5);
      table.layer_norm(x.data(), stride, kRows, channels, weight.data(), bias.data(), 1e-5F,
                       y.data(), y.stride());
      return written(y, kRows, width);
    });
    for (int t = 0; t < kRows; ++t) {
      const auto expected = layer_norm({x.data() + t * stride, static_cast<std::size_t>(channels)},
                                       weight.data(), bias.data(), 1e-5F);
      for (int c = 0; c < width; ++c) {
        const float y = found[static_cast<std::size_t>(t * width + c)];
        if (c >= channels) CHECK(y == 0.0F);
        if (c < channels) CHECK(within(expected[static_cast<std::size_t>(c)], y));
      }
    }
  }
}

// Rings whose every slot outside the attended steps holds NaN.
struct AttentionCase {
  AttentionCase(int head_dim, std::int64_t blocks, std::int64_t first, std::int64_t last)
      : task({.query = nullptr,
              .keys = nullptr,
              .values = nullptr,
              .head_dim = head_dim,
              .blocks = blocks,
              .first_step = first,
              .last_step = last,
              .weights = nullptr,
              .output = nullptr}),
        query(random_values(static_cast<std::size_t>(padded(head_dim)), 6)),
        keys(static_cast<std::size_t>(blocks * head_dim * kLanes),
             std::numeric_limits<float>::quiet_NaN()),
        values(static_cast<std::size_t>(blocks * kLanes * padded(head_dim)),
               std::numeric_limits<float>::quiet_NaN()) {
    const auto steps = static_cast<std::size_t>(last - first + 1);
    const auto drawn = random_values(2 * steps * static_cast<std::size_t>(padded(head_dim)), 7);
    auto next = drawn.begin();
    for (std::int64_t step = first; step <= last; ++step) {
      const std::int64_t block = step / kLanes % blocks, lane = step % kLanes;
      for (int d = 0; d < padded(head_dim); ++d) {
        values[static_cast<std::size_t>((block * kLanes + lane) * padded(head_dim) + d)] =
            d < head_dim ? *next++ : 0;
        if (d < head_dim) {
          keys[static_cast<std::size_t>((block * head_dim + d) * kLanes + lane)] = *next++;
        }
      }
    }
    task.query = query.data();
    task.keys = keys.data();
    task.values = values.data();
  }
  AttentionCase(const AttentionCase&) = delete;
  AttentionCase& operator=(const AttentionCase&) = delete;

  AttentionTask task;
  std::vector<float> query, keys, values;
};

TEST_CASE("attention: windows anywhere in the ring, after ten hours too") {
  constexpr std::int64_t kTenHours = 10 * 3600 * 25;
  for (const int head_dim : {8, 16, 24, 32, 64, 80}) {
    for (const std::int64_t blocks : {2, 3, 18}) {
      for (const std::int64_t last : {std::int64_t{0}, std::int64_t{15}, std::int64_t{16},
                                      std::int64_t{47}, std::int64_t{300}, kTenHours + 5}) {
        for (const std::int64_t reach : {1, 10, 16, 250}) {
          if (reach > kLanes * (blocks - 1)) continue;
          const std::int64_t first = std::max<std::int64_t>(0, last - reach + 1);
          CAPTURE(head_dim);
          CAPTURE(blocks);
          CAPTURE(first);
          CAPTURE(last);
          const AttentionCase c(head_dim, blocks, first, last);
          const auto found = same_on_all([&](const KernelTable& table) {
            GuardedRows output(1, padded(head_dim), padded(head_dim));
            std::vector<float> weights(static_cast<std::size_t>(blocks * kLanes));
            AttentionTask task = c.task;
            task.weights = weights.data();
            task.output = output.data();
            table.attention(task);
            return written(output, 1, padded(head_dim));
          });
          const auto expected = attention(c.task);
          for (std::size_t d = 0; d < expected.size(); ++d) {
            REQUIRE(within(expected[d], found[d]));
          }
        }
      }
    }
  }
}

// The activation of each of `values`, by way of a product of depth 1 with zeros.
std::vector<float> activated(const KernelTable& table, Activation activation,
                             const std::vector<float>& values) {
  const Epilogue epilogue = {.activation = activation};
  alignas(64) const float zeros[kLanes] = {};
  std::vector<float> output(values.size());
  for (std::size_t i = 0; i < values.size(); i += kLanes) {
    table.gemm_panel({.a = {zeros, 1, 0, 1, 1},
                      .rows = 1,
                      .panel = zeros,
                      .vecs = 1,
                      .bias = values.data() + i,
                      .output = output.data() + i,
                      .output_stride = kLanes,
                      .epilogue = &epilogue});
  }
  return output;
}

// From -110 to 20, dense near zero, and the powers of two down to the smallest.
std::vector<float> sweep() {
  std::vector<float> values;
  for (int i = -110000; i <= 20000; ++i) values.push_back(static_cast<float>(i) * 1e-3F);
  for (int i = -50000; i <= 50000; ++i) values.push_back(static_cast<float>(i) * 2e-5F);
  for (int exponent = -149; exponent <= 4; ++exponent) {
    values.push_back(std::ldexp(1.0F, exponent));
    values.push_back(-std::ldexp(1.0F, exponent));
  }
  values.resize((values.size() + kLanes - 1) / kLanes * kLanes);
  return values;
}

TEST_CASE("ELU and GELU over the whole line") {
  const auto values = sweep();
  for (const Activation activation : {Activation::kElu, Activation::kGelu}) {
    CAPTURE(activation == Activation::kElu);
    const auto found =
        same_on_all([&](const KernelTable& table) { return activated(table, activation, values); });
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Bounded expected = activate(activation, {values[i], 0});
      CAPTURE(values[i]);
      REQUIRE(within(expected, found[i]));
    }
  }
}

TEST_CASE("the softmax's exponential, down to where it vanishes") {
  // Keys of one dimension are the scores: 0, the largest, then 15 others.
  for (int first = 0; first < 90000; first += 15) {
    std::vector<float> keys = {0.0F};
    for (int i = 1; i < kLanes; ++i) keys.push_back(static_cast<float>(first + i) * -1e-3F);
    keys.resize(2 * kLanes);
    const std::vector<float> one(kLanes, 1.0F), values(2 * kLanes * kLanes, 1.0F);
    const auto weights = same_on_all([&](const KernelTable& table) {
      std::vector<float> exponentials(2 * kLanes), output(kLanes);
      table.attention({.query = one.data(),
                       .keys = keys.data(),
                       .values = values.data(),
                       .head_dim = 1,
                       .blocks = 2,
                       .first_step = 0,
                       .last_step = kLanes - 1,
                       .weights = exponentials.data(),
                       .output = output.data()});
      return exponentials;
    });
    for (std::size_t i = 0; i < kLanes; ++i) {
      const double expected = std::exp(std::max(-87.0, double{keys[i]}));
      REQUIRE(std::abs(weights[i] - expected) <= 3 * kUnit * expected);
    }
  }
}

TEST_CASE("the multiply-add peak counts what it does") {
  for (const KernelTable* table : kernels::available()) {
    CAPTURE(std::string(table->name));
    float sink[kLanes] = {};
    const double flop = table->multiply_add_peak(1000, sink);
    CHECK(flop == 1000 * table->multiply_add_peak(1, sink));
    // At least ten chains, each a whole register.
    CHECK(table->multiply_add_peak(1, sink) >= 2.0 * 10 * 4);
  }
}

}  // namespace
}  // namespace mimi::test
