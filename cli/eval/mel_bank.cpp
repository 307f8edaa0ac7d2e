#include "cli/eval/mel_bank.h"

#include <algorithm>
#include <cmath>

namespace mimi::cli {
namespace {

// Linear up to here, logarithmic above.
constexpr double kCornerHz = 1000;
constexpr double kHzPerMel = 200.0 / 3;
constexpr double kCornerMel = kCornerHz / kHzPerMel;
const double kLogStep = std::log(6.4) / 27;

double to_mel(double hz) {
  return hz < kCornerHz ? hz / kHzPerMel : kCornerMel + std::log(hz / kCornerHz) / kLogStep;
}

double to_hz(double mel) {
  return mel < kCornerMel ? mel * kHzPerMel : kCornerHz * std::exp(kLogStep * (mel - kCornerMel));
}

}  // namespace

MelBank::MelBank(int bands, int fft, int rate_hz) {
  const double bin_hz = static_cast<double>(rate_hz) / fft;
  const double step = to_mel(rate_hz / 2.0) / (bands + 1);
  for (int band = 0; band < bands; ++band) {
    const double low = to_hz(band * step);
    const double peak = to_hz((band + 1) * step);
    const double high = to_hz((band + 2) * step);
    Band filter{.first_bin = static_cast<std::size_t>(std::ceil(low / bin_hz)), .weights = {}};
    for (int bin = static_cast<int>(filter.first_bin); bin <= fft / 2; ++bin) {
      const double hz = bin * bin_hz;
      const double weight = std::min((hz - low) / (peak - low), (high - hz) / (high - peak));
      if (weight < 0) break;
      filter.weights.push_back(static_cast<float>(weight * 2 / (high - low)));
    }
    bands_.push_back(std::move(filter));
  }
}

void MelBank::apply(std::span<const float> magnitudes, std::vector<float>& bands) const {
  for (const Band& band : bands_) {
    float sum = 0;
    for (std::size_t i = 0; i < band.weights.size(); ++i) {
      sum += band.weights[i] * magnitudes[band.first_bin + i];
    }
    bands.push_back(sum);
  }
}

}  // namespace mimi::cli
