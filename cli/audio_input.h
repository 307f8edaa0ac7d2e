// Sound as the codec wants it: the chosen channels at the model's rate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "cli/audio_format.h"
#include "cli/audio_source.h"
#include "cli/bounded_queue.h"
#include "cli/resampler.h"

namespace mimi::cli {

// Where the rate must change, a thread of its own reads and resamples ahead.
class AudioInput {
 public:
  // "-" is standard input. Throws mimi::Error.
  AudioInput(const std::string& path, const SourceOptions& options, int rate_hz);
  // From where `source` stands.
  AudioInput(std::unique_ptr<AudioSource> source, const SourceOptions& options, int rate_hz);
  ~AudioInput();
  AudioInput(const AudioInput&) = delete;
  AudioInput& operator=(const AudioInput&) = delete;

  // Replaces `interleaved` by what comes next, [frames x streams], at least one frame and at most
  // about two seconds, as soon as there is any. Returns false at the end.
  bool read(std::vector<float>& interleaved);
  // Goes on `frames` frames further, which must be there, to what reading them would have led to;
  // quickly only where skips_quickly(). Before the first read().
  void skip(std::int64_t frames);
  bool skips_quickly() const { return !resampler_.joinable() && source_->seeks_exactly(); }

  const std::string& name() const { return source_->name(); }
  int streams() const { return streams_; }
  int source_rate_hz() const { return source_->rate_hz(); }
  // Frames of the source in all, where it tells.
  std::optional<std::int64_t> source_frames() const { return source_->frames(); }
  std::optional<double> source_seconds() const;
  // Frames of the source that were read or skipped; to be asked after the end.
  std::int64_t source_frames_read() const { return source_frames_read_; }

 private:
  std::size_t read_source(std::vector<float>& interleaved);
  void resample_all(const SourceOptions& options, int rate_hz);

  std::unique_ptr<AudioSource> source_;
  ChannelChoice channels_;
  int streams_ = 1;
  std::int64_t source_frames_read_ = 0;
  std::vector<float> block_;      // [frames x channels] of the source
  std::vector<float> left_over_;  // of a block that skip() went into, [frames x streams]
  BoundedQueue<std::vector<float>> resampled_;
  std::exception_ptr failure_;
  std::thread resampler_;
};

// Appends the chosen ones of `channels` interleaved channels: their mean, one, or all.
void choose_channels(std::span<const float> interleaved, int channels, const ChannelChoice& choice,
                     std::vector<float>& chosen);

}  // namespace mimi::cli
