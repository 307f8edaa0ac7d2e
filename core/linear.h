#pragma once

#include <span>

#include "kernels/gemm.h"

namespace mimi {

// Packs weights that lie as linear layers are stored, [columns x depth]. Bias and its padding as in
// PackedMatrix.
inline kernels::PackedMatrix pack_linear(const kernels::Packing& packing,
                                         std::span<const float> weights, int depth, int columns,
                                         std::span<const float> bias = {},
                                         float padding_bias = 0.0f) {
  const kernels::WeightLayout layout = {.data = weights.data(),
                                        .tap_step = 0,
                                        .depth_step = 1,
                                        .column_step = depth,
                                        .taps = 1,
                                        .depth = depth,
                                        .columns = columns};
  return {packing, layout, bias, padding_bias};
}

}  // namespace mimi
