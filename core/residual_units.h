// SEANet's residual units: a pair of convolutions each, run slice by slice in the cache.
#pragma once

#include <vector>

#include "core/conv.h"

namespace mimi {

// x + conv1(elu(conv3(elu(x)))), the second convolution having a kernel of 1.
struct ResidualUnit {
  CausalConv narrow;  // to channels / compress
  CausalConv widen;   // back

  double flop_per_row() const { return narrow.flop_per_row() + widen.flop_per_row(); }
};

// The input of a stage's residual units: the rows, and their ELU with the history that the
// first convolution needs.
struct UnitRows {
  RowBuffer raw;
  RowBuffer elu;
};

// Those of a stage of `channels`, layers `first_index` on of "encoder" or "decoder"; their
// dilations grow.
void load_units(WeightReader& reader, const char* side, int first_index, int channels,
                std::vector<ResidualUnit>& units);
double unit_flop_per_row(const std::vector<ResidualUnit>& units);

std::vector<UnitRows> unit_buffers(const std::vector<ResidualUnit>& units, int capacity);
void copy_histories(const std::vector<UnitRows>& from, std::vector<UnitRows>& to);
// Of each thread, for units of at most so many channels.
std::vector<kernels::AlignedFloats> unit_scratch(int threads, int widest_channels);

// Runs all units over `rows` rows of the first one's input; the last one's output is only ever used
// through its ELU.
void run_units(int threads, const std::vector<ResidualUnit>& units, std::vector<UnitRows>& inputs,
               int rows, const kernels::GemmOutput& output,
               std::vector<kernels::AlignedFloats>& scratch);

// Where sums go raw, and their ELU, from row `first` on.
kernels::GemmOutput raw_and_elu(kernels::Activation elu, UnitRows& rows, int first);
kernels::GemmOutput elu_only(kernels::Activation elu, RowBuffer& rows, int first);

}  // namespace mimi
