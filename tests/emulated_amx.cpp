#include "tests/emulated_amx.h"

#include "kernels/dispatch.h"
#include "kernels/simd_portable.h"

namespace {
// As in kernels/portable.cpp, but with AVX-512's panels.
constexpr int kTileRows = 2;
constexpr int kPairTileRows = 2;
constexpr int kQuadTileRows = 2;
constexpr int kPanelVecs = 2;
constexpr int kPeakVecs = 4;
}  // namespace

#include "kernels/kernel_bodies.h"
#include "kernels/tile_panel.h"
#include "tests/emulated_tiles.h"

namespace mimi::test {
namespace {

kernels::KernelTable emulated_table() {
  kernels::KernelTable table = make_table("emulated-amx");
  table.int8 = make_tile_kernels<EmulatedUnit>();
  return table;
}

}  // namespace

const std::vector<const kernels::KernelTable*>& checked_tables() {
  static const kernels::KernelTable emulated = emulated_table();
  static const std::vector<const kernels::KernelTable*> tables = [] {
    std::vector<const kernels::KernelTable*> all;
    all.push_back(&emulated);
    for (const kernels::KernelTable* table : kernels::available()) all.push_back(table);
    return all;
  }();
  return tables;
}

}  // namespace mimi::test
