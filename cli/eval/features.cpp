#include "cli/eval/features.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace mimi::cli {

void Features::clear() {
  log_mel.clear();
  for (std::vector<float>& resolution : magnitudes) resolution.clear();
}

FeatureStream::FeatureStream(int rate_hz)
    : mel_bank_(kMelBands, kMelShape.fft, rate_hz), mel_stft_(kMelShape) {
  for (const StftShape& shape : kResolutions) stfts_.emplace_back(shape);
}

void FeatureStream::push(std::span<const float> samples, Features& features) {
  mel_stft_.push(samples, mel_magnitudes_);
  add_mel(features);
  for (std::size_t i = 0; i < stfts_.size(); ++i) stfts_[i].push(samples, features.magnitudes[i]);
}

void FeatureStream::finish(Features& features) {
  mel_stft_.finish(mel_magnitudes_);
  add_mel(features);
  for (std::size_t i = 0; i < stfts_.size(); ++i) stfts_[i].finish(features.magnitudes[i]);
}

void FeatureStream::add_mel(Features& features) {
  const auto bins = static_cast<std::size_t>(mel_stft_.bins());
  const std::size_t begin = features.log_mel.size();
  for (std::size_t i = 0; i < mel_magnitudes_.size(); i += bins) {
    mel_bank_.apply(std::span(mel_magnitudes_).subspan(i, bins), features.log_mel);
  }
  mel_magnitudes_.clear();
  for (std::size_t i = begin; i < features.log_mel.size(); ++i) {
    features.log_mel[i] = std::log(std::max(features.log_mel[i], kMelFloor));
  }
}

}  // namespace mimi::cli
