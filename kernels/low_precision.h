// How a weight becomes bf16 or int8.
#pragma once

#include <bit>
#include <cstdint>

namespace mimi::kernels {

// The upper half of x's bits, rounded to nearest even.
inline std::uint16_t bf16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// What a column's values are divided by: its largest magnitude / 127, rounded up to 16 significant
// bits, so that a byte times it is exact in f32 and gives the same byte and scale again.
inline float int8_scale(float largest_magnitude) {
  const auto bits = std::bit_cast<std::uint32_t>(largest_magnitude / 127.0f);
  return std::bit_cast<float>((bits + 0xFF) & 0xFFFFFF00U);
}

// x / scale to the nearest integer, ties to even: -127 to 127.
inline std::int32_t int8_value(float x, float scale) {
  // Added to this, a value within 127 either side is rounded.
  constexpr float kRounder = 0x1.8p23f;
  const float divisor = scale > 0 ? scale : 1.0f;  // a column of zeros is divided by anything
  return std::bit_cast<std::int32_t>(x / divisor + kRounder) -
         std::bit_cast<std::int32_t>(kRounder);
}

}  // namespace mimi::kernels
