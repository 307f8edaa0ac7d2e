// A whole `.mimi` file of whatever a fuzz target's input says.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/token_file.h"
#include "tests/token_samples.h"

namespace mimi::test {

// Mostly few, or anything.
inline std::uint32_t some_number(FuzzedDataProvider& data) {
  return data.ConsumeIntegralInRange(0, 3) < 3 ? data.ConsumeIntegralInRange<std::uint32_t>(0, 9)
                                               : data.ConsumeIntegral<std::uint32_t>();
}

// Writes what the input says, segments closed and opened where they must be.
class FileMaker {
 public:
  FileMaker(FuzzedDataProvider& data, const TokenHeader& header, int block_frames)
      : data_(data), header_(header), writer_(sink_to(file_), header, block_frames) {}

  Bytes make() {
    for (int left = 40; left > 0 && data_.remaining_bytes() > 0; --left) {
      switch (data_.ConsumeIntegralInRange(0, 3)) {
        case 0:
          end();
          break;
        case 1:
          begin();
          break;
        case 2:
          write_gap();
          break;
        default:
          write_frames();
      }
    }
    end();
    writer_.finish();
    return std::move(file_);
  }

 private:
  void begin() {
    end();
    TokenSegment segment;
    segment.origin_frame = some_number(data_);
    segment.lead_in_samples = some_number(data_);
    segment.source_rate_hz =
        header_.source_rate_hz != 0 ? header_.source_rate_hz : some_number(data_);
    writer_.begin_segment(segment);
    has_source_ = segment.source_rate_hz != 0;
    is_open_ = true;
  }
  void end() {
    if (is_open_) writer_.end_segment(has_source_ ? some_number(data_) : 0);
    is_open_ = false;
  }
  int padding() {
    return data_.ConsumeBool() ? 0 : data_.ConsumeIntegralInRange(0, header_.frame_samples - 1);
  }
  void write_frames() {
    if (!is_open_) begin();
    const auto frames = data_.ConsumeIntegralInRange<std::size_t>(1, 9);
    Codes codes(frames * header_.frame_codes());
    for (std::uint16_t& code : codes) {
      random_ = static_cast<std::uint32_t>(random_ * std::uint64_t{48271} % 2147483647);
      code = static_cast<std::uint16_t>(random_ % static_cast<unsigned>(header_.codebook_size));
    }
    const int padding_samples = padding();
    writer_.write(codes, padding_samples);
    if (padding_samples != 0) end();
  }
  void write_gap() {
    if (!is_open_) begin();
    const std::uint32_t blocks = some_number(data_);
    const std::uint32_t frames = data_.ConsumeBool() ? blocks : some_number(data_);
    const int padding_samples = padding();
    writer_.write_gap({.blocks = blocks, .frames = frames, .padding_samples = padding_samples});
    if (padding_samples != 0) end();
  }

  FuzzedDataProvider& data_;
  TokenHeader header_;
  Bytes file_;
  TokenWriter writer_;
  std::uint32_t random_ = 1;
  bool is_open_ = false;
  bool has_source_ = false;
};

}  // namespace mimi::test
