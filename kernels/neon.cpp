// Exports its table and nothing else: everything here is compiled for one instruction set, and must
// not be picked by the linker for another. Hence no library headers beyond the intrinsics.
#include "kernels/simd_neon.h"

namespace {
// 5 x 1 sums of four registers each, 4 columns and 1 broadcast: 25 of 32 registers.
constexpr int kTileRows = 5;
constexpr int kPairTileRows = 4;  // bf16: the columns take twice the registers
constexpr int kQuadTileRows = 4;
constexpr int kPanelVecs = 1;
constexpr int kPeakVecs = 6;  // independent chains of Vecs that measure the peak
}  // namespace

#include "kernels/kernel_bodies.h"

namespace mimi::kernels {
extern const KernelTable kNeonTable;
constinit const KernelTable kNeonTable = make_table("neon");
}  // namespace mimi::kernels
