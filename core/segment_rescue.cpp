#include "core/segment_rescue.h"

#include <algorithm>
#include <utility>

#include "core/byte_order.h"
#include "core/token_edit.h"

namespace mimi {
namespace {

// What Mimi's files have, where no header says it.
constexpr int kMimiRateHz = 24000;
constexpr int kMimiFrameSamples = 1920;

// Throws where whole ones are there, but none that can be read, as of another version.
std::optional<TokenHeader> whole_header(std::span<const WholeRecord> records) {
  std::optional<Error> first_error;
  for (const WholeRecord& record : records) {
    if (record.type != RecordType::kHeader) continue;
    try {
      return parse_header(record.payload);
    } catch (const Error& error) {
      if (!first_error) first_error = error;
    }
  }
  if (first_error) throw Error(*first_error);
  return std::nullopt;
}

// A header that fits the first block.
std::optional<TokenHeader> header_of_blocks(std::span<const WholeRecord> records) {
  for (const WholeRecord& record : records) {
    if (record.type != RecordType::kBlock || record.payload.size() < kBlockPrefixBytes) continue;
    LittleEndianParser parser(record.payload.subspan(11));
    TokenHeader header;
    header.sample_rate_hz = kMimiRateHz;
    header.frame_samples = kMimiFrameSamples;
    header.levels = parser.u8();
    const int bits = parser.u8();
    header.streams = parser.u8();
    if (bits < 1 || bits > 16) continue;
    header.codebook_size = 1 << bits;
    try {
      check_header(header);
      return header;
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the next block may be better
    }
  }
  return std::nullopt;
}

// Takes the whole records in the order of the file, and fills what is missing between them.
class Rescuer {
 public:
  Rescuer(const TokenHeader& header, TokenRescue& report) : header_(header), report_(report) {}

  void take(const WholeRecord& record) {
    try {
      expect(!has_totals_);
      take_payload(record);
    } catch (const Error&) {
      ++report_.foreign_records;
      if (record.type == RecordType::kBlock) ++report_.foreign_blocks;
    }
  }

  void finish() {
    if (!has_totals_) add_lost_rest();
    if (is_open_) close(std::nullopt);
  }

  std::vector<SavedSegment>& segments() { return segments_; }
  int largest_block_frames() const {
    return largest_block_frames_ == 0 ? kMaxBlockFrames : largest_block_frames_;
  }

 private:
  std::uint64_t frame_samples() const { return static_cast<std::uint64_t>(header_.frame_samples); }
  SavedSegment& segment() { return segments_.back(); }
  // Throws what take() counts.
  static void expect(bool holds) {
    if (!holds) throw Error("contradicts the records before");
  }

  void take_payload(const WholeRecord& record) {
    const std::span<const std::byte> payload = record.payload;
    switch (record.type) {
      case RecordType::kHeader:
      case RecordType::kIndex:
        return;
      case RecordType::kSegment:
        expect(payload.size() == kSegmentBytes);
        return take(parse_segment(payload));
      case RecordType::kBlock:
        return take(parse_block(header_, payload, codes_));
      case RecordType::kGap:
        expect(payload.size() == kGapBytes);
        return take(parse_gap(payload));
      case RecordType::kSegmentEnd:
        expect(payload.size() == kSegmentEndBytes);
        return take(parse_segment_end(payload));
      case RecordType::kTotals:
        expect(payload.size() == kTotalsBytes);
        return take(parse_trailer(payload).totals);
    }
    expect(may_be_passed_over(record.type));
  }

  void take(const TokenSegment& start) {
    expect(start.first_frame >= next_frame_ && start.number >= next_segment_);
    if (is_open_) {
      add_lost(start.first_frame - next_frame_, std::nullopt, 0);
      close(std::nullopt);
    } else if (start.first_frame > next_frame_) {
      open_guess();
      add_lost(start.first_frame - next_frame_, std::nullopt, 0);
      close(std::nullopt);
    }
    open(start);
    next_segment_ = start.number + std::uint64_t{1};
  }

  void take(const TokenBlock& block) {
    for (const std::uint16_t code : block.codes) expect(code < header_.codebook_size);
    check_frames(block.first_frame, static_cast<std::uint32_t>(block.frames),
                 block.padding_samples);
    make_room(block.number, block.first_frame);
    segment().content.emplace_back(SavedBlock{.frames = block.frames,
                                              .padding_samples = block.padding_samples,
                                              .codes = {block.codes.begin(), block.codes.end()}});
    advance(1, static_cast<std::uint32_t>(block.frames), block.padding_samples);
    largest_block_frames_ = std::max(largest_block_frames_, block.frames);
    ++report_.saved_blocks;
  }

  void take(const TokenGap& gap) {
    check_frames(gap.first_frame, gap.frames, gap.padding_samples);
    expect(gap.blocks > 0 && gap.frames >= gap.blocks &&
           gap.frames <= std::uint64_t{gap.blocks} * kMaxBlockFrames);
    make_room(gap.first_block, gap.first_frame);
    segment().content.emplace_back(SavedGap{.gap = gap, .is_new = false});
    advance(gap.blocks, gap.frames, gap.padding_samples);
  }

  void take(const TokenSegmentEnd& end) {
    const std::uint64_t next = end.number + std::uint64_t{1};
    expect(is_open_ ? next >= next_segment_ : next > next_segment_);
    const std::uint32_t frames = is_open_ ? segment().frames : 0;
    if (is_open_ && (start_is_guess_ ? end.frames < frames : next > next_segment_)) {
      // Of a segment that began after the open one, at a place that was lost.
      close(std::nullopt);
      ++report_.lost_segments;
      next_segment_ = next;
      return;
    }
    expect(end.frames >= frames);
    const std::uint64_t samples = end.frames * frame_samples();
    expect(end.samples <= samples && end.source_samples <= kMaxTokenSamples - source_samples_);
    check_frames(next_frame_, end.frames - frames, 0);
    if (!is_open_) open_guess();
    if (end.frames > frames) add_lost_end(end, frames);
    if (start_is_guess_) {
      std::uint64_t dropped = samples - end.samples;
      dropped -= std::min<std::uint64_t>(dropped, static_cast<unsigned>(segment().padding_samples));
      segment().start.lead_in_samples =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(dropped, 0xFFFFFFFF));
    }
    close(end.source_samples);
    if (header_.source_rate_hz != 0) source_samples_ += end.source_samples;
    next_segment_ = std::max(next_segment_, next);
  }

  // The lead-in was not lost with the last block, so that the rest that is dropped is padding.
  void add_lost_end(const TokenSegmentEnd& end, std::uint32_t frames) {
    const std::uint64_t lead_in = start_is_guess_ ? 0 : segment().start.lead_in_samples;
    const std::uint64_t dropped = end.frames * frame_samples() - end.samples;
    const auto padding =
        static_cast<int>(std::min(dropped - std::min(lead_in, dropped), frame_samples() - 1));
    add_lost(end.frames - frames, std::nullopt, padding);
  }

  void take(const TokenTotals& totals) {
    expect(totals.frames >= next_frame_);
    has_totals_ = true;
    if (totals.frames == next_frame_) return;
    if (!is_open_) open_guess();
    add_lost(totals.frames - next_frame_, std::nullopt, 0);
  }

  // What the header's count leaves for the segment that is open, or would follow the last.
  std::optional<std::uint64_t> untold_source_samples() const {
    const auto has_end = [](const SavedSegment& s) { return s.source_samples.has_value(); };
    const auto ended = std::span(segments_).first(segments_.size() - (is_open_ ? 1 : 0));
    if (!std::ranges::all_of(ended, has_end)) return std::nullopt;
    if (!header_.source_samples || *header_.source_samples < source_samples_) return std::nullopt;
    return *header_.source_samples - source_samples_;
  }

  // Of a file that ends before its totals.
  void add_lost_rest() {
    const std::optional<std::uint64_t> untold = untold_source_samples();
    if (!untold) {
      if (is_open_) segment().is_cut = true;
      return;
    }
    if (!is_open_) {
      if (*untold == 0) return;
      open_guess();
    }
    const std::uint64_t samples =
        segment().start.lead_in_samples +
        std::min(kMaxTokenSamples, sample_at_rate(*untold, header_.source_rate_hz,
                                                  static_cast<unsigned>(header_.sample_rate_hz)));
    const std::uint64_t frames = (samples + frame_samples() - 1) / frame_samples();
    if (frames <= segment().frames) return;
    const std::uint64_t lost = frames - segment().frames;
    // A padded segment is whole, so that others were lost; more than can be numbered is no count.
    if (segment().padding_samples != 0 || lost > 0xFFFFFFFFU - next_frame_) {
      segment().is_cut = true;
      return;
    }
    add_lost(static_cast<std::uint32_t>(lost), std::nullopt,
             static_cast<int>(frames * frame_samples() - samples));
  }

  void check_frames(std::uint32_t first, std::uint32_t frames, int padding) const {
    expect(first >= next_frame_ && frames <= 0xFFFFFFFFU - first);
    expect(padding < header_.frame_samples);
  }

  void open(const TokenSegment& start) {
    SavedSegment& saved = segments_.emplace_back();
    saved.start = start;
    if (header_.source_rate_hz != 0) saved.start.source_rate_hz = header_.source_rate_hz;
    is_open_ = true;
    start_is_guess_ = false;
  }
  // Of a segment whose record was lost.
  void open_guess() {
    open({});
    start_is_guess_ = true;
    ++next_segment_;
    ++report_.lost_segments;
  }

  void close(std::optional<std::uint64_t> source_samples) {
    segment().source_samples = source_samples;
    if (!source_samples) ++report_.lost_ends;
    is_open_ = false;
  }

  // Opens a segment and adds a gap, so that the next record can be this one.
  void make_room(std::uint32_t block, std::uint32_t frame) {
    if (is_open_ && segment().padding_samples != 0) close(std::nullopt);
    if (!is_open_) open_guess();
    std::optional<std::uint32_t> blocks;
    if (block >= next_block_) blocks = static_cast<std::uint32_t>(block - next_block_);
    add_lost(frame - next_frame_, blocks, 0);
    next_block_ = block;
  }

  void add_lost(std::uint32_t frames, std::optional<std::uint32_t> blocks, int padding) {
    if (frames == 0) return;
    // After padding there can only be another segment.
    if (segment().padding_samples != 0) {
      close(std::nullopt);
      open_guess();
    }
    const auto usual = static_cast<std::uint32_t>(largest_block_frames());
    const std::uint32_t fewest = frames / kMaxBlockFrames + (frames % kMaxBlockFrames != 0 ? 1 : 0);
    const std::uint32_t likely = frames / usual + (frames % usual != 0 ? 1 : 0);
    const TokenGap gap = {.blocks = std::clamp(blocks.value_or(likely), fewest, frames),
                          .frames = frames,
                          .padding_samples = padding};
    segment().content.emplace_back(SavedGap{.gap = gap, .is_new = true});
    advance(gap.blocks, frames, padding);
  }

  void advance(std::uint32_t blocks, std::uint32_t frames, int padding) {
    next_block_ += blocks;
    next_frame_ += frames;
    segment().frames += frames;
    segment().padding_samples = padding;
  }

  const TokenHeader& header_;
  TokenRescue& report_;
  std::vector<SavedSegment> segments_;
  std::vector<std::uint16_t> codes_;
  bool is_open_ = false;
  bool start_is_guess_ = false;
  bool has_totals_ = false;
  std::uint64_t next_segment_ = 0;
  std::uint64_t next_block_ = 0;
  std::uint32_t next_frame_ = 0;
  std::uint64_t source_samples_ = 0;  // of the segments whose end is there, where they are summed
  int largest_block_frames_ = 0;
};

std::uint64_t samples_of(const TokenHeader& header, const SavedSegment& segment) {
  const std::uint64_t samples = segment.frames * static_cast<std::uint64_t>(header.frame_samples);
  const std::uint64_t dropped =
      segment.start.lead_in_samples + static_cast<std::uint64_t>(segment.padding_samples);
  return samples - std::min(samples, dropped);
}

// A segment whose end was lost takes what the header's count leaves for it, or as many source
// samples as its own samples last. Gives the sum, where there is one.
std::uint64_t guess_source_samples(TokenHeader& header, std::vector<SavedSegment>& segments) {
  const bool are_summed = header.source_rate_hz != 0;  // else each segment has its own rate
  std::uint64_t known = 0;
  std::vector<SavedSegment*> unknown;
  for (SavedSegment& segment : segments) {
    if (!segment.source_samples) {
      unknown.push_back(&segment);
    } else if (are_summed) {
      known += *segment.source_samples;
    }
  }
  const std::uint64_t all = header.source_samples.value_or(0);
  for (SavedSegment* segment : unknown) {
    const std::uint64_t guess =
        unknown.size() == 1 && all > known && !segment->is_cut
            ? all - known
            : sample_at_rate(samples_of(header, *segment),
                             static_cast<std::uint32_t>(header.sample_rate_hz),
                             segment->start.source_rate_hz);
    segment->source_samples = std::min(guess, kMaxTokenSamples - known);
    if (are_summed) known += *segment->source_samples;
  }
  if (header.source_samples != known) header.source_samples.reset();
  return known;
}

// As the segment was lost, its lead-in may be more than the frames that are left.
void bound_lead_in(const TokenHeader& header, SavedSegment& segment) {
  const std::uint64_t samples = segment.frames * static_cast<std::uint64_t>(header.frame_samples) -
                                static_cast<std::uint64_t>(segment.padding_samples);
  segment.start.lead_in_samples =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(segment.start.lead_in_samples, samples));
}

}  // namespace

SavedFile rescue_file(std::span<const WholeRecord> records, TokenRescue& report) {
  std::optional<TokenHeader> header = whole_header(records);
  if (!header) {
    report.has_header = false;
    header = header_of_blocks(records);
  }
  if (!header) throw Error("holds neither a whole header nor a whole block of a .mimi file");
  Rescuer rescuer(*header, report);
  for (const WholeRecord& record : records) rescuer.take(record);
  rescuer.finish();
  SavedFile saved;
  saved.segments = std::move(rescuer.segments());
  for (SavedSegment& segment : saved.segments) saved.frames += segment.frames;
  saved.source_samples = guess_source_samples(*header, saved.segments);
  for (SavedSegment& segment : saved.segments) bound_lead_in(*header, segment);
  saved.largest_block_frames = rescuer.largest_block_frames();
  saved.header = std::move(*header);
  return saved;
}

}  // namespace mimi
