#include "cli/dataset/row_codes.h"

#include "core/crc32c.h"

namespace mimi::cli {

void RowCodes::each_frame(const Take& take) const {
  const auto levels = static_cast<std::size_t>(levels_);
  std::vector<std::uint16_t> level, codes;
  for (const RowState::PieceMark& piece : row_.pieces) {
    level.resize(piece.frames);
    codes.resize(piece.frames * levels);
    for (std::size_t l = 0; l < levels; ++l) {
      shard_.read_codes(piece, static_cast<int>(l), level);
      for (std::size_t f = 0; f < level.size(); ++f) codes[f * levels + l] = level[f];
    }
    take(codes);
  }
}

void RowCodes::each_level(const Take& take) const {
  std::vector<std::uint16_t> codes;
  for (int level = 0; level < levels_; ++level) {
    for (const RowState::PieceMark& piece : row_.pieces) {
      codes.resize(piece.frames);
      shard_.read_codes(piece, level, codes);
      take(codes);
    }
  }
}

std::vector<std::uint8_t> code_bytes(std::span<const std::uint16_t> codes) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(2 * codes.size());
  for (const std::uint16_t code : codes) {
    bytes.push_back(static_cast<std::uint8_t>(code));
    bytes.push_back(static_cast<std::uint8_t>(code >> 8));
  }
  return bytes;
}

std::uint32_t codes_crc(std::uint32_t crc, std::span<const std::uint16_t> codes) {
  const std::vector<std::uint8_t> bytes = code_bytes(codes);
  return crc32c(crc, std::as_bytes(std::span(bytes)));
}

}  // namespace mimi::cli
