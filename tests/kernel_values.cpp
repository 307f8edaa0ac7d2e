#include "tests/kernel_values.h"

#include <algorithm>
#include <random>

#include "tests/emulated_amx.h"

namespace mimi::test {
namespace {

using kernels::Dtype;
using kernels::KernelTable;

int tile_rows(const KernelTable& table, Dtype dtype) {
  if (dtype == Dtype::kF32) return table.tile_rows;
  return dtype == Dtype::kBf16 ? table.bf16.tile_rows : table.int8.tile_rows;
}

}  // namespace

std::vector<float> random_values(std::ptrdiff_t count, Values kind, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) {
    const auto draw = static_cast<int>(random() % 4001) - 2000;
    if (kind == Values::kReal) v = static_cast<float>(draw) / 1777.0F;
    if (kind == Values::kInteger) v = static_cast<float>(draw % 4);
    if (kind == Values::kBytes) v = static_cast<float>(draw % 128);
  }
  return values;
}

std::vector<float> rows_with_gaps(int rows, const kernels::GemmInput& shape, Values kind) {
  const auto size = (rows - 1) * shape.row_step + (shape.taps - 1) * shape.tap_step + shape.depth;
  std::vector<float> values(static_cast<std::size_t>(size), kNaN);
  const std::vector<float> drawn = random_values(size, kind, 1);
  for (int t = 0; t < rows; ++t) {
    for (int tap = 0; tap < shape.taps; ++tap) {
      const std::ptrdiff_t begin = t * shape.row_step + tap * shape.tap_step;
      std::copy_n(drawn.begin() + begin, shape.depth, values.begin() + begin);
    }
  }
  return values;
}

std::set<int> tile_heights(Dtype dtype) {
  std::set<int> heights = {1, 16};  // 16: the least of AMX's
  for (const KernelTable* table : checked_tables()) {
    const int tile = tile_rows(*table, dtype);
    heights.insert({std::max(1, tile - 1), tile, tile + 1, 2 * tile + 1});
  }
  return heights;
}

std::string at(int row, int column, const Bounded& expected, float found) {
  return "row " + std::to_string(row) + ", column " + std::to_string(column) + " is " +
         std::to_string(found) + ", expected " + std::to_string(expected.value) + " to within " +
         std::to_string(expected.bound);
}

}  // namespace mimi::test
