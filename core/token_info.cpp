#include <algorithm>
#include <utility>

#include "core/token_file.h"

namespace mimi {

TokenFileInfo read_token_info(TokenReader::Source source) {
  TokenReader reader(std::move(source));
  TokenFileInfo info;
  info.header = reader.header();
  while (const auto record = reader.next()) {
    if (const auto* segment = std::get_if<TokenSegment>(&*record)) {
      info.segments.push_back({.start = *segment, .end = {}});
    } else if (const auto* end = std::get_if<TokenSegmentEnd>(&*record)) {
      info.segments.back().end = *end;
    } else if (const auto* gap = std::get_if<TokenGap>(&*record)) {
      info.gaps.push_back(*gap);
    } else if (const auto* block = std::get_if<TokenBlock>(&*record)) {
      info.largest_block_frames = std::max(info.largest_block_frames, block->frames);
    } else {
      info.totals = std::get<TokenTotals>(*record);
    }
  }
  info.bytes = reader.offset();
  return info;
}

}  // namespace mimi
