// Exports its table and nothing else: everything here is compiled for one instruction set, and must
// not be picked by the linker for another. Hence no library headers beyond the intrinsics.
#include "kernels/simd_portable.h"

namespace {
// Small, so that compilers for any machine keep it in order; nobody waits for this one.
constexpr int kTileRows = 2;
constexpr int kPairTileRows = 2;  // bf16: the columns take twice the registers
constexpr int kQuadTileRows = 2;
constexpr int kPanelVecs = 1;
constexpr int kPeakVecs = 4;  // independent chains of Vecs that measure the peak
}  // namespace

#include "kernels/kernel_bodies.h"

namespace mimi::kernels {
extern const KernelTable kPortableTable;
constinit const KernelTable kPortableTable = make_table("portable");
}  // namespace mimi::kernels
