#include "cli/eval/code_statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>

namespace mimi::cli {

CodeStatistics::CodeStatistics(int levels, int entries)
    : counts_(static_cast<std::size_t>(levels),
              std::vector<std::int64_t>(static_cast<std::size_t>(entries))) {}

void CodeStatistics::add(std::span<const std::uint16_t> codes) {
  const std::size_t levels = counts_.size();
  for (std::size_t i = 0; i < codes.size(); ++i) ++counts_[i % levels][codes[i]];
  frames_ += static_cast<std::int64_t>(codes.size() / levels);
}

void CodeStatistics::add(const CodeStatistics& other) {
  for (std::size_t level = 0; level < counts_.size(); ++level) {
    std::transform(counts_[level].begin(), counts_[level].end(), other.counts_[level].begin(),
                   counts_[level].begin(), std::plus<>());
  }
  frames_ += other.frames_;
}

double CodeStatistics::entropy_bits(int level) const {
  double bits = 0;
  for (const std::int64_t count : counts_[static_cast<std::size_t>(level)]) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(frames_);
    bits -= share * std::log2(share);
  }
  return bits;
}

int CodeStatistics::used(int level) const {
  const std::vector<std::int64_t>& counts = counts_[static_cast<std::size_t>(level)];
  return static_cast<int>(counts.size()) -
         static_cast<int>(std::count(counts.begin(), counts.end(), 0));
}

}  // namespace mimi::cli
