// Triangular filters on the mel scale, as librosa makes them (Slaney's scale and norm).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace mimi::cli {

class MelBank {
 public:
  // From 0 Hz to half the rate.
  MelBank(int bands, int fft, int rate_hz);

  std::size_t bands() const { return bands_.size(); }
  // Appends the bands of one frame of `magnitudes`, [fft / 2 + 1].
  void apply(std::span<const float> magnitudes, std::vector<float>& bands) const;

 private:
  struct Band {
    std::size_t first_bin;
    std::vector<float> weights;
  };
  std::vector<Band> bands_;
};

}  // namespace mimi::cli
