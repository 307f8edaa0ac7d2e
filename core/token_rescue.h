// What is left of a damaged token file, as core/FORMAT.md says that it can be saved.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/token_file.h"

namespace mimi {

// In the numbers of what was written.
struct LostFrames {
  std::uint32_t first_frame = 0;
  std::uint32_t frames = 0;
  std::uint32_t blocks = 0;
};

struct TokenRescue {
  bool has_header = true;             // else it was made from the blocks, with Mimi's rates
  std::uint32_t saved_blocks = 0;     // whole ones
  std::uint32_t lost_segments = 0;    // records of segments: origin and lead-in are then guesses
  std::uint32_t lost_ends = 0;        // ends of segments: the source's length is then a guess
  std::uint32_t foreign_records = 0;  // whole, but do not fit those before: left out
  std::uint32_t foreign_blocks = 0;   // of these
  std::vector<LostFrames> lost;       // gaps from before left out
  // The frames, in the same numbers, from which on more were lost, nobody knows how many.
  std::vector<std::uint32_t> cut_at;
  TokenTotals totals;  // of what was written
};

// Writes a whole file of every whole block, with gaps for the others; of files that were run
// together, one of all that fit the first. Throws where there is neither a header nor a block, or
// no whole header that can be read, as of another version.
TokenRescue rescue_tokens(std::span<const std::byte> file, const TokenWriter::Sink& out);

}  // namespace mimi
