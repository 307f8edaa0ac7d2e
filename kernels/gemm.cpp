#include "kernels/gemm.h"

#include <algorithm>
#include <utility>

#include "kernels/parallel.h"

namespace mimi::kernels {
namespace {

// Most depth of a panel's block, in steps: 512 rows of 32 columns are 64 KB, which stay in the
// second-level cache while every tile of rows goes by.
constexpr int kBlockDepth = 512;
// Rows of A that go by one panel before the next: few enough that they stay in that cache too.
constexpr int kBlockRows = 192;

// One step along the depth: some taps whole, or a part of one tap.
struct DepthBlock {
  int tap, taps;
  int offset, depth;
};

// Parts of one tap are nearly equal: a thin one would not hide the tiles' own loads and stores. In
// int8 a tap's sum is one integer, which never leaves the registers.
DepthBlock block_at(const GemmInput& a, Dtype dtype, int tap, int offset, bool whole) {
  if (whole) return {0, a.taps, 0, a.depth};
  if (a.depth <= kBlockDepth || dtype == Dtype::kInt8) {
    return {tap, std::clamp(kBlockDepth / a.depth, 1, a.taps - tap), 0, a.depth};
  }
  const int parts = (a.depth + kBlockDepth - 1) / kBlockDepth;
  const int part = (a.depth + parts - 1) / parts;
  return {tap, 1, offset, std::min(part, a.depth - offset)};
}

void run_panel(const PackedMatrix& w, const PanelTask& task) {
  switch (w.dtype()) {
    case Dtype::kF32:
      return w.table().f32_panel(task);
    case Dtype::kBf16:
      return w.table().bf16.panel(task);
    case Dtype::kInt8:
      return w.table().int8.panel(task);
  }
}

int tile_rows(const PackedMatrix& w) {
  switch (w.dtype()) {
    case Dtype::kF32:
      return w.table().tile_rows;
    case Dtype::kBf16:
      return w.table().bf16.tile_rows;
    case Dtype::kInt8:
      break;
  }
  return w.table().int8.tile_rows;
}

// What an epilogue costs for each result, counted in a product's floating-point operations.
double flop_per_result(const Epilogue& epilogue) {
  constexpr double kActivationFlop = 40;
  return epilogue.activation == Activation::kNone ? 0 : kActivationFlop;
}

// All panels of the range for one block of rows and one block of depth.
void multiply_block(const PackedMatrix& w, const Operand& operand, const GemmOutput& out,
                    const GemmRange& range, const DepthBlock& block) {
  const GemmInput& a = operand.a;
  const bool first = block.tap == 0 && block.offset == 0;
  const bool last = block.tap + block.taps == a.taps && block.offset + block.depth == a.depth;
  const bool int8 = w.dtype() == Dtype::kInt8;
  const std::ptrdiff_t first_step = block.tap * a.depth + block.offset;
  const float* data = a.data + range.first_row * a.row_step + block.tap * a.tap_step +
                      block.offset * floats_per_step(w);
  for (int p = range.first_panel; p < range.last_panel; ++p) {
    const auto panel_at = [&](int panel) {
      return w.panel(panel) + first_step * w.panel_vecs(panel) * kLanes;
    };
    const GemmOutput corner = output_at(out, range.first_row, p * w.panel_columns());
    Int8Scaling scaling;
    if (int8) {
      scaling = {.row_scales = operand.row_scales + range.first_row * operand.scale_row_step +
                               block.tap * operand.scale_tap_step,
                 .row_step = operand.scale_row_step,
                 .tap_step = operand.scale_tap_step,
                 .offsets = w.offsets(p, block.tap),
                 .offset_step = w.offset_step(),
                 .column_scales = w.column_scales(p),
                 .first = first};
    }
    // Another thread's panel perhaps: then this thread is likely to need what comes after that.
    const int next = p + 1;
    run_panel(w, {.a = {data, a.row_step, a.tap_step, block.taps, block.depth},
                  .rows = range.last_row - range.first_row,
                  .panel = panel_at(p),
                  .vecs = w.panel_vecs(p),
                  .bias = first || int8 ? w.bias(p) : nullptr,
                  .output = corner.data,
                  .output_stride = out.stride,
                  .epilogue = last ? &corner.epilogue : nullptr,
                  .int8 = int8 ? &scaling : nullptr,
                  .next_panel = next < w.panels() ? panel_at(next) : nullptr});
  }
}

}  // namespace

int floats_per_step(const PackedMatrix& w) {
  return w.dtype() == Dtype::kBf16 ? w.table().bf16.floats_per_pair : 1;
}

// What the instruction for pairs of bf16 does by itself, the other ways must be told.
std::optional<ScopedFloatMode> product_mode(const PackedMatrix& w) {
  if (w.dtype() != Dtype::kBf16) return std::nullopt;
  return std::optional<ScopedFloatMode>(std::in_place, FloatMode::kFlushSubnormals);
}

GemmOutput output_at(const GemmOutput& output, std::ptrdiff_t row, std::ptrdiff_t column) {
  GemmOutput moved = output;
  moved.data += row * output.stride + column;
  Epilogue& e = moved.epilogue;
  if (e.residual) e.residual += row * e.residual_stride + column;
  if (e.scale) e.scale += column;
  if (e.activated) e.activated += row * e.activated_stride + column;
  return moved;
}

void gemm(const PackedMatrix& w, const Operand& operand, const GemmOutput& out,
          const GemmRange& range) {
  const std::optional<ScopedFloatMode> mode = product_mode(w);
  const GemmInput& a = operand.a;
  for (int row = range.first_row; row < range.last_row; row += kBlockRows) {
    const int last_row = std::min(row + kBlockRows, range.last_row);
    // One tile of rows gains nothing from coming back to a block of weights.
    const bool whole = a.taps * a.depth <= 2 * kBlockDepth || last_row - row <= tile_rows(w);
    for (int tap = 0, offset = 0; tap < a.taps;) {
      const DepthBlock block = block_at(a, w.dtype(), tap, offset, whole);
      multiply_block(w, operand, out, {row, last_row, range.first_panel, range.last_panel}, block);
      offset += block.depth;
      if (offset == a.depth) {
        tap += block.taps;
        offset = 0;
      }
    }
  }
}

void gemm(const PackedMatrix& w, const GemmInput& a, const GemmOutput& out,
          const GemmRange& range) {
  for (int row = range.first_row; row < range.last_row; row += kBlockRows) {
    const int last_row = std::min(row + kBlockRows, range.last_row);
    GemmInput rows = a;
    rows.data += row * a.row_step;
    gemm(w, make_operand(1, w, rows, last_row - row), output_at(out, row),
         {0, last_row - row, range.first_panel, range.last_panel});
  }
}

void parallel_gemm(int threads, const PackedMatrix& w, const GemmInput& a, int rows,
                   const GemmOutput& out) {
  const double flop_per_row = w.flop_per_row() + w.columns() * flop_per_result(out.epilogue);
  threads = worthwhile_threads(threads, rows * flop_per_row, static_cast<double>(w.bytes()));
  // Many tasks a thread: whoever is done last keeps all waiting for at most one of them. Large
  // weights are cut by panels, so that no two threads read the same ones; many rows by rows.
  const int parts = threads == 1 ? 1 : 8 * threads;
  const std::size_t input_bytes =
      static_cast<std::size_t>(rows) * static_cast<std::size_t>(a.row_step) * sizeof(float);
  if (w.panels() >= threads && (w.bytes() > input_bytes || rows < parts)) {
    const Operand operand = make_operand(threads, w, a, rows);
    const int tasks = std::min(parts, w.panels());
    parallel_for(threads, tasks, [&](int task, int) {
      const auto first = static_cast<int>(std::int64_t{w.panels()} * task / tasks);
      const auto last = static_cast<int>(std::int64_t{w.panels()} * (task + 1) / tasks);
      gemm(w, operand, out, {0, rows, first, last});
    });
    return;
  }
  const int tasks = std::min(parts, rows);
  parallel_for(threads, tasks, [&](int task, int) {
    const auto first = static_cast<int>(std::int64_t{rows} * task / tasks);
    const auto last = static_cast<int>(std::int64_t{rows} * (task + 1) / tasks);
    gemm(w, a, out, {first, last, 0, w.panels()});
  });
}

}  // namespace mimi::kernels
