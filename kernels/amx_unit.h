// The tile registers of AMX. Not by intrinsics: theirs want literal numbers of registers.
#pragma once

#include "kernels/tile_panel.h"

namespace {

struct AmxUnit {
  void set_shapes(const UnitShapes& shapes) { asm volatile("ldtilecfg %0" : : "m"(shapes)); }
  void release() { asm volatile("tilerelease"); }

  template <int T>
  void load(const float* rows, std::ptrdiff_t stride) {
    asm volatile("tileloadd (%0,%1,4), %%tmm%c2" : : "r"(rows), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  void store(float* rows, std::ptrdiff_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,4)" : : "r"(rows), "r"(stride), "i"(T) : "memory");
  }
  // Adds to the sums the products of the rows' unsigned and the columns' signed bytes.
  template <int Sums, int Rows, int Columns>
  void add_quads() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(Rows), "i"(Columns));
  }
};

}  // namespace
