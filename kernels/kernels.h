// The table of kernels that each instruction set fills, and the contract of each kernel.
//
// Every kernel gives the same bits on every instruction set: each sum has one order, fixed here.
// A `Vec` below is 16 float lanes on every machine, in as many registers as that takes.
// Rows are padded to whole Vecs with zeros, so no kernel has column tails.
//
// Matrix products come in three arithmetics. A step along their depth is a float of a row and one
// of each column, whose bits hold
//   f32   1 value
//   bf16  2 values, the earlier in the low half, each rounded to nearest even
//   int8  4 values, the earliest in the lowest byte; of a row, value + 128 as an unsigned byte
#pragma once

#include <cstddef>
#include <cstdint>

namespace mimi::kernels {

constexpr int kLanes = 16;

enum class Dtype { kF32, kBf16, kInt8 };
constexpr int values_per_step(Dtype dtype) {
  return dtype == Dtype::kF32 ? 1 : dtype == Dtype::kBf16 ? 2 : 4;
}

// Rows that may overlap: row t is `taps` runs of `depth` floats, run j starting at
// data + t * row_step + j * tap_step. A causal convolution of stride s over rows of `stride` floats
// has row_step = s * stride and tap_step = stride.
struct GemmInput {
  const float* data;
  std::ptrdiff_t row_step;
  std::ptrdiff_t tap_step;
  int taps;
  int depth;  // in a PanelTask: steps
};

// kEluCoarse is for results that will be rounded to bf16 or int8 (elu_coarse in vector_math.h).
enum class Activation { kNone, kElu, kEluCoarse, kGelu };

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

// What int8 needs beyond its bytes. A value of row t's tap j is about byte * its row scale, one of
// column c is about byte * its column scale.
struct Int8Scaling {
  const float* row_scales;  // of row t and tap j: row_scales[t * row_step + j * tap_step]
  std::ptrdiff_t row_step, tap_step;
  // [taps][offset_step], from this panel's first column on, 32-bit integers as bits: -128 times the
  // sum of the column's bytes in that tap, which takes back what rows' bytes have too much.
  const float* offsets;
  std::ptrdiff_t offset_step;
  const float* column_scales;
  bool first;  // no tap was summed before
};

// One panel of a packed matrix against some rows of A:
//   f32: sum[t, c] = fma chain over taps, then depth, ascending, from bias[c] or, where bias is
//     null, from output[t, c]
//   bf16: the same, but of a pair the later value goes first; subnormals, read or made, are zero:
//     the caller has set the thread's floating-point mode so
//   int8: sum[t, c] = fma chain over taps, ascending, of the tap's exact integer sum times the
//     row's scale, from 0 or, unless `first`, from output[t, c]; with the epilogue, that times
//     column_scale[c] plus bias[c] in one fma
// Stored raw where epilogue is null (more depth follows).
struct PanelTask {
  GemmInput a;
  int rows;
  const float* panel;  // [taps * steps][vecs * 16], 64-byte aligned
  int vecs;            // 1 to KernelTable::panel_vecs
  const float* bias;
  float* output;
  std::ptrdiff_t output_stride;
  const Epilogue* epilogue;  // its pointers are at this panel's first column
  const Int8Scaling* int8 = nullptr;
  // The weights that come next, fetched into the second-level cache meanwhile; may be null.
  const float* next_panel = nullptr;
};

constexpr int kMostNearestRows = 64;

// For each row of A the column c of all panels with the largest score bias[c] + A.B[c], as in
// PanelTask; the lowest wins a tie. Where no score is above -infinity it is column 0.
struct NearestColumn {
  float score;
  std::int32_t column;
};
struct NearestTask {
  GemmInput a;
  int rows;             // at most kMostNearestRows
  const float* panels;  // panel p at panels + p * taps * depth * panel_vecs * 16
  int columns;          // padded columns have a bias of -infinity
  const float* bias;
  NearestColumn* nearest;  // [rows]
};

// Attention of one head. The keys and values of step s lie in block (s / 16) % blocks of their
// rings, in lane s % 16; scores are q.k by an fma chain over head_dim ascending. The softmax
// subtracts the exact maximum; its sum has 16 lanes, a step's being s % 16, each summed oldest to
// newest. The values' sum is an fma chain oldest to newest, divided by that sum.
struct AttentionQuery {
  const float* query;                  // [head_dim padded], rotated and scaled
  std::int64_t first_step, last_step;  // both attended to
  float* weights;                      // scratch, [blocks * 16]
  float* output;                       // [head_dim padded]
};
constexpr int kMostQueries = 4;
struct AttentionTask {
  const float* keys;       // [blocks][head_dim][16]
  const float* values;     // [blocks][16][head_dim padded]
  const float* next_keys;  // those that are likely to be used next, or these
  int head_dim;
  std::int64_t blocks;
  // Those of a task share what they read; neither step of one is before that of the one before it,
  // and from the first one's first step to the last one's last there are at most 16 * (blocks - 1).
  int count;  // 1 to kMostQueries
  AttentionQuery queries[kMostQueries];
};

// Panels of bf16. Rows are made by round_rows: `vecs` Vecs of floats become floats_per_pair floats
// for each pair, either its bits in one or both values widened in two; a task's `data` and steps
// between rows are in those.
struct Bf16Kernels {
  int tile_rows;
  int floats_per_pair;
  void (*panel)(const PanelTask& task);
  void (*round_rows)(const float* x, std::ptrdiff_t x_stride, int rows, int vecs, float* out,
                     std::ptrdiff_t out_stride);
  double (*multiply_add_peak)(std::int64_t iterations, float* sink);
};

// Panels of int8. quantize_rows makes the bytes of rows of `vecs` Vecs, [rows][vecs * 4] floats,
// and each row's scale: its largest magnitude / 127.
struct Int8Kernels {
  int tile_rows;
  void (*panel)(const PanelTask& task);
  void (*quantize_rows)(const float* x, std::ptrdiff_t x_stride, int rows, int vecs, float* out,
                        std::ptrdiff_t out_stride, float* scales);
  double (*multiply_add_peak)(std::int64_t iterations, float* sink);
};

struct KernelTable {
  const char* name;
  int panel_vecs;  // a packed panel is this many Vecs wide, the last one of a matrix perhaps fewer
  int tile_rows;   // rows of A that a register tile of f32 holds
  Bf16Kernels bf16;
  Int8Kernels int8;

  void (*f32_panel)(const PanelTask& task);
  // Applies an epilogue to finished sums of `vecs` Vecs; output may be the sums.
  void (*finish)(const Epilogue& epilogue, const float* sums, std::ptrdiff_t sums_stride, int rows,
                 int vecs, float* output, std::ptrdiff_t output_stride);
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
  // `iterations` times at least 10 independent chains of multiply-adds in registers; returns the
  // operations done, a multiply-add being 2. `sink` takes what keeps the work from being removed.
  // Those of the other dtypes run what their panels run.
  double (*multiply_add_peak)(std::int64_t iterations, float* sink);
};

}  // namespace mimi::kernels
