// Exports its table and nothing else: everything here is compiled for one instruction set, and must
// not be picked by the linker for another. Hence no library headers beyond the intrinsics.
#ifndef __AVX2__
#error "build this file with -mavx2 -mfma"
#endif
#include "kernels/simd_avx2.h"

namespace {
// 6 x 1 sums of two registers each, 2 columns and 1 broadcast: 15 of 16 registers.
constexpr int kTileRows = 6;
constexpr int kPairTileRows = 5;  // bf16: the columns take twice the registers
constexpr int kQuadTileRows = 3;
constexpr int kPanelVecs = 1;
constexpr int kPeakVecs = 6;  // independent chains of Vecs that measure the peak
}  // namespace

#include "kernels/kernel_bodies.h"

namespace mimi::kernels {
extern const KernelTable kAvx2Table;
constinit const KernelTable kAvx2Table = make_table("avx2");
}  // namespace mimi::kernels
