// The matrix product in int8: integer sums of one tap, scaled and added in the order of the taps.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/peak.h"
#include "kernels/tile.h"

namespace {

using mimi::kernels::Int8Scaling;

// How a step's products are added. Where add takes a row's bytes as 128 less, which they stand for,
// nothing is left for the offsets to take back.
struct AddQuads {
  static constexpr int kValues = 4;
  static constexpr bool kNeedsOffsets = true;
  static Vec add(Vec x, Vec column, Vec sum) { return add_quads(x, column, sum); }
};

// Adds one tap's integer sums, times its rows' scales, to what the taps before it left in c.
template <int Rows, int Vecs>
void add_scaled(const Tile<Rows, Vecs>& tile, const float* row_scales, std::ptrdiff_t scale_step,
                bool first, float* c, std::ptrdiff_t stride) {
  for (int r = 0; r < Rows; ++r) {
    const Vec scale = broadcast(row_scales[r * scale_step]);
    for (int v = 0; v < Vecs; ++v) {
      float* sum = c + r * stride + v * kLanes;
      const Vec before = first ? broadcast(0.0f) : load(sum);
      store(sum, fma(from_integers(tile.sum[r][v]), scale, before));
    }
  }
}

// Makes of the sums of all taps those of the task, and applies its epilogue.
inline void finish_int8_rows(const PanelTask& task, int first, int rows) {
  const float* column_scales = task.int8->column_scales;
  for (int t = first; t < first + rows; ++t) {
    for (int column = 0; column < task.vecs * kLanes; column += kLanes) {
      float* sum = task.output + t * task.output_stride + column;
      store(sum, fma(load(sum), load(column_scales + column), load(task.bias + column)));
    }
  }
  finish_tile(task, first, rows);
}

template <int Rows, int Vecs, typename Add>
void int8_tile(const PanelTask& task, int first) {
  const Int8Scaling& scaling = *task.int8;
  GemmInput a = task.a;
  a.data += first * a.row_step;
  a.taps = 1;
  float* c = task.output + first * task.output_stride;
  const float* row_scales = scaling.row_scales + first * scaling.row_step;
  Fetch fetch = fetch_share(task.next_panel, task.a, Vecs, first, Rows, task.rows);
  for (int tap = 0; tap < task.a.taps; ++tap) {
    Tile<Rows, Vecs> tile;
    if constexpr (Add::kNeedsOffsets) {
      tile.load_bias(scaling.offsets + tap * scaling.offset_step);
    } else {
      tile.clear();
    }
    tile.template accumulate<Add>(a, task.panel + tap * a.depth * Vecs * kLanes, fetch);
    add_scaled(tile, row_scales + tap * scaling.tap_step, scaling.row_step,
               tap == 0 && scaling.first, c, task.output_stride);
    a.data += a.tap_step;
    fetch.next += fetch.step * a.depth;
  }
  if (task.epilogue) finish_int8_rows(task, first, Rows);
}

template <typename Add>
void int8_panel(const PanelTask& task) {
  with_count<kPanelVecs>(task.vecs, [&]<int Vecs>() {
    for_each_tile<kQuadTileRows>(
        task.rows, [&]<int Rows>(int first) { int8_tile<Rows, Vecs, Add>(task, first); });
  });
}

void quantize_rows(const float* x, std::ptrdiff_t x_stride, int rows, int vecs, float* out,
                   std::ptrdiff_t out_stride, float* scales) {
  const Vec zero = broadcast(0.0f);
  for (int t = 0; t < rows; ++t, x += x_stride, out += out_stride) {
    Vec magnitude = zero;
    for (int i = 0; i < vecs * kLanes; i += kLanes) {
      const Vec value = load(x + i);
      magnitude = max(max(value, zero - value), magnitude);
    }
    const float largest = max_lanes(magnitude);
    scales[t] = largest / 127.0f;
    // A row of zeros, and one whose inverse would not be finite, becomes zeros.
    const Vec inverse = broadcast(largest >= 1e-30f ? 127.0f / largest : 0.0f);
    for (int i = 0; i < vecs; ++i) {
      store_bytes(out + i * (kLanes / 4), load(x + i * kLanes) * inverse + broadcast(kRounder));
    }
  }
}

template <typename Add>
constexpr mimi::kernels::Int8Kernels make_int8_kernels() {
  return {.tile_rows = kQuadTileRows,
          .panel = int8_panel<Add>,
          .quantize_rows = quantize_rows,
          .multiply_add_peak = peak<Add>};
}

}  // namespace
