#include "kernels/gemm.h"

#include <algorithm>
#include <cassert>

#include "kernels/parallel.h"

namespace mimi::kernels {
namespace {

// Most depth of a panel's block: 512 rows of 32 columns are 64 KB, which stay in the second-level
// cache while every tile of rows goes by.
constexpr int kBlockDepth = 512;
// Rows of A that go by one panel before the next: few enough that they stay in that cache too.
constexpr int kBlockRows = 192;

// One step along the depth: some taps whole, or a part of one tap.
struct DepthBlock {
  int tap, taps;
  int offset, depth;
};

// Parts of one tap are nearly equal: a thin one would not hide the tiles' own loads and stores.
DepthBlock block_at(const GemmInput& a, int tap, int offset, bool whole) {
  if (whole) return {0, a.taps, 0, a.depth};
  if (a.depth <= kBlockDepth)
    return {tap, std::min(kBlockDepth / a.depth, a.taps - tap), 0, a.depth};
  const int parts = (a.depth + kBlockDepth - 1) / kBlockDepth;
  const int part = (a.depth + parts - 1) / parts;
  return {tap, 1, offset, std::min(part, a.depth - offset)};
}

// All panels of the range for one block of rows and one block of depth.
void multiply_block(const PackedMatrix& w, const GemmInput& a, const GemmOutput& out,
                    const GemmRange& range, const DepthBlock& block) {
  const bool first = block.tap == 0 && block.offset == 0;
  const bool last = block.tap + block.taps == a.taps && block.offset + block.depth == a.depth;
  const int first_k = block.tap * a.depth + block.offset;
  for (int p = range.first_panel; p < range.last_panel; ++p) {
    const int column = p * w.panel_columns();
    const int vecs = w.panel_vecs(p);
    // Perhaps another thread's: then it is the one that this thread is likely to need after this.
    const int next = p + 1;
    const GemmOutput corner = output_at(out, range.first_row, column);
    const PanelTask task = {
        .a = {.data = a.data + range.first_row * a.row_step + block.tap * a.tap_step + block.offset,
              .row_step = a.row_step,
              .tap_step = a.tap_step,
              .taps = block.taps,
              .depth = block.depth},
        .rows = range.last_row - range.first_row,
        .panel = w.panel(p) + std::ptrdiff_t{first_k} * vecs * kLanes,
        .vecs = vecs,
        .bias = first ? w.bias(p) : nullptr,
        .output = corner.data,
        .output_stride = out.stride,
        .epilogue = last ? &corner.epilogue : nullptr,
        .next_panel = next < w.panels()
                          ? w.panel(next) + std::ptrdiff_t{first_k} * w.panel_vecs(next) * kLanes
                          : nullptr};
    w.table().gemm_panel(task);
  }
}

}  // namespace

PackedMatrix::PackedMatrix(const KernelTable& table, const WeightLayout& layout,
                           std::span<const float> bias, float padding_bias)
    : table_(&table), depth_(layout.taps * layout.depth), columns_(layout.columns) {
  assert(bias.empty() || bias.size() == static_cast<std::size_t>(columns_));
  const auto padded = static_cast<std::size_t>((columns_ + kLanes - 1) / kLanes * kLanes);
  weights_ = AlignedFloats(static_cast<std::size_t>(depth_) * padded);
  bias_ = AlignedFloats(padded);
  std::copy(bias.begin(), bias.end(), bias_.data());
  std::fill(bias_.data() + columns_, bias_.data() + padded, padding_bias);
  for (int p = 0; p < panels(); ++p) pack_panel(layout, p);
}

// A source column's taps and depths lie together, a packed row's columns do. Blocks of depth keep
// both the lines read and the lines written in the cache until they are used up.
void PackedMatrix::pack_panel(const WeightLayout& layout, int p) {
  constexpr int kBlock = 16;
  const int width = panel_vecs(p) * kLanes;
  const int first_column = p * panel_columns();
  const int columns = std::min(width, columns_ - first_column);
  float* packed = weights_.data() + std::ptrdiff_t{first_column} * depth_;
  for (int first = 0; first < layout.depth; first += kBlock) {
    const int last = std::min(first + kBlock, layout.depth);
    for (int c = 0; c < columns; ++c) {
      const float* column = layout.data + (first_column + c) * layout.column_step;
      for (int d = first; d < last; ++d) {
        const float* value = column + d * layout.depth_step;
        float* out = packed + std::ptrdiff_t{d} * width + c;
        for (int tap = 0; tap < layout.taps; ++tap) {
          *out = *value;
          value += layout.tap_step;
          out += std::ptrdiff_t{layout.depth} * width;
        }
      }
    }
  }
}

int PackedMatrix::panel_vecs(int panel) const {
  const int remaining = columns_ - panel * panel_columns();
  return std::min(table_->panel_vecs, (remaining + kLanes - 1) / kLanes);
}

const float* PackedMatrix::panel(int panel) const {
  return weights_.data() + std::ptrdiff_t{panel} * panel_columns() * depth_;
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

void gemm(const PackedMatrix& w, const GemmInput& a, const GemmOutput& out,
          const GemmRange& range) {
  assert(a.taps * a.depth == w.depth());
  for (int row = range.first_row; row < range.last_row; row += kBlockRows) {
    const int last_row = std::min(row + kBlockRows, range.last_row);
    // One tile of rows gains nothing from coming back to a block of weights.
    const bool whole = w.depth() <= 2 * kBlockDepth || last_row - row <= w.table().tile_rows;
    for (int tap = 0, offset = 0; tap < a.taps;) {
      const DepthBlock block = block_at(a, tap, offset, whole);
      multiply_block(w, a, out, {row, last_row, range.first_panel, range.last_panel}, block);
      offset += block.depth;
      if (offset == a.depth) {
        tap += block.taps;
        offset = 0;
      }
    }
  }
}

void parallel_gemm(int threads, const PackedMatrix& w, const GemmInput& a, int rows,
                   const GemmOutput& out) {
  threads = worthwhile_threads(threads, rows * w.flop_per_row());
  // Many tasks a thread: whoever is done last keeps all waiting for at most one of them. Large
  // weights are cut by panels, so that no two threads read the same ones; many rows by rows.
  const int parts = threads == 1 ? 1 : 8 * threads;
  const std::size_t input_bytes =
      static_cast<std::size_t>(rows) * static_cast<std::size_t>(a.row_step) * sizeof(float);
  const bool by_panels = w.panels() >= threads && (w.bytes() > input_bytes || rows < parts);
  const int units = by_panels ? w.panels() : rows;
  const int tasks = std::min(parts, units);
  parallel_for(threads, tasks, [&](int task, int) {
    const int first = static_cast<int>(std::int64_t{units} * task / tasks);
    const int last = static_cast<int>(std::int64_t{units} * (task + 1) / tasks);
    if (by_panels) {
      gemm(w, a, out, {0, rows, first, last});
    } else {
      gemm(w, a, out, {first, last, 0, w.panels()});
    }
  });
}

}  // namespace mimi::kernels
