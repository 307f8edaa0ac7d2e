#include "cli/sound_tags.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <string>
#include <string_view>

#include "cli/header_bytes.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

constexpr std::int64_t kId3v1Bytes = 128;
constexpr std::size_t kApeFooterBytes = 32;
constexpr std::size_t kId3v2HeaderBytes = 10;  // or footer
constexpr std::string_view kLyricsEnd = "LYRICS200";
constexpr std::size_t kLyricsDigits = 6;
constexpr int kMostTags = 64;  // one after the other: real files have a few

using Bytes = std::span<const std::uint8_t>;

// `footer` says how much stands before it, and whether a header as long as itself does.
std::int64_t ape_bytes(Bytes footer) {
  const bool has_header = (footer[23] & 0x80) != 0;
  return static_cast<std::int64_t>(little_endian(footer.subspan(12, 4)) +
                                   (has_header ? kApeFooterBytes : 0));
}

// What stands between `header` (or footer) and the other.
std::int64_t id3v2_bytes(Bytes header) {
  std::int64_t bytes = 0;
  for (const std::uint8_t byte : header.subspan(6, 4)) bytes = bytes << 7 | (byte & 0x7f);
  return bytes;
}

std::int64_t lyrics_bytes(std::string_view digits) {
  std::int64_t bytes = 0;
  for (const char c : digits) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) return 0;
    bytes = 10 * bytes + (c - '0');
  }
  return bytes + static_cast<std::int64_t>(kLyricsDigits + kLyricsEnd.size());
}

// Of the tag whose last bytes `end` are; 0: none.
std::int64_t tag_bytes(Bytes end) {
  if (end.size() == kId3v1Bytes && letters(end).starts_with("TAG")) return kId3v1Bytes;
  const auto last = [&](std::size_t count) { return end.last(std::min(count, end.size())); };
  const Bytes ape = last(kApeFooterBytes);
  if (ape.size() == kApeFooterBytes && letters(ape).starts_with("APETAGEX")) return ape_bytes(ape);
  const Bytes id3 = last(kId3v2HeaderBytes);
  if (id3.size() == kId3v2HeaderBytes && letters(id3).starts_with("3DI")) {
    return id3v2_bytes(id3) + 2 * static_cast<std::int64_t>(kId3v2HeaderBytes);
  }
  const std::string_view lyrics = letters(last(kLyricsDigits + kLyricsEnd.size()));
  if (lyrics.ends_with(kLyricsEnd)) return lyrics_bytes(lyrics.substr(0, kLyricsDigits));
  return 0;
}

}  // namespace

std::int64_t begin_behind_tags(ByteReader& reader) {
  constexpr auto kHeaderBytes = static_cast<std::int64_t>(kId3v2HeaderBytes);
  std::int64_t begin = 0;
  for (int tags = 0; tags <= kMostTags; ++tags) {
    std::array<std::uint8_t, kId3v2HeaderBytes> header{};
    reader.seek(begin);
    reader.read_fully(header);
    if (!letters(header).starts_with("ID3")) return begin;
    const bool has_footer = (header[5] & 0x10) != 0;
    const std::int64_t end = begin + (has_footer ? 2 : 1) * kHeaderBytes + id3v2_bytes(header);
    if (end >= *reader.size()) return begin;
    begin = end;
  }
  throw Error(reader.name() + ": begins with more than " + std::to_string(kMostTags) +
              " ID3 tags (byte " + std::to_string(begin) + ")");
}

std::int64_t end_before_tags(ByteReader& reader) {
  std::int64_t end = *reader.size();
  for (int tags = 0; tags < kMostTags; ++tags) {
    std::array<std::uint8_t, kId3v1Bytes> buffer;
    const std::int64_t begin = std::max<std::int64_t>(0, end - kId3v1Bytes);
    reader.seek(begin);
    const std::size_t count =
        reader.read_fully(std::span(buffer).first(static_cast<std::size_t>(end - begin)));
    const std::int64_t bytes = tag_bytes(std::span(buffer).first(count));
    if (bytes == 0) break;
    end -= std::min(bytes, end);
  }
  return end;
}

}  // namespace mimi::cli
