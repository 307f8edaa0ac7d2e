#pragma once

#include <span>

#include "core/floats.h"
#include "kernels/gemm.h"

namespace mimi {

// Weights that lie as linear layers are stored, [columns x depth].
inline kernels::WeightLayout linear_layout(std::span<const float> weights, int depth, int columns) {
  return {.data = weights.data(),
          .tap_step = 0,
          .depth_step = 1,
          .column_step = depth,
          .taps = 1,
          .depth = depth,
          .columns = columns};
}

inline kernels::WeightLayout linear_layout(const Weights& weights, int depth, int columns) {
  kernels::WeightLayout layout = linear_layout(std::span<const float>(), depth, columns);
  layout.data = weights.data;
  layout.type = weights.dtype;
  layout.scales = weights.first_scale();
  return layout;
}

}  // namespace mimi
