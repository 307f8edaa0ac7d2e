// The .mimi reader, and what repair makes of any bytes: a file that the reader finds whole.
#include <cstdlib>

#include "core/token_rescue.h"
#include "tests/token_samples.h"

namespace {

bool is_whole(std::span<const std::byte> file) {
  try {
    mimi::read_token_info(mimi::test::source_of(file));
    return true;
  } catch (const mimi::Error&) {
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const bool whole = is_whole(file);
  mimi::test::Bytes saved;
  try {
    mimi::rescue_tokens(file, mimi::test::sink_to(saved));
  } catch (const mimi::Error&) {
    if (whole) std::abort();
    return 0;
  }
  if (!is_whole(saved)) std::abort();
  return 0;
}
