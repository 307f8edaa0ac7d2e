#include "core/residual_units.h"

#include <algorithm>
#include <string>

#include "core/seanet_parts.h"
#include "kernels/parallel.h"

namespace mimi {

using kernels::Activation;
using kernels::GemmOutput;

namespace {

// Rows of a residual unit that one task takes through both convolutions in the cache.
constexpr int kSliceRows = 96;

// output = input + widen(elu(narrow(input's elu))), then the output's own epilogue, whose ELU is
// also the inner one.
void run_unit(int most_threads, const ResidualUnit& unit, const UnitRows& input, int rows,
              GemmOutput output, std::vector<kernels::AlignedFloats>& scratch) {
  const int threads = kernels::worthwhile_threads(most_threads, rows * unit.flop_per_row());
  output.epilogue.residual = input.raw.row(0);
  output.epilogue.residual_stride = input.raw.stride();
  const std::ptrdiff_t narrow_stride = row_stride(unit.narrow.shape().out_channels);
  // As many for each thread.
  const int rounds = (rows + kSliceRows * threads - 1) / (kSliceRows * threads);
  const int slices = std::min(rounds * threads, rows);
  kernels::parallel_for(threads, slices, [&](int slice, int worker) {
    const int first = static_cast<int>(std::int64_t{rows} * slice / slices);
    const int count = static_cast<int>(std::int64_t{rows} * (slice + 1) / slices) - first;
    float* narrow = scratch[static_cast<std::size_t>(worker)].data();
    const auto& narrow_weights = unit.narrow.weights();
    kernels::gemm(narrow_weights, unit.narrow.rows_of(input.elu, first),
                  {narrow, narrow_stride, {.activation = output.epilogue.activation}},
                  {0, count, 0, narrow_weights.panels()});
    const auto& widen_weights = unit.widen.weights();
    kernels::gemm(widen_weights,
                  {.data = narrow,
                   .row_step = narrow_stride,
                   .tap_step = 0,
                   .taps = 1,
                   .depth = unit.narrow.shape().out_channels},
                  kernels::output_at(output, first), {0, count, 0, widen_weights.panels()});
  });
}

}  // namespace

void load_units(WeightReader& reader, const char* side, int first_index, int channels,
                std::vector<ResidualUnit>& units) {
  const Config& config = reader.checkpoint().config();
  const kernels::Dtype dtype = reader.packing().dtype;
  units.resize(static_cast<std::size_t>(config.num_residual_layers));
  int dilation = 1;
  for (ResidualUnit& unit : units) {
    const std::string name = layer_name(side, first_index++);
    const int narrow = channels / config.compress;
    unit.narrow.load(reader, dtype, name + ".block.1.conv",
                     {.in_channels = channels,
                      .out_channels = narrow,
                      .kernel = config.residual_kernel_size,
                      .dilation = dilation});
    unit.widen.load(reader, dtype, name + ".block.3.conv",
                    {.in_channels = narrow, .out_channels = channels, .kernel = 1});
    dilation *= config.dilation_growth_rate;
  }
}

double unit_flop_per_row(const std::vector<ResidualUnit>& units) {
  double flop = 0;
  for (const ResidualUnit& unit : units) flop += unit.flop_per_row();
  return flop;
}

GemmOutput raw_and_elu(Activation elu, UnitRows& rows, int first) {
  return {
      rows.raw.row(first),
      rows.raw.stride(),
      {.activation = elu, .activated = rows.elu.row(first), .activated_stride = rows.elu.stride()}};
}

GemmOutput elu_only(Activation elu, RowBuffer& rows, int first) {
  return {rows.row(first), rows.stride(), {.activation = elu}};
}

void run_units(int threads, const std::vector<ResidualUnit>& units, std::vector<UnitRows>& inputs,
               int rows, const GemmOutput& output, std::vector<kernels::AlignedFloats>& scratch) {
  for (std::size_t i = 0; i < units.size(); ++i) {
    const bool last = i + 1 == units.size();
    run_unit(threads, units[i], inputs[i], rows,
             last ? output : raw_and_elu(output.epilogue.activation, inputs[i + 1], 0), scratch);
  }
  for (UnitRows& input : inputs) input.elu.advance(rows);
}

std::vector<UnitRows> unit_buffers(const std::vector<ResidualUnit>& units, int capacity) {
  std::vector<UnitRows> buffers;
  for (const ResidualUnit& unit : units) {
    const int channels = unit.narrow.shape().in_channels;
    buffers.push_back({.raw = RowBuffer(channels, 0, capacity),
                       .elu = RowBuffer(channels, unit.narrow.history(), capacity)});
  }
  return buffers;
}

void copy_histories(const std::vector<UnitRows>& from, std::vector<UnitRows>& to) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i].elu.copy_history(from[i].elu);
}

std::vector<kernels::AlignedFloats> unit_scratch(int threads, int widest_channels) {
  std::vector<kernels::AlignedFloats> scratch;
  for (int i = 0; i < threads; ++i) {
    scratch.emplace_back(static_cast<std::size_t>(kSliceRows * row_stride(widest_channels)));
  }
  return scratch;
}

}  // namespace mimi
