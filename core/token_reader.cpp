#include <algorithm>
#include <array>
#include <cassert>
#include <string>
#include <string_view>
#include <utility>

#include "core/byte_order.h"
#include "core/crc32c.h"
#include "core/quote.h"
#include "core/token_file.h"
#include "core/token_ledger.h"
#include "core/token_record.h"

namespace mimi {
namespace {

std::string hex(std::uint32_t value) {
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[value >> shift & 15];
  return text;
}

std::string at_byte(std::uint64_t offset) { return " at byte " + std::to_string(offset); }

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void check_signature(std::span<const std::byte> found) {
  const auto expected = std::as_bytes(std::span(kTokenSignature));
  if (std::ranges::equal(found, expected)) return;
  if (found.empty()) throw Error("file is empty, expected a .mimi file");
  const std::string begins = "begins with " + quote(as_text(found));
  if (std::ranges::equal(found, expected.first(found.size()))) {
    throw Error("file ends" + at_byte(found.size()) + ", within its signature");
  }
  // moshi.cpp's files, which have "MIMI" at their beginning, are not damaged but of another kind.
  const std::size_t name = as_text(found).find("MIMI");
  if (name != std::string_view::npos && name != 0) {
    throw Error("signature is damaged, as copying in text mode does: " + begins);
  }
  throw Error("not a .mimi file: " + begins);
}

std::optional<std::size_t> fixed_payload_bytes(RecordType type) {
  switch (type) {
    case RecordType::kSegment:
      return kSegmentBytes;
    case RecordType::kGap:
      return kGapBytes;
    case RecordType::kSegmentEnd:
      return kSegmentEndBytes;
    case RecordType::kTotals:
      return kTotalsBytes;
    case RecordType::kHeader:
    case RecordType::kBlock:
    case RecordType::kIndex:
      break;
  }
  return std::nullopt;
}

void check_trailer(const Trailer& found, const Trailer& expected) {
  const auto& [totals, index_offset, header_offset] = expected;
  check_number("frame count", found.totals.frames, totals.frames);
  check_number("block count", found.totals.blocks, totals.blocks);
  check_number("segment count", found.totals.segments, totals.segments);
  check_number("gap count", found.totals.gaps, totals.gaps);
  check_number("count of lost frames", found.totals.lost_frames, totals.lost_frames);
  check_number("sample count", found.totals.samples, totals.samples);
  check_number("count of source samples", found.totals.source_samples, totals.source_samples);
  check_number("offset of the index", found.index_offset, index_offset);
  check_number("offset of the second header", found.header_offset, header_offset);
  if (found.totals.codes_crc != totals.codes_crc) {
    throw Error("checksum of all codes is " + hex(found.totals.codes_crc) + ", the codes give " +
                hex(totals.codes_crc));
  }
}

}  // namespace

struct TokenReader::Impl {
  struct Record {
    RecordType type;
    std::uint64_t offset;
    std::span<const std::byte> payload;
  };
  enum class Phase { kContent, kIndex, kTotals, kDone };

  explicit Impl(Source source_in) : source(std::move(source_in)), ledger(TokenHeader{}) {
    std::array<std::byte, kTokenSignature.size()> signature;
    check_signature(std::span(signature).first(read(signature)));
    const Record record = read_record();
    try {
      if (record.type != RecordType::kHeader) throw Error("expected the header");
      header = parse_header(record.payload);
    } catch (const Error& error) {
      throw Error(place(record) + ": " + error.what());
    }
    header_payload.assign(record.payload.begin(), record.payload.end());
    ledger = TokenLedger(header);
  }

  std::size_t read(std::span<std::byte> bytes);
  Record read_record();
  std::string place(const Record& record) const;
  std::optional<TokenRecord> interpret(const Record& record);
  TokenRecord interpret_content(const Record& record);
  void read_index(const Record& record);
  void read_second_header(const Record& record);
  TokenTotals read_totals(const Record& record);
  void expect_indexed(IndexEntry entry, const Record& record);
  void expect_entry(const IndexEntry& entry);

  Source source;
  std::uint64_t offset = 0;
  std::vector<std::byte> buffer;  // the last record
  std::vector<std::uint16_t> codes;

  TokenHeader header;
  std::vector<std::byte> header_payload;
  TokenLedger ledger;
  Phase phase = Phase::kContent;

  // The index is compared by checksum, so that it need not be held.
  struct IndexSum {
    std::uint64_t entries = 0;
    std::uint32_t crc = 0;
  };
  IndexRuns runs;
  IndexSum expected_index, index;
  bool index_is_closed = false;  // by a record that is not full
  std::uint64_t index_offset = 0;
  std::uint64_t header_offset = 0;
};

std::size_t TokenReader::Impl::read(std::span<std::byte> bytes) {
  std::size_t count = 0;
  while (count < bytes.size()) {
    const std::size_t got = source(bytes.subspan(count));
    assert(got <= bytes.size() - count);
    if (got == 0) break;
    count += got;
  }
  offset += count;
  return count;
}

std::string TokenReader::Impl::place(const Record& record) const {
  const auto name = [&]() -> std::string {
    switch (record.type) {
      case RecordType::kHeader:
        return header_payload.empty() ? "header" : "second header";
      case RecordType::kSegment:
        return "segment " + std::to_string(ledger.totals().segments);
      case RecordType::kBlock:
        return "block " + std::to_string(ledger.next_block());
      case RecordType::kGap:
        return "gap";
      case RecordType::kSegmentEnd:
        return "end of segment";
      case RecordType::kIndex:
        return "index";
      case RecordType::kTotals:
        return "totals";
    }
    const char type = static_cast<char>(record.type);
    return "record of type " + quote({&type, 1});
  };
  return name() + at_byte(record.offset);
}

TokenReader::Impl::Record TokenReader::Impl::read_record() {
  Record record{.type = RecordType::kHeader, .offset = offset, .payload = {}};
  buffer.resize(kRecordPrefixBytes);
  const std::size_t prefix = read(buffer);
  if (prefix == 0) {
    throw Error("file ends" + at_byte(offset) + " without its totals: it was cut off there");
  }
  if (prefix < kRecordPrefixBytes) {
    throw Error("file ends" + at_byte(offset) + ", within the record" + at_byte(record.offset));
  }
  const auto sync = std::span(buffer).first(kRecordSync.size());
  if (!std::ranges::equal(sync, std::as_bytes(std::span(kRecordSync)))) {
    throw Error("no record" + at_byte(record.offset) + ": found " + quote(as_text(sync)));
  }
  LittleEndianParser parser{std::span(buffer).subspan(kRecordSync.size())};
  record.type = static_cast<RecordType>(parser.u8());
  const std::size_t payload_bytes = parser.u16();
  const std::size_t record_bytes = kRecordPrefixBytes + payload_bytes + kRecordCrcBytes;
  buffer.resize(record_bytes);
  const auto rest = std::span(buffer).subspan(kRecordPrefixBytes);
  if (read(rest) < rest.size()) {
    throw Error("file ends" + at_byte(offset) + ", within " + place(record) + " of " +
                std::to_string(record_bytes) + " bytes");
  }
  const auto summed = std::span(buffer).first(record_bytes - kRecordCrcBytes);
  const std::uint32_t stored = LittleEndianParser(rest.last(kRecordCrcBytes)).u32();
  const std::uint32_t computed = crc32c(0, summed);
  if (stored != computed) {
    throw Error(place(record) + " is damaged: its checksum is " + hex(stored) +
                ", its bytes give " + hex(computed));
  }
  record.payload = summed.subspan(kRecordPrefixBytes);
  return record;
}

void TokenReader::Impl::expect_entry(const IndexEntry& entry) {
  std::vector<std::byte> bytes;
  append_index_entry(entry, bytes);
  expected_index.crc = crc32c(expected_index.crc, bytes);
  ++expected_index.entries;
}

void TokenReader::Impl::expect_indexed(IndexEntry entry, const Record& record) {
  entry.type = record.type;
  entry.offset = record.offset;
  const std::size_t record_bytes = kRecordPrefixBytes + record.payload.size() + kRecordCrcBytes;
  if (const auto run = runs.add(entry, record_bytes)) expect_entry(*run);
}

TokenRecord TokenReader::Impl::interpret_content(const Record& record) {
  if (record.type == RecordType::kSegment) {
    const TokenSegment segment = parse_segment(record.payload);
    ledger.begin_segment(segment);
    expect_indexed({.number = segment.number, .count = 1, .first_frame = segment.first_frame},
                   record);
    return segment;
  }
  if (record.type == RecordType::kBlock) {
    const TokenBlock block = parse_block(header, record.payload, codes);
    ledger.add_block(block);
    expect_indexed({.block_frames = static_cast<std::uint8_t>(block.frames),
                    .number = block.number,
                    .count = 1,
                    .first_frame = block.first_frame},
                   record);
    return block;
  }
  if (record.type == RecordType::kGap) {
    const TokenGap gap = parse_gap(record.payload);
    ledger.add_gap(gap);
    expect_indexed({.number = gap.first_block, .count = gap.blocks, .first_frame = gap.first_frame},
                   record);
    return gap;
  }
  assert(record.type == RecordType::kSegmentEnd);
  const TokenSegmentEnd end = parse_segment_end(record.payload);
  const TokenSegmentEnd expected = ledger.end_segment(end.source_samples);
  check_number("segment", end.number, expected.number);
  check_number("frame count", end.frames, expected.frames);
  check_number("sample count", end.samples, expected.samples);
  return end;
}

void TokenReader::Impl::read_index(const Record& record) {
  if (ledger.in_segment()) throw Error("comes before the segment has ended");
  const std::size_t entries = record.payload.size() / kIndexEntryBytes;
  if (entries * kIndexEntryBytes != record.payload.size() || entries == 0 ||
      entries > kMaxIndexEntries || index_is_closed) {
    throw Error("has " + std::to_string(record.payload.size()) +
                " bytes or follows an index that is not full");
  }
  if (phase == Phase::kContent) index_offset = record.offset;
  phase = Phase::kIndex;
  index.entries += entries;
  index.crc = crc32c(index.crc, record.payload);
  index_is_closed = entries < kMaxIndexEntries;
}

void TokenReader::Impl::read_second_header(const Record& record) {
  if (ledger.in_segment()) throw Error("comes before the segment has ended");
  if (const auto run = runs.finish()) expect_entry(*run);
  check_number("count of index entries before it", index.entries, expected_index.entries);
  if (index.crc != expected_index.crc) throw Error("index before it belongs to other records");
  if (!std::ranges::equal(record.payload, header_payload)) {
    throw Error("differs from the first header");
  }
  if (phase == Phase::kContent) index_offset = record.offset;
  header_offset = record.offset;
  phase = Phase::kTotals;
}

TokenTotals TokenReader::Impl::read_totals(const Record& record) {
  if (phase != Phase::kTotals) throw Error("do not follow the second header");
  const Trailer trailer = parse_trailer(record.payload);
  check_trailer(trailer, {ledger.finish(), index_offset, header_offset});
  phase = Phase::kDone;
  return trailer.totals;
}

std::optional<TokenRecord> TokenReader::Impl::interpret(const Record& record) {
  if (phase == Phase::kTotals && record.type != RecordType::kTotals) {
    throw Error("stands between the second header and the totals");
  }
  if (const auto expected = fixed_payload_bytes(record.type)) {
    check_number("size", record.payload.size(), *expected);
  }
  switch (record.type) {
    case RecordType::kSegment:
    case RecordType::kBlock:
    case RecordType::kGap:
    case RecordType::kSegmentEnd:
      if (phase != Phase::kContent) throw Error("comes after the index");
      return interpret_content(record);
    case RecordType::kIndex:
      read_index(record);
      return std::nullopt;
    case RecordType::kHeader:
      read_second_header(record);
      return std::nullopt;
    case RecordType::kTotals:
      return read_totals(record);
  }
  if (may_be_passed_over(record.type)) return std::nullopt;
  throw Error("is not known to version 1 and must not be passed over");
}

TokenReader::TokenReader(Source source) : impl_(std::make_unique<Impl>(std::move(source))) {}
TokenReader::~TokenReader() = default;
TokenReader::TokenReader(TokenReader&&) noexcept = default;
TokenReader& TokenReader::operator=(TokenReader&&) noexcept = default;

const TokenHeader& TokenReader::header() const { return impl_->header; }
std::uint64_t TokenReader::offset() const { return impl_->offset; }

std::optional<TokenRecord> TokenReader::next() {
  while (impl_->phase != Impl::Phase::kDone) {
    const Impl::Record record = impl_->read_record();
    std::optional<TokenRecord> result;
    try {
      result = impl_->interpret(record);
    } catch (const Error& error) {
      throw Error(impl_->place(record) + ": " + error.what());
    }
    if (impl_->phase == Impl::Phase::kDone) {
      std::byte extra;
      if (impl_->read({&extra, 1}) != 0) {
        throw Error("bytes follow the end of the file" + at_byte(impl_->offset - 1));
      }
    }
    if (result) return result;
  }
  return std::nullopt;
}

}  // namespace mimi
