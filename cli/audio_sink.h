// Sound to write: WAV, FLAC, Ogg Vorbis, or headerless.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cli/audio_format.h"
#include "cli/signals.h"

namespace mimi::cli {

class AudioSink {
 public:
  virtual ~AudioSink() = default;

  // Appends frames, interleaved. What is not a regular file has them when this returns.
  virtual void write(std::span<const float> interleaved) = 0;
  // Completes the file and puts it in its place; without it nothing stays.
  virtual void finish() = 0;
  // Samples that were beyond the full scale of an integer format.
  std::int64_t clipped() const { return clipped_; }

 protected:
  std::int64_t clipped_ = 0;
};

enum class Container { kWav, kFlac, kOgg, kRaw };

// What `options` and the suffix of `path` ask for. Throws UsageError where they contradict.
Container container_of(const std::string& path, const SinkOptions& options);

// Throws UsageError, after `name`, where the container cannot hold samples as `options` ask for.
void check_sample_format(const std::string& name, Container container, const SinkOptions& options);
// Throws UsageError, after `name`, where the container holds no sound of that rate and number of
// channels.
void check_sound(const std::string& name, Container container, int rate_hz, int channels);

struct OutputPlace {
  std::string path;  // "-" is standard output
  bool force = false;
  OnSignal on_signal = OnSignal::kRemove;
};

// `expected_s`: the length as far as it is known beforehand, which decides whether a WAV file has
// sizes of 64 bits. Throws mimi::Error.
std::unique_ptr<AudioSink> open_audio_sink(const OutputPlace& place, const SinkOptions& options,
                                           int rate_hz, int channels, double expected_s);

}  // namespace mimi::cli
