// What follows the samples of a WAV file.
#pragma once

#include <cstdint>

#include "cli/byte_reader.h"

namespace mimi::cli {

// Real files have a few; what is none can look like any number of them.
constexpr int kMostWavChunks = 1 << 16;

// Reads what follows the samples, `data_bytes` of them, to the end of the input. Throws mimi::Error
// where that is more than other chunks, tags and 4 KiB of padding: then sizes are wrong, and sound
// would be left out.
void check_behind_samples(ByteReader& reader, std::int64_t data_bytes);

}  // namespace mimi::cli
