// The int8 products of NEON with I8MM, whose dot products are of unsigned by signed bytes. Exports
// them and nothing else, as neon.cpp does.
#ifndef __ARM_FEATURE_MATMUL_INT8
#error "build this file with -march=armv8.2-a+i8mm"
#endif
#include "kernels/simd_neon.h"

namespace {
// 6 x 1 sums of four registers each, 4 columns and 1 broadcast: 29 of 32 registers.
constexpr int kQuadTileRows = 6;
constexpr int kPanelVecs = 1;
constexpr int kPeakVecs = 6;
}  // namespace

#include "kernels/int8_panel.h"

namespace {

struct AddMixedQuads {
  static constexpr int kValues = 4;
  static constexpr bool kNeedsOffsets = true;
  static Vec add(Vec x, Vec column, Vec sum) {
    return {{add(x.q[0], column.q[0], sum.q[0]), add(x.q[1], column.q[1], sum.q[1]),
             add(x.q[2], column.q[2], sum.q[2]), add(x.q[3], column.q[3], sum.q[3])}};
  }
  static float32x4_t add(float32x4_t x, float32x4_t column, float32x4_t sum) {
    // Not its intrinsic: GCC 12 copies each sum there and back between the types.
    asm("usdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(x), "w"(column));
    return sum;
  }
};

}  // namespace

namespace mimi::kernels {
extern const Int8Kernels kI8mmKernels;
constinit const Int8Kernels kI8mmKernels = make_int8_kernels<AddMixedQuads>();
}  // namespace mimi::kernels
