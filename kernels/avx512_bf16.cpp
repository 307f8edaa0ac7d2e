// The bf16 products of AVX-512 with BF16. Exports them and nothing else, as avx512.cpp does.
#ifndef __AVX512BF16__
#error "build this file with AVX-512's flags and -mavx512bf16"
#endif
#include "kernels/simd_avx512.h"

namespace {
// 12 x 2 sums, 2 columns and 1 broadcast: 27 of 32 registers.
constexpr int kPairTileRows = 12;
constexpr int kPanelVecs = 2;
constexpr int kPeakVecs = 16;
}  // namespace

#include "kernels/panel.h"
#include "kernels/peak.h"

namespace {

// Two fused multiply-adds, the later values' first, subnormals being zero whatever the mode.
struct AddPairs {
  static constexpr int kValues = 2;
  static Vec add(Vec x, Vec column, Vec sum) {
    return {_mm512_dpbf16_ps(sum.v, (__m512bh)x.v, (__m512bh)column.v)};
  }
};

struct SumPairs {
  template <int Rows, int Vecs>
  static void add(const GemmInput& a, const float* b, Fetch fetch, Tile<Rows, Vecs>& tile) {
    tile.template accumulate<AddPairs>(a, b, fetch);
  }
};

void pair_panel(const PanelTask& task) { chain_panel<kPairTileRows, SumPairs>(task); }

void round_rows(const float* x, std::ptrdiff_t x_stride, int rows, int vecs, float* out,
                std::ptrdiff_t out_stride) {
  for (int t = 0; t < rows; ++t, x += x_stride, out += out_stride) {
    for (int i = 0; i < vecs; ++i) {
      const __m512i rounded = _mm512_castps_si512(round_to_bf16(load(x + i * kLanes)).v);
      const __m256i pairs = _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i * (kLanes / 2)), pairs);
    }
  }
}

}  // namespace

namespace mimi::kernels {
extern const Bf16Kernels kPairKernels;
constinit const Bf16Kernels kPairKernels = {.tile_rows = kPairTileRows,
                                            .floats_per_pair = 1,
                                            .panel = pair_panel,
                                            .round_rows = round_rows,
                                            .multiply_add_peak = peak<AddPairs>};
}  // namespace mimi::kernels
