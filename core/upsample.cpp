#include "core/upsample.h"

namespace mimi {

DepthwiseUpsample::DepthwiseUpsample(WeightReader& reader)
    : channels_(reader.checkpoint().config().hidden_size) {
  const TensorSpec tensor = {"upsample.conv.weight", {channels_, 1, 4}};
  reader.add({tensor}, [this, tensor, &checkpoint = reader.checkpoint()] {
    const Floats weight = checkpoint.read(tensor);
    for (std::size_t c = 0; c < static_cast<std::size_t>(channels_); ++c) {
      for (std::size_t tap = 0; tap < 4; ++tap) taps_[tap].push_back(weight.view()[4 * c + tap]);
    }
  });
}

void DepthwiseUpsample::run(const RowBuffer& input, int frames, RowBuffer& output) const {
  for (int t = 0; t < frames; ++t) {
    const float* now = input.row(t);
    const float* before = input.row(t - 1);
    for (int j = 0; j < 2; ++j) {
      const float* w_now = taps_[j].data();
      const float* w_before = taps_[j + 2].data();
      float* out = output.row(2 * t + j);
      for (int c = 0; c < channels_; ++c) out[c] = w_now[c] * now[c] + w_before[c] * before[c];
    }
  }
}

}  // namespace mimi
