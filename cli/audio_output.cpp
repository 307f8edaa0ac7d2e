#include "cli/audio_output.h"

#include "core/error.h"

namespace mimi::cli {
namespace {

constexpr std::size_t kQueuedBlocks = 4;

}  // namespace

AudioOutput::AudioOutput(const AudioOutputOptions& options)
    : rate_hz_(options.sink.rate_hz != 0 ? options.sink.rate_hz : options.from_hz),
      waiting_(kQueuedBlocks) {
  if (!Resampler::supports(options.from_hz, rate_hz_)) {
    throw Error(options.place.path + ": a sample rate of " + std::to_string(rate_hz_) +
                " Hz is more than 256 times away from " + std::to_string(options.from_hz) + " Hz");
  }
  sink_ =
      open_audio_sink(options.place, options.sink, rate_hz_, options.channels, options.expected_s);
  if (rate_hz_ == options.from_hz) return;
  resampler_ = std::thread([this, options] {
    try {
      resample_all(options);
    } catch (...) {
      failure_ = std::current_exception();
    }
    waiting_.close();
  });
}

AudioOutput::~AudioOutput() {
  if (!resampler_.joinable()) return;
  waiting_.close();
  resampler_.join();
}

void AudioOutput::write(std::vector<float> interleaved) {
  if (!resampler_.joinable()) {
    sink_->write(interleaved);
  } else if (!waiting_.push(std::move(interleaved))) {
    resampler_.join();
    std::rethrow_exception(failure_);
  }
}

void AudioOutput::finish(std::int64_t total_frames) {
  if (resampler_.joinable()) {
    total_frames_ = total_frames;
    waiting_.close();
    resampler_.join();
    if (failure_) std::rethrow_exception(failure_);
  }
  sink_->finish();
}

void AudioOutput::resample_all(const AudioOutputOptions& options) {
  Resampler resampler(options.from_hz, rate_hz_, options.channels, options.sink.resampler);
  std::vector<float> ready;
  while (const auto block = waiting_.pop()) {
    resampler.push(*block, ready);
    sink_->write(ready);
    ready.clear();
  }
  if (total_frames_ < 0) return;
  resampler.finish(total_frames_, ready);
  sink_->write(ready);
}

}  // namespace mimi::cli
