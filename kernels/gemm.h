// Matrix products of time-major rows by packed weights, cut into blocks that stay in the caches.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "kernels/aligned.h"
#include "kernels/kernels.h"

namespace mimi::kernels {

// Weights of [taps * depth] x columns, packed for one KernelTable into panels that lie one after
// the other, each [taps * depth][its width]; columns beyond the last are zero.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // weight(k, column) gives the matrix's values; bias is [columns], or empty for zeros.
  // `padding_bias` is the bias of the columns that fill the last panel.
  PackedMatrix(const KernelTable& table, int taps, int depth, int columns,
               const std::function<float(int k, int column)>& weight, std::span<const float> bias,
               float padding_bias = 0.0f);

  const KernelTable& table() const { return *table_; }
  int taps() const { return taps_; }
  int depth() const { return depth_; }  // of one tap
  int columns() const { return columns_; }
  int panels() const;
  int panel_vecs(int panel) const;
  const float* panel(int panel) const;
  const float* bias(int panel) const { return bias_.data() + panel * panel_columns(); }
  int panel_columns() const { return table_->panel_vecs * kLanes; }
  std::size_t bytes() const { return weights_.size() * sizeof(float); }

 private:
  const KernelTable* table_ = nullptr;
  int taps_ = 0, depth_ = 0, columns_ = 0;
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

// output = epilogue(bias + A W) within `range`, on the calling thread. `a.taps` and `a.depth` are
// the weights'. The output's padding columns become the epilogue of 0.
void gemm(const PackedMatrix& weights, const GemmInput& a, const GemmOutput& output,
          const GemmRange& range);

// The same for rows [0, rows) and all panels, shared out over the threads.
void parallel_gemm(int threads, const PackedMatrix& weights, const GemmInput& a, int rows,
                   const GemmOutput& output);

}  // namespace mimi::kernels
