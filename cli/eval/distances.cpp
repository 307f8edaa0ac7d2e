#include "cli/eval/distances.h"

#include <cassert>
#include <cmath>
#include <cstddef>

namespace mimi::cli {

void DistanceMeter::add_samples(std::span<const float> original, std::span<const float> decoded) {
  assert(original.size() == decoded.size());
  sums_.count += static_cast<double>(original.size());
  for (std::size_t i = 0; i < original.size(); ++i) {
    const double a = original[i];
    const double b = decoded[i];
    sums_.original += a;
    sums_.decoded += b;
    sums_.originals += a * a;
    sums_.decodeds += b * b;
    sums_.products += a * b;
  }
}

void DistanceMeter::add_features(const Features& original, const Features& decoded) {
  assert(original.log_mel.size() == decoded.log_mel.size());
  for (std::size_t i = 0; i < original.log_mel.size(); ++i) {
    mel_sum_ += std::abs(original.log_mel[i] - decoded.log_mel[i]);
  }
  mel_count_ += static_cast<double>(original.log_mel.size());
  for (std::size_t r = 0; r < energies_.size(); ++r) {
    assert(original.magnitudes[r].size() == decoded.magnitudes[r].size());
    for (std::size_t i = 0; i < original.magnitudes[r].size(); ++i) {
      const double a = original.magnitudes[r][i];
      const double difference = a - decoded.magnitudes[r][i];
      energies_[r].original += a * a;
      energies_[r].difference += difference * difference;
    }
  }
}

Distances DistanceMeter::result() const {
  double convergence = 0;
  for (const Energies& energies : energies_) {
    convergence += std::sqrt(energies.difference / energies.original);
  }
  return {.si_sdr_db = si_sdr_db(),
          .mel = mel_sum_ / mel_count_,
          .spectral_convergence = convergence / static_cast<double>(energies_.size())};
}

double DistanceMeter::si_sdr_db() const {
  const double originals = sums_.originals - sums_.original * sums_.original / sums_.count;
  const double decodeds = sums_.decodeds - sums_.decoded * sums_.decoded / sums_.count;
  const double products = sums_.products - sums_.original * sums_.decoded / sums_.count;
  const double target = products * products / originals;  // energy of the projection
  return 10 * std::log10(target / (decodeds - target));
}

}  // namespace mimi::cli
