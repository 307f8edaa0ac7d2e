// Samples as bytes, little-endian, and as floats of full scale 1.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cli/audio_format.h"

namespace mimi::cli {

// How samples are stored in an input.
enum class PcmEncoding { kU8, kS16, kS24, kS32, kF32, kF64 };
int bytes_per_sample(PcmEncoding encoding);
PcmEncoding encoding_of(SampleFormat format);

// One sample for each bytes_per_sample() bytes. An integer of the widest size is rounded to a
// float.
void decode_pcm(PcmEncoding encoding, std::span<const std::uint8_t> bytes,
                std::span<float> samples);

// Rounds to the nearest integer of `bits` bits, to even at a tie. What is beyond full scale (above
// 1 or below -1) is counted in `clipped`.
std::int32_t quantize(float sample, int bits, std::int64_t& clipped);

// Appends the samples' bytes.
void encode_pcm(SampleFormat format, std::span<const float> samples,
                std::vector<std::uint8_t>& bytes, std::int64_t& clipped);

}  // namespace mimi::cli
