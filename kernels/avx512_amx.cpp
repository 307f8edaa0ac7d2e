// The int8 products of AMX, and of AVX-512 with VNNI where rows are few. Exports them and nothing
// else, as avx512.cpp does.
#ifndef __AVX512VNNI__
#error "build this file with AVX-512's flags, -mavx512vnni, -mamx-tile and -mamx-int8"
#endif
#include "kernels/simd_avx512.h"

namespace {
// 12 x 2 sums, 2 columns and 1 broadcast: 27 of 32 registers.
constexpr int kQuadTileRows = 12;
constexpr int kPanelVecs = 2;
constexpr int kPeakVecs = 16;
}  // namespace

#include "kernels/amx_unit.h"

namespace mimi::kernels {
extern const Int8Kernels kAmxKernels;
constinit const Int8Kernels kAmxKernels = make_tile_kernels<AmxUnit>();
}  // namespace mimi::kernels
