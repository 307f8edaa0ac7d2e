#include "core/token_ledger.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "core/crc32c.h"

namespace mimi {
namespace {

void check(bool holds, const char* otherwise) {
  if (!holds) throw Error(otherwise);
}

std::uint32_t codes_crc32c(std::uint32_t crc, std::span<const std::uint16_t> codes) {
  std::array<std::byte, 2048> bytes;
  while (!codes.empty()) {
    const auto part = codes.first(std::min(codes.size(), bytes.size() / 2));
    for (std::size_t i = 0; i < part.size(); ++i) {
      bytes[2 * i] = static_cast<std::byte>(part[i]);
      bytes[2 * i + 1] = static_cast<std::byte>(part[i] >> 8);
    }
    crc = crc32c(crc, std::span(bytes).first(2 * part.size()));
    codes = codes.subspan(part.size());
  }
  return crc;
}

}  // namespace

TokenLedger::TokenLedger(const TokenHeader& header)
    : frame_samples_(header.frame_samples),
      codebook_size_(header.codebook_size),
      source_rate_hz_(header.source_rate_hz),
      source_samples_(header.source_samples) {}

void TokenLedger::begin_segment(const TokenSegment& segment) {
  check(!in_segment_, "a segment begins before the one before it has ended");
  check_number("number", segment.number, totals_.segments);
  check_number("first frame", segment.first_frame, totals_.frames);
  if (source_rate_hz_ != 0) check_number("source rate", segment.source_rate_hz, source_rate_hz_);
  in_segment_ = true;
  segment_ = segment;
  padding_samples_ = 0;
  ++totals_.segments;
}

void TokenLedger::add_frames(std::uint32_t frames, int padding_samples) {
  check(in_segment_, "frames stand outside of a segment");
  check(padding_samples_ == 0, "frames follow padding, which must be the end of a segment");
  check(padding_samples >= 0 && padding_samples < frame_samples_,
        "padding is not less than a frame");
  check(frames <= std::numeric_limits<std::uint32_t>::max() - totals_.frames,
        "file has more than 4294967295 frames");
  totals_.frames += frames;
  padding_samples_ = padding_samples;
}

void TokenLedger::add_block(const TokenBlock& block) {
  check_number("number", block.number, next_block_);
  check_number("first frame", block.first_frame, totals_.frames);
  for (const std::uint16_t code : block.codes) {
    if (code < codebook_size_) continue;
    throw Error("code is " + std::to_string(code) + ", expected less than " +
                std::to_string(codebook_size_));
  }
  add_frames(static_cast<std::uint32_t>(block.frames), block.padding_samples);
  totals_.codes_crc = codes_crc32c(totals_.codes_crc, block.codes);
  ++totals_.blocks;
  ++next_block_;
}

void TokenLedger::add_gap(const TokenGap& gap) {
  check_number("first block", gap.first_block, next_block_);
  check_number("first frame", gap.first_frame, totals_.frames);
  check(gap.blocks > 0 && gap.frames >= gap.blocks &&
            gap.frames <= std::uint64_t{gap.blocks} * kMaxBlockFrames,
        "gap loses a number of frames that its blocks cannot have held");
  add_frames(gap.frames, gap.padding_samples);
  // No overflow: there are no more blocks than frames.
  next_block_ += gap.blocks;
  ++totals_.gaps;
  totals_.lost_frames += gap.frames;
}

TokenSegmentEnd TokenLedger::end_segment(std::uint64_t source_samples) {
  check(in_segment_, "a segment ends where none has begun");
  TokenSegmentEnd end;
  end.number = segment_.number;
  end.frames = totals_.frames - segment_.first_frame;
  end.source_samples = source_samples;
  const std::uint64_t samples = std::uint64_t{end.frames} * static_cast<unsigned>(frame_samples_);
  const std::uint64_t dropped =
      std::uint64_t{segment_.lead_in_samples} + static_cast<unsigned>(padding_samples_);
  check(dropped <= samples, "segment has more lead-in and padding than frames");
  end.samples = samples - dropped;
  check(segment_.source_rate_hz != 0 || source_samples == 0,
        "segment has source samples but no source rate");
  check(source_samples <= kMaxTokenSamples - totals_.source_samples, "source has too many samples");
  totals_.samples += end.samples;
  if (source_rate_hz_ != 0) totals_.source_samples += source_samples;
  in_segment_ = false;
  return end;
}

const TokenTotals& TokenLedger::finish() const {
  check(!in_segment_, "last segment has not ended");
  if (source_samples_) {
    check_number("count of source samples", totals_.source_samples, *source_samples_);
  }
  return totals_;
}

std::optional<IndexEntry> IndexRuns::add(const IndexEntry& record, std::size_t record_bytes) {
  const bool continues = run_ && run_->type == RecordType::kBlock && run_->type == record.type &&
                         run_->block_frames == record.block_frames && run_end_ == record.offset;
  run_end_ = record.offset + record_bytes;
  if (continues) {
    run_->count += record.count;
    return std::nullopt;
  }
  return std::exchange(run_, record);
}

std::optional<IndexEntry> IndexRuns::finish() { return std::exchange(run_, std::nullopt); }

}  // namespace mimi
