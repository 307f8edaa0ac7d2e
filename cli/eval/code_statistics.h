// How much of their entries the levels use.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mimi::cli {

class CodeStatistics {
 public:
  CodeStatistics(int levels, int entries);

  // [frames x levels].
  void add(std::span<const std::uint16_t> codes);
  // Of as many levels and entries.
  void add(const CodeStatistics& other);

  int levels() const { return static_cast<int>(counts_.size()); }
  int entries() const { return static_cast<int>(counts_.front().size()); }
  std::int64_t frames() const { return frames_; }
  // Of the distribution of the level's codes, in bits; at most the logarithm of frames().
  double entropy_bits(int level) const;
  // Entries that occur.
  int used(int level) const;

 private:
  std::vector<std::vector<std::int64_t>> counts_;  // [levels][entries]
  std::int64_t frames_ = 0;
};

}  // namespace mimi::cli
