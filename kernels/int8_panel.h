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

// What becomes of one tap's integer sums: times their rows' scales they are added to what the taps
// before left in the output; after the last tap that becomes the task's sums, before its epilogue.
template <bool First, bool Last, int Rows, int Vecs>
void scale_rows(const Tile<Rows, Vecs>& tile, const PanelTask& task, int first, int tap) {
  const Int8Scaling& scaling = *task.int8;
  const float* row_scales = scaling.row_scales + first * scaling.row_step + tap * scaling.tap_step;
  // Copies: what is stored might be these, for all that the compiler knows.
  const std::ptrdiff_t row_step = scaling.row_step, output_stride = task.output_stride;
  float* output = task.output + first * output_stride;
  Vec column_scales[Vecs], bias[Vecs];
  if constexpr (Last) {
    for (int v = 0; v < Vecs; ++v) {
      column_scales[v] = load(scaling.column_scales + v * kLanes);
      bias[v] = load(task.bias + v * kLanes);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const Vec scale = broadcast(*row_scales);
#pragma GCC unroll 4
    for (int v = 0; v < Vecs; ++v) {
      const Vec before = First ? broadcast(0.0f) : load(output + v * kLanes);
      Vec sum = fma(from_integers(tile.sum[r][v]), scale, before);
      if constexpr (Last) sum = fma(sum, column_scales[v], bias[v]);
      store(output + v * kLanes, sum);
    }
    row_scales += row_step;
    output += output_stride;
  }
}

template <int Rows, int Vecs>
void scale_tap(const Tile<Rows, Vecs>& tile, const PanelTask& task, int first, int tap) {
  const bool begins = tap == 0 && task.int8->first;
  const bool ends = tap + 1 == task.a.taps && task.epilogue;
  if (begins && ends) return scale_rows<true, true>(tile, task, first, tap);
  if (begins) return scale_rows<true, false>(tile, task, first, tap);
  if (ends) return scale_rows<false, true>(tile, task, first, tap);
  scale_rows<false, false>(tile, task, first, tap);
}

template <int Rows, int Vecs, typename Add>
void int8_tile(const PanelTask& task, int first) {
  const Int8Scaling& scaling = *task.int8;
  GemmInput a = task.a;
  a.data += first * a.row_step;
  a.taps = 1;
  Fetch fetch = fetch_share(task.next_panel, task.a, Vecs, first, Rows, task.rows);
  for (int tap = 0; tap < task.a.taps; ++tap) {
    Tile<Rows, Vecs> tile;
    if constexpr (Add::kNeedsOffsets) {
      tile.load_bias(scaling.offsets + tap * scaling.offset_step);
    } else {
      tile.clear();
    }
    tile.template accumulate<Add>(a, task.panel + tap * a.depth * Vecs * kLanes, fetch);
    scale_tap(tile, task, first, tap);
    a.data += a.tap_step;
    fetch.next += fetch.step * a.depth;
  }
  if (task.epilogue) finish_tile(task, first, Rows);
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
