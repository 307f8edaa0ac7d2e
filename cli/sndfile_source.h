// What libsndfile reads, held to be whole: it stops in silence where a header or a guess says so.
#pragma once

#include <cstdint>
#include <memory>

#include "cli/audio_source.h"
#include "cli/byte_reader.h"

namespace mimi::cli {

// Of a regular file, from byte `begin` on. Throws mimi::Error where it is no sound that libsndfile
// knows, or a part of it is missing, as far as its format tells; reading does where that shows.
std::unique_ptr<AudioSource> open_sndfile_source(std::unique_ptr<ByteReader> reader,
                                                 std::int64_t begin);

}  // namespace mimi::cli
