#include "cli/token_output.h"

#include <cstdint>
#include <span>

namespace mimi::cli {

TokenWriter::Sink token_sink(OutputFile& file) {
  return [&file](std::span<const std::byte> bytes) {
    file.write({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    if (!file.is_regular()) file.flush();
  };
}

int block_frames(int asked, const OutputFile& file) {
  if (asked > 0) return asked;
  return file.is_regular() ? kMaxBlockFrames : 1;
}

}  // namespace mimi::cli
