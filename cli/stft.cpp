#include "cli/stft.h"

#include <kiss_fftr.h>

#include <cmath>
#include <cstddef>
#include <new>
#include <numbers>
#include <numeric>

namespace mimi::cli {

void Stft::Deleter::operator()(kiss_fftr_state* state) const { kiss_fftr_free(state); }

Stft::Stft(const StftShape& shape)
    : shape_(shape),
      fft_(kiss_fftr_alloc(shape.fft, 0, nullptr, nullptr)),
      window_(static_cast<std::size_t>(shape.window)),
      windowed_(static_cast<std::size_t>(shape.fft)),
      pending_(static_cast<std::size_t>(shape.window / 2)) {
  if (!fft_) throw std::bad_alloc();
  for (std::size_t i = 0; i < window_.size(); ++i) {
    const double turn = static_cast<double>(i) / shape.window;
    window_[i] = static_cast<float>(0.5 - 0.5 * std::cos(2 * std::numbers::pi * turn));
  }
}

Stft::~Stft() = default;
Stft::Stft(Stft&&) noexcept = default;

double Stft::window_sum() const { return std::accumulate(window_.begin(), window_.end(), 0.0); }

void Stft::push(std::span<const float> samples, std::vector<float>& magnitudes) {
  pending_.insert(pending_.end(), samples.begin(), samples.end());
  const auto hop = static_cast<std::size_t>(shape_.hop);
  std::size_t begin = 0;
  for (; begin + window_.size() <= pending_.size(); begin += hop) {
    transform(pending_.data() + begin, magnitudes);
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(begin));
}

void Stft::finish(std::vector<float>& magnitudes) {
  push(std::vector<float>(window_.size() / 2), magnitudes);
}

void Stft::transform(const float* samples, std::vector<float>& magnitudes) {
  for (std::size_t i = 0; i < window_.size(); ++i) windowed_[i] = window_[i] * samples[i];
  std::vector<kiss_fft_cpx> spectrum(static_cast<std::size_t>(bins()));
  kiss_fftr(fft_.get(), windowed_.data(), spectrum.data());
  for (const kiss_fft_cpx& bin : spectrum) magnitudes.push_back(std::hypot(bin.r, bin.i));
}

}  // namespace mimi::cli
