// The int8 products of AVX-512 with VNNI. Exports them and nothing else, as avx512.cpp does.
#ifndef __AVX512VNNI__
#error "build this file with AVX-512's flags and -mavx512vnni"
#endif
#include "kernels/simd_avx512.h"

namespace {
// 12 x 2 sums, 2 columns and 1 broadcast: 27 of 32 registers.
constexpr int kQuadTileRows = 12;
constexpr int kPanelVecs = 2;
constexpr int kPeakVecs = 16;
}  // namespace

#include "kernels/int8_panel.h"

namespace mimi::kernels {
extern const Int8Kernels kVnniKernels;
constinit const Int8Kernels kVnniKernels = make_int8_kernels<AddQuads>();
}  // namespace mimi::kernels
