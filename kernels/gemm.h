// Matrix products of time-major rows by packed weights, cut into blocks that stay in the caches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "kernels/aligned.h"
#include "kernels/float_mode.h"
#include "kernels/kernels.h"

namespace mimi::kernels {

// Where a matrix to be packed lies: the value for tap t, depth d and column c is at
// data + t * tap_step + d * depth_step + c * column_step, counted in values.
struct WeightLayout {
  const void* data;
  std::ptrdiff_t tap_step, depth_step, column_step;
  int taps, depth, columns;
  // float; bf16's upper halves of floats; signed bytes, none -128, which count in their column's
  // scale, scales[c * scale_step].
  Dtype type = Dtype::kF32;
  const float* scales = nullptr;
  std::ptrdiff_t scale_step = 1;
};

// For which kernels weights are packed.
struct Packing {
  const KernelTable* table = nullptr;
  Dtype dtype = Dtype::kF32;

  Packing as_f32() const { return {table, Dtype::kF32}; }
  // For what int8 is too coarse.
  Packing at_least_bf16() const { return {table, dtype == Dtype::kInt8 ? Dtype::kBf16 : dtype}; }
};

// Weights of depth x columns, packed for one KernelTable and Dtype into panels that lie one after
// the other, each [taps * steps][its width]; columns beyond the last are zero, and so are the
// values that fill a tap's last step. Of f32, they become bf16 or int8 as low_precision.h says.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // `bias` is [columns], or empty for zeros; `padding_bias` is that of the columns that fill the
  // last panel.
  PackedMatrix(const Packing& packing, const WeightLayout& layout, std::span<const float> bias,
               float padding_bias = 0.0f);
  // All zero.
  PackedMatrix(const Packing& packing, int taps, int depth, int columns);
  // Packs the columns of `layout` as those from `first` on, which were never set before.
  void set_columns(int first, const WeightLayout& layout);
  void set_bias(std::span<const float> bias, float padding_bias = 0.0f);

  const KernelTable& table() const { return *packing_.table; }
  Dtype dtype() const { return packing_.dtype; }
  int taps() const { return taps_; }
  int depth() const { return depth_; }  // of one tap
  int steps() const;                    // of one tap
  int columns() const { return columns_; }
  int panel_columns() const { return table().panel_vecs * kLanes; }
  int panels() const { return (columns_ + panel_columns() - 1) / panel_columns(); }
  int panel_vecs(int panel) const;
  const float* panel(int panel) const { return weights_.data() + panel_place(panel); }
  const float* bias(int panel) const { return bias_.data() + panel * panel_columns(); }
  // Of int8, from a panel's first column on, for one tap and for all.
  const float* offsets(int panel, int tap) const;
  std::ptrdiff_t offset_step() const { return static_cast<std::ptrdiff_t>(bias_.size()); }
  const float* column_scales(int panel) const {
    return column_scales_.data() + panel * panel_columns();
  }
  std::size_t bytes() const { return weights_.size() * sizeof(float); }
  // Floating-point operations for each row of A.
  double flop_per_row() const { return 2.0 * taps_ * depth_ * columns_; }

 private:
  template <typename Source, typename Target>
  void pack(const WeightLayout& layout, int source, int columns, int column);
  std::ptrdiff_t panel_place(int panel) const;
  void add_offset(int tap, int column, std::int32_t sum_of_bytes);

  Packing packing_;
  int taps_ = 0, depth_ = 0, columns_ = 0;
  AlignedFloats weights_;
  AlignedFloats bias_;
  AlignedFloats column_scales_;  // [columns padded]
  AlignedFloats offsets_;        // [taps][columns padded], integers as bits
};

// Rows of A as the weights' dtype takes them.
struct Operand {
  GemmInput a;                        // its depth in steps
  const float* row_scales = nullptr;  // of int8: of row t and tap j, as in Int8Scaling
  std::ptrdiff_t scale_row_step = 0, scale_tap_step = 0;
};

// `rows` rows of `a` for products by `weights`: where they must be converted, in memory of the
// calling thread that lasts until its next call, by up to `most_threads` threads.
Operand make_operand(int most_threads, const PackedMatrix& weights, const GemmInput& a, int rows);

// Floats of a converted row for each step.
int floats_per_step(const PackedMatrix& weights);

// What the thread's mode must be while products by these weights, and their epilogues, are
// computed.
std::optional<ScopedFloatMode> product_mode(const PackedMatrix& weights);

// Rows [first, last) of A and panels [first_panel, last_panel) of the weights.
struct GemmRange {
  int first_row, last_row;
  int first_panel, last_panel;
};

// Where results go, from row 0 and column 0 on.
struct GemmOutput {
  float* data;
  std::ptrdiff_t stride;
  Epilogue epilogue;
};

// The same, but with row 0 and column 0 moved to `row` and `column`.
GemmOutput output_at(const GemmOutput& output, std::ptrdiff_t row, std::ptrdiff_t column = 0);

// output = epilogue(bias + A W) within `range`, on the calling thread; a.taps and a.depth are the
// weights'. The output's padding columns become the epilogue of 0.
void gemm(const PackedMatrix& weights, const GemmInput& a, const GemmOutput& output,
          const GemmRange& range);
void gemm(const PackedMatrix& weights, const Operand& a, const GemmOutput& output,
          const GemmRange& range);

// The same for rows [0, rows) and all panels, shared out over the threads.
void parallel_gemm(int threads, const PackedMatrix& weights, const GemmInput& a, int rows,
                   const GemmOutput& output);

}  // namespace mimi::kernels
