// The values that kernels are called with, and how a wrong one is told.
#pragma once

#include <cstddef>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "tests/reference.h"

namespace mimi::test {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

enum class Values {
  kReal,
  kInteger,  // small, so that sums are exact
  kBytes,    // integers of magnitude 127 at most, which int8 holds, and bf16
};
std::vector<float> random_values(std::ptrdiff_t count, Values kind, unsigned seed);

// `rows` rows of `taps` runs of `depth` random values, and NaN between them.
std::vector<float> rows_with_gaps(int rows, const kernels::GemmInput& shape, Values kind);

// Rows below, at and above the register tiles of all instruction sets.
std::set<int> tile_heights(kernels::Dtype dtype);

inline int padded(int channels) {
  return (channels + kernels::kLanes - 1) / kernels::kLanes * kernels::kLanes;
}

std::string at(int row, int column, const Bounded& expected, float found);

}  // namespace mimi::test
