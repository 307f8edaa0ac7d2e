#include "core/floats.h"

#include <bit>
#include <cassert>
#include <cstdint>
#include <cstring>

namespace mimi {

namespace {

std::uint32_t widen_bf16(std::uint16_t half) { return std::uint32_t{half} << 16; }

// No step has a denormal operand or result, so that no denormal mode of the thread matters.
std::uint32_t widen_f16(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t magnitude = half & 0x7fffU;
  // An exponent of 5 bits becomes one of 8: rebiased by 127 - 15, the topmost kept topmost.
  const std::uint32_t rebias = magnitude >= 0x7c00 ? 224U << 23 : 112U << 23;
  const std::uint32_t normal = (magnitude << 13) + rebias;
  // A subnormal counts steps of 2^-24, the step of floats from 0.5 on.
  const float above_half = std::bit_cast<float>(std::bit_cast<std::uint32_t>(0.5F) + magnitude);
  const auto subnormal = std::bit_cast<std::uint32_t>(above_half - 0.5F);
  const std::uint32_t is_subnormal = magnitude < 0x400 ? ~0U : 0U;
  return sign | (subnormal & is_subnormal) | (normal & ~is_subnormal);
}

template <typename Widen>
void widen_all(std::span<const std::byte> data, std::span<float> values, Widen widen_half) {
  assert(data.size() == values.size() * sizeof(std::uint16_t));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t half = 0;  // may lie at an odd address
    std::memcpy(&half, data.data() + i * sizeof half, sizeof half);
    values[i] = std::bit_cast<float>(widen_half(half));
  }
}

}  // namespace

std::span<const float> view_float32(std::span<const std::byte> data, TensorType dtype) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(data.data()) % alignof(float) == 0;
  if (dtype != TensorType::kF32 || !aligned) return {};
  return {reinterpret_cast<const float*>(data.data()), data.size() / sizeof(float)};
}

void widen(std::span<const std::byte> data, TensorType dtype, std::span<float> values) {
  assert(dtype != TensorType::kOther);
  if (dtype == TensorType::kF16) return widen_all(data, values, widen_f16);
  if (dtype == TensorType::kBF16) return widen_all(data, values, widen_bf16);
  if (dtype == TensorType::kInt8) {
    assert(data.size() == values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(static_cast<std::int8_t>(data[i]));
    }
    return;
  }
  assert(data.size() == values.size_bytes());
  std::memcpy(values.data(), data.data(), data.size());
}

std::size_t value_bytes(TensorType dtype) {
  if (dtype == TensorType::kInt8) return sizeof(std::int8_t);
  return dtype == TensorType::kF32 ? sizeof(float) : sizeof(std::uint16_t);
}

bool all_finite(std::span<const float> values) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::uint32_t found = 0;  // no early exit: the loop is one of vectors
  for (const float value : values) {
    found |=
        static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent);
  }
  return found == 0;
}

}  // namespace mimi
