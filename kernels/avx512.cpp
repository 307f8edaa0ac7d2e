// Exports its table and nothing else: everything here is compiled for one instruction set, and must
// not be picked by the linker for another. Hence no library headers beyond the intrinsics.
#ifndef __AVX512F__
#error "build this file with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma"
#endif
#include "kernels/simd_avx512.h"

namespace {
// 12 x 2 sums, 2 columns and 1 broadcast: 27 of 32 registers.
constexpr int kTileRows = 12;
constexpr int kPanelVecs = 2;
constexpr int kPeakVecs = 16;  // independent chains of Vecs that measure the peak
}  // namespace

#include "kernels/gemm_tile.h"
#include "kernels/row_ops.h"

namespace mimi::kernels {
extern const KernelTable kAvx512Table;
const KernelTable kAvx512Table = {
    .name = "avx512",
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
