// Exports its table and nothing else: everything here is compiled for one instruction set, and must
// not be picked by the linker for another. Hence no library headers beyond the intrinsics.
#ifndef __AVX2__
#error "build this file with -mavx2 -mfma"
#endif
#include "kernels/simd_avx2.h"

namespace {
// 6 x 1 sums of two registers each, 2 columns and 1 broadcast: 15 of 16 registers.
constexpr int kTileRows = 6;
constexpr int kPanelVecs = 1;
constexpr int kPeakVecs = 6;  // independent chains of Vecs that measure the peak
}  // namespace

#include "kernels/gemm_tile.h"
#include "kernels/row_ops.h"

namespace mimi::kernels {
extern const KernelTable kAvx2Table;
const KernelTable kAvx2Table = {
    .name = "avx2",
    .panel_vecs = kPanelVecs,
    .tile_rows = kTileRows,
    .gemm_panel = gemm_panel,
    .nearest = nearest,
    .dot_rows = dot_rows,
    .layer_norm = layer_norm,
    .attention = attention,
    .multiply_add_peak = multiply_add_peak,
};
}  // namespace mimi::kernels
