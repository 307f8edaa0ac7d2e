// The kernels of one instruction set, compiled from the shared bodies. Included after its simd_*.h
// and its three constants.
#pragma once

#include "kernels/gemm_tile.h"
#include "kernels/row_ops.h"

namespace {

constexpr mimi::kernels::KernelTable make_table(const char* name) {
  return {.name = name,
          .panel_vecs = kPanelVecs,
          .tile_rows = kTileRows,
          .gemm_panel = gemm_panel,
          .nearest = nearest,
          .dot_rows = dot_rows,
          .layer_norm = layer_norm,
          .attention = attention,
          .multiply_add_peak = multiply_add_peak};
}

}  // namespace
