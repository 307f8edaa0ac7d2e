// How large a sound file says that it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace mimi::cli {

// The first bytes of a file that told_bytes() needs.
constexpr std::size_t kToldSizeBytes = 1024;

// Of AIFF, IFF, W64, AU and NIST files, which begin with `start`: the size that they name, less
// what some writers count wrongly; none of others, and where the writer could not know it.
// libsndfile reads what there is.
std::optional<std::int64_t> told_bytes(std::span<const std::uint8_t> start);

// Whether the first frame of an MPEG file, which begins with `start`, says how many there are.
bool tells_mpeg_frames(std::span<const std::uint8_t> start);

}  // namespace mimi::cli
