#include "cli/resampler.h"

#include <samplerate.h>

#include <algorithm>
#include <cassert>
#include <string>

#include "core/error.h"

namespace mimi::cli {
namespace {

constexpr long kChunkFrames = 4096;

int converter(ResamplerQuality quality) {
  switch (quality) {
    case ResamplerQuality::kBest:
      return SRC_SINC_BEST_QUALITY;
    case ResamplerQuality::kMedium:
      return SRC_SINC_MEDIUM_QUALITY;
    case ResamplerQuality::kFast:
      return SRC_SINC_FASTEST;
  }
  return SRC_SINC_BEST_QUALITY;
}

}  // namespace

struct Resampler::State {
  State(ResamplerQuality quality, int channels) {
    int error = 0;
    handle = src_new(converter(quality), channels, &error);
    if (handle == nullptr) throw Error(std::string("libsamplerate: ") + src_strerror(error));
  }
  ~State() { src_delete(handle); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  SRC_STATE* handle;
  std::vector<float> chunk;  // [kChunkFrames x channels]
};

std::int64_t resampled_length(std::int64_t frames, int from_hz, int to_hz) {
  if (frames <= 0) return 0;
  // In whole seconds and the rest, so that nothing overflows.
  const std::int64_t seconds = frames / from_hz;
  const std::int64_t rest = frames % from_hz;
  const std::int64_t rounded = (2 * rest * to_hz + from_hz) / (2 * std::int64_t{from_hz});
  return std::max<std::int64_t>(1, seconds * to_hz + rounded);
}

bool Resampler::supports(int from_hz, int to_hz) {
  return from_hz > 0 && to_hz > 0 && src_is_valid_ratio(static_cast<double>(to_hz) / from_hz) != 0;
}

void Resampler::check_channels(const std::string& name, int channels) {
  constexpr int kMostChannels = 128;
  if (channels <= kMostChannels) return;
  throw Error(name + ": of " + std::to_string(channels) +
              " channels the rate cannot be changed, but of at most " +
              std::to_string(kMostChannels));
}

Resampler::Resampler(int from_hz, int to_hz, int channels, ResamplerQuality quality)
    : state_(std::make_unique<State>(quality, channels)),
      from_hz_(from_hz),
      to_hz_(to_hz),
      channels_(static_cast<std::size_t>(channels)) {
  assert(supports(from_hz, to_hz));
  state_->chunk.resize(static_cast<std::size_t>(kChunkFrames) * channels_);
}

Resampler::~Resampler() = default;

void Resampler::push(std::span<const float> interleaved, std::vector<float>& out) {
  SRC_DATA data{};
  data.src_ratio = static_cast<double>(to_hz_) / from_hz_;
  data.data_in = interleaved.data();
  data.input_frames = static_cast<long>(interleaved.size() / channels_);
  data.data_out = state_->chunk.data();
  data.output_frames = kChunkFrames;
  do {
    const int error = src_process(state_->handle, &data);
    if (error != 0) throw Error(std::string("libsamplerate: ") + src_strerror(error));
    data.input_frames -= data.input_frames_used;
    // Not onto the end, which may be where `chunk` begins: libsamplerate takes that for an overlap.
    if (data.input_frames > 0) {
      data.data_in += static_cast<std::size_t>(data.input_frames_used) * channels_;
    }
    const auto made = static_cast<std::size_t>(data.output_frames_gen) * channels_;
    out.insert(out.end(), state_->chunk.data(), state_->chunk.data() + made);
    frames_out_ += data.output_frames_gen;
  } while (data.input_frames > 0 || data.output_frames_gen == kChunkFrames);
}

void Resampler::finish(std::int64_t total_frames, std::vector<float>& out) {
  const std::vector<float> silence(static_cast<std::size_t>(kChunkFrames) * channels_);
  while (frames_out_ < total_frames) push(silence, out);
  const auto excess = static_cast<std::size_t>(frames_out_ - total_frames);
  const std::size_t taken = std::min(excess, out.size() / channels_);
  out.resize(out.size() - taken * channels_);
  frames_out_ -= static_cast<std::int64_t>(taken);
}

}  // namespace mimi::cli
