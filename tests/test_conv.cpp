// Convolutions of more rows than models bring to them in usual blocks.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/checkpoint.h"
#include "core/conv.h"
#include "core/row_buffer.h"
#include "core/weight_reader.h"
#include "kernels/dispatch.h"
#include "kernels/float_mode.h"
#include "kernels/gemm.h"
#include "tests/files.h"

namespace mimi::test {
namespace {

// The tiny model's last transposed convolution.
struct SmallTransposedConv {
  static constexpr int kIn = 8, kOut = 4, kStride = 4;

  SmallTransposedConv() {
    const Checkpoint checkpoint = Checkpoint::open((test_models() / "tiny-hf").string());
    WeightReader reader({.table = &kernels::select()}, checkpoint);
    conv.load(reader, "decoder.layers.11.conv", kIn, kOut, kStride);
    reader.run(1);
  }

  RowBuffer run(int threads, const RowBuffer& input, int first, int rows) const {
    RowBuffer output(kOut, 0, rows * kStride);
    conv.run(threads, input, first, rows, {output.row(0), output.stride(), {}});
    return output;
  }

  TransposedConv conv;
};

bool same_bits(const float* a, const float* b, int count) {
  return std::equal(a, a + count, b, [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
  });
}

}  // namespace

TEST_CASE("A transposed convolution of rows times blocks beyond 2^31 is that of its parts") {
  const kernels::ScopedFloatMode mode;
  const SmallTransposedConv small;
  constexpr int kRows = 340'000, kPart = 3'000, kStride = SmallTransposedConv::kStride;
  RowBuffer input(SmallTransposedConv::kIn, TransposedConv::kHistory, kRows);
  std::uint32_t random = 1;
  for (int t = -TransposedConv::kHistory; t < kRows; ++t) {
    for (int c = 0; c < SmallTransposedConv::kIn; ++c) {
      random = random * 1664525 + 1013904223;
      input.row(t)[c] = static_cast<float>(random >> 8) / 0x1p24F - 0.5F;
    }
  }
  for (const int threads : {1, 3}) {
    const RowBuffer whole = small.run(threads, input, 0, kRows);
    int different = 0;
    for (int first = 0; first < kRows; first += kPart) {
      const int rows = std::min(kPart, kRows - first);
      const RowBuffer part = small.run(1, input, first, rows);
      for (int t = 0; t < rows * kStride; ++t) {
        different +=
            !same_bits(whole.row(first * kStride + t), part.row(t), SmallTransposedConv::kOut);
      }
    }
    CHECK(different == 0);
  }
}

}  // namespace mimi::test
