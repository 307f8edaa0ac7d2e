// Matrix products of any size, dtype and epilogue: every instruction set that this machine has must
// give the bits of the portable one, however the product is cut and shared out.
#include <fuzzer/FuzzedDataProvider.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/gemm.h"

namespace {

using mimi::kernels::KernelTable;
using mimi::kernels::kLanes;

std::vector<float> random_values(int count, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    value = static_cast<float>(static_cast<int>(random() % 4001) - 2000) / 1777.0F;
  }
  return values;
}

struct Product {
  explicit Product(FuzzedDataProvider& data)
      : dtype(data.PickValueInArray({mimi::kernels::Dtype::kF32, mimi::kernels::Dtype::kBf16,
                                     mimi::kernels::Dtype::kInt8})),
        rows(data.ConsumeIntegralInRange(1, 40)),
        taps(data.ConsumeIntegralInRange(1, 4)),
        depth(kLanes * data.ConsumeIntegralInRange(1, 20)),
        columns(data.ConsumeIntegralInRange(1, 100)),
        stride_rows(data.ConsumeIntegralInRange(1, 8)),
        threads(data.ConsumeIntegralInRange(1, 3)),
        activation(data.PickValueInArray(
            {mimi::kernels::Activation::kNone, mimi::kernels::Activation::kElu,
             mimi::kernels::Activation::kEluCoarse, mimi::kernels::Activation::kGelu})),
        has_residual(data.ConsumeBool()),
        has_scale(data.ConsumeBool()),
        has_activated(data.ConsumeBool()) {
    const auto seed = data.ConsumeIntegral<std::uint16_t>();
    input = random_values((rows * stride_rows + taps) * depth, seed);
    weights = random_values(taps * depth * columns, seed + 1U);
    bias = random_values(columns, seed + 2U);
    residual = random_values(rows * width(), seed + 3U);
    scale = random_values(width(), seed + 4U);
    // Numbers at the ends of what floats hold, anywhere among the input.
    while (data.remaining_bytes() > 0) {
      const auto place = data.ConsumeIntegralInRange<std::size_t>(0, input.size() - 1);
      input[place] = data.PickValueInArray({0.0F, -0.0F, std::numeric_limits<float>::denorm_min(),
                                            1e-39F, std::numeric_limits<float>::min(), 1e20F});
    }
  }

  int width() const { return (columns + kLanes - 1) / kLanes * kLanes; }

  // [rows][width] of the output, then of what is activated beside it.
  std::vector<float> result(const KernelTable& table, int with_threads) const {
    const mimi::kernels::PackedMatrix packed({&table, dtype},
                                             {.data = weights.data(),
                                              .tap_step = depth,
                                              .depth_step = 1,
                                              .column_step = std::ptrdiff_t{taps} * depth,
                                              .taps = taps,
                                              .depth = depth,
                                              .columns = columns},
                                             bias);
    const std::size_t size = residual.size();
    std::vector<float> both(2 * size);
    const mimi::kernels::Epilogue epilogue = {
        .activation = activation,
        .residual = has_residual ? residual.data() : nullptr,
        .residual_stride = width(),
        .scale = has_scale && has_residual ? scale.data() : nullptr,
        .activated = has_activated ? both.data() + size : nullptr,
        .activated_stride = width()};
    mimi::kernels::parallel_gemm(
        with_threads, packed,
        {input.data(), std::ptrdiff_t{stride_rows} * depth, depth, taps, depth}, rows,
        {both.data(), width(), epilogue});
    return both;
  }

  mimi::kernels::Dtype dtype;
  int rows, taps, depth, columns, stride_rows, threads;
  mimi::kernels::Activation activation;
  bool has_residual, has_scale, has_activated;
  std::vector<float> input, weights, bias, residual, scale;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  }
  return a.size() == b.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size > 256) return 0;
  FuzzedDataProvider data(bytes, size);
  const Product product(data);
  const std::vector<float> expected = product.result(mimi::kernels::select("portable"), 1);
  for (const KernelTable* table : mimi::kernels::available()) {
    if (!same_bits(product.result(*table, product.threads), expected)) std::abort();
  }
  return 0;
}
