#include <cassert>
#include <numeric>

#include "kernels/gemm.h"
#include "kernels/parallel.h"

namespace mimi::kernels {
namespace {

// Taps that lie densely one after the other are one long tap.
GemmInput joined(const GemmInput& a) {
  if (a.tap_step != a.depth) return a;
  return {a.data, a.row_step, 0, 1, a.taps * a.depth};
}

// Time steps of A to be converted, each once though rows of A share them, and where they go.
struct Conversion {
  const float* from;
  std::ptrdiff_t time_step;
  int count, vecs;
  float* to;
  std::ptrdiff_t stride;
  float* scales;  // of int8
};

// Steps [first, last).
void convert(const PackedMatrix& w, const Conversion& c, int first, int last) {
  const float* const from = c.from + first * c.time_step;
  float* const to = c.to + first * c.stride;
  if (w.dtype() == Dtype::kBf16) {
    w.table().bf16.round_rows(from, c.time_step, last - first, c.vecs, to, c.stride);
  } else {
    w.table().int8.quantize_rows(from, c.time_step, last - first, c.vecs, to, c.stride,
                                 c.scales + first);
  }
}

Conversion conversion_of(const PackedMatrix& w, const GemmInput& a, int rows) {
  thread_local Room converted_room, scale_room;
  const std::ptrdiff_t time_step = a.taps == 1 ? a.row_step : std::gcd(a.row_step, a.tap_step);
  const std::ptrdiff_t reach = (rows - 1) * a.row_step + (a.taps - 1) * a.tap_step;
  const auto count = static_cast<int>(reach / time_step) + 1;
  const int vecs = (a.depth + kLanes - 1) / kLanes;
  const bool bf16 = w.dtype() == Dtype::kBf16;
  const int values_per_float = bf16 ? 2 / w.table().bf16.floats_per_pair : 4;
  // A cache line more where rows would fall into a few sets of the first-level cache.
  const std::ptrdiff_t dense = vecs * kLanes / values_per_float;
  const std::ptrdiff_t stride = dense % 256 == 0 ? dense + kLanes : dense;
  return {.from = a.data,
          .time_step = time_step,
          .count = count,
          .vecs = vecs,
          .to = converted_room.of(stride * count),
          .stride = stride,
          .scales = bf16 ? nullptr : scale_room.of(count)};
}

Operand converted(const PackedMatrix& w, const GemmInput& a, const Conversion& c) {
  const std::ptrdiff_t steps_a_row = a.row_step / c.time_step;
  const std::ptrdiff_t steps_a_tap = a.tap_step / c.time_step;
  return {.a = {.data = c.to,
                .row_step = steps_a_row * c.stride,
                .tap_step = steps_a_tap * c.stride,
                .taps = a.taps,
                .depth = w.steps()},
          .row_scales = c.scales,
          .scale_row_step = steps_a_row,
          .scale_tap_step = steps_a_tap};
}

}  // namespace

Operand make_operand(int most_threads, const PackedMatrix& w, const GemmInput& a, int rows) {
  assert(a.taps == w.taps() && a.depth == w.depth());
  if (w.dtype() == Dtype::kF32) return {joined(a)};
  const Conversion c = conversion_of(w, a, rows);
  constexpr double kFlopAValue = 50;  // what takes as long, where the values are in a shared cache
  const int threads = worthwhile_threads(most_threads, kFlopAValue * c.count * a.depth);
  parallel_for(threads, threads, [&](int task, int) {
    convert(w, c, c.count * task / threads, c.count * (task + 1) / threads);
  });
  return converted(w, a, c);
}

}  // namespace mimi::kernels
