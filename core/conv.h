// The convolutions of Mimi as matrix products over time-major rows: causal ones whose rows overlap,
// and transposed ones with kernel = 2 * stride, which are `stride` products over pairs of rows.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/row_buffer.h"
#include "core/weight_reader.h"
#include "kernels/gemm.h"

namespace mimi {

struct ConvShape {
  int in_channels, out_channels;
  int kernel;
  int stride = 1;
  int dilation = 1;
};

// out[t] = bias + sum over taps j of W[:, :, j] in[t * stride + j * dilation - history].
class CausalConv {
 public:
  // `name`.weight is [out x in x kernel]; a matrix of `dtype`.
  void load(WeightReader& reader, kernels::Dtype dtype, const std::string& name,
            const ConvShape& shape, bool has_bias = true);

  const ConvShape& shape() const { return shape_; }
  const kernels::PackedMatrix& weights() const { return weights_; }
  double flop_per_row() const {
    return 2.0 * shape_.kernel * shape_.in_channels * shape_.out_channels;
  }
  // Past rows that the first new one needs.
  int history() const { return (shape_.kernel - 1) * shape_.dilation + 1 - shape_.stride; }
  // The rows that the product reads for output row 0 on, where that needs `input`'s row `first`.
  kernels::GemmInput rows_of(const RowBuffer& input, int first = 0) const;

 private:
  ConvShape shape_{};
  kernels::PackedMatrix weights_;
};

// out[t * stride + j] = bias + W[:, :, j + stride] in[t - 1] + W[:, :, j] in[t], 0 <= j < stride.
class TransposedConv {
 public:
  static constexpr int kHistory = 1;

  // `name`.weight is [in x out x 2 * stride].
  void load(WeightReader& reader, const std::string& name, int in_channels, int out_channels,
            int stride);

  int stride() const { return stride_; }
  double flop_per_row() const { return 4.0 * stride_ * in_channels_ * out_channels_; }
  // `rows` input rows from `first` on give rows * stride() output rows.
  void run(int most_threads, const RowBuffer& input, int first, int rows,
           const kernels::GemmOutput& output) const;
  // The same from row 0 on for each of several streams, reading the weights once for all.
  struct Item {
    const RowBuffer* input;
    kernels::GemmOutput output;
  };
  void run(int threads, std::span<const Item> items, int rows) const;

 private:
  void pack(const kernels::Packing& packing, const Weights& weight, const Floats& bias);
  template <typename T>
  void pack_values(const Weights& weight);

  int in_channels_ = 0, out_channels_ = 0, stride_ = 0;
  std::vector<kernels::PackedMatrix> phases_;  // one for each j
};

}  // namespace mimi
