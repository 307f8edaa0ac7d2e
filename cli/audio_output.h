// Sound as the codec gives it, on its way into a file at another rate.
#pragma once

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
  // Completes the file. Where the rate changes, it gets exactly `total_frames` at its rate.
  void finish(std::int64_t total_frames);
  std::int64_t clipped() const { return sink_->clipped(); }

 private:
  void resample_all(const AudioOutputOptions& options);

  int rate_hz_;
  std::unique_ptr<AudioSink> sink_;
  BoundedQueue<std::vector<float>> waiting_;
  std::int64_t total_frames_ = -1;  // set before the queue is closed, where the end is a good one
  std::exception_ptr failure_;
  std::thread resampler_;
};

}  // namespace mimi::cli
