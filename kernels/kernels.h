// The table of kernels that each instruction set fills, and the contract of each kernel.
//
// Every kernel gives the same bits on every instruction set: each sum has one order, fixed here.
// A `Vec` below is 16 float lanes on every machine, in as many registers as that takes.
// Rows are padded to whole Vecs with zeros, so no kernel has column tails.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mimi::kernels {

constexpr int kLanes = 16;

// Rows that may overlap: row t is `taps` runs of `depth` floats, run j starting at
// data + t * row_step + j * tap_step. A causal convolution of stride s over rows of `stride` floats
// has row_step = s * stride and tap_step = stride.
struct GemmInput {
  const float* data;
  std::ptrdiff_t row_step;
  std::ptrdiff_t tap_step;
  int taps;
  int depth;
};

enum class Activation { kNone, kElu, kGelu };

// What becomes of a finished sum s at row t, column c:
//   y = residual ? residual[t, c] + scale[c] * s (one fma; scale 1 where null: one add) : s
//   output[t, c] = activated ? y : activation(y);  activated[t, c] = activation(y) where given
struct Epilogue {
  Activation activation = Activation::kNone;
  const float* residual = nullptr;  // must not overlap output
  std::ptrdiff_t residual_stride = 0;
  const float* scale = nullptr;
  float* activated = nullptr;
  std::ptrdiff_t activated_stride = 0;
};

// One panel of a packed matrix against some rows of A:
//   sum[t, c] = fma chain over taps, then depth, ascending, from bias[c] or, where bias is null,
//   from output[t, c]; stored raw where epilogue is null (more depth follows).
struct PanelTask {
  GemmInput a;
  int rows;
  const float* panel;  // [taps * depth][vecs * 16], 64-byte aligned
  int vecs;            // 1 to KernelTable::panel_vecs
  const float* bias;
  float* output;
  std::ptrdiff_t output_stride;
  const Epilogue* epilogue;  // its pointers are at this panel's first column
  // The weights that come next, fetched into the second-level cache meanwhile; may be null.
  const float* next_panel = nullptr;
};

constexpr int kMostNearestRows = 64;

// For each row of A the column c of all panels with the largest bias[c] + A.B[c], as in PanelTask;
// the lowest column wins a tie.
struct NearestTask {
  GemmInput a;
  int rows;             // at most kMostNearestRows
  const float* panels;  // panel p at panels + p * taps * depth * panel_vecs * 16
  int columns;          // padded columns have a bias of -infinity
  const float* bias;
  std::int32_t* nearest;  // [rows]
};

// Attention of one head for one query. The keys and values of step s lie in block (s / 16) % blocks
// of their rings, in lane s % 16; scores are q.k by an fma chain over head_dim ascending.
// The softmax subtracts the exact maximum; its sum has 16 lanes, a step's being s % 16, each summed
// oldest to newest. The values' sum is an fma chain oldest to newest, divided by that sum.
struct AttentionTask {
  const float* query;   // [head_dim padded], rotated and scaled
  const float* keys;    // [blocks][head_dim][16]
  const float* values;  // [blocks][16][head_dim padded]
  int head_dim;
  std::int64_t blocks;
  std::int64_t first_step, last_step;  // both attended to; last - first < 16 * (blocks - 1)
  float* weights;                      // scratch, [blocks * 16]
  float* output;                       // [head_dim padded]
};

struct KernelTable {
  const char* name;
  int panel_vecs;  // a packed panel is this many Vecs wide, the last one of a matrix perhaps fewer
  int tile_rows;   // rows of A that a register tile holds

  void (*gemm_panel)(const PanelTask& task);
  void (*nearest)(const NearestTask& task);
  // output[t] = bias + a row of A times weights[taps][depth padded], summed in 16 lanes by depth
  // modulo 16 (padding is zero), lanes added as a tree of halves.
  void (*dot_rows)(const GemmInput& a, int rows, const float* weights, float bias, float* output);
  // y = (x - mean) / sqrt(variance + eps) * weight + bias over the `channels` of each row; sums in
  // 16 lanes by channel modulo 16, added as a tree of halves.
  void (*layer_norm)(const float* x, std::ptrdiff_t x_stride, int rows, int channels,
                     const float* weight, const float* bias, float epsilon, float* y,
                     std::ptrdiff_t y_stride);
  void (*attention)(const AttentionTask& task);
  // `iterations` times at least 10 independent chains of fma in registers; returns the operations
  // done, a multiply-add being 2. `sink` takes what keeps the work from being removed.
  double (*multiply_add_peak)(std::int64_t iterations, float* sink);
};

}  // namespace mimi::kernels
