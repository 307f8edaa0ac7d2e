// Magnitudes of short-time spectra of a signal that comes bit by bit.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

struct kiss_fftr_state;

namespace mimi::cli {

struct StftShape {
  int fft;     // samples, even; what the window leaves is zeros
  int window;  // samples of a Hann window, even
  int hop;     // samples from a frame to the next
};

// Frames are centred on samples 0, hop, 2 hop and so on, up to the signal's length; before and
// after the signal are zeros. These are the frames of torch.stft with pad_mode="constant".
class Stft {
 public:
  explicit Stft(const StftShape& shape);
  ~Stft();
  Stft(Stft&&) noexcept;

  int bins() const { return shape_.fft / 2 + 1; }
  // Sum of the window: the magnitude of a constant 1 in bin 0.
  double window_sum() const;
  // Appends the frames that are ready, [frames x bins].
  void push(std::span<const float> samples, std::vector<float>& magnitudes);
  // Appends the others; nothing may be pushed after it.
  void finish(std::vector<float>& magnitudes);

 private:
  struct Deleter {
    void operator()(kiss_fftr_state* state) const;
  };

  void transform(const float* samples, std::vector<float>& magnitudes);

  StftShape shape_;
  std::unique_ptr<kiss_fftr_state, Deleter> fft_;
  std::vector<float> window_;
  std::vector<float> windowed_;  // [fft]
  std::vector<float> pending_;   // from the next frame's first sample on
};

}  // namespace mimi::cli
