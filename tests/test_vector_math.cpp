// exp, ELU and GELU, on every instruction set that runs here: against double precision, and the
// same bits on all. And what multiply_add_peak counts. kernel_check tests the kernels.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/kernels.h"
#include "tests/reference.h"

namespace mimi::test {
namespace {

using kernels::Activation;
using kernels::Epilogue;
using kernels::KernelTable;
using kernels::kLanes;

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<std::uint32_t>(v));
  return bits;
}

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

// The activation of each of `values`, by way of a product of depth 1 with zeros.
std::vector<float> activated(const KernelTable& table, Activation activation,
                             const std::vector<float>& values) {
  const Epilogue epilogue = {.activation = activation};
  alignas(64) const float zeros[kLanes] = {};
  std::vector<float> output(values.size());
  for (std::size_t i = 0; i < values.size(); i += kLanes) {
    table.f32_panel({.a = {zeros, 1, 0, 1, 1},
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
  for (const Activation activation :
       {Activation::kElu, Activation::kEluCoarse, Activation::kGelu}) {
    CAPTURE(static_cast<int>(activation));
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
      table.attention({.keys = keys.data(),
                       .values = values.data(),
                       .next_keys = keys.data(),
                       .head_dim = 1,
                       .blocks = 2,
                       .count = 1,
                       .queries = {{.query = one.data(),
                                    .first_step = 0,
                                    .last_step = kLanes - 1,
                                    .weights = exponentials.data(),
                                    .output = output.data()}}});
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
