// The pages of an Ogg file (RFC 3533).
#pragma once

#include <cstdint>
#include <optional>

#include "cli/byte_reader.h"

namespace mimi::cli {

// Ogg files joined end to end are an Ogg file too, of which libsndfile reads one recording. Returns
// the byte at which the second begins, if there is one. `reader`, of a regular file, is left
// somewhere else.
std::optional<std::int64_t> second_ogg_recording(ByteReader& reader);

}  // namespace mimi::cli
