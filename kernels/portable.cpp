// Exports its table and nothing else: everything here is compiled for one instruction set, and must
// not be picked by the linker for another. Hence no library headers beyond the intrinsics.
#include "kernels/simd_portable.h"

namespace {
// Small, so that compilers for any machine keep it in order; nobody waits for this one.
constexpr int kTileRows = 2;
constexpr int kPanelVecs = 1;
constexpr int kPeakVecs = 4;  // independent chains of Vecs that measure the peak
}  // namespace

#include "kernels/gemm_tile.h"
#include "kernels/row_ops.h"

namespace mimi::kernels {
extern const KernelTable kPortableTable;
const KernelTable kPortableTable = {
    .name = "portable",
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
