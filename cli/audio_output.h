// Sound as the codec gives it, on its way into a file at another rate.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cli/audio_format.h"
#include "cli/audio_sink.h"
#include "cli/bounded_queue.h"
#include "cli/resampler.h"

namespace mimi::cli {

struct AudioOutputOptions {
  OutputPlace place;
  SinkOptions sink;  // its rate is where the sound goes
  int from_hz = 0;   // the rate of what is written
  int channels = 1;
  double expected_s = 0;  // its length, where that is known beforehand
};

// How long decoded sound is, by what its tokens say.
struct DecodedLength {
  std::int64_t samples = 0;  // at the codec's rate
  int rate_hz = 0;
  std::uint64_t source_samples = 0;  // of the recording
  std::uint32_t source_rate_hz = 0;  // 0: not known
  std::uint32_t segments = 1;
};
// At `to_hz`. Where the rate changes the source's own count decides, so that its rate gives exactly
// that back, unless it differs by more than rounding can make it: then it is a mistake or a lie.
std::int64_t length_at(const DecodedLength& sound, int to_hz);
// By how many frames at `to_hz` the rounding of each segment's length can change the whole.
std::int64_t rounding_frames(std::uint32_t segments, int rate_hz, int to_hz);

// Where the rate must change, a thread of its own resamples and writes.
class AudioOutput {
 public:
  explicit AudioOutput(const AudioOutputOptions& options);
  ~AudioOutput();
  AudioOutput(const AudioOutput&) = delete;
  AudioOutput& operator=(const AudioOutput&) = delete;

  int rate_hz() const { return rate_hz_; }
  // Appends frames, interleaved. Throws mimi::Error, perhaps for what was written before.
  void write(std::vector<float> interleaved);
  // Keeps the last frames from the file until finish(), which may have to leave them out.
  void hold_back(std::int64_t frames) { held_frames_ = frames; }
  // Completes the file. Where the rate changes, it gets exactly `total_frames` at its rate, if not
  // more is in it already.
  void finish(std::int64_t total_frames);
  std::int64_t clipped() const { return sink_->clipped(); }

 private:
  void resample_all(const AudioOutputOptions& options);

  int rate_hz_;
  std::unique_ptr<AudioSink> sink_;
  BoundedQueue<std::vector<float>> waiting_;
  std::int64_t total_frames_ = -1;  // set before the queue is closed, where the end is a good one
  std::atomic<std::int64_t> held_frames_ = 0;
  std::exception_ptr failure_;
  std::thread resampler_;
};

}  // namespace mimi::cli
