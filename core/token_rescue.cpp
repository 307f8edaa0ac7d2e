#include "core/token_rescue.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "core/record_finder.h"
#include "core/segment_rescue.h"
#include "core/token_edit.h"
#include "core/token_record.h"

namespace mimi {
namespace {

void write_segment(const SavedSegment& segment, TokenWriter& writer, TokenRescue& report,
                   std::uint32_t& first_frame) {
  writer.begin_segment(segment.start);
  for (const auto& item : segment.content) {
    if (const auto* block = std::get_if<SavedBlock>(&item)) {
      writer.write(block->codes, block->padding_samples);
      first_frame += static_cast<std::uint32_t>(block->frames);
    } else {
      const auto& [gap, is_new] = std::get<SavedGap>(item);
      writer.write_gap(gap);
      if (is_new) report.lost.push_back({first_frame, gap.frames, gap.blocks});
      first_frame += gap.frames;
    }
  }
  if (segment.is_cut) report.cut_at.push_back(first_frame);
  writer.end_segment(segment.start.source_rate_hz == 0 ? 0 : *segment.source_samples);
}

// Where another file begins behind the first: at a header that has the signature before it.
std::vector<std::span<const WholeRecord>> split_files(std::span<const std::byte> file,
                                                      std::span<const WholeRecord> records) {
  const auto signature = std::as_bytes(std::span(kTokenSignature));
  const auto begins_file = [&](const WholeRecord& record) {
    return record.type == RecordType::kHeader && record.offset >= signature.size() &&
           std::ranges::equal(signature,
                              file.subspan(record.offset - signature.size(), signature.size()));
  };
  std::vector<std::span<const WholeRecord>> files;
  std::size_t first = 0;
  for (std::size_t end = 1; end < records.size(); ++end) {
    if (!begins_file(records[end])) continue;
    files.push_back(records.subspan(first, end - first));
    first = end;
  }
  files.push_back(records.subspan(first));
  return files;
}

// Throws where they cannot be one file.
void append(SavedFile& all, SavedFile next) {
  TokenHeader header = joined_header(all.header, next.header);
  const std::uint64_t frames = all.frames + next.frames;
  const std::uint64_t source_samples = all.source_samples + next.source_samples;
  if (frames > 0xFFFFFFFF || (header.source_rate_hz != 0 && source_samples > kMaxTokenSamples)) {
    throw Error("too long together");
  }
  all.header = std::move(header);
  all.frames = frames;
  all.source_samples = source_samples;
  std::ranges::move(next.segments, std::back_inserter(all.segments));
  all.largest_block_frames = std::max(all.largest_block_frames, next.largest_block_frames);
}

// Puts one file behind the other.
class FileJoiner {
 public:
  void add(std::span<const WholeRecord> records) {
    TokenRescue report = report_;
    try {
      SavedFile file = rescue_file(records, report);
      if (all_) {
        file.header.text.clear();
        append(*all_, std::move(file));
      } else {
        text_ = std::exchange(file.header.text, {});
        all_ = std::move(file);
      }
      report_ = std::move(report);
    } catch (const Error& error) {
      leave_out(records, error);
    }
  }

  TokenRescue write(const TokenWriter::Sink& out) {
    if (!all_) throw Error(*error_);
    all_->header.text = std::move(text_);
    TokenWriter writer(out, all_->header, all_->largest_block_frames);
    std::uint32_t first_frame = 0;
    for (const SavedSegment& segment : all_->segments) {
      write_segment(segment, writer, report_, first_frame);
    }
    report_.totals = writer.finish();
    return std::move(report_);
  }

 private:
  void leave_out(std::span<const WholeRecord> records, const Error& error) {
    if (!error_) error_ = error;
    report_.foreign_records += static_cast<std::uint32_t>(records.size());
    report_.foreign_blocks += static_cast<std::uint32_t>(
        std::ranges::count(records, RecordType::kBlock, &WholeRecord::type));
  }

  std::optional<SavedFile> all_;
  // The first file's; those of all would be compared with each other once for each file.
  std::vector<std::pair<std::string, std::string>> text_;
  std::optional<Error> error_;  // of the first that was left out
  TokenRescue report_;
};

}  // namespace

TokenRescue rescue_tokens(std::span<const std::byte> file, const TokenWriter::Sink& out) {
  const std::vector<WholeRecord> records = find_records(file);
  FileJoiner joiner;
  for (const auto part : split_files(file, records)) joiner.add(part);
  return joiner.write(out);
}

}  // namespace mimi
