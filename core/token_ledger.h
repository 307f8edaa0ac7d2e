// What one record of a `.mimi` file says about the next: numbers that count on, segments that open
// and close, padding that only comes last. The writer and the reader keep the same ledger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/token_record.h"

namespace mimi {

class TokenLedger {
 public:
  explicit TokenLedger(const TokenHeader& header);

  bool in_segment() const { return in_segment_; }
  // Counts so far. Sample counts are of the segments that have ended.
  const TokenTotals& totals() const { return totals_; }
  // The number of the next block.
  std::uint32_t next_block() const { return next_block_; }

  // Each throws mimi::Error when the record cannot come now or has other numbers than it must.
  void begin_segment(const TokenSegment& segment);
  void add_block(const TokenBlock& block);
  void add_gap(const TokenGap& gap);
  TokenSegmentEnd end_segment(std::uint64_t source_samples);
  // The totals of the whole file.
  const TokenTotals& finish() const;

 private:
  void add_frames(std::uint32_t frames, int padding_samples);

  int frame_samples_;
  int codebook_size_;
  std::uint32_t source_rate_hz_;
  std::optional<std::uint64_t> source_samples_;

  TokenTotals totals_;
  std::uint32_t next_block_ = 0;
  bool in_segment_ = false;
  TokenSegment segment_;
  int padding_samples_ = 0;  // of the segment's last frame, which is then the last
};

// Runs of equal blocks, for the index.
class IndexRuns {
 public:
  // Takes what stands in the file next and how many bytes its record has. Returns the entry that
  // this completes.
  std::optional<IndexEntry> add(const IndexEntry& record, std::size_t record_bytes);
  std::optional<IndexEntry> finish();

 private:
  std::optional<IndexEntry> run_;
  std::uint64_t run_end_ = 0;
};

}  // namespace mimi
