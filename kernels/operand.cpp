#include <cassert>
#include <numeric>

#include "kernels/gemm.h"

namespace mimi::kernels {
namespace {

// Taps that lie densely one after the other are one long tap.
GemmInput joined(const GemmInput& a) {
  if (a.tap_step != a.depth) return a;
  return {a.data, a.row_step, 0, 1, a.taps * a.depth};
}

}  // namespace

// Rows of `a` that overlap share time steps: each is converted once.
Operand make_operand(const PackedMatrix& w, const GemmInput& a, int first_row, int last_row) {
  assert(a.taps == w.taps() && a.depth == w.depth());
  GemmInput rows = a;
  rows.data += first_row * a.row_step;
  if (w.dtype() == Dtype::kF32) return {joined(rows)};

  thread_local Room converted_room, scale_room;
  const bool bf16 = w.dtype() == Dtype::kBf16;
  const std::ptrdiff_t time_step = a.taps == 1 ? a.row_step : std::gcd(a.row_step, a.tap_step);
  const std::ptrdiff_t reach = (last_row - first_row - 1) * a.row_step + (a.taps - 1) * a.tap_step;
  const auto count = static_cast<int>(reach / time_step) + 1;
  const int vecs = (a.depth + kLanes - 1) / kLanes;
  const Bf16Kernels& pairs = w.table().bf16;
  const int values_per_float = bf16 ? 2 / pairs.floats_per_pair : 4;
  // A cache line more where rows would fall into a few sets of the first-level cache.
  const std::ptrdiff_t dense = vecs * kLanes / values_per_float;
  const std::ptrdiff_t stride = dense % 256 == 0 ? dense + kLanes : dense;
  float* converted = converted_room.of(stride * count);
  Operand operand = {.a = {.data = converted,
                           .row_step = a.row_step / time_step * stride,
                           .tap_step = a.tap_step / time_step * stride,
                           .taps = a.taps,
                           .depth = w.steps()}};
  if (bf16) {
    pairs.round_rows(rows.data, time_step, count, vecs, converted, stride);
    return operand;
  }
  float* scales = scale_room.of(count);
  w.table().int8.quantize_rows(rows.data, time_step, count, vecs, converted, stride, scales);
  operand.row_scales = scales;
  operand.scale_row_step = a.row_step / time_step;
  operand.scale_tap_step = a.tap_step / time_step;
  return operand;
}

}  // namespace mimi::kernels
