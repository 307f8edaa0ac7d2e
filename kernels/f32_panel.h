// The matrix product in f32, and the search for the nearest codebook entry that stands on it.
#pragma once

#include "kernels/panel.h"

namespace {

using mimi::kernels::NearestColumn;
using mimi::kernels::NearestTask;

struct SumF32 {
  template <int Rows, int Vecs>
  static void add(const GemmInput& a, const float* b, Fetch fetch, Tile<Rows, Vecs>& tile) {
    tile.template accumulate<MultiplyAdd>(a, b, fetch);
  }
};

void f32_panel(const PanelTask& task) { chain_panel<kTileRows, SumF32>(task); }

// The best column so far of each lane, for one row.
struct Best {
  Vec score;
  Vec column;  // as floats: exact to 2^24

  void take(Vec scores, Vec columns) {
    const Mask better = scores > score;  // the earlier, lower column keeps a tie
    score = select(better, scores, score);
    column = select(better, columns, column);
  }

  NearestColumn lowest() const {
    float scores[kLanes], columns[kLanes];
    store(scores, score);
    store(columns, column);
    int best = 0;
    for (int i = 1; i < kLanes; ++i) {
      const bool tie = scores[i] == scores[best];
      if (scores[i] > scores[best] || (tie && columns[i] < columns[best])) best = i;
    }
    return {scores[best], static_cast<std::int32_t>(columns[best])};
  }
};

inline Vec columns_from(int first) {
  constexpr float kIota[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(kIota) + broadcast(static_cast<float>(first));
}

// One panel, beginning at column `first_column`, against all rows of the task.
template <int Vecs>
void nearest_panel(const NearestTask& task, const float* panel, const float* next_panel,
                   int first_column, Best* best) {
  for_each_tile<kTileRows>(task.rows, [&]<int Rows>(int first) {
    GemmInput a = task.a;
    a.data += first * a.row_step;
    Tile<Rows, Vecs> tile;
    tile.load_bias(task.bias + first_column);
    SumF32::add(a, panel, fetch_share(next_panel, a, Vecs, first, Rows, task.rows), tile);
    for (int v = 0; v < Vecs; ++v) {
      const Vec columns = columns_from(first_column + v * kLanes);
      for (int r = 0; r < Rows; ++r) best[first + r].take(tile.sum[r][v], columns);
    }
  });
}

void nearest(const NearestTask& task) {
  Best best[mimi::kernels::kMostNearestRows];
  for (int t = 0; t < task.rows; ++t) best[t] = {broadcast(-__builtin_inff()), broadcast(0.0f)};
  constexpr int kPanelColumns = kPanelVecs * kLanes;
  const std::ptrdiff_t panel_floats = std::ptrdiff_t{task.a.taps} * task.a.depth * kPanelColumns;
  const float* panel = task.panels;
  for (int column = 0; column < task.columns; column += kPanelColumns, panel += panel_floats) {
    const int vecs = (task.columns - column + kLanes - 1) / kLanes;
    const float* next = vecs > kPanelVecs ? panel + panel_floats : nullptr;
    with_count<kPanelVecs>(vecs < kPanelVecs ? vecs : kPanelVecs, [&]<int Vecs>() {
      nearest_panel<Vecs>(task, panel, next, column, best);
    });
  }
  for (int t = 0; t < task.rows; ++t) task.nearest[t] = best[t].lowest();
}

}  // namespace
