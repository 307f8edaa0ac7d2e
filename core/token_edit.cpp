#include "core/token_edit.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/token_record.h"

namespace mimi {
namespace {

std::string seconds_text(std::uint64_t samples, int rate_hz) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3f s", static_cast<double>(samples) / rate_hz);
  return text;
}

TokenHeader part_header(const TokenHeader& whole, const TokenCut& cut) {
  TokenHeader header = whole;
  if (cut.levels > whole.levels) {
    throw Error("has " + std::to_string(whole.levels) + " levels, " + std::to_string(cut.levels) +
                " are asked for");
  }
  if (cut.levels > 0) header.levels = cut.levels;
  if (cut.from_sample > 0 || cut.to_sample) header.source_samples.reset();
  return header;
}

// Takes a file's records and writes those of the part.
class Cutter {
 public:
  Cutter(const TokenHeader& whole, const TokenCut& cut, const TokenWriter::Sink& out)
      : whole_(whole),
        part_(part_header(whole, cut)),
        cut_(cut),
        writer_(out, part_, cut.block_frames) {
    if (cut.to_sample && *cut.to_sample <= cut.from_sample) throw Error("the part is empty");
  }

  void take(const TokenSegment& segment) {
    segment_ = segment;
    frame_ = 0;
    held_.clear();
    state_ = State::kBefore;
    if (cut_.to_sample && segment_start_ >= *cut_.to_sample) {
      state_ = State::kBehind;
    } else if (cut_.from_sample <= segment_start_) {
      begin(0);
    }
  }

  void take(const TokenBlock& block) {
    const std::size_t width = whole_.frame_codes();
    for (int i = 0; i < block.frames; ++i, ++frame_) {
      if (state_ == State::kBehind) continue;
      const int padding = i + 1 == block.frames ? block.padding_samples : 0;
      const auto codes = block.codes.subspan(static_cast<std::size_t>(i) * width, width);
      if (state_ == State::kBefore && !reaches_part(padding)) {
        hold(codes);
        continue;
      }
      if (state_ == State::kBefore) begin_with_held();
      if (is_behind()) {
        state_ = State::kBehind;
        continue;
      }
      std::vector<std::uint16_t> chosen;
      choose_levels(codes, chosen);
      writer_.write(chosen, padding_here(padding));
    }
  }

  // A decoder begins afresh after a gap, so that nothing before one is needed as a lead-in.
  void take(const TokenGap& gap) {
    held_.clear();
    const std::int64_t end = frame_ + gap.frames;
    if (state_ == State::kBefore) frame_ = std::min(end, first_reaching(end, gap.padding_samples));
    std::int64_t kept_end = end;
    if (cut_.to_sample) kept_end = std::min(end, first_behind());
    const auto lost = static_cast<std::uint32_t>(std::max<std::int64_t>(0, kept_end - frame_));
    if (state_ != State::kBehind && lost > 0) {
      if (state_ == State::kBefore) begin(frame_);
      frame_ = kept_end - 1;
      const auto fewest =
          static_cast<std::uint32_t>((std::uint64_t{lost} + kMaxBlockFrames - 1) / kMaxBlockFrames);
      writer_.write_gap(
          {.blocks = std::clamp(gap.blocks, fewest, lost),
           .frames = lost,
           .padding_samples = padding_here(kept_end == end ? gap.padding_samples : 0)});
    }
    if (kept_end < end) state_ = State::kBehind;
    frame_ = end;
  }

  void take(const TokenSegmentEnd& end) {
    if (begun_) {
      const std::uint64_t from = cut_.from_sample - std::min(cut_.from_sample, segment_start_);
      const std::uint64_t to =
          cut_.to_sample ? std::min(*cut_.to_sample - segment_start_, end.samples) : end.samples;
      // Of a segment without samples the beginning is the end too, which has all of the source's.
      const std::uint64_t skipped = from == 0 ? 0 : source_position(from, end);
      writer_.end_segment(source_position(to, end) - skipped);
    }
    begun_ = false;
    segment_start_ += end.samples;
  }

  void take(const TokenTotals& totals) {
    const int rate = whole_.sample_rate_hz;
    const std::uint64_t last = cut_.to_sample.value_or(cut_.from_sample);
    if (last > totals.samples || (cut_.from_sample > 0 && cut_.from_sample == totals.samples)) {
      throw Error("ends at " + seconds_text(totals.samples, rate) + ", the part reaches " +
                  seconds_text(last, rate));
    }
    writer_.finish();
  }

 private:
  enum class State { kBefore, kWithin, kBehind };  // of the part, as the next frame is

  std::int64_t frame_samples() const { return whole_.frame_samples; }
  // Of the next frame on the line of time.
  std::int64_t frame_start() const {
    return static_cast<std::int64_t>(segment_start_) + frame_ * frame_samples() -
           segment_.lead_in_samples;
  }
  bool reaches_part(int padding) const {
    return frame_start() + frame_samples() - padding > static_cast<std::int64_t>(cut_.from_sample);
  }
  bool is_behind() const {
    return cut_.to_sample && frame_start() >= static_cast<std::int64_t>(*cut_.to_sample);
  }
  // The first of the next frames that has samples of the part, where `end` and the padding before
  // it end the segment.
  std::int64_t first_reaching(std::int64_t end, int padding) const {
    const std::int64_t missing = static_cast<std::int64_t>(cut_.from_sample) - frame_start();
    const std::int64_t first = frame_ + std::max<std::int64_t>(0, missing) / frame_samples();
    const bool only_padding =
        first == end - 1 && missing + padding >= (end - frame_) * frame_samples();
    return only_padding ? end : first;
  }
  // The first of the next frames that begins where the part has ended.
  std::int64_t first_behind() const {
    const std::int64_t left = static_cast<std::int64_t>(*cut_.to_sample) - frame_start();
    return frame_ + std::max<std::int64_t>(0, left + frame_samples() - 1) / frame_samples();
  }
  int padding_here(int padding) const {
    if (!cut_.to_sample) return padding;
    const std::int64_t beyond =
        frame_start() + frame_samples() - static_cast<std::int64_t>(*cut_.to_sample);
    return static_cast<int>(std::max<std::int64_t>(padding, beyond));
  }

  void choose_levels(std::span<const std::uint16_t> codes, std::vector<std::uint16_t>& out) const {
    const auto there = static_cast<std::size_t>(whole_.levels);
    const auto kept = static_cast<std::size_t>(part_.levels);
    for (; !codes.empty(); codes = codes.subspan(there)) {
      const auto first = codes.first(kept);
      out.insert(out.end(), first.begin(), first.end());
    }
  }

  // Keeps a frame that may be needed as a lead-in.
  void hold(std::span<const std::uint16_t> codes) {
    choose_levels(codes, held_);
    const std::size_t width = part_.frame_codes();
    // Dropped by halves, so that each frame is moved a few times only.
    if (held_.size() < 2 * (cut_.lead_in_frames + std::size_t{1}) * width) return;
    held_.erase(held_.begin(),
                held_.end() - static_cast<std::ptrdiff_t>(cut_.lead_in_frames * width));
  }

  void begin_with_held() {
    const std::size_t width = part_.frame_codes();
    // Of the lead-in's samples no more than can be written.
    const auto most = std::numeric_limits<std::uint32_t>::max() /
                          static_cast<std::uint32_t>(whole_.frame_samples) -
                      1;
    const std::size_t frames =
        std::min({held_.size() / width, std::size_t{cut_.lead_in_frames}, std::size_t{most}});
    begin(frame_ - static_cast<std::int64_t>(frames));
    writer_.write(std::span(held_).last(frames * width));
    held_.clear();
  }

  // The part has the frames from `first` of the segment on.
  void begin(std::int64_t first) {
    if (first > std::numeric_limits<std::uint32_t>::max() - segment_.origin_frame) {
      throw Error("a segment from frame " + std::to_string(segment_.origin_frame) +
                  " of its stream on has no frame " + std::to_string(first) +
                  " that could be numbered");
    }
    const std::uint64_t skipped = cut_.from_sample - std::min(cut_.from_sample, segment_start_);
    const std::int64_t lead_in =
        segment_.lead_in_samples + static_cast<std::int64_t>(skipped) - first * frame_samples();
    TokenSegment part = segment_;
    part.origin_frame += static_cast<std::uint32_t>(first);
    part.lead_in_samples = static_cast<std::uint32_t>(lead_in);
    writer_.begin_segment(part);
    begun_ = true;
    state_ = State::kWithin;
  }

  // Of a sample of the segment, at the source's rate.
  std::uint64_t source_position(std::uint64_t sample, const TokenSegmentEnd& end) const {
    if (sample == end.samples) return end.source_samples;
    const auto rate = static_cast<std::uint32_t>(whole_.sample_rate_hz);
    return std::min(sample_at_rate(sample, rate, segment_.source_rate_hz), end.source_samples);
  }

  const TokenHeader whole_, part_;
  const TokenCut cut_;
  TokenWriter writer_;
  std::uint64_t segment_start_ = 0;  // samples of the segments before
  TokenSegment segment_;
  std::int64_t frame_ = 0;  // of the segment, the next one
  State state_ = State::kBefore;
  bool begun_ = false;               // the part has a segment of this one
  std::vector<std::uint16_t> held_;  // the last frames before the part
};

void check_equal(const char* what, int found, int expected) {
  if (found == expected) return;
  throw Error(std::string(what) + " is " + std::to_string(found) + ", expected " +
              std::to_string(expected));
}

std::string model_text(const TokenHeader& header) {
  char fingerprint[16];
  std::snprintf(fingerprint, sizeof fingerprint, "%08x", header.model_fingerprint);
  return "'" + header.model_name + "' (fingerprint " + fingerprint + ")";
}

std::string arithmetic_text(const TokenHeader& header) {
  return std::string(token_dtype_name(header.dtype)) + " number " +
         std::to_string(header.arithmetic);
}

}  // namespace

std::uint64_t sample_at_rate(std::uint64_t sample, std::uint32_t rate_hz, std::uint32_t other_hz) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t seconds = sample / rate_hz;
  const std::uint64_t rest = (sample % rate_hz * other_hz + rate_hz / 2) / rate_hz;
  if (other_hz != 0 && seconds > (kMost - rest) / other_hz) return kMost;
  return seconds * other_hz + rest;
}

void cut_tokens(TokenReader& in, const TokenCut& cut, const TokenWriter::Sink& out) {
  Cutter cutter(in.header(), cut, out);
  while (const std::optional<TokenRecord> record = in.next()) {
    std::visit([&](const auto& kind) { cutter.take(kind); }, *record);
  }
}

TokenHeader joined_header(const TokenHeader& first, const TokenHeader& second) {
  if (first.model_fingerprint != second.model_fingerprint) {
    throw Error("was encoded with the model " + model_text(second) + ", expected " +
                model_text(first));
  }
  check_equal("sample rate", second.sample_rate_hz, first.sample_rate_hz);
  check_equal("count of samples in a frame", second.frame_samples, first.frame_samples);
  check_equal("codebook size", second.codebook_size, first.codebook_size);
  check_equal("level count", second.levels, first.levels);
  check_equal("stream count", second.streams, first.streams);
  if (first.window != second.window) {
    throw Error("window rule is " + std::string(window_name(second.window)) + ", expected " +
                std::string(window_name(first.window)));
  }
  if (first.dtype != second.dtype || first.arithmetic != second.arithmetic) {
    throw Error("arithmetic is " + arithmetic_text(second) + ", expected " +
                arithmetic_text(first));
  }
  TokenHeader joined = first;
  if (first.source_rate_hz != second.source_rate_hz) {
    joined.source_rate_hz = 0;
    joined.source_samples.reset();
  } else if (first.source_samples && second.source_samples) {
    joined.source_samples = *first.source_samples + *second.source_samples;
  } else {
    joined.source_samples.reset();
  }
  std::set known(joined.text.begin(), joined.text.end());
  for (const auto& pair : second.text) {
    if (known.insert(pair).second) joined.text.push_back(pair);
  }
  check_header(joined);
  return joined;
}

void append_tokens(TokenReader& in, TokenWriter& out) {
  while (const std::optional<TokenRecord> record = in.next()) {
    if (const auto* segment = std::get_if<TokenSegment>(&*record)) {
      out.begin_segment(*segment);
    } else if (const auto* block = std::get_if<TokenBlock>(&*record)) {
      out.write(block->codes, block->padding_samples);
    } else if (const auto* gap = std::get_if<TokenGap>(&*record)) {
      out.write_gap(*gap);
    } else if (const auto* end = std::get_if<TokenSegmentEnd>(&*record)) {
      out.end_segment(end->source_samples);
    }
  }
}

}  // namespace mimi
