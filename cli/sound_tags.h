// Tags that programs for music put before and behind the sound of a file.
#pragma once

#include <cstdint>

#include "cli/byte_reader.h"

namespace mimi::cli {

// The byte at which the tags (ID3) end that a regular file begins with, or 0. Throws
// mimi::Error of so many that it is none. `reader` is left somewhere else.
std::int64_t begin_behind_tags(ByteReader& reader);
// The byte at which the tags begin (ID3, APE, Lyrics3) that end a regular file, or its size.
// `reader` is left somewhere else.
std::int64_t end_before_tags(ByteReader& reader);

}  // namespace mimi::cli
