#include "core/token_record.h"

#include <algorithm>
#include <cassert>

#include "core/bit_packing.h"
#include "core/byte_order.h"
#include "core/crc32c.h"

namespace mimi {
namespace {

void append_bytes(std::span<const std::byte> bytes, std::vector<std::byte>& out) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

void check_number(const char* what, std::uint64_t found, std::uint64_t expected) {
  if (found == expected) return;
  throw Error(std::string(what) + " is " + std::to_string(found) + ", expected " +
              std::to_string(expected));
}

std::vector<std::byte> make_record(RecordType type, std::span<const std::byte> payload) {
  assert(payload.size() <= kMaxPayloadBytes);
  std::vector<std::byte> record;
  record.reserve(kRecordPrefixBytes + payload.size() + kRecordCrcBytes);
  append_bytes(std::as_bytes(std::span(kRecordSync)), record);
  record.push_back(static_cast<std::byte>(type));
  append_little_endian(static_cast<std::uint16_t>(payload.size()), record);
  append_bytes(payload, record);
  append_little_endian(crc32c(0, record), record);
  return record;
}

std::vector<std::byte> pack_segment(const TokenSegment& segment) {
  std::vector<std::byte> out;
  append_little_endian(segment.number, out);
  append_little_endian(segment.first_frame, out);
  append_little_endian(segment.origin_frame, out);
  append_little_endian(segment.lead_in_samples, out);
  append_little_endian(segment.source_rate_hz, out);
  return out;
}

TokenSegment parse_segment(std::span<const std::byte> payload) {
  LittleEndianParser parser(payload);
  TokenSegment segment;
  segment.number = parser.u32();
  segment.first_frame = parser.u32();
  segment.origin_frame = parser.u32();
  segment.lead_in_samples = parser.u32();
  segment.source_rate_hz = parser.u32();
  return segment;
}

int max_block_frames(const TokenHeader& header) {
  const std::size_t frame_bits =
      header.frame_codes() * static_cast<std::size_t>(header.code_bits());
  const std::size_t frames = (kMaxPayloadBytes - kBlockPrefixBytes) * 8 / frame_bits;
  return static_cast<int>(std::min<std::size_t>(frames, kMaxBlockFrames));
}

std::size_t block_payload_bytes(const TokenHeader& header, int frames) {
  return kBlockPrefixBytes +
         packed_bytes(static_cast<std::size_t>(frames) * header.frame_codes(), header.code_bits());
}

std::vector<std::byte> pack_block(const TokenHeader& header, const TokenBlock& block) {
  std::vector<std::byte> out;
  append_little_endian(block.number, out);
  append_little_endian(block.first_frame, out);
  append_little_endian(static_cast<std::uint16_t>(block.padding_samples), out);
  append_little_endian(static_cast<std::uint8_t>(block.frames), out);
  append_little_endian(static_cast<std::uint8_t>(header.levels), out);
  append_little_endian(static_cast<std::uint8_t>(header.code_bits()), out);
  append_little_endian(static_cast<std::uint8_t>(header.streams), out);
  pack_codes(block.codes, header.code_bits(), out);
  return out;
}

TokenBlock parse_block(const TokenHeader& header, std::span<const std::byte> payload,
                       std::vector<std::uint16_t>& codes) {
  if (payload.size() < kBlockPrefixBytes) {
    throw Error("has " + std::to_string(payload.size()) + " bytes, expected at least " +
                std::to_string(kBlockPrefixBytes));
  }
  LittleEndianParser parser(payload);
  TokenBlock block;
  block.number = parser.u32();
  block.first_frame = parser.u32();
  block.padding_samples = parser.u16();
  block.frames = parser.u8();
  check_number("level count", parser.u8(), static_cast<std::uint64_t>(header.levels));
  check_number("bits of a code", parser.u8(), static_cast<std::uint64_t>(header.code_bits()));
  check_number("stream count", parser.u8(), static_cast<std::uint64_t>(header.streams));
  if (block.frames < 1 || block.frames > kMaxBlockFrames) {
    throw Error("frame count is " + std::to_string(block.frames) + ", expected 1 to " +
                std::to_string(kMaxBlockFrames));
  }
  check_number("size", payload.size(), block_payload_bytes(header, block.frames));
  codes.resize(static_cast<std::size_t>(block.frames) * header.frame_codes());
  if (!unpack_codes(parser.bytes(parser.remaining()), header.code_bits(), codes)) {
    throw Error("bits after the last code are not zero");
  }
  block.codes = codes;
  return block;
}

std::vector<std::byte> pack_gap(const TokenGap& gap) {
  std::vector<std::byte> out;
  append_little_endian(gap.first_block, out);
  append_little_endian(gap.blocks, out);
  append_little_endian(gap.first_frame, out);
  append_little_endian(gap.frames, out);
  append_little_endian(static_cast<std::uint16_t>(gap.padding_samples), out);
  append_little_endian(std::uint16_t{0}, out);
  return out;
}

TokenGap parse_gap(std::span<const std::byte> payload) {
  LittleEndianParser parser(payload);
  TokenGap gap;
  gap.first_block = parser.u32();
  gap.blocks = parser.u32();
  gap.first_frame = parser.u32();
  gap.frames = parser.u32();
  gap.padding_samples = parser.u16();
  if (parser.u16() != 0) throw Error("reserved bits are not zero");
  return gap;
}

std::vector<std::byte> pack_segment_end(const TokenSegmentEnd& end) {
  std::vector<std::byte> out;
  append_little_endian(end.number, out);
  append_little_endian(end.frames, out);
  append_little_endian(end.samples, out);
  append_little_endian(end.source_samples, out);
  return out;
}

TokenSegmentEnd parse_segment_end(std::span<const std::byte> payload) {
  LittleEndianParser parser(payload);
  TokenSegmentEnd end;
  end.number = parser.u32();
  end.frames = parser.u32();
  end.samples = parser.u64();
  end.source_samples = parser.u64();
  return end;
}

void append_index_entry(const IndexEntry& entry, std::vector<std::byte>& out) {
  append_little_endian(static_cast<std::uint8_t>(entry.type), out);
  append_little_endian(entry.block_frames, out);
  append_little_endian(std::uint16_t{0}, out);
  append_little_endian(entry.number, out);
  append_little_endian(entry.count, out);
  append_little_endian(entry.first_frame, out);
  append_little_endian(entry.offset, out);
}

std::vector<std::byte> pack_trailer(const Trailer& trailer) {
  std::vector<std::byte> out;
  append_little_endian(trailer.totals.frames, out);
  append_little_endian(trailer.totals.blocks, out);
  append_little_endian(trailer.totals.segments, out);
  append_little_endian(trailer.totals.gaps, out);
  append_little_endian(trailer.totals.lost_frames, out);
  append_little_endian(trailer.totals.codes_crc, out);
  append_little_endian(trailer.totals.samples, out);
  append_little_endian(trailer.totals.source_samples, out);
  append_little_endian(trailer.index_offset, out);
  append_little_endian(trailer.header_offset, out);
  return out;
}

Trailer parse_trailer(std::span<const std::byte> payload) {
  LittleEndianParser parser(payload);
  Trailer trailer;
  trailer.totals.frames = parser.u32();
  trailer.totals.blocks = parser.u32();
  trailer.totals.segments = parser.u32();
  trailer.totals.gaps = parser.u32();
  trailer.totals.lost_frames = parser.u32();
  trailer.totals.codes_crc = parser.u32();
  trailer.totals.samples = parser.u64();
  trailer.totals.source_samples = parser.u64();
  trailer.index_offset = parser.u64();
  trailer.header_offset = parser.u64();
  return trailer;
}

}  // namespace mimi
