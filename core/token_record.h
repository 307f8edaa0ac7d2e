// The records that a `.mimi` file is made of, as bytes. core/FORMAT.md has the tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/token_file.h"

namespace mimi {

enum class RecordType : char {
  kHeader = 'H',
  kSegment = 'S',
  kBlock = 'B',
  kGap = 'G',
  kSegmentEnd = 'E',
  kIndex = 'I',
  kTotals = 'T',
};
// Of a later program, and not needed to read a file.
constexpr bool may_be_passed_over(RecordType type) {
  return static_cast<char>(type) >= 'a' && static_cast<char>(type) <= 'z';
}

// A byte beyond 7 bits, the name, and the line ends and end-of-file that text-mode copies change.
constexpr std::array<unsigned char, 9> kTokenSignature = {0x89, 'M',  'I',  'M', 'I',
                                                          0x0D, 0x0A, 0x1A, 0x0A};
// 0xFE occurs in no UTF-8 text, and the other two differ from it: no sync overlaps another.
constexpr std::array<unsigned char, 3> kRecordSync = {0xFE, 'M', 'R'};

constexpr std::size_t kRecordPrefixBytes = 6;  // sync, type, length
constexpr std::size_t kRecordCrcBytes = 4;
constexpr std::size_t kMaxPayloadBytes = 65535;

constexpr std::size_t kSegmentBytes = 20;
constexpr std::size_t kBlockPrefixBytes = 14;
constexpr std::size_t kGapBytes = 20;
constexpr std::size_t kSegmentEndBytes = 24;
constexpr std::size_t kIndexEntryBytes = 24;
constexpr std::size_t kMaxIndexEntries = 2048;  // of one record
constexpr std::size_t kTotalsBytes = 56;

// What stands at `offset`. A run of blocks of equal size that follow each other is one entry.
struct IndexEntry {
  RecordType type = RecordType::kSegment;  // or kBlock or kGap
  std::uint8_t block_frames = 0;           // of each block; 0 for other types
  std::uint32_t number = 0;                // the segment's, or the first block's
  std::uint32_t count = 0;                 // of blocks; 1 for a segment
  std::uint32_t first_frame = 0;
  std::uint64_t offset = 0;

  bool operator==(const IndexEntry&) const = default;
};

// The totals record, which is also the trailer.
struct Trailer {
  TokenTotals totals;
  std::uint64_t index_offset = 0;   // of the first index record, or of the second header
  std::uint64_t header_offset = 0;  // of the second header

  bool operator==(const Trailer&) const = default;
};

// Throws Error where a number of the file, `what`, is not the one that follows from the rest.
void check_number(const char* what, std::uint64_t found, std::uint64_t expected);

// A record around a payload of at most kMaxPayloadBytes.
std::vector<std::byte> make_record(RecordType type, std::span<const std::byte> payload);

// Payloads. Parsing expects the type's exact size where that is fixed, and throws mimi::Error for
// what can never be right: reserved bits, ranges, sizes that contradict each other.
std::vector<std::byte> pack_header(const TokenHeader& header);
TokenHeader parse_header(std::span<const std::byte> payload);
// Throws mimi::Error when a value is out of its range.
void check_header(const TokenHeader& header);

std::vector<std::byte> pack_segment(const TokenSegment& segment);
TokenSegment parse_segment(std::span<const std::byte> payload);

// How many frames a block can hold at most.
int max_block_frames(const TokenHeader& header);
std::size_t block_payload_bytes(const TokenHeader& header, int frames);
std::vector<std::byte> pack_block(const TokenHeader& header, const TokenBlock& block);
// The codes go to `codes`, to which the block refers.
TokenBlock parse_block(const TokenHeader& header, std::span<const std::byte> payload,
                       std::vector<std::uint16_t>& codes);

std::vector<std::byte> pack_gap(const TokenGap& gap);
TokenGap parse_gap(std::span<const std::byte> payload);

std::vector<std::byte> pack_segment_end(const TokenSegmentEnd& end);
TokenSegmentEnd parse_segment_end(std::span<const std::byte> payload);

void append_index_entry(const IndexEntry& entry, std::vector<std::byte>& out);

std::vector<std::byte> pack_trailer(const Trailer& trailer);
Trailer parse_trailer(std::span<const std::byte> payload);

}  // namespace mimi
