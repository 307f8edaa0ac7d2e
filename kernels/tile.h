// The register tile of a matrix product, written once over Vec. Each instruction set's source file
// defines kTileRows and kPanelVecs to fill its registers.
#pragma once

#include "kernels/kernels.h"

namespace {

using mimi::kernels::GemmInput;
using mimi::kernels::kLanes;

// What to fetch while a tile is summed: `step` floats further with each step along the depth. A
// steady trickle, because a burst would hold all the buffers that the sums' own loads need.
struct Fetch {
  const float* next;
  std::ptrdiff_t step;

  void advance() {
    __builtin_prefetch(next, 0, 2);
    next += step;
  }
};

// The share of rows [first, first + rows) out of `all_rows` in fetching a whole panel that is as
// deep as `a` and `vecs` wide.
inline Fetch fetch_share(const float* panel, const GemmInput& a, int vecs, int first, int rows,
                         int all_rows) {
  if (panel == nullptr) return {a.data, 0};
  const std::ptrdiff_t floats = std::ptrdiff_t{a.taps} * a.depth * vecs * kLanes;
  const std::ptrdiff_t step = (std::ptrdiff_t{vecs} * kLanes * rows + all_rows - 1) / all_rows;
  return {panel + floats * first / all_rows, step};
}

// sum[r][v] of a tile, in registers once everything is unrolled.
template <int Rows, int Vecs>
struct Tile {
  Vec sum[Rows][Vecs];

  void clear() {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < Vecs; ++v) sum[r][v] = broadcast(0.0f);
    }
  }

  void load_bias(const float* bias) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < Vecs; ++v) sum[r][v] = load(bias + v * kLanes);
    }
  }

  void load_rows(const float* c, std::ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < Vecs; ++v) sum[r][v] = load(c + r * stride + v * kLanes);
    }
  }

  void store_rows(float* c, std::ptrdiff_t stride) const {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < Vecs; ++v) store(c + r * stride + v * kLanes, sum[r][v]);
    }
  }

  // Adds Step::add(a step of a row, that step of the columns, sum) along the depth.
  template <typename Step>
  void accumulate(const GemmInput& a, const float* b, Fetch fetch) {
    for (int tap = 0; tap < a.taps; ++tap) {
      const float* run = a.data + tap * a.tap_step;
      for (int k = 0; k < a.depth; ++k, ++run, b += Vecs * kLanes) {
        fetch.advance();
        Vec column[Vecs];
#pragma GCC unroll 4
        for (int v = 0; v < Vecs; ++v) column[v] = load(b + v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const Vec x = broadcast(run[r * a.row_step]);
#pragma GCC unroll 4
          for (int v = 0; v < Vecs; ++v) sum[r][v] = Step::add(x, column[v], sum[r][v]);
        }
      }
    }
  }
};

struct MultiplyAdd {
  static constexpr int kValues = 1;
  static Vec add(Vec x, Vec column, Vec sum) { return fma(x, column, sum); }
};

// Calls body.operator()<n>() for the run-time n in 1..Count.
template <int Count, typename Body>
void with_count(int n, Body body) {
  if constexpr (Count > 1) {
    if (n < Count) return with_count<Count - 1>(n, body);
  }
  body.template operator()<Count>();
}

// Cuts `rows` into tiles of nearly equal height, so that none is too thin to hide latency.
template <int MostRows, typename Body>
void for_each_tile(int rows, Body body) {
  const int tiles = (rows + MostRows - 1) / MostRows;
  for (int i = 0, first = 0; i < tiles; ++i) {
    const int height = (rows - first + tiles - i - 1) / (tiles - i);
    with_count<MostRows>(height, [&]<int Rows>() { body.template operator()<Rows>(first); });
    first += height;
  }
}

}  // namespace
