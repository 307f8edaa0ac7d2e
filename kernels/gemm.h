// Matrix products of time-major rows by packed weights, cut into blocks that stay in the caches.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/aligned.h"
#include "kernels/kernels.h"

namespace mimi::kernels {

// Where a matrix to be packed lies: the value for tap t, depth d and column c is at
// data + t * tap_step + d * depth_step + c * column_step.
struct WeightLayout {
  const float* data;
  std::ptrdiff_t tap_step, depth_step, column_step;
  int taps, depth, columns;
};

// Weights of depth x columns, packed for one KernelTable into panels that lie one after the other,
// each [depth][its width]; columns beyond the last are zero. The taps' depths are joined.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // `bias` is [columns], or empty for zeros; `padding_bias` is that of the columns that fill the
  // last panel.
  PackedMatrix(const KernelTable& table, const WeightLayout& layout, std::span<const float> bias,
               float padding_bias = 0.0f);

  const KernelTable& table() const { return *table_; }
  int depth() const { return depth_; }  // of all taps together
  int columns() const { return columns_; }
  int panel_columns() const { return table_->panel_vecs * kLanes; }
  int panels() const { return (columns_ + panel_columns() - 1) / panel_columns(); }
  int panel_vecs(int panel) const;
  const float* panel(int panel) const;
  const float* bias(int panel) const { return bias_.data() + panel * panel_columns(); }
  std::size_t bytes() const { return weights_.size() * sizeof(float); }
  // Floating-point operations for each row of A.
  double flop_per_row() const { return 2.0 * depth_ * columns_; }

 private:
  void pack_panel(const WeightLayout& layout, int p);

  const KernelTable* table_ = nullptr;
  int depth_ = 0, columns_ = 0;
  AlignedFloats weights_;
  AlignedFloats bias_;
};

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

// output = epilogue(bias + A W) within `range`, on the calling thread; a.taps * a.depth is the
// weights' depth. The output's padding columns become the epilogue of 0.
void gemm(const PackedMatrix& weights, const GemmInput& a, const GemmOutput& output,
          const GemmRange& range);

// The same for rows [0, rows) and all panels, shared out over the threads.
void parallel_gemm(int threads, const PackedMatrix& weights, const GemmInput& a, int rows,
                   const GemmOutput& output);

}  // namespace mimi::kernels
