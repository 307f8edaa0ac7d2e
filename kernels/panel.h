// A panel of weights against some rows, tile by tile, where each sum is one chain.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/tile.h"

namespace {

template <int Rows, int Vecs, typename Sum>
void chain_tile(const PanelTask& task, int first) {
  GemmInput a = task.a;
  a.data += first * a.row_step;
  float* c = task.output + first * task.output_stride;
  Tile<Rows, Vecs> tile;
  if (task.bias) {
    tile.load_bias(task.bias);
  } else {
    tile.load_rows(c, task.output_stride);
  }
  Sum::add(a, task.panel, fetch_share(task.next_panel, a, Vecs, first, Rows, task.rows), tile);
  tile.store_rows(c, task.output_stride);
  if (task.epilogue) finish_tile(task, first, Rows);
}

// Sum::add(rows, panel, fetch, tile) adds the products to the tile; it holds at most MostRows rows.
template <int MostRows, typename Sum>
void chain_panel(const PanelTask& task) {
  with_count<kPanelVecs>(task.vecs, [&]<int Vecs>() {
    for_each_tile<MostRows>(task.rows,
                            [&]<int Rows>(int first) { chain_tile<Rows, Vecs, Sum>(task, first); });
  });
}

}  // namespace
