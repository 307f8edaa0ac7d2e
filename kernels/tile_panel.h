// The int8 product of many rows by a unit of tile registers, which adds the products of whole tiles
// at a time to integer sums; what becomes of a tap's sums is as in int8_panel.h. `Unit` is the
// CPU's (amx_unit.h) or, in the tests, an emulation.
#pragma once

#include "kernels/int8_panel.h"

namespace {

// What a register holds at most: so many rows of so many floats, which are steps or a Vec.
constexpr int kUnitRows = 16;
constexpr int kUnitFloats = 16;
constexpr int kUnitSteps = kUnitFloats;
static_assert(kUnitFloats == kLanes);

// The shapes of the registers, as the instruction that sets them reads them.
struct alignas(64) UnitShapes {
  unsigned char palette = 1, start_row = 0, reserved[14] = {};
  unsigned short row_bytes[16] = {};
  unsigned char rows[16] = {};

  void set(int tile, int tile_rows) {
    rows[tile] = static_cast<unsigned char>(tile_rows);
    row_bytes[tile] = 4 * kUnitFloats;
  }
};
static_assert(sizeof(UnitShapes) == 64);

// The registers: two heights of rows by two Vecs of columns.
constexpr int sums_tile(int height, int vec) { return 2 * height + vec; }
constexpr int rows_tile(int height) { return 4 + height; }
constexpr int columns_tile(int vec) { return 6 + vec; }

// Up to 32 rows: one register high, or two, whose heights differ by one row at most.
struct UnitBlock {
  int first, rows;

  int heights() const { return rows > kUnitRows ? 2 : 1; }
  int height(int i) const { return (rows + heights() - 1 - i) / heights(); }
};

template <typename Unit>
void set_shapes(Unit& unit, const UnitBlock& block) {
  UnitShapes shapes;
  for (int h = 0; h < block.heights(); ++h) {
    for (int v = 0; v < 2; ++v) shapes.set(sums_tile(h, v), block.height(h));
    shapes.set(rows_tile(h), block.height(h));
  }
  for (int v = 0; v < 2; ++v) shapes.set(columns_tile(v), kUnitSteps);
  unit.set_shapes(shapes);
}

// Calls body.operator()<i>() for i in 0..Count - 1.
template <int Count, typename Body>
void for_each_below(Body body) {
  if constexpr (Count > 1) for_each_below<Count - 1>(body);
  body.template operator()<Count - 1>();
}

// The integer sums of one tap, of as many of its steps as fill tiles, from the offsets on. `height`
// is that of the first tiles.
template <int Heights, int Vecs, typename Unit>
void sum_tiles(Unit& unit, const GemmInput& a, const float* panel, const float* offsets, int height,
               Fetch& fetch, float* sums) {
  constexpr int kColumns = Vecs * kLanes;
  for_each_below<Heights>([&]<int H>() {
    for_each_below<Vecs>([&]<int V>() {
      unit.template load<sums_tile(H, V)>(offsets + V * kLanes, 0);  // the same in all rows
    });
  });
  for (int k = 0; k + kUnitSteps <= a.depth; k += kUnitSteps, panel += kUnitSteps * kColumns) {
    for (int i = 0; i < kUnitSteps; ++i) fetch.advance();
    for_each_below<Vecs>(
        [&]<int V>() { unit.template load<columns_tile(V)>(panel + V * kLanes, kColumns); });
    for_each_below<Heights>([&]<int H>() {
      unit.template load<rows_tile(H)>(a.data + H * height * a.row_step + k, a.row_step);
      for_each_below<Vecs>([&]<int V>() {
        unit.template add_quads<sums_tile(H, V), rows_tile(H), columns_tile(V)>();
      });
    });
  }
  for_each_below<Heights>([&]<int H>() {
    for_each_below<Vecs>([&]<int V>() {
      unit.template store<sums_tile(H, V)>(sums + H * height * kColumns + V * kLanes, kColumns);
    });
  });
}

template <int Heights, int Vecs, typename Unit>
void unit_block(Unit& unit, const PanelTask& task, const UnitBlock& block) {
  constexpr int kColumns = Vecs * kLanes;
  const Int8Scaling& scaling = *task.int8;
  alignas(64) float sums[2 * kUnitRows * kColumns];
  Fetch fetch = fetch_share(task.next_panel, task.a, Vecs, block.first, block.rows, task.rows);
  for (int tap = 0; tap < task.a.taps; ++tap) {
    GemmInput a = task.a;
    a.taps = 1;
    a.data += block.first * a.row_step + tap * a.tap_step;
    const float* panel = task.panel + std::ptrdiff_t{tap} * a.depth * kColumns;
    sum_tiles<Heights, Vecs>(unit, a, panel, scaling.offsets + tap * scaling.offset_step,
                             block.height(0), fetch, sums);
    // The steps that are left, row by row.
    const int summed = a.depth / kUnitSteps * kUnitSteps;
    a.data += summed;
    a.depth -= summed;
    panel += std::ptrdiff_t{summed} * kColumns;
    for (int t = 0; t < block.rows; ++t, a.data += a.row_step) {
      Tile<1, Vecs> row;
      row.load_rows(sums + t * kColumns, kColumns);
      row.template accumulate<AddQuads>(a, panel, fetch);
      scale_tap(row, task, block.first + t, tap);
    }
  }
  if (task.epilogue) finish_tile(task, block.first, block.rows);
}

template <int Vecs, typename Unit>
void unit_panel(Unit& unit, const PanelTask& task) {
  const int blocks = (task.rows + 2 * kUnitRows - 1) / (2 * kUnitRows);
  UnitBlock block = {0, 0};
  for (int i = 0; i < blocks; ++i, block.first += block.rows) {
    // Nearly equal, so that the shapes change once at most.
    const int rows = (task.rows - block.first + blocks - i - 1) / (blocks - i);
    if (rows != block.rows) {
      block.rows = rows;
      set_shapes(unit, block);
    }
    block.heights() == 2 ? unit_block<2, Vecs>(unit, task, block)
                         : unit_block<1, Vecs>(unit, task, block);
  }
}

// The registers are the calling thread's, and clear again when this returns. Where rows, or a tap's
// steps, do not fill a tile, storing sums and loading them again costs what the unit gains.
template <typename Unit>
void tile_panel(const PanelTask& task) {
  if (task.rows < kUnitRows || task.a.depth < kUnitSteps) return int8_panel<AddQuads>(task);
  Unit unit;
  with_count<kPanelVecs>(task.vecs, [&]<int Vecs>() { unit_panel<Vecs>(unit, task); });
  unit.release();
}

// As many independent sums as there are registers for beside what is multiplied.
template <typename Unit>
double tile_peak(std::int64_t iterations, float* sink) {
  Unit unit;
  set_shapes(unit, {0, 2 * kUnitRows});  // which makes all of them zero
  for (std::int64_t n = 0; n < iterations; ++n) {
    for_each_below<2>([&]<int H>() {
      for_each_below<2>([&]<int V>() {
        unit.template add_quads<sums_tile(H, V), rows_tile(H), columns_tile(V)>();
      });
    });
  }
  unit.template store<sums_tile(0, 0)>(sink, 0);
  unit.release();
  constexpr int kProducts = AddQuads::kValues * kUnitRows * kUnitSteps * kUnitFloats;
  return 2.0 * 4 * kProducts * static_cast<double>(iterations);
}

template <typename Unit>
constexpr mimi::kernels::Int8Kernels make_tile_kernels() {
  return {.tile_rows = 2 * kUnitRows,
          .panel = tile_panel<Unit>,
          .quantize_rows = quantize_rows,
          .multiply_add_peak = tile_peak<Unit>};
}

}  // namespace
