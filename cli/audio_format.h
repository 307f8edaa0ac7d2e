// What the command line says of sound: where it comes from and what it becomes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mimi::cli {

enum class SampleFormat { kS16, kS24, kF32 };

enum class ResamplerQuality { kBest, kMedium, kFast };

// Which channels of an input become streams of the codec.
struct ChannelChoice {
  enum class Kind { kMix, kOne, kKeep };
  Kind kind = Kind::kMix;
  int index = 0;  // kOne: from 0
};

// Headerless PCM, little-endian and interleaved.
struct RawFormat {
  SampleFormat sample = SampleFormat::kS16;
  int rate_hz = 24000;
  int channels = 1;
};

struct SourceOptions {
  bool raw = false;
  RawFormat raw_format;
  ChannelChoice channels;
  ResamplerQuality resampler = ResamplerQuality::kBest;
};

struct SinkOptions {
  bool raw = false;
  SampleFormat sample = SampleFormat::kS16;
  bool sample_given = false;  // by --format or --raw, so that a container without it is an error
  int rate_hz = 0;            // 0: the model's
  ResamplerQuality resampler = ResamplerQuality::kBest;
};

}  // namespace mimi::cli
