#include "cli/audio_input.h"

#include <algorithm>
#include <utility>

#include "cli/printable.h"
#include "cli/start_thread.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

constexpr std::size_t kQueuedBlocks = 4;
constexpr std::int64_t kBlockMs = 3840;          // 48 frames, which an encoder takes at once
constexpr std::int64_t kBlockSamples = 1 << 20;  // bounds the memory of many channels

std::size_t block_samples(const AudioSource& source) {
  const std::int64_t channels = source.channels();
  const std::int64_t frames =
      std::clamp<std::int64_t>(kBlockMs * source.rate_hz() / 1000, 1, kBlockSamples / channels);
  return static_cast<std::size_t>(frames * channels);
}

}  // namespace

AudioInput::AudioInput(const std::string& path, const SourceOptions& options, int rate_hz)
    : AudioInput(open_audio_source(path, options), options, rate_hz) {}

AudioInput::AudioInput(std::unique_ptr<AudioSource> source, const SourceOptions& options,
                       int rate_hz)
    : source_(std::move(source)),
      channels_(options.channels),
      block_(block_samples(*source_)),
      resampled_(kQueuedBlocks) {
  using Kind = ChannelChoice::Kind;
  if (channels_.kind == Kind::kOne && channels_.index >= source_->channels()) {
    throw Error(name() + ": has " +
                counted(static_cast<std::uint64_t>(source_->channels()), "channel") +
                ", --channels asks for number " + std::to_string(channels_.index + 1));
  }
  if (channels_.kind == Kind::kKeep) streams_ = source_->channels();
  if (source_->rate_hz() == rate_hz) return;
  if (!Resampler::supports(source_->rate_hz(), rate_hz)) {
    throw Error(name() + ": its sample rate, " + std::to_string(source_->rate_hz()) +
                " Hz, is more than 256 times away from " + std::to_string(rate_hz) + " Hz");
  }
  Resampler::check_channels(name(), streams_);
  resampler_ = start_thread([this, options, rate_hz] {
    try {
      resample_all(options, rate_hz);
    } catch (...) {
      failure_ = std::current_exception();
    }
    resampled_.close();
  });
}

AudioInput::~AudioInput() {
  if (!resampler_.joinable()) return;
  source_->cancel();
  resampled_.close();
  resampler_.join();
}

void AudioInput::skip(std::int64_t frames) {
  if (skips_quickly()) {
    source_->skip(frames);
    source_frames_read_ += frames;
    return;
  }
  auto samples = static_cast<std::size_t>(frames * streams_);
  while (samples > 0) {
    if (!read(left_over_)) throw Error(name() + ": ends before its length");
    const std::size_t passed = std::min(samples, left_over_.size());
    left_over_.erase(left_over_.begin(), left_over_.begin() + static_cast<std::ptrdiff_t>(passed));
    samples -= passed;
  }
}

bool AudioInput::read(std::vector<float>& interleaved) {
  if (!left_over_.empty()) {
    interleaved = std::exchange(left_over_, {});
    return true;
  }
  if (!resampler_.joinable()) return read_source(interleaved) > 0;
  std::optional<std::vector<float>> block = resampled_.pop();
  if (!block && failure_) std::rethrow_exception(failure_);
  if (block) interleaved = std::move(*block);
  return block.has_value();
}

std::optional<double> AudioInput::source_seconds() const {
  if (!source_frames()) return std::nullopt;
  return static_cast<double>(*source_frames()) / source_rate_hz();
}

std::size_t AudioInput::read_source(std::vector<float>& interleaved) {
  const std::size_t frames = source_->read(block_);
  const auto channels = static_cast<std::size_t>(source_->channels());
  interleaved.clear();
  choose_channels(std::span(block_).first(frames * channels), source_->channels(), channels_,
                  interleaved);
  source_frames_read_ += static_cast<std::int64_t>(frames);
  return frames;
}

void AudioInput::resample_all(const SourceOptions& options, int rate_hz) {
  Resampler resampler(source_->rate_hz(), rate_hz, streams_, options.resampler);
  std::vector<float> read, ready;
  while (read_source(read) > 0) {
    resampler.push(read, ready);
    if (!ready.empty() && !resampled_.push(std::move(ready))) return;
    ready.clear();
  }
  resampler.finish(resampled_length(source_frames_read_, source_->rate_hz(), rate_hz), ready);
  if (!ready.empty()) resampled_.push(std::move(ready));
}

void choose_channels(std::span<const float> interleaved, int channels, const ChannelChoice& choice,
                     std::vector<float>& chosen) {
  if (choice.kind == ChannelChoice::Kind::kKeep || channels == 1) {
    chosen.insert(chosen.end(), interleaved.begin(), interleaved.end());
    return;
  }
  const auto width = static_cast<std::size_t>(channels);
  for (std::size_t i = 0; i < interleaved.size(); i += width) {
    if (choice.kind == ChannelChoice::Kind::kOne) {
      chosen.push_back(interleaved[i + static_cast<std::size_t>(choice.index)]);
      continue;
    }
    double sum = 0;  // of floats, so that no sum is too large for its mean
    for (std::size_t c = 0; c < width; ++c) sum += static_cast<double>(interleaved[i + c]);
    chosen.push_back(static_cast<float>(sum / channels));
  }
}

}  // namespace mimi::cli
