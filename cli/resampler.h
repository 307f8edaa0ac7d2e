// Sample rate conversion by libsamplerate, without delay and with exact lengths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cli/audio_format.h"

namespace mimi::cli {

// What `frames` frames at `from_hz` become at `to_hz`: frames * to_hz / from_hz rounded to the
// nearest, a half upwards, at least 1 if there are any.
std::int64_t resampled_length(std::int64_t frames, int from_hz, int to_hz);

class Resampler {
 public:
  // Whether libsamplerate can: neither rate may be more than 256 times the other.
  static bool supports(int from_hz, int to_hz);
  // Throws mimi::Error, naming the file, where there are more than libsamplerate takes.
  static void check_channels(const std::string& name, int channels);

  Resampler(int from_hz, int to_hz, int channels, ResamplerQuality quality);
  ~Resampler();
  Resampler(const Resampler&) = delete;
  Resampler& operator=(const Resampler&) = delete;

  // Appends the frames that are ready, interleaved like the input.
  void push(std::span<const float> interleaved, std::vector<float>& out);
  // Appends what is missing to `total_frames` frames since the beginning: the input goes on as
  // silence for as long as that needs. What is too much is taken from the end of `out`, as far as
  // it is there.
  void finish(std::int64_t total_frames, std::vector<float>& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
  int from_hz_;
  int to_hz_;
  std::size_t channels_;
  std::int64_t frames_out_ = 0;
};

}  // namespace mimi::cli
