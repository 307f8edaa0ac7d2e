#include "kernels/batch.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "kernels/parallel.h"

namespace mimi::kernels {
namespace {

// One item's rows alone use the weights well, read from the second-level cache, from here on.
constexpr int kEnoughRows = 96;

int padded_columns(const PackedMatrix& w) { return (w.columns() + kLanes - 1) / kLanes * kLanes; }

// One item's rows, each with all its taps, at `row`, and their scales at `scale`.
void gather_item(const PackedMatrix& w, const BatchItem& item, int rows, std::ptrdiff_t stride,
                 float* row, float* scale) {
  const Operand own = make_operand(1, w, item.a, rows);
  // Joined taps are one run.
  const std::ptrdiff_t run = std::ptrdiff_t{w.steps()} * floats_per_step(w) * w.taps() / own.a.taps;
  for (int t = 0; t < rows; ++t, row += stride) {
    for (int tap = 0; tap < own.a.taps; ++tap) {
      std::copy_n(own.a.data + t * own.a.row_step + tap * own.a.tap_step, run, row + tap * run);
    }
    if (own.row_scales == nullptr) continue;
    for (int tap = 0; tap < w.taps(); ++tap) {
      *scale++ = own.row_scales[t * own.scale_row_step + tap * own.scale_tap_step];
    }
  }
}

// The rows of all items one after the other: few rows, so that the copies cost little beside the
// products.
Operand gather(int most_threads, const PackedMatrix& w, std::span<const BatchItem> items,
               int rows) {
  thread_local Room row_room, scale_room;
  const auto count = static_cast<int>(items.size());
  const int run = w.steps() * floats_per_step(w);
  const std::ptrdiff_t stride = (std::ptrdiff_t{run} * w.taps() / kLanes + 1) * kLanes;
  float* const row = row_room.of(count * rows * stride);
  float* const scale = scale_room.of(std::ptrdiff_t{count} * rows * w.taps());
  const double bytes = 2.0 * sizeof(float) * count * rows * w.taps() * w.depth();
  parallel_for(worthwhile_threads(most_threads, 0, bytes), count, [&](int i, int) {
    gather_item(w, items[static_cast<std::size_t>(i)], rows, stride, row + i * rows * stride,
                scale + i * rows * w.taps());
  });
  return {
      .a = {.data = row, .row_step = stride, .tap_step = run, .taps = w.taps(), .depth = w.steps()},
      .row_scales = scale,
      .scale_row_step = w.taps(),
      .scale_tap_step = 1};
}

}  // namespace

void batch_gemm(int threads, const PackedMatrix& w, std::span<const BatchItem> items, int rows) {
  const auto count = static_cast<int>(items.size());
  if (count == 1) {
    return parallel_gemm(threads, w, items.front().a, rows, items.front().output);
  }
  threads =
      worthwhile_threads(threads, count * rows * w.flop_per_row(), static_cast<double>(w.bytes()));
  const auto item_at = [&](int i) -> const BatchItem& {
    return items[static_cast<std::size_t>(i)];
  };
  if (rows >= kEnoughRows) {
    return parallel_for(threads, count, [&](int i, int) {
      gemm(w, item_at(i).a, item_at(i).output, {0, rows, 0, w.panels()});
    });
  }
  thread_local Room sum_room;
  const Operand all = gather(threads, w, items, rows);
  const std::ptrdiff_t stride = padded_columns(w) + kLanes;
  float* sums = sum_room.of(count * rows * stride);
  const int tasks = std::min(8 * threads, w.panels());
  parallel_for(threads, tasks, [&](int task, int) {
    const auto first = static_cast<int>(std::int64_t{w.panels()} * task / tasks);
    const auto last = static_cast<int>(std::int64_t{w.panels()} * (task + 1) / tasks);
    gemm(w, all, {sums, stride, {}}, {0, count * rows, first, last});
  });
  parallel_for(threads, count, [&](int i, int) {
    const std::optional<ScopedFloatMode> mode = product_mode(w);
    const GemmOutput& output = item_at(i).output;
    w.table().finish(output.epilogue, sums + i * rows * stride, stride, rows,
                     padded_columns(w) / kLanes, output.data, output.stride);
  });
}

}  // namespace mimi::kernels
