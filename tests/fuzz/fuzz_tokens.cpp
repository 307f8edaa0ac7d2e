// The .mimi reader, and what repair makes of any bytes: a file that the reader finds whole,
// wherever there is a header or a block, but where no header that there is can be read.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/byte_order.h"
#include "core/crc32c.h"
#include "core/record_finder.h"
#include "core/token_record.h"
#include "core/token_rescue.h"
#include "tests/token_samples.h"

namespace {

using mimi::test::Bytes;

bool is_whole(std::span<const std::byte> file) {
  try {
    mimi::read_token_info(mimi::test::source_of(file));
    return true;
  } catch (const mimi::Error&) {
    return false;
  }
}

// Of whole headers, such that can be read.
std::pair<int, int> count_headers(std::span<const std::byte> file) {
  int whole = 0, readable = 0;
  for (const mimi::WholeRecord& record : mimi::find_records(file)) {
    if (record.type != mimi::RecordType::kHeader) continue;
    ++whole;
    try {
      mimi::parse_header(record.payload);
      ++readable;
    } catch (const mimi::Error&) {  // NOLINT(bugprone-empty-catch): not such a one
    }
  }
  return {whole, readable};
}

void check(std::span<const std::byte> file) {
  const bool whole = is_whole(file);
  Bytes saved;
  try {
    mimi::rescue_tokens(file, mimi::test::sink_to(saved));
  } catch (const mimi::Error& error) {
    const auto [headers, readable] = count_headers(file);
    const bool is_nothing = std::strncmp(error.what(), "holds neither", 13) == 0;
    if (whole || readable > 0 || (headers == 0 && !is_nothing)) std::abort();
    return;
  }
  if (!is_whole(saved)) std::abort();
}

// Record after record as their lengths say, so that their contents are tried: chance would hardly
// find a checksum.
Bytes with_right_checksums(std::span<const std::byte> file) {
  Bytes corrected(file.begin(), file.end());
  std::size_t at = mimi::kTokenSignature.size();
  while (at + mimi::kRecordPrefixBytes < file.size()) {
    const std::size_t bytes =
        mimi::kRecordPrefixBytes + mimi::LittleEndianParser(file.subspan(at + 4)).u16();
    if (file.size() - at < bytes + mimi::kRecordCrcBytes) break;
    Bytes sum;
    mimi::append_little_endian(mimi::crc32c(0, file.subspan(at, bytes)), sum);
    std::ranges::copy(sum, corrected.begin() + static_cast<std::ptrdiff_t>(at + bytes));
    at += bytes + mimi::kRecordCrcBytes;
  }
  return corrected;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  check(file);
  check(with_right_checksums(file));
  return 0;
}
