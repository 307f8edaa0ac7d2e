// The int8 products of NEON with dot products, which are of bytes that are both signed or both not.
// Exports them and nothing else, as neon.cpp does.
#ifndef __ARM_FEATURE_DOTPROD
#error "build this file with -march=armv8.2-a+dotprod"
#endif
#include "kernels/simd_neon.h"

namespace {
// 5 x 1 sums of four registers each, 4 columns, 1 broadcast and 1 constant: 26 of 32 registers.
constexpr int kQuadTileRows = 5;
constexpr int kPanelVecs = 1;
constexpr int kPeakVecs = 6;
}  // namespace

#include "kernels/int8_panel.h"

namespace {

// A row's byte with its top bit flipped is, as a signed one, 128 less.
struct AddSignedQuads {
  static constexpr int kValues = 4;
  static constexpr bool kNeedsOffsets = false;
  static Vec add(Vec x, Vec column, Vec sum) {
    return {{add(x.q[0], column.q[0], sum.q[0]), add(x.q[1], column.q[1], sum.q[1]),
             add(x.q[2], column.q[2], sum.q[2]), add(x.q[3], column.q[3], sum.q[3])}};
  }
  static float32x4_t add(float32x4_t x, float32x4_t column, float32x4_t sum) {
    const uint8x16_t flipped = veorq_u8(vreinterpretq_u8_f32(x), vdupq_n_u8(0x80));
    // Not its intrinsic: GCC 12 copies each sum there and back between the types.
    asm("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(flipped), "w"(column));
    return sum;
  }
};

}  // namespace

namespace mimi::kernels {
extern const Int8Kernels kDotprodKernels;
constinit const Int8Kernels kDotprodKernels = make_int8_kernels<AddSignedQuads>();
}  // namespace mimi::kernels
