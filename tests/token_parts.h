// What a decoder would make of a token file, and of parts and joins of some, without the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "core/token_edit.h"
#include "core/token_file.h"
#include "tests/token_samples.h"

namespace mimi::test {

// Of a sample of the file's line of time: which frame of which codes gives it, at which place of
// the frame, and at which position of the stream.
struct Sample {
  Codes codes;  // [streams x levels]; empty: lost
  int place;
  std::uint64_t position;
  bool operator==(const Sample&) const = default;
};

class Timeline {
 public:
  // Of the first `levels` levels.
  Timeline(std::span<const std::byte> file, int levels) : levels_(levels) {
    TokenReader reader(source_of(file));
    header_ = reader.header();
    while (const auto record = reader.next()) {
      std::visit([this](const auto& kind) { take(kind); }, *record);
    }
  }

  const std::vector<Sample>& samples() const { return samples_; }

 private:
  void take(const TokenSegment& start) {
    to_drop_ = start.lead_in_samples;
    position_ = start.origin_frame;
  }
  void take(const TokenBlock& block) {
    const std::size_t width = header_.frame_codes();
    for (int i = 0; i < block.frames; ++i) {
      const auto codes = block.codes.subspan(static_cast<std::size_t>(i) * width, width);
      add(first_levels(codes), i + 1 == block.frames ? block.padding_samples : 0);
    }
  }
  void take(const TokenGap& gap) {
    for (std::uint32_t i = 0; i < gap.frames; ++i) {
      add({}, i + 1 == gap.frames ? gap.padding_samples : 0);
    }
  }
  void take(const TokenSegmentEnd& /*end*/) {}
  void take(const TokenTotals& /*totals*/) {}

  Codes first_levels(std::span<const std::uint16_t> codes) const {
    Codes chosen;
    for (; !codes.empty(); codes = codes.subspan(static_cast<std::size_t>(header_.levels))) {
      const auto first = codes.first(static_cast<std::size_t>(levels_));
      chosen.insert(chosen.end(), first.begin(), first.end());
    }
    return chosen;
  }
  void add(const Codes& codes, int padding) {
    for (int place = 0; place < header_.frame_samples - padding; ++place) {
      if (to_drop_ > 0) {
        --to_drop_;
      } else {
        samples_.push_back({codes, place, position_});
      }
    }
    ++position_;
  }

  int levels_;
  TokenHeader header_;
  std::size_t to_drop_ = 0;  // of the lead-in
  std::uint64_t position_ = 0;
  std::vector<Sample> samples_;
};

inline std::vector<Sample> timeline(std::span<const std::byte> file, int levels) {
  return Timeline(file, levels).samples();
}

// The codes of each frame; of lost ones none.
inline std::vector<Codes> frames_of(std::span<const std::byte> file) {
  std::vector<Codes> frames;
  TokenReader reader(source_of(file));
  const std::size_t width = reader.header().frame_codes();
  while (const auto record = reader.next()) {
    if (const auto* gap = std::get_if<TokenGap>(&*record))
      frames.resize(frames.size() + gap->frames);
    const auto* block = std::get_if<TokenBlock>(&*record);
    if (block == nullptr) continue;
    for (auto codes = block->codes; !codes.empty(); codes = codes.subspan(width)) {
      const auto first = codes.first(width);
      frames.emplace_back(first.begin(), first.end());
    }
  }
  return frames;
}

inline std::uint64_t sample_count(std::span<const std::byte> file) {
  return read_token_info(source_of(file)).totals.samples;
}

// Of all segments, each at its own rate.
inline std::uint64_t source_samples(std::span<const std::byte> file) {
  std::uint64_t sum = 0;
  for (const auto& segment : read_token_info(source_of(file)).segments) {
    sum += segment.end.source_samples;
  }
  return sum;
}

inline Bytes cut(std::span<const std::byte> file, const TokenCut& options) {
  Bytes part;
  TokenReader reader(source_of(file));
  cut_tokens(reader, options, sink_to(part));
  return part;
}

inline Bytes joined(std::span<const std::byte> first_file, std::span<const std::byte> second_file,
                    int block_frames) {
  TokenReader first(source_of(first_file)), second(source_of(second_file));
  Bytes out;
  TokenWriter writer(sink_to(out), joined_header(first.header(), second.header()), block_frames);
  append_tokens(first, writer);
  append_tokens(second, writer);
  writer.finish();
  return out;
}

}  // namespace mimi::test
