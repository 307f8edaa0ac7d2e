#include "cli/audio_output.h"

#include <algorithm>

#include "cli/start_thread.h"
#include "core/error.h"
#include "core/token_edit.h"

namespace mimi::cli {
namespace {

constexpr std::size_t kQueuedBlocks = 4;

}  // namespace

std::int64_t length_at(const DecodedLength& sound, int to_hz) {
  if (to_hz == sound.rate_hz) return sound.samples;
  const std::int64_t own = resampled_length(sound.samples, sound.rate_hz, to_hz);
  if (sound.source_rate_hz == 0 || sound.source_samples == 0) return own;
  const std::uint64_t told =
      std::max<std::uint64_t>(1, sample_at_rate(sound.source_samples, sound.source_rate_hz,
                                                static_cast<std::uint32_t>(to_hz)));
  const auto expected = static_cast<std::uint64_t>(own);
  const std::uint64_t difference = told > expected ? told - expected : expected - told;
  const auto most =
      static_cast<std::uint64_t>(rounding_frames(sound.segments, sound.rate_hz, to_hz));
  return difference <= most ? static_cast<std::int64_t>(told) : own;
}

std::int64_t rounding_frames(std::uint32_t segments, int rate_hz, int to_hz) {
  constexpr std::int64_t kMost = 1 << 16;  // that need not be kept for what is unlikely
  return std::min(kMost, std::int64_t{segments} * (to_hz / rate_hz + 2));
}

AudioOutput::AudioOutput(const AudioOutputOptions& options)
    : rate_hz_(options.sink.rate_hz != 0 ? options.sink.rate_hz : options.from_hz),
      waiting_(kQueuedBlocks) {
  if (!Resampler::supports(options.from_hz, rate_hz_)) {
    throw Error(options.place.path + ": a sample rate of " + std::to_string(rate_hz_) +
                " Hz is more than 256 times away from " + std::to_string(options.from_hz) + " Hz");
  }
  if (rate_hz_ != options.from_hz) Resampler::check_channels(options.place.path, options.channels);
  sink_ =
      open_audio_sink(options.place, options.sink, rate_hz_, options.channels, options.expected_s);
  if (rate_hz_ == options.from_hz) return;
  resampler_ = start_thread([this, options] {
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
    const std::size_t held = std::min(
        ready.size(), static_cast<std::size_t>(held_frames_ * std::int64_t{options.channels}));
    sink_->write(std::span(ready).first(ready.size() - held));
    ready.erase(ready.begin(), ready.end() - static_cast<std::ptrdiff_t>(held));
  }
  if (total_frames_ < 0) return;
  resampler.finish(total_frames_, ready);
  sink_->write(ready);
}

}  // namespace mimi::cli
