#pragma once

#include <vector>

#include "core/row_buffer.h"
#include "core/weight_reader.h"

namespace mimi {

// The decoder's transposed convolution of stride 2 and kernel 4, each channel on its own:
// out[2 t + j] = w[j] in[t] + w[j + 2] in[t - 1], j = 0, 1.
class DepthwiseUpsample {
 public:
  static constexpr int kHistory = 1;

  explicit DepthwiseUpsample(WeightReader& reader);
  DepthwiseUpsample(const DepthwiseUpsample&) = delete;
  DepthwiseUpsample& operator=(const DepthwiseUpsample&) = delete;

  double flop_per_frame() const { return 8.0 * channels_; }
  // `frames` rows of `input` from row 0 on give 2 * frames rows of `output`.
  void run(const RowBuffer& input, int frames, RowBuffer& output) const;

 private:
  int channels_;
  std::vector<float> taps_[4];  // [channels]
};

}  // namespace mimi
