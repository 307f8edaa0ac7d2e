#include "cli/ogg_pages.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

namespace mimi::cli {
namespace {

constexpr std::string_view kMagic = "OggS";
constexpr std::size_t kFixedHeaderBytes = 27;
constexpr std::size_t kMostHeaderBytes = kFixedHeaderBytes + 255;
constexpr std::size_t kFlagsAt = 5;
constexpr std::size_t kSerialAt = 14;
constexpr std::size_t kChecksumAt = 22;
constexpr std::uint32_t kPolynomial = 0x04C11DB7;
constexpr std::uint8_t kBeginsStream = 2;
constexpr std::uint8_t kEndsStream = 4;
constexpr std::size_t kBlockBytes = 4096;

class Pages {
 public:
  explicit Pages(ByteReader& reader) : reader_(reader) {}

  // The bytes from `place` on, of a whole page header at least, but for the end of the file.
  std::span<const std::uint8_t> at(std::int64_t place) {
    const std::int64_t end = begin_ + static_cast<std::int64_t>(block_.size());
    if (place < begin_ || place + static_cast<std::int64_t>(kMostHeaderBytes) > end) {
      reader_.seek(place);
      begin_ = place;
      block_.resize(kBlockBytes);
      block_.resize(reader_.read_fully(block_));
    }
    return std::span(block_).subspan(static_cast<std::size_t>(place - begin_));
  }

 private:
  ByteReader& reader_;
  std::vector<std::uint8_t> block_;
  std::int64_t begin_ = 0;
};

// A page's header and body, or what must be passed over to the next page that is in sight.
std::size_t page_bytes(std::span<const std::uint8_t> seen, std::size_t magic_at) {
  if (magic_at > 0) return std::min(magic_at, seen.size() - kMagic.size() + 1);
  const auto segments = seen.subspan(kFixedHeaderBytes);
  const std::size_t count = std::min<std::size_t>(seen[kFixedHeaderBytes - 1], segments.size());
  return kFixedHeaderBytes + std::accumulate(segments.begin(),
                                             segments.begin() + static_cast<std::ptrdiff_t>(count),
                                             count);
}

std::uint32_t checksum_behind(std::uint32_t checksum, std::uint8_t byte) {
  checksum ^= static_cast<std::uint32_t>(byte) << 24;
  for (int bit = 0; bit < 8; ++bit) {
    checksum = checksum << 1 ^ ((checksum & 0x80000000) != 0 ? kPolynomial : 0);
  }
  return checksum;
}

}  // namespace

OggOutline ogg_outline(ByteReader& reader, std::int64_t begin) {
  Pages pages(reader);
  OggOutline outline;
  bool has_begun = false;  // all streams that one recording is made of begin before their sound
  std::int64_t place = begin;
  while (true) {
    const std::span<const std::uint8_t> seen = pages.at(place);
    if (seen.size() < kFixedHeaderBytes) return outline;
    const auto magic = std::search(seen.begin(), seen.end(), kMagic.begin(), kMagic.end());
    const std::size_t bytes = page_bytes(seen, static_cast<std::size_t>(magic - seen.begin()));
    if (magic == seen.begin()) {
      const bool begins = (seen[kFlagsAt] & kBeginsStream) != 0;
      if (begins && has_begun) {
        outline.second_recording = place;
        return outline;
      }
      has_begun = has_begun || !begins;
      outline.has_end = (seen[kFlagsAt] & kEndsStream) != 0 &&
                        place + static_cast<std::int64_t>(bytes) <= *reader.size();
    }
    place += static_cast<std::int64_t>(bytes);
  }
}

bool is_ogg_header(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= kFixedHeaderBytes &&
         bytes.size() == kFixedHeaderBytes + bytes[kFixedHeaderBytes - 1] &&
         std::equal(kMagic.begin(), kMagic.end(), bytes.begin());
}

void set_ogg_serial(std::span<std::uint8_t> header, std::uint32_t serial) {
  // The checksum of what differs is what the checksums differ by.
  std::uint32_t difference = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto byte = static_cast<std::uint8_t>(serial >> 8 * i);
    const auto changed = static_cast<std::uint8_t>(byte ^ header[kSerialAt + i]);
    difference = checksum_behind(difference, changed);
    header[kSerialAt + i] = byte;
  }
  for (std::size_t i = kSerialAt + 4; i < page_bytes(header, 0); ++i) {
    difference = checksum_behind(difference, 0);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    header[kChecksumAt + i] ^= static_cast<std::uint8_t>(difference >> 8 * i);
  }
}

}  // namespace mimi::cli
