// How far a decoded signal is from its original, in measures that need no model of hearing.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "cli/eval/features.h"

namespace mimi::cli {

// Not finite where a measure is not defined: of silence, or of equal signals.
struct Distances {
  // Scale-invariant ratio of signal to distortion (Le Roux and others, 2019), the means taken away.
  double si_sdr_db;
  // Mean of |difference| over all bands and frames of log_mel.
  double mel;
  // Of magnitudes, norm of the difference / norm of the original's, mean of the resolutions.
  double spectral_convergence;
};

// Sums up in memory that does not grow with the signals.
class DistanceMeter {
 public:
  // Samples of both, as many.
  void add_samples(std::span<const float> original, std::span<const float> decoded);
  // Frames of both, as many.
  void add_features(const Features& original, const Features& decoded);
  Distances result() const;

 private:
  struct Sums {
    double count = 0, original = 0, decoded = 0;       // of samples
    double originals = 0, decodeds = 0, products = 0;  // of their squares and products
  };
  struct Energies {
    double original = 0, difference = 0;
  };

  double si_sdr_db() const;

  Sums sums_;
  double mel_sum_ = 0;
  double mel_count_ = 0;
  std::array<Energies, kResolutions.size()> energies_{};
};

}  // namespace mimi::cli
