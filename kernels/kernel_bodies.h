// The kernels of one instruction set, compiled from the shared bodies. Included after its simd_*.h
// and its constants.
#pragma once

#include "kernels/bf16_panel.h"
#include "kernels/f32_panel.h"
#include "kernels/int8_panel.h"
#include "kernels/peak.h"
#include "kernels/row_ops.h"

namespace {

constexpr mimi::kernels::KernelTable make_table(const char* name) {
  return {.name = name,
          .panel_vecs = kPanelVecs,
          .tile_rows = kTileRows,
          .bf16 = {.tile_rows = kPairTileRows,
                   .floats_per_pair = 2,
                   .panel = bf16_panel,
                   .round_rows = round_rows,
                   .multiply_add_peak = peak<MultiplyAdd>},
          .int8 = make_int8_kernels<AddQuads>(),
          .f32_panel = f32_panel,
          .finish = finish,
          .nearest = nearest,
          .dot_rows = dot_rows,
          .layer_norm = layer_norm,
          .attention = attention,
          .multiply_add_peak = peak<MultiplyAdd>};
}

}  // namespace
