// The matrix product in bf16 by f32 instructions: a pair of products is two fused multiply-adds,
// the later value's first, which is what AVX-512's instruction for pairs does.
#pragma once

#include "kernels/panel.h"

namespace {

// A row of A is floats that are bf16 already, so that only columns need unpacking.
struct SumPairs {
  template <int Rows, int Vecs>
  static void add(const GemmInput& a, const float* b, Fetch fetch, Tile<Rows, Vecs>& tile) {
    for (int tap = 0; tap < a.taps; ++tap) {
      const float* run = a.data + tap * a.tap_step;
      for (int k = 0; k < a.depth; ++k, run += 2, b += Vecs * kLanes) {
        fetch.advance();
        Vec earlier[Vecs], later[Vecs];
#pragma GCC unroll 4
        for (int v = 0; v < Vecs; ++v) {
          const Vec pairs = load(b + v * kLanes);
          earlier[v] = low_halves(pairs);
          later[v] = high_halves(pairs);
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const Vec x = broadcast(run[r * a.row_step + 1]);
#pragma GCC unroll 4
          for (int v = 0; v < Vecs; ++v) tile.sum[r][v] = fma(x, later[v], tile.sum[r][v]);
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const Vec x = broadcast(run[r * a.row_step]);
#pragma GCC unroll 4
          for (int v = 0; v < Vecs; ++v) tile.sum[r][v] = fma(x, earlier[v], tile.sum[r][v]);
        }
      }
    }
  }
};

void bf16_panel(const PanelTask& task) { chain_panel<kPairTileRows, SumPairs>(task); }

void round_rows(const float* x, std::ptrdiff_t x_stride, int rows, int vecs, float* out,
                std::ptrdiff_t out_stride) {
  for (int t = 0; t < rows; ++t, x += x_stride, out += out_stride) {
    for (int i = 0; i < vecs * kLanes; i += kLanes) store(out + i, round_to_bf16(load(x + i)));
  }
}

}  // namespace
