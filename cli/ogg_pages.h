// The pages of an Ogg file (RFC 3533).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "cli/byte_reader.h"

namespace mimi::cli {

struct OggOutline {
  // Ogg files joined end to end are an Ogg file too, of which libsndfile reads one recording: the
  // byte at which the second begins, if there is one.
  std::optional<std::int64_t> second_recording;
  // The last page is whole, and says that it is the last: without it, the file was cut short.
  bool has_end = false;
};

// Of a regular file, whose first page begins at `begin`. `reader` is left somewhere else.
OggOutline ogg_outline(ByteReader& reader, std::int64_t begin);

// Whether `bytes` are a page's header, without the page's body.
bool is_ogg_header(std::span<const std::uint8_t> bytes);
// Gives the page whose header this is another serial number, and the checksum that it then has.
void set_ogg_serial(std::span<std::uint8_t> header, std::uint32_t serial);

}  // namespace mimi::cli
