// The register tile of the matrix product, its epilogue, and what stands on it. Written once over
// Vec; each instruction set's source file defines kTileRows and kPanelVecs to fill its registers.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector_math.h"

namespace {

using mimi::kernels::Activation;
using mimi::kernels::Epilogue;
using mimi::kernels::GemmInput;
using mimi::kernels::kLanes;
using mimi::kernels::NearestTask;
using mimi::kernels::PanelTask;

// What to fetch while a tile is summed: `step` floats further with each step along the depth. A
// steady trickle, because a burst would hold all the buffers that the sums' own loads need.
struct Fetch {
  const float* next;
  std::ptrdiff_t step;
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

  void multiply_add(const GemmInput& a, const float* b, Fetch fetch) {
    for (int tap = 0; tap < a.taps; ++tap) {
      const float* run = a.data + tap * a.tap_step;
      for (int k = 0; k < a.depth; ++k, ++run, b += Vecs * kLanes) {
        __builtin_prefetch(fetch.next, 0, 2);
        fetch.next += fetch.step;
        Vec column[Vecs];
#pragma GCC unroll 4
        for (int v = 0; v < Vecs; ++v) column[v] = load(b + v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const Vec x = broadcast(run[r * a.row_step]);
#pragma GCC unroll 4
          for (int v = 0; v < Vecs; ++v) sum[r][v] = fma(x, column[v], sum[r][v]);
        }
      }
    }
  }
};

// Applies the epilogue to [rows x vecs * 16] raw sums, which are still in the first-level cache.
template <typename Activate>
void finish_rows(const Epilogue& e, Activate activate, float* c, std::ptrdiff_t stride, int first,
                 int rows, int vecs) {
  for (int t = first; t < first + rows; ++t) {
    for (int column = 0; column < vecs * kLanes; column += kLanes) {
      float* out = c + t * stride + column;
      Vec y = load(out);
      if (e.residual) {
        const Vec x = load(e.residual + t * e.residual_stride + column);
        y = e.scale ? fma(load(e.scale + column), y, x) : x + y;
      }
      if (e.activated) {
        store(out, y);
        store(e.activated + t * e.activated_stride + column, activate(y));
      } else {
        store(out, activate(y));
      }
    }
  }
}

inline void finish(const PanelTask& task, int first, int rows) {
  const Epilogue& e = *task.epilogue;
  const auto run = [&](auto activate) {
    finish_rows(e, activate, task.output, task.output_stride, first, rows, task.vecs);
  };
  switch (e.activation) {
    case Activation::kNone:
      if (e.residual || e.activated) run([](Vec y) { return y; });
      break;
    case Activation::kElu:
      run([](Vec y) { return elu(y); });
      break;
    case Activation::kGelu:
      run([](Vec y) { return gelu(y); });
      break;
  }
}

template <int Rows, int Vecs>
void panel_tile(const PanelTask& task, int first) {
  GemmInput a = task.a;
  a.data += first * a.row_step;
  float* c = task.output + first * task.output_stride;
  Tile<Rows, Vecs> tile;
  if (task.bias) {
    tile.load_bias(task.bias);
  } else {
    tile.load_rows(c, task.output_stride);
  }
  const Fetch fetch = fetch_share(task.next_panel, a, Vecs, first, Rows, task.rows);
  tile.multiply_add(a, task.panel, fetch);
  tile.store_rows(c, task.output_stride);
  if (task.epilogue) finish(task, first, Rows);
}

// Calls body.operator()<n>() for the run-time n in 1..Count.
template <int Count, typename Body>
void with_count(int n, Body body) {
  if constexpr (Count > 1) {
    if (n < Count) return with_count<Count - 1>(n, body);
  }
  body.template operator()<Count>();
}

// Cuts `rows` into tiles of nearly equal height, so that none is too thin to hide latency.
template <typename Body>
void for_each_tile(int rows, Body body) {
  const int tiles = (rows + kTileRows - 1) / kTileRows;
  for (int i = 0, first = 0; i < tiles; ++i) {
    const int height = (rows - first + tiles - i - 1) / (tiles - i);
    with_count<kTileRows>(height, [&]<int Rows>() { body.template operator()<Rows>(first); });
    first += height;
  }
}

void gemm_panel(const PanelTask& task) {
  with_count<kPanelVecs>(task.vecs, [&]<int Vecs>() {
    for_each_tile(task.rows, [&]<int Rows>(int first) { panel_tile<Rows, Vecs>(task, first); });
  });
}

// The best column so far of each lane, for one row.
struct Best {
  Vec score;
  Vec column;  // as floats: exact to 2^24

  void take(Vec scores, Vec columns) {
    const Mask better = scores > score;  // the earlier, lower column keeps a tie
    score = select(better, scores, score);
    column = select(better, columns, column);
  }

  std::int32_t lowest_best() const {
    float scores[kLanes], columns[kLanes];
    store(scores, score);
    store(columns, column);
    int best = 0;
    for (int i = 1; i < kLanes; ++i) {
      const bool tie = scores[i] == scores[best];
      if (scores[i] > scores[best] || (tie && columns[i] < columns[best])) best = i;
    }
    return static_cast<std::int32_t>(columns[best]);
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
  for_each_tile(task.rows, [&]<int Rows>(int first) {
    GemmInput a = task.a;
    a.data += first * a.row_step;
    Tile<Rows, Vecs> tile;
    tile.load_bias(task.bias + first_column);
    tile.multiply_add(a, panel, fetch_share(next_panel, a, Vecs, first, Rows, task.rows));
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
  for (int t = 0; t < task.rows; ++t) task.nearest[t] = best[t].lowest_best();
}

}  // namespace
