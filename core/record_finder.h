// The records of a damaged token file that are whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/token_record.h"

namespace mimi {

// A record whose sync, length and checksum are right.
struct WholeRecord {
  RecordType type;
  std::uint64_t offset;
  std::span<const std::byte> payload;
};

// All of them, wherever they stand, in a time that grows with the length alone, and in memory that
// grows with what is found, whatever the bytes are.
std::vector<WholeRecord> find_records(std::span<const std::byte> file);

}  // namespace mimi
