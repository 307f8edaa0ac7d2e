// What is saved of one damaged token file, segment by segment.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "core/record_finder.h"
#include "core/token_file.h"
#include "core/token_rescue.h"

namespace mimi {

struct SavedBlock {
  int frames;
  int padding_samples;
  std::vector<std::uint16_t> codes;
};

struct SavedGap {
  TokenGap gap;
  bool is_new;
};

struct SavedSegment {
  TokenSegment start;
  std::vector<std::variant<SavedBlock, SavedGap>> content;
  std::uint32_t frames = 0;
  int padding_samples = 0;                      // of the last frame
  std::optional<std::uint64_t> source_samples;  // none: its end was lost
  bool is_cut = false;                          // and frames before it, nobody knows how many
};

struct SavedFile {
  TokenHeader header;
  std::vector<SavedSegment> segments;
  std::uint64_t frames = 0;
  std::uint64_t source_samples = 0;  // 0 where there is no sum
  int largest_block_frames = 0;
};

// From its whole records in the order of the file; what was guessed or left out is counted in
// `report`. Throws where there is neither a header nor a block, or no whole header that can be
// read, as of another version.
SavedFile rescue_file(std::span<const WholeRecord> records, TokenRescue& report);

}  // namespace mimi
