// What spectral distances compare of a signal.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "cli/eval/mel_bank.h"
#include "cli/stft.h"

namespace mimi::cli {

// Mel spectra as BigVGAN has them at 24 kHz.
constexpr StftShape kMelShape = {.fft = 1024, .window = 1024, .hop = 256};
constexpr int kMelBands = 100;
constexpr float kMelFloor = 1e-5F;

// The resolutions of Parallel WaveGAN.
constexpr std::array<StftShape, 3> kResolutions = {{{.fft = 512, .window = 240, .hop = 50},
                                                    {.fft = 1024, .window = 600, .hop = 120},
                                                    {.fft = 2048, .window = 1200, .hop = 240}}};

struct Features {
  std::vector<float> log_mel;  // [frames x kMelBands], natural logarithm
  std::array<std::vector<float>, kResolutions.size()> magnitudes;  // [frames x bins] of each

  void clear();
};

// The features of one signal, as it comes.
class FeatureStream {
 public:
  explicit FeatureStream(int rate_hz);

  // Appends those of the frames that are ready.
  void push(std::span<const float> samples, Features& features);
  // Appends the others; nothing may be pushed after it.
  void finish(Features& features);

 private:
  void add_mel(Features& features);

  MelBank mel_bank_;
  Stft mel_stft_;
  std::vector<Stft> stfts_;
  std::vector<float> mel_magnitudes_;  // of mel_stft_
};

}  // namespace mimi::cli
