#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "kernels/gemm.h"
#include "kernels/low_precision.h"

namespace mimi::kernels {
namespace {

// A source column's values lie together, a packed row's columns do. Blocks of so many steps keep
// both the lines read and the lines written in the cache until they are used up.
constexpr int kBlockSteps = 16;
constexpr int kBlockColumns = 4;

using Words = std::uint32_t[kBlockSteps];  // what a column has of a block
using Quad [[gnu::vector_size(16)]] = std::uint32_t;

// Values of a column as each type of source holds them.
struct F32Source {
  using Value = float;
  static constexpr Dtype kType = Dtype::kF32;
  static float widen(Value value, float) { return value; }
};
struct Bf16Source {
  using Value = std::uint16_t;
  static constexpr Dtype kType = Dtype::kBf16;
  static float widen(Value value, float) {
    return std::bit_cast<float>(std::uint32_t{value} << 16);
  }
};
struct Int8Source {
  using Value = std::int8_t;
  static constexpr Dtype kType = Dtype::kInt8;
  static float widen(Value value, float scale) { return static_cast<float>(value) * scale; }
};

// One column of a layout.
template <typename Source>
struct Column {
  using Value = typename Source::Value;

  Column(const WeightLayout& l, int column)
      : layout(&l),
        values(static_cast<const Value*>(l.data) + column * l.column_step),
        scale(l.scales == nullptr ? 1.0f : l.scales[column * l.scale_step]) {}

  const Value* at(int tap, int depth) const {
    return values + tap * layout->tap_step + depth * layout->depth_step;
  }
  float widen(Value value) const { return Source::widen(value, scale); }

  // What packing in int8 divides by. A scale that the source has is such a one already.
  float int8_scale() const {
    if constexpr (Source::kType == Dtype::kInt8) return scale;
    return kernels::int8_scale(largest_magnitude());
  }

  float largest_magnitude() const {
    // As integers, which compare as magnitudes do and may be compared in any order.
    std::int32_t largest = 0;
    const auto take = [&](Value value) {
      const auto bits = std::bit_cast<std::int32_t>(widen(value));
      largest = std::max(largest, bits & 0x7FFFFFFF);
    };
    const WeightLayout& l = *layout;
    const bool dense = l.taps == 1 ? l.depth_step == 1 : l.tap_step == 1 && l.depth_step == l.taps;
    if (dense) {
      for (int i = 0; i < l.taps * l.depth; ++i) take(values[i]);
    } else {
      for (int tap = 0; tap < l.taps; ++tap) {
        for (int d = 0; d < l.depth; ++d) take(*at(tap, d));
      }
    }
    return std::bit_cast<float>(largest);
  }

  const WeightLayout* layout;
  const Value* values;
  float scale;  // of the source
};

// The values of `count` depths, then zeros to fill the block.
template <int Size, typename Source>
void gather(const Column<Source>& column, int tap, int depth, int count,
            typename Source::Value (&values)[Size]) {
  const auto* from = column.at(tap, depth);
  const std::ptrdiff_t step = column.layout->depth_step;
  if (step == 1 && count == Size) {  // of a known length, so that no function is called
    std::copy_n(from, Size, values);
    return;
  }
  if (step == 1) {
    std::copy_n(from, count, values);
  } else {
    for (int i = 0; i < count; ++i) values[i] = from[i * step];
  }
  std::fill(values + count, values + Size, typename Source::Value{});
}

struct ToF32 {
  static constexpr Dtype kType = Dtype::kF32;
  template <typename Source>
  static void convert(const Column<Source>& column, int tap, int depth, int count, Words words) {
    typename Source::Value values[kBlockSteps];
    gather(column, tap, depth, count, values);
    for (int i = 0; i < kBlockSteps; ++i) {
      words[i] = std::bit_cast<std::uint32_t>(column.widen(values[i]));
    }
  }
};

struct ToBf16 {
  static constexpr Dtype kType = Dtype::kBf16;
  template <typename Source>
  static void convert(const Column<Source>& column, int tap, int depth, int count, Words words) {
    typename Source::Value values[2 * kBlockSteps];
    gather(column, tap, depth, count, values);
    const auto half = [&](int i) {
      if constexpr (Source::kType == Dtype::kBf16) return std::uint32_t{values[i]};
      return std::uint32_t{bf16_bits(column.widen(values[i]))};
    };
    for (int i = 0; i < kBlockSteps; ++i) words[i] = half(2 * i) | half(2 * i + 1) << 16;
  }
};

struct ToInt8 {
  static constexpr Dtype kType = Dtype::kInt8;
  // Returns the sum of the bytes.
  template <typename Source>
  static std::int32_t convert(const Column<Source>& column, int tap, int depth, int count,
                              float scale, Words words) {
    typename Source::Value values[4 * kBlockSteps];
    gather(column, tap, depth, count, values);
    std::int32_t bytes[4 * kBlockSteps];
    for (int i = 0; i < 4 * kBlockSteps; ++i) {
      if constexpr (Source::kType == Dtype::kInt8) {
        bytes[i] = std::int32_t{values[i]};  // signed
      } else {
        bytes[i] = int8_value(column.widen(values[i]), scale);
      }
    }
    for (int i = 0; i < kBlockSteps; ++i) {
      words[i] = 0;
      for (int k = 0; k < 4; ++k) {
        words[i] |= (static_cast<std::uint32_t>(bytes[4 * i + k]) & 0xFF) << 8 * k;
      }
    }
    return std::accumulate(bytes, bytes + 4 * kBlockSteps, std::int32_t{0});
  }
};

// Four columns' words become four words of as many rows.
void store_transposed(const Words (&words)[kBlockColumns], int steps, int columns, float* out,
                      std::ptrdiff_t stride) {
  if (steps < kBlockSteps || columns < kBlockColumns) {
    for (int step = 0; step < steps; ++step) {
      for (int c = 0; c < columns; ++c) {
        out[step * stride + c] = std::bit_cast<float>(words[c][step]);
      }
    }
    return;
  }
  for (int step = 0; step < kBlockSteps; step += 4) {
    Quad q[4];
    for (int c = 0; c < 4; ++c) std::memcpy(&q[c], words[c] + step, sizeof q[c]);
    const Quad low01 = __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5);
    const Quad low23 = __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5);
    const Quad high01 = __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7);
    const Quad high23 = __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
    const Quad rows[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                          __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                          __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                          __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
    for (int r = 0; r < 4; ++r) std::memcpy(out + (step + r) * stride, &rows[r], sizeof rows[r]);
  }
}

// Calls use.operator()<Source, Target>().
template <typename Source, typename Use>
void with_target(Dtype target, Use use) {
  switch (target) {
    case Dtype::kF32:
      return use.template operator()<Source, ToF32>();
    case Dtype::kBf16:
      return use.template operator()<Source, ToBf16>();
    case Dtype::kInt8:
      return use.template operator()<Source, ToInt8>();
  }
}

template <typename Use>
void with_source_and_target(Dtype source, Dtype target, Use use) {
  switch (source) {
    case Dtype::kF32:
      return with_target<F32Source>(target, use);
    case Dtype::kBf16:
      return with_target<Bf16Source>(target, use);
    case Dtype::kInt8:
      return with_target<Int8Source>(target, use);
  }
}

}  // namespace

PackedMatrix::PackedMatrix(const Packing& packing, int taps, int depth, int columns)
    : packing_(packing), taps_(taps), depth_(depth), columns_(columns) {
  const auto padded = static_cast<std::size_t>((columns_ + kLanes - 1) / kLanes * kLanes);
  weights_ = AlignedFloats::beside_others(static_cast<std::size_t>(taps_ * steps()) * padded);
  bias_ = AlignedFloats::beside_others(padded);
  if (dtype() == Dtype::kInt8) {
    column_scales_ = AlignedFloats::beside_others(padded);
    offsets_ = AlignedFloats::beside_others(static_cast<std::size_t>(taps_) * padded);
  }
}

PackedMatrix::PackedMatrix(const Packing& packing, const WeightLayout& layout,
                           std::span<const float> bias, float padding_bias)
    : PackedMatrix(packing, layout.taps, layout.depth, layout.columns) {
  set_columns(0, layout);
  set_bias(bias, padding_bias);
}

void PackedMatrix::set_bias(std::span<const float> bias, float padding_bias) {
  assert(bias.empty() || bias.size() == static_cast<std::size_t>(columns_));
  std::copy(bias.begin(), bias.end(), bias_.data());
  std::fill(bias_.data() + columns_, bias_.data() + bias_.size(), padding_bias);
}

void PackedMatrix::set_columns(int first, const WeightLayout& layout) {
  assert(layout.taps == taps_ && layout.depth == depth_ && first + layout.columns <= columns_);
  with_source_and_target(layout.type, dtype(), [&]<typename Source, typename Target>() {
    const int end = first + layout.columns;
    for (int begin = first; begin < end;) {
      const int panel_end = (begin / panel_columns() + 1) * panel_columns();
      const int columns = std::min(end, panel_end) - begin;
      pack<Source, Target>(layout, begin - first, columns, begin);
      begin += columns;
    }
  });
}

// Packs columns [source, source + columns) of the layout as those from `column` on, which are all
// in one panel. All taps of a block go one after the other: in the file they often lie together.
template <typename Source, typename Target>
void PackedMatrix::pack(const WeightLayout& layout, int source, int columns, int column) {
  constexpr int kValues = values_per_step(Target::kType);
  if constexpr (Target::kType == Dtype::kInt8) {
    for (int c = 0; c < columns; ++c) {
      column_scales_.data()[column + c] = Column<Source>(layout, source + c).int8_scale();
    }
  }
  const int panel = column / panel_columns();
  const std::ptrdiff_t width = panel_vecs(panel) * kLanes;
  float* const corner = weights_.data() + panel_place(panel) + column % panel_columns();
  for (int step = 0; step < steps(); step += kBlockSteps) {
    const int steps_here = std::min(kBlockSteps, steps() - step);
    const int depth = step * kValues;
    const int values = std::min(kBlockSteps * kValues, depth_ - depth);
    for (int tap = 0; tap < taps_; ++tap) {
      float* const out = corner + (tap * steps() + step) * width;
      for (int first = 0; first < columns; first += kBlockColumns) {
        const int count = std::min(kBlockColumns, columns - first);
        Words words[kBlockColumns];
        for (int c = 0; c < count; ++c) {
          const Column<Source> from(layout, source + first + c);
          if constexpr (Target::kType == Dtype::kInt8) {
            const int packed = column + first + c;
            add_offset(
                tap, packed,
                Target::convert(from, tap, depth, values, column_scales_.data()[packed], words[c]));
          } else {
            Target::convert(from, tap, depth, values, words[c]);
          }
        }
        store_transposed(words, steps_here, count, out + first, width);
      }
    }
  }
}

void PackedMatrix::add_offset(int tap, int column, std::int32_t sum_of_bytes) {
  float& offset = offsets_.data()[tap * offset_step() + column];
  offset = std::bit_cast<float>(std::bit_cast<std::int32_t>(offset) - 128 * sum_of_bytes);
}

int PackedMatrix::steps() const {
  const int values = values_per_step(dtype());
  return (depth_ + values - 1) / values;
}

int PackedMatrix::panel_vecs(int panel) const {
  const int remaining = columns_ - panel * panel_columns();
  return std::min(table().panel_vecs, (remaining + kLanes - 1) / kLanes);
}

std::ptrdiff_t PackedMatrix::panel_place(int panel) const {
  return std::ptrdiff_t{panel} * panel_columns() * taps_ * steps();
}

const float* PackedMatrix::offsets(int panel, int tap) const {
  return offsets_.data() + tap * offset_step() + panel * panel_columns();
}

}  // namespace mimi::kernels
