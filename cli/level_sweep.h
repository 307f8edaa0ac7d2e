// One recording encoded once and decoded at several numbers of levels, side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/codec.h"

namespace mimi::cli {

// What the first so many levels say of a stretch of whole frames.
struct LevelView {
  std::span<const std::uint16_t> codes;  // [frames x levels]
  std::span<const float> decoded;        // as many samples as the original's
};

struct SweepBlock {
  std::span<const float> original;
  std::vector<LevelView> views;  // of each number of levels
  int padding_samples = 0;       // of the last frame, which the recording did not fill
};

class LevelSweep {
 public:
  using Use = std::function<void(const SweepBlock&)>;  // its spans are valid during the call

  // `counts`, ascending, are numbers of levels.
  LevelSweep(const Model& model, std::vector<int> counts, const StreamOptions& stream);

  // Any number of samples; `use` is called where frames become whole.
  void push(std::span<const float> samples, const Use& use);
  // The recording is over: what is left makes a last frame.
  void finish(const Use& use);

 private:
  void decode(const Use& use);

  std::vector<int> counts_;
  Encoder encoder_;
  std::vector<Decoder> decoders_;
  std::vector<float> original_;       // not yet given to `use`
  std::vector<std::uint16_t> codes_;  // [frames x levels] of the largest count, not yet decoded
};

}  // namespace mimi::cli
