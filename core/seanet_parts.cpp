#include "core/seanet_parts.h"

#include <algorithm>

namespace mimi {

std::string layer_name(const char* side, int index) {
  return std::string(side) + ".layers." + std::to_string(index);
}

std::string tap_name(const char* side, int index, bool after_elu) {
  return std::string(side) + "." + std::to_string(index) + (after_elu ? "+elu" : "");
}

kernels::Activation elu_for(kernels::Dtype dtype) {
  return dtype == kernels::Dtype::kF32 ? kernels::Activation::kElu
                                       : kernels::Activation::kEluCoarse;
}

int stage_block_rows(int most_rows, int threads, int stride, int channels) {
  constexpr std::ptrdiff_t kCacheBytes = 512 << 10;
  constexpr int kEnoughRows = 96;
  const std::ptrdiff_t bytes_a_row =
      3 * stride * row_stride(channels) * std::ptrdiff_t{sizeof(float)};
  const auto fitting = static_cast<int>(kCacheBytes * threads / bytes_a_row);
  return std::min(std::max(fitting, kEnoughRows), most_rows);
}

void report(const Tap& tap, const std::string& name, const RowBuffer& rows, int first, int count) {
  if (tap) tap(name, rows.row(first), count, rows.channels(), rows.stride());
}

}  // namespace mimi
