// AMX's tile instructions in plain C++, by Intel's description of them. What the CPU would refuse
// with a fault ends the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/tile_panel.h"

namespace {

class EmulatedUnit {
 public:
  ~EmulatedUnit() { require(!configured_, "state left behind"); }

  void set_shapes(const UnitShapes& shapes) {
    require(shapes.palette == 1 && shapes.start_row == 0, "palette 1 from row 0");
    for (const unsigned char byte : shapes.reserved) require(byte == 0, "reserved bytes of 0");
    for (int t = 0; t < 16; ++t) {
      const bool none = shapes.rows[t] == 0 && shapes.row_bytes[t] == 0;
      const bool some = shapes.rows[t] > 0 && shapes.row_bytes[t] > 0;
      require(none || (some && t < kTiles), "rows and bytes of 8 registers");
      require(shapes.rows[t] <= kRows && shapes.row_bytes[t] <= kRowBytes, "16 rows of 64 bytes");
    }
    shapes_ = shapes;
    std::memset(tiles_, 0, sizeof tiles_);
    configured_ = true;
  }
  void release() { configured_ = false; }

  // Clears what is beyond the register's shape.
  template <int T>
  void load(const float* rows, std::ptrdiff_t stride) {
    require_shape(T);
    std::memset(tiles_[T], 0, sizeof tiles_[T]);
    for (int r = 0; r < shapes_.rows[T]; ++r) {
      std::memcpy(tiles_[T][r], rows + r * stride, shapes_.row_bytes[T]);
    }
  }
  template <int T>
  void store(float* rows, std::ptrdiff_t stride) const {
    require_shape(T);
    for (int r = 0; r < shapes_.rows[T]; ++r) {
      std::memcpy(rows + r * stride, tiles_[T][r], shapes_.row_bytes[T]);
    }
  }

  template <int Sums, int Rows, int Columns>
  void add_quads() {
    for (const int t : {Sums, Rows, Columns}) require_shape(t);
    require(shapes_.rows[Sums] == shapes_.rows[Rows], "as many sums as rows");
    require(shapes_.row_bytes[Sums] == shapes_.row_bytes[Columns], "as many sums as columns");
    require(shapes_.row_bytes[Rows] == 4 * shapes_.rows[Columns], "rows as deep as columns");
    for (int r = 0; r < shapes_.rows[Sums]; ++r) {
      for (int c = 0; c < shapes_.row_bytes[Sums]; c += 4) {
        std::int32_t sum = 0;
        std::memcpy(&sum, tiles_[Sums][r] + c, sizeof sum);
        for (int k = 0; k < shapes_.row_bytes[Rows]; ++k) {
          const auto weight = static_cast<std::int8_t>(tiles_[Columns][k / 4][c + k % 4]);
          sum += tiles_[Rows][r][k] * weight;
        }
        std::memcpy(tiles_[Sums][r] + c, &sum, sizeof sum);
      }
    }
  }

 private:
  static constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;

  static void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "AMX would refuse this: expected %s\n", what);
    std::abort();
  }
  void require_shape(int tile) const {
    require(configured_ && shapes_.rows[tile] > 0, "a register with a shape");
  }

  bool configured_ = false;
  UnitShapes shapes_;
  std::uint8_t tiles_[kTiles][kRows][kRowBytes] = {};
};

}  // namespace
