#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>

#include "kernels/gemm.h"

namespace mimi::kernels {
namespace {

// A source column's taps and depths lie together, a packed row's columns do. Blocks of depth keep
// both the lines read and the lines written in the cache until they are used up.
constexpr int kPackBlock = 16;

// Calls pack(column, its values, step) for each step of all taps of a panel's columns, and the
// place in the panel where it goes.
template <typename Pack>
void for_each_step(const WeightLayout& layout, int first_column, int columns, int width,
                   int values_per_step, float* panel, Pack pack) {
  const int steps = (layout.depth + values_per_step - 1) / values_per_step;
  for (int first = 0; first < steps; first += kPackBlock) {
    const int last = std::min(first + kPackBlock, steps);
    for (int c = 0; c < columns; ++c) {
      const float* column = layout.data + (first_column + c) * layout.column_step;
      for (int step = first; step < last; ++step) {
        const int d = step * values_per_step;
        const float* value = column + d * layout.depth_step;
        float* out = panel + std::ptrdiff_t{step} * width + c;
        const int values = std::min(values_per_step, layout.depth - d);
        for (int tap = 0; tap < layout.taps; ++tap) {
          *out = pack(c, tap, value, values);
          value += layout.tap_step;
          out += std::ptrdiff_t{steps} * width;
        }
      }
    }
  }
}

std::uint32_t bf16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}

// 16 significant bits or fewer, not below x.
float rounded_up(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0xFF) & 0xFFFFFF00U);
}

float largest_magnitude(const WeightLayout& layout, int column) {
  float largest = 0;
  const float* value = layout.data + column * layout.column_step;
  for (int d = 0; d < layout.depth; ++d, value += layout.depth_step) {
    for (int tap = 0; tap < layout.taps; ++tap) {
      largest = std::max(largest, std::abs(value[tap * layout.tap_step]));
    }
  }
  return largest;
}

}  // namespace

PackedMatrix::PackedMatrix(const Packing& packing, const WeightLayout& layout,
                           std::span<const float> bias, float padding_bias)
    : packing_(packing), taps_(layout.taps), depth_(layout.depth), columns_(layout.columns) {
  assert(bias.empty() || bias.size() == static_cast<std::size_t>(columns_));
  const auto padded = static_cast<std::size_t>((columns_ + kLanes - 1) / kLanes * kLanes);
  weights_ = AlignedFloats(static_cast<std::size_t>(taps_ * steps()) * padded);
  bias_ = AlignedFloats(padded);
  std::copy(bias.begin(), bias.end(), bias_.data());
  std::fill(bias_.data() + columns_, bias_.data() + padded, padding_bias);
  if (dtype() == Dtype::kInt8) {
    column_scales_ = AlignedFloats(padded);
    offsets_ = AlignedFloats(static_cast<std::size_t>(taps_) * padded);
  }
  for (int p = 0; p < panels(); ++p) {
    if (dtype() == Dtype::kF32) pack_f32(layout, p);
    if (dtype() == Dtype::kBf16) pack_bf16(layout, p);
    if (dtype() == Dtype::kInt8) pack_int8(layout, p);
  }
}

void PackedMatrix::pack_f32(const WeightLayout& layout, int p) {
  const int first_column = p * panel_columns();
  const int width = panel_vecs(p) * kLanes;
  for_each_step(layout, first_column, std::min(width, columns_ - first_column), width, 1,
                weights_.data() + std::ptrdiff_t{first_column} * taps_ * steps(),
                [](int, int, const float* value, int) { return *value; });
}

void PackedMatrix::pack_bf16(const WeightLayout& layout, int p) {
  const int first_column = p * panel_columns();
  const int width = panel_vecs(p) * kLanes;
  for_each_step(layout, first_column, std::min(width, columns_ - first_column), width, 2,
                weights_.data() + std::ptrdiff_t{first_column} * taps_ * steps(),
                [&](int, int, const float* value, int values) {
                  std::uint32_t pair = bf16_bits(*value);
                  if (values == 2) pair |= bf16_bits(value[layout.depth_step]) << 16;
                  return std::bit_cast<float>(pair);
                });
}

void PackedMatrix::pack_int8(const WeightLayout& layout, int p) {
  const int first_column = p * panel_columns();
  const int width = panel_vecs(p) * kLanes;
  const int columns = std::min(width, columns_ - first_column);
  float* scales = column_scales_.data() + first_column;
  for (int c = 0; c < columns; ++c) {
    scales[c] = rounded_up(largest_magnitude(layout, first_column + c) / 127.0f);
  }
  for_each_step(layout, first_column, columns, width, 4,
                weights_.data() + std::ptrdiff_t{first_column} * taps_ * steps(),
                [&](int c, int tap, const float* value, int values) {
                  std::uint32_t quad = 0;
                  std::int32_t sum = 0;
                  for (int i = 0; i < values; ++i) {
                    const float weight = value[i * layout.depth_step];
                    // lrint rounds as the thread's mode says: to nearest even.
                    const auto byte =
                        scales[c] > 0 ? static_cast<std::int32_t>(std::lrint(weight / scales[c]))
                                      : std::int32_t{0};
                    quad |= (static_cast<std::uint32_t>(byte) & 0xFF) << 8 * i;
                    sum += byte;
                  }
                  float& offset = offsets_.data()[tap * offset_step() + first_column + c];
                  offset = std::bit_cast<float>(std::bit_cast<std::int32_t>(offset) - 128 * sum);
                  return std::bit_cast<float>(quad);
                });
}

int PackedMatrix::steps() const {
  const int values = values_per_step(dtype());
  return (depth_ + values - 1) / values;
}

int PackedMatrix::panel_vecs(int panel) const {
  const int remaining = columns_ - panel * panel_columns();
  return std::min(table().panel_vecs, (remaining + kLanes - 1) / kLanes);
}

const float* PackedMatrix::panel(int panel) const {
  return weights_.data() + std::ptrdiff_t{panel} * panel_columns() * taps_ * steps();
}

const float* PackedMatrix::offsets(int panel, int tap) const {
  return offsets_.data() + tap * offset_step() + panel * panel_columns();
}

}  // namespace mimi::kernels
