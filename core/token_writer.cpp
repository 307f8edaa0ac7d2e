#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "core/token_file.h"
#include "core/token_ledger.h"
#include "core/token_record.h"

namespace mimi {
namespace {

int checked_block_frames(const TokenHeader& header, int block_frames) {
  if (block_frames < 1 || block_frames > kMaxBlockFrames) {
    throw Error("frames of a block are " + std::to_string(block_frames) + ", expected 1 to " +
                std::to_string(kMaxBlockFrames));
  }
  return std::min(block_frames, max_block_frames(header));
}

}  // namespace

struct TokenWriter::Impl {
  Impl(Sink sink_in, TokenHeader header_in, int block_frames)
      : sink(std::move(sink_in)),
        header(std::move(header_in)),
        header_payload(pack_header(header)),
        block_codes(header.frame_codes() *
                    static_cast<std::size_t>(checked_block_frames(header, block_frames))),
        ledger(header) {
    pending.reserve(block_codes);
  }

  void emit(std::span<const std::byte> bytes) {
    sink(bytes);
    offset += bytes.size();
  }
  void emit_record(RecordType type, std::span<const std::byte> payload) {
    emit(make_record(type, payload));
  }
  void emit_indexed(IndexEntry entry, std::span<const std::byte> payload) {
    const std::vector<std::byte> record = make_record(entry.type, payload);
    entry.offset = offset;
    if (const auto run = runs.add(entry, record.size())) index.push_back(*run);
    emit(record);
  }
  void emit_block(int padding_samples);
  void emit_index();

  Sink sink;
  TokenHeader header;
  std::vector<std::byte> header_payload;
  std::size_t block_codes;
  TokenLedger ledger;
  IndexRuns runs;
  std::vector<IndexEntry> index;
  std::vector<std::uint16_t> pending;  // of the next block
  std::uint64_t offset = 0;
  bool finished = false;
};

void TokenWriter::Impl::emit_block(int padding_samples) {
  TokenBlock block;
  block.number = ledger.next_block();
  block.first_frame = ledger.totals().frames;
  block.frames = static_cast<int>(pending.size() / header.frame_codes());
  block.padding_samples = padding_samples;
  block.codes = pending;
  ledger.add_block(block);
  emit_indexed({.type = RecordType::kBlock,
                .block_frames = static_cast<std::uint8_t>(block.frames),
                .number = block.number,
                .count = 1,
                .first_frame = block.first_frame},
               pack_block(header, block));
  pending.clear();
}

void TokenWriter::Impl::emit_index() {
  if (const auto run = runs.finish()) index.push_back(*run);
  for (std::size_t first = 0; first < index.size(); first += kMaxIndexEntries) {
    std::vector<std::byte> payload;
    const std::size_t end = std::min(first + kMaxIndexEntries, index.size());
    for (std::size_t i = first; i < end; ++i) append_index_entry(index[i], payload);
    emit_record(RecordType::kIndex, payload);
  }
}

TokenWriter::TokenWriter(Sink sink, TokenHeader header, int block_frames)
    : impl_(std::make_unique<Impl>(std::move(sink), std::move(header), block_frames)) {
  impl_->emit(std::as_bytes(std::span(kTokenSignature)));
  impl_->emit_record(RecordType::kHeader, impl_->header_payload);
}
TokenWriter::~TokenWriter() = default;
TokenWriter::TokenWriter(TokenWriter&&) noexcept = default;
TokenWriter& TokenWriter::operator=(TokenWriter&&) noexcept = default;

void TokenWriter::begin_segment(const TokenSegment& options) {
  assert(!impl_->finished);
  TokenSegment segment = options;
  segment.number = impl_->ledger.totals().segments;
  segment.first_frame = impl_->ledger.totals().frames;
  if (segment.source_rate_hz == 0) segment.source_rate_hz = impl_->header.source_rate_hz;
  impl_->ledger.begin_segment(segment);
  impl_->emit_indexed({.type = RecordType::kSegment,
                       .number = segment.number,
                       .count = 1,
                       .first_frame = segment.first_frame},
                      pack_segment(segment));
}

void TokenWriter::write(std::span<const std::uint16_t> codes, int padding_samples) {
  if (codes.size() % impl_->header.frame_codes() != 0) {
    throw Error(std::to_string(codes.size()) + " codes are not whole frames of " +
                std::to_string(impl_->header.frame_codes()));
  }
  if (padding_samples != 0 && codes.empty()) throw Error("padding without a frame");
  if (!codes.empty() && !impl_->ledger.in_segment()) {
    throw Error("frames stand outside of a segment");
  }
  std::vector<std::uint16_t>& pending = impl_->pending;
  while (!codes.empty()) {
    const auto part = codes.first(std::min(codes.size(), impl_->block_codes - pending.size()));
    pending.insert(pending.end(), part.begin(), part.end());
    codes = codes.subspan(part.size());
    const int padding_here = codes.empty() ? padding_samples : 0;
    if (pending.size() == impl_->block_codes || padding_here != 0) {
      impl_->emit_block(padding_here);
    }
  }
}

void TokenWriter::write_gap(const TokenGap& options) {
  if (!impl_->pending.empty()) impl_->emit_block(0);
  TokenGap gap = options;
  gap.first_block = impl_->ledger.next_block();
  gap.first_frame = impl_->ledger.totals().frames;
  impl_->ledger.add_gap(gap);
  impl_->emit_indexed({.type = RecordType::kGap,
                       .number = gap.first_block,
                       .count = gap.blocks,
                       .first_frame = gap.first_frame},
                      pack_gap(gap));
}

void TokenWriter::end_segment(std::uint64_t source_samples) {
  if (!impl_->pending.empty()) impl_->emit_block(0);
  const TokenSegmentEnd end = impl_->ledger.end_segment(source_samples);
  impl_->emit_record(RecordType::kSegmentEnd, pack_segment_end(end));
}

TokenTotals TokenWriter::finish() {
  assert(!impl_->finished);
  Trailer trailer;
  trailer.totals = impl_->ledger.finish();
  trailer.index_offset = impl_->offset;
  impl_->emit_index();
  trailer.header_offset = impl_->offset;
  impl_->emit_record(RecordType::kHeader, impl_->header_payload);
  impl_->emit_record(RecordType::kTotals, pack_trailer(trailer));
  impl_->finished = true;
  return trailer.totals;
}

}  // namespace mimi
