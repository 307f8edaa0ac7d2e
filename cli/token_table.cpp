#include "cli/token_table.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <variant>

#include "core/token_record.h"

namespace mimi::cli {
namespace {

bool begins_with(std::span<const std::uint8_t> bytes, std::span<const unsigned char> start) {
  return bytes.size() >= start.size() && std::ranges::equal(bytes.first(start.size()), start);
}

std::uint32_t count_frames(const TokenTable& table) {
  if (table.frames() > std::numeric_limits<std::uint32_t>::max())
    throw Error("has too many frames");
  return static_cast<std::uint32_t>(table.frames());
}

// Writes one segment of the frames from `first` on.
void write_frames(const TokenTable& table, std::size_t first, const TokenTable::Segment& segment,
                  TokenWriter& writer) {
  const std::size_t width = table.header.frame_codes(), end = first + segment.frames;
  for (std::size_t run = first, next = first; run < end; run = next) {
    while (next < end && table.is_lost(next) == table.is_lost(run)) ++next;
    const int padding = next == end ? segment.padding_samples : 0;
    const auto frames = static_cast<std::uint32_t>(next - run);
    if (table.is_lost(run)) {
      writer.write_gap({.blocks = (frames + kMaxBlockFrames - 1) / kMaxBlockFrames,
                        .frames = frames,
                        .padding_samples = padding});
      continue;
    }
    const auto codes = std::span(table.codes).subspan(run * width, frames * width);
    const std::vector<std::uint16_t> narrow(codes.begin(), codes.end());
    writer.write(narrow, padding);
  }
}

void check_codes(const TokenTable& table) {
  const std::size_t width = table.header.frame_codes();
  for (std::size_t i = 0; i < table.codes.size(); ++i) {
    const std::int32_t code = table.codes[i];
    const bool is_lost = table.is_lost(i / width);
    if (is_lost ? code == TokenTable::kLost : code >= 0 && code < table.header.codebook_size) {
      continue;
    }
    throw Error("code " + std::to_string(i % width) + " of frame " + std::to_string(i / width) +
                " is " + std::to_string(code) + ", expected " +
                (is_lost ? "-1 as of a lost frame"
                         : "0 to " + std::to_string(table.header.codebook_size - 1)));
  }
}

}  // namespace

TableFormat table_format_of(std::span<const std::uint8_t> bytes) {
  constexpr std::array<unsigned char, 6> kNpy = {0x93, 'N', 'U', 'M', 'P', 'Y'};
  constexpr std::array<unsigned char, 4> kMoshi = {'M', 'I', 'M', 'I'};
  if (begins_with(bytes, std::span(kTokenSignature).first(5))) return TableFormat::kMimi;
  if (begins_with(bytes, kNpy)) return TableFormat::kNpy;
  if (begins_with(bytes, kMoshi)) return TableFormat::kMoshi;
  if (bytes.size() > 8 && bytes[8] == '{') return TableFormat::kSafetensors;
  return TableFormat::kText;
}

namespace {

TokenTable read_any_table(std::span<const std::uint8_t> bytes, const TokenHeader& like) {
  switch (table_format_of(bytes)) {
    case TableFormat::kMimi:
      return read_mimi(bytes);
    case TableFormat::kNpy:
      return read_npy(bytes, like);
    case TableFormat::kSafetensors:
      return read_safetensors(bytes, like);
    case TableFormat::kMoshi:
      return read_moshi(bytes, like);
    case TableFormat::kText:
      break;
  }
  return read_text(bytes, like);
}

}  // namespace

void LostCodes::add(std::uint64_t codes) {
  codes_ += codes;
  if (codes_ <= most_) return;
  throw Error("has at least " + std::to_string(codes_) +
              " codes of lost frames, a table of it can have " + std::to_string(most_));
}

TokenTable read_table(std::span<const std::uint8_t> bytes, const TokenHeader& like) {
  TokenTable table = read_any_table(bytes, like);
  check_codes(table);
  return table;
}

TokenTable read_mimi(std::span<const std::uint8_t> bytes) {
  TokenReader reader([bytes](std::span<std::byte> buffer) mutable {
    const std::size_t count = std::min(bytes.size(), buffer.size());
    std::ranges::copy(std::as_bytes(bytes.first(count)), buffer.begin());
    bytes = bytes.subspan(count);
    return count;
  });
  TokenTable table;
  table.header = reader.header();
  LostCodes lost(bytes.size());
  while (const std::optional<TokenRecord> record = reader.next()) {
    if (const auto* segment = std::get_if<TokenSegment>(&*record)) {
      table.segments.push_back({.origin_frame = segment->origin_frame,
                                .lead_in_samples = segment->lead_in_samples,
                                .source_rate_hz = segment->source_rate_hz});
    } else if (const auto* block = std::get_if<TokenBlock>(&*record)) {
      table.codes.insert(table.codes.end(), block->codes.begin(), block->codes.end());
      table.segments.back().frames += static_cast<std::uint32_t>(block->frames);
      table.segments.back().padding_samples = block->padding_samples;
    } else if (const auto* gap = std::get_if<TokenGap>(&*record)) {
      lost.add(gap->frames * std::uint64_t{table.header.frame_codes()});
      table.codes.resize(table.codes.size() + gap->frames * table.header.frame_codes(),
                         TokenTable::kLost);
      table.segments.back().frames += gap->frames;
      table.segments.back().padding_samples = gap->padding_samples;
    } else if (const auto* end = std::get_if<TokenSegmentEnd>(&*record)) {
      table.segments.back().source_samples = end->source_samples;
    }
  }
  return table;
}

void write_mimi(const TokenTable& table, const TokenWriter::Sink& out) {
  check_codes(table);
  std::vector<TokenTable::Segment> segments = table.segments;
  if (segments.empty()) segments.push_back({.frames = count_frames(table)});
  std::uint64_t described = 0;
  for (const TokenTable::Segment& segment : segments) described += segment.frames;
  if (described != table.frames()) {
    throw Error("has " + std::to_string(table.frames()) + " frames, its description says " +
                std::to_string(described));
  }
  TokenWriter writer(out, table.header);
  std::size_t first = 0;
  for (const TokenTable::Segment& segment : segments) {
    writer.begin_segment({.origin_frame = segment.origin_frame,
                          .lead_in_samples = segment.lead_in_samples,
                          .source_rate_hz = segment.source_rate_hz});
    write_frames(table, first, segment, writer);
    writer.end_segment(segment.source_samples);
    first += segment.frames;
  }
  writer.finish();
}

}  // namespace mimi::cli
