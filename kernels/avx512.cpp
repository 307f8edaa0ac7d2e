// Exports its table and nothing else: everything here is compiled for one instruction set, and must
// not be picked by the linker for another. Hence no library headers beyond the intrinsics.
#ifndef __AVX512F__
#error "build this file with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma"
#endif
#include "kernels/simd_avx512.h"

namespace {
// 12 x 2 sums, 2 columns and 1 broadcast: 27 of 32 registers.
constexpr int kTileRows = 12;
constexpr int kPairTileRows = 12;  // bf16: the columns take twice the registers
constexpr int kQuadTileRows = 12;
constexpr int kPanelVecs = 2;
constexpr int kPeakVecs = 16;  // independent chains of Vecs that measure the peak
}  // namespace

#include "kernels/kernel_bodies.h"

namespace mimi::kernels {
extern const KernelTable kAvx512Table;
constinit const KernelTable kAvx512Table = make_table("avx512");
}  // namespace mimi::kernels
