// The int8 products of AVX2 with AVX-VNNI. Exports them and nothing else, as avx2.cpp does.
#ifndef __AVXVNNI__
#error "build this file with AVX2's flags and -mavxvnni"
#endif
#include "kernels/simd_avx2.h"

namespace {
// 6 x 1 sums of two registers each, 2 columns and 1 broadcast: 15 of 16 registers.
constexpr int kQuadTileRows = 6;
constexpr int kPanelVecs = 1;
constexpr int kPeakVecs = 6;
}  // namespace

#include "kernels/int8_panel.h"

namespace mimi::kernels {
extern const Int8Kernels kAvxVnniKernels;
constinit const Int8Kernels kAvxVnniKernels = make_int8_kernels<AddQuads>();
}  // namespace mimi::kernels
