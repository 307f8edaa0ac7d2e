#include "cli/pcm.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace mimi::cli {
namespace {

template <typename T>
T load(const std::uint8_t* bytes) {
  T value = 0;
  for (std::size_t i = sizeof(T); i > 0; --i) value = static_cast<T>(value << 8 | bytes[i - 1]);
  return value;
}

void store(std::uint32_t value, int width, std::vector<std::uint8_t>& bytes) {
  for (int i = 0; i < width; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

float decode_sample(PcmEncoding encoding, const std::uint8_t* p) {
  switch (encoding) {
    case PcmEncoding::kU8:
      return static_cast<float>(p[0] - 128) / 0x1p7f;
    case PcmEncoding::kS16:
      return static_cast<float>(static_cast<std::int16_t>(load<std::uint16_t>(p))) / 0x1p15f;
    case PcmEncoding::kS24: {
      const auto high = static_cast<std::uint32_t>(p[0] << 8 | p[1] << 16) |
                        static_cast<std::uint32_t>(p[2]) << 24;
      return static_cast<float>(static_cast<std::int32_t>(high)) / 0x1p31f;
    }
    case PcmEncoding::kS32:
      return static_cast<float>(static_cast<std::int32_t>(load<std::uint32_t>(p))) / 0x1p31f;
    case PcmEncoding::kF32:
      return std::bit_cast<float>(load<std::uint32_t>(p));
    case PcmEncoding::kF64:
      return static_cast<float>(std::bit_cast<double>(load<std::uint64_t>(p)));
  }
  return 0;
}

}  // namespace

int bytes_per_sample(PcmEncoding encoding) {
  switch (encoding) {
    case PcmEncoding::kU8:
      return 1;
    case PcmEncoding::kS16:
      return 2;
    case PcmEncoding::kS24:
      return 3;
    case PcmEncoding::kS32:
      return 4;
    case PcmEncoding::kF32:
      return 4;
    case PcmEncoding::kF64:
      return 8;
  }
  return 0;
}

PcmEncoding encoding_of(SampleFormat format) {
  switch (format) {
    case SampleFormat::kS16:
      return PcmEncoding::kS16;
    case SampleFormat::kS24:
      return PcmEncoding::kS24;
    case SampleFormat::kF32:
      return PcmEncoding::kF32;
  }
  return PcmEncoding::kS16;
}

void decode_pcm(PcmEncoding encoding, std::span<const std::uint8_t> bytes,
                std::span<float> samples) {
  const auto width = static_cast<std::size_t>(bytes_per_sample(encoding));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    samples[i] = decode_sample(encoding, &bytes[i * width]);
  }
}

std::int32_t quantize(float sample, int bits, std::int64_t& clipped) {
  if (sample > 1 || sample < -1) ++clipped;
  const double full_scale = std::ldexp(1.0, bits - 1);
  const double rounded = std::nearbyint(static_cast<double>(sample) * full_scale);
  return static_cast<std::int32_t>(std::clamp(rounded, -full_scale, full_scale - 1));
}

void encode_pcm(SampleFormat format, std::span<const float> samples,
                std::vector<std::uint8_t>& bytes, std::int64_t& clipped) {
  const int width = bytes_per_sample(encoding_of(format));
  for (const float sample : samples) {
    const std::uint32_t value =
        format == SampleFormat::kF32
            ? std::bit_cast<std::uint32_t>(sample)
            : static_cast<std::uint32_t>(quantize(sample, 8 * width, clipped));
    store(value, width, bytes);
  }
}

}  // namespace mimi::cli
