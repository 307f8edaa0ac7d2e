// Sound to read: a file or a pipe, in any format that libsndfile knows, WAV, or headerless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cli/audio_format.h"

namespace mimi::cli {

class AudioSource {
 public:
  virtual ~AudioSource() = default;

  // At least one frame (a sample of each channel) as soon as there is any, interleaved; 0 at the
  // end, or after cancel(). Returns the number of frames. Throws mimi::Error when the input is
  // damaged, or ends too early, or has a sample that is not finite.
  std::size_t read(std::span<float> interleaved);
  // From any thread: ends a read that waits for a pipe.
  virtual void cancel() = 0;

  const std::string& name() const { return name_; }
  int rate_hz() const { return rate_hz_; }
  int channels() const { return channels_; }
  // Frames in all, where the input tells.
  std::optional<std::int64_t> frames() const { return frames_; }

 protected:
  explicit AudioSource(std::string name) : name_(std::move(name)) {}

  std::string name_;
  int rate_hz_ = 0;
  int channels_ = 0;
  std::optional<std::int64_t> frames_;

 private:
  virtual std::size_t read_frames(std::span<float> interleaved) = 0;

  std::int64_t frames_read_ = 0;
};

// "-" is standard input.
std::unique_ptr<AudioSource> open_audio_source(const std::string& path,
                                               const SourceOptions& options);

}  // namespace mimi::cli
