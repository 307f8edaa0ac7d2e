#pragma once

#include <span>

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

}  // namespace mimi
