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

}  // namespace

CausalConv::CausalConv(const kernels::Packing& packing, const Checkpoint& checkpoint,
                       const std::string& name, const ConvShape& shape, bool has_bias)
    : shape_(shape) {
  const auto [in, out, kernel, stride, dilation] = shape;
  const Floats weight = checkpoint.tensor(name + ".weight", {out, in, kernel});
  const Floats bias = has_bias ? checkpoint.tensor(name + ".bias", {out}) : Floats();
  weights_ = kernels::PackedMatrix(packing,
                                   {.data = weight.view().data(),
                                    .tap_step = 1,
                                    .depth_step = kernel,
                                    .column_step = std::ptrdiff_t{in} * kernel,
                                    .taps = kernel,
                                    .depth = in,
                                    .columns = out},
                                   bias.view());
}

kernels::GemmInput CausalConv::rows_of(const RowBuffer& input, int first) const {
  return {.data = input.row(first - history()),
          .row_step = shape_.stride * input.stride(),
          .tap_step = shape_.dilation * input.stride(),
          .taps = shape_.kernel,
          .depth = shape_.in_channels};
}

TransposedConv::TransposedConv(const kernels::Packing& packing, const Checkpoint& checkpoint,
                               const std::string& name, int in_channels, int out_channels,
                               int stride) {
  const int kernel = 2 * stride;
  const Floats weight = checkpoint.tensor(name + ".weight", {in_channels, out_channels, kernel});
  const Floats bias = checkpoint.tensor(name + ".bias", {out_channels});
  for (int j = 0; j < stride; ++j) {
    phases_.emplace_back(packing,
                         kernels::WeightLayout{.data = weight.view().data() + j + stride,
                                               .tap_step = -stride,
                                               .depth_step = std::ptrdiff_t{out_channels} * kernel,
                                               .column_step = kernel,
                                               .taps = 2,
                                               .depth = in_channels,
                                               .columns = out_channels},
                         bias.view());
  }
}

void TransposedConv::run(int most_threads, const RowBuffer& input, int first, int rows,
                         const kernels::GemmOutput& output) const {
  const int threads = kernels::worthwhile_threads(most_threads, rows * flop_per_row());
  const kernels::GemmInput a = pairs_of(input, first);
  // Each block of rows goes through all phases while it is in the cache; with few rows each thread
  // has phases of its own, so that no two read the same weights.
  constexpr int kBlockRows = 48;
  const int blocks = std::max(1, rows / kBlockRows);
  const int phases_a_task = blocks >= 2 * threads ? stride() : 1;
  const int tasks_a_block = stride() / phases_a_task;
  kernels::parallel_for(threads, blocks * tasks_a_block, [&](int task, int) {
    const int block = task / tasks_a_block;
    const int first_row = rows * block / blocks, last_row = rows * (block + 1) / blocks;
    const int first_phase = task % tasks_a_block * phases_a_task;
    const kernels::Operand operand = kernels::make_operand(phases_.front(), a, first_row, last_row);
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
