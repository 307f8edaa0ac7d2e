// Tags that programs for music append to sound files.
#pragma once

#include <cstdint>

#include "cli/byte_reader.h"

namespace mimi::cli {

// The byte at which the tags begin (ID3, APE, Lyrics3) that end a regular file, or its size.
// `reader` is left somewhere else.
std::int64_t end_before_tags(ByteReader& reader);

}  // namespace mimi::cli
