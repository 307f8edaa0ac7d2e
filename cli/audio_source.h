// Sound to read: a file or a pipe, in any format that libsndfile knows, WAV, or headerless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cli/audio_format.h"
#include "cli/byte_reader.h"

namespace mimi::cli {

class AudioSource {
 public:
  virtual ~AudioSource() = default;

  // At least one frame (a sample of each channel) as soon as there is any, interleaved; 0 at the
  // end, or after cancel(). Returns the number of frames. Throws mimi::Error when the input is
  // damaged, or ends too early, or has a sample that is not finite.
  std::size_t read(std::span<float> interleaved);
  // Goes on `count` frames further, which must be there. Where seeks_exactly(), what follows is
  // what reading them would have led to; from elsewhere, it is what the format's seeking gives.
  void skip(std::int64_t count);
  // There are `count` frames more, though the input may go on.
  void end_after(std::int64_t count);
  // Whether skip() is quick and leads to the very samples: of what is not lossy, in a file.
  virtual bool seeks_exactly() const = 0;
  // From any thread: ends a read that waits for a pipe.
  virtual void cancel() = 0;

  const std::string& name() const { return name_; }
  int rate_hz() const { return rate_hz_; }
  int channels() const { return channels_; }
  // Frames in all, from the first to end_after()'s, where the input tells.
  std::optional<std::int64_t> frames() const { return frames_; }

 protected:
  explicit AudioSource(std::string name) : name_(std::move(name)) {}

  std::string name_;
  int rate_hz_ = 0;
  int channels_ = 0;
  std::optional<std::int64_t> frames_;

 private:
  virtual std::size_t read_frames(std::span<float> interleaved) = 0;
  virtual void skip_frames(std::int64_t count) = 0;

  std::int64_t frames_read_ = 0;
  std::optional<std::int64_t> end_frame_;  // by end_after()
};

// "-" is standard input.
std::unique_ptr<AudioSource> open_audio_source(const std::string& path,
                                               const SourceOptions& options);
std::unique_ptr<AudioSource> open_audio_source(std::unique_ptr<ByteReader> reader,
                                               const SourceOptions& options);

}  // namespace mimi::cli
