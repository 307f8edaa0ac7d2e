#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "cli/dataset/shard.h"

namespace mimi::cli {

// The codes of a row that is done, read from its shard's journal, piece by piece.
class RowCodes {
 public:
  RowCodes(const Shard& shard, const RowState& row, int levels)
      : shard_(shard), row_(row), levels_(levels) {}

  int levels() const { return levels_; }
  std::uint64_t frames() const { return row_.frames(); }

  // Calls `take` with frame after frame: [frames x levels].
  using Take = std::function<void(std::span<const std::uint16_t>)>;
  void each_frame(const Take& take) const;
  // Calls `take` with level after level: [levels x frames].
  void each_level(const Take& take) const;

 private:
  const Shard& shard_;
  const RowState& row_;
  int levels_;
};

// Little-endian.
std::vector<std::uint8_t> code_bytes(std::span<const std::uint16_t> codes);
// CRC-32C of them.
std::uint32_t codes_crc(std::uint32_t crc, std::span<const std::uint16_t> codes);

}  // namespace mimi::cli
