#include "core/conv.h"

#include <algorithm>
#include <array>

#include "kernels/batch.h"
#include "kernels/parallel.h"

namespace mimi {
namespace {

// Every `step`-th output row from `row` on.
kernels::GemmOutput every_row(const kernels::GemmOutput& output, int row, int step) {
  kernels::GemmOutput sparse = kernels::output_at(output, row);
  sparse.stride *= step;
  sparse.epilogue.activated_stride *= step;
  return sparse;
}

// Each row with the one before it.
kernels::GemmInput pairs_of(const RowBuffer& input, int first) {
  return {.data = input.row(first - TransposedConv::kHistory),
          .row_step = input.stride(),
          .tap_step = input.stride(),
          .taps = 2,
          .depth = input.channels()};
}

// to[c][r] = from[r][c], in blocks of whole cache lines.
template <typename T>
void transpose(const T* from, int rows, std::ptrdiff_t from_step, int columns, T* to,
               std::ptrdiff_t to_step) {
  constexpr int kBlock = 16;
  for (int first = 0; first < rows; first += kBlock) {
    const int last = std::min(first + kBlock, rows);
    for (int c = 0; c < columns; ++c) {
      for (int r = first; r < last; ++r) to[c * to_step + r] = from[r * from_step + c];
    }
  }
}

}  // namespace

void CausalConv::load(WeightReader& reader, kernels::Dtype dtype, const std::string& name,
                      const ConvShape& shape, bool has_bias) {
  shape_ = shape;
  const auto [in, out, kernel, stride, dilation] = shape;
  std::vector<TensorSpec> tensors = {
      {.name = name + ".weight", .shape = {out, in, kernel}, .dtype = dtype}};
  if (has_bias) tensors.push_back({name + ".bias", {out}});
  const kernels::Packing packing = {reader.packing().table, dtype};
  reader.add(tensors, [this, tensors, packing, &checkpoint = reader.checkpoint()] {
    const Weights weight = checkpoint.read_weights(tensors[0]);
    const Floats bias = tensors.size() > 1 ? checkpoint.read(tensors[1]) : Floats();
    weights_ =
        kernels::PackedMatrix(packing,
                              {.data = weight.data,
                               .tap_step = 1,
                               .depth_step = shape_.kernel,
                               .column_step = std::ptrdiff_t{shape_.in_channels} * shape_.kernel,
                               .taps = shape_.kernel,
                               .depth = shape_.in_channels,
                               .columns = shape_.out_channels,
                               .type = weight.dtype,
                               .scales = weight.first_scale()},
                              bias.view());
  });
}

kernels::GemmInput CausalConv::rows_of(const RowBuffer& input, int first) const {
  return {.data = input.row(first - history()),
          .row_step = shape_.stride * input.stride(),
          .tap_step = shape_.dilation * input.stride(),
          .taps = shape_.kernel,
          .depth = shape_.in_channels};
}

void TransposedConv::load(WeightReader& reader, const std::string& name, int in_channels,
                          int out_channels, int stride) {
  in_channels_ = in_channels;
  out_channels_ = out_channels;
  stride_ = stride;
  const TensorSpec weight = {.name = name + ".weight",
                             .shape = {in_channels, out_channels, 2 * stride},
                             .dtype = reader.packing().dtype,
                             .phases = stride};
  const TensorSpec bias = {name + ".bias", {out_channels}};
  reader.add({weight, bias},
             [this, weight, bias, packing = reader.packing(), &checkpoint = reader.checkpoint()] {
               pack(packing, checkpoint.read_weights(weight), checkpoint.read(bias));
             });
}

void TransposedConv::pack(const kernels::Packing& packing, const Weights& weight,
                          const Floats& bias) {
  for (int j = 0; j < stride_; ++j) {
    phases_.emplace_back(packing, 2, in_channels_, out_channels_).set_bias(bias.view());
  }
  switch (weight.dtype) {
    case kernels::Dtype::kF32:
      return pack_values<float>(weight);
    case kernels::Dtype::kBf16:
      return pack_values<std::uint16_t>(weight);
    case kernels::Dtype::kInt8:
      return pack_values<std::int8_t>(weight);
  }
}

// Some columns at a time are brought into an order in which each phase's lie together: in the file
// a phase has two values of a line, and far from the next.
template <typename T>
void TransposedConv::pack_values(const Weights& weight) {
  constexpr int kColumns = 16;
  const int kernel = 2 * stride_;
  // A line more, since rows a multiple of 4 KB apart would fall into one set of the cache.
  const std::ptrdiff_t row_step = in_channels_ + kernels::kLanes;
  std::vector<T> rows(static_cast<std::size_t>(kColumns * kernel * row_step));
  for (int first = 0; first < out_channels_; first += kColumns) {
    const int columns = std::min(kColumns, out_channels_ - first);
    const T* from = static_cast<const T*>(weight.data) + std::ptrdiff_t{first} * kernel;
    transpose(from, in_channels_, std::ptrdiff_t{out_channels_} * kernel, columns * kernel,
              rows.data(), row_step);
    for (int j = 0; j < stride_; ++j) {
      const float* const scales = weight.first_scale();
      phases_[static_cast<std::size_t>(j)].set_columns(
          first, {.data = rows.data() + (j + stride_) * row_step,
                  .tap_step = -stride_ * row_step,
                  .depth_step = 1,
                  .column_step = kernel * row_step,
                  .taps = 2,
                  .depth = in_channels_,
                  .columns = columns,
                  .type = weight.dtype,
                  .scales = scales ? scales + std::ptrdiff_t{first} * stride_ + j : nullptr,
                  .scale_step = stride_});
    }
  }
}

void TransposedConv::run(int most_threads, const RowBuffer& input, int first, int rows,
                         const kernels::GemmOutput& output) const {
  const int threads = kernels::worthwhile_threads(most_threads, rows * flop_per_row());
  // Each block of rows goes through all phases while it is in the cache; with few rows each thread
  // has phases of its own, so that no two read the same weights.
  constexpr int kBlockRows = 48;
  const int blocks = std::max(1, rows / kBlockRows);
  const int phases_a_task = blocks >= 2 * threads ? stride() : 1;
  const int tasks_a_block = stride() / phases_a_task;
  kernels::parallel_for(threads, blocks * tasks_a_block, [&](int task, int) {
    const int block = task / tasks_a_block;
    const auto row_of = [&](std::int64_t number) {
      return static_cast<int>(rows * number / blocks);
    };
    const int first_row = row_of(block), last_row = row_of(block + 1);
    const int first_phase = task % tasks_a_block * phases_a_task;
    const kernels::Operand operand = kernels::make_operand(
        1, phases_.front(), pairs_of(input, first + first_row), last_row - first_row);
    const kernels::GemmOutput block_output = kernels::output_at(output, first_row * stride());
    for (int j = first_phase; j < first_phase + phases_a_task; ++j) {
      const kernels::PackedMatrix& w = phases_[static_cast<std::size_t>(j)];
      kernels::gemm(w, operand, every_row(block_output, j, stride()),
                    {0, last_row - first_row, 0, w.panels()});
    }
  });
}

void TransposedConv::run(int threads, std::span<const Item> items, int rows) const {
  if (items.size() == 1) {
    return run(threads, *items.front().input, 0, rows, items.front().output);
  }
  std::vector<kernels::BatchItem> batch;
  for (int j = 0; j < stride(); ++j) {
    batch.clear();
    for (const Item& item : items) {
      batch.push_back({pairs_of(*item.input, 0), every_row(item.output, j, stride())});
    }
    kernels::batch_gemm(threads, phases_[static_cast<std::size_t>(j)], batch, rows);
  }
}

}  // namespace mimi
