// Token files for the tests, written to memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/token_file.h"

namespace mimi::test {

using Bytes = std::vector<std::byte>;
using Codes = std::vector<std::uint16_t>;

// Keeps what is written, so that tests see what has come out so far.
inline TokenWriter::Sink sink_to(Bytes& out) {
  return [&out](std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
}

// Reads what lies in memory, which must outlive it, at most `piece` bytes a call, as a pipe may.
inline TokenReader::Source source_of(std::span<const std::byte> file, std::size_t piece = 1 << 20) {
  return [file, piece](std::span<std::byte> buffer) mutable {
    const std::size_t count = std::min({file.size(), buffer.size(), piece});
    std::ranges::copy(file.first(count), buffer.begin());
    file = file.subspan(count);
    return count;
  };
}

// Codes without a pattern, and among them the largest.
inline Codes made_up_codes(std::size_t count, int codebook_size) {
  Codes codes(count);
  std::uint32_t state = 1;
  for (std::uint16_t& code : codes) {
    state = state * 1664525 + 1013904223;
    code = static_cast<std::uint16_t>((state >> 16) % static_cast<unsigned>(codebook_size));
  }
  if (!codes.empty()) codes.back() = static_cast<std::uint16_t>(codebook_size - 1);
  return codes;
}

inline TokenHeader made_up_header() {
  TokenHeader header;
  header.sample_rate_hz = 24000;
  header.frame_samples = 1920;
  header.levels = 8;
  header.streams = 1;
  header.codebook_size = 2048;
  header.model_name = "kyutai/mimi";
  header.model_fingerprint = 0x12345678;
  header.dtype = TokenDtype::kF32;
  header.arithmetic = kFirstArithmetic;
  return header;
}

// One segment of all the codes.
inline Bytes token_file(const TokenHeader& header, const Codes& codes, int block_frames) {
  Bytes file;
  TokenWriter writer(sink_to(file), header, block_frames);
  writer.begin_segment();
  writer.write(codes);
  writer.end_segment();
  writer.finish();
  return file;
}

// The example of core/FORMAT.md: 3500 samples at 16 kHz, so 5250 at 24 kHz and 3 frames.
inline Bytes example_file() {
  TokenHeader header = made_up_header();
  header.levels = 2;
  header.model_name = "example";
  header.source_rate_hz = 16000;
  header.text = {{"title", "Caf\xC3\xA9"}};
  Bytes file;
  TokenWriter writer(sink_to(file), header, 2);
  writer.begin_segment();
  writer.write(Codes{1, 2, 3, 2047});
  writer.write(Codes{1024, 5}, 3 * 1920 - 5250);
  writer.end_segment(3500);
  writer.finish();
  return file;
}

// Two streams, two segments, the second one cut out of a longer stream, and a gap.
inline Bytes segmented_file() {
  TokenHeader header = made_up_header();
  header.levels = 3;
  header.streams = 2;
  Bytes file;
  TokenWriter writer(sink_to(file), header, 4);
  writer.begin_segment({.source_rate_hz = 44100});
  writer.write(made_up_codes(6 * 5, 2048), 1919);
  writer.end_segment(14112);
  writer.begin_segment({.origin_frame = 1000, .lead_in_samples = 3841, .source_rate_hz = 8000});
  writer.write(made_up_codes(6 * 6, 2048));
  writer.write_gap({.blocks = 2, .frames = 5});
  writer.write(made_up_codes(6 * 1, 2048), 1);
  writer.end_segment(6400);
  writer.finish();
  return file;
}

}  // namespace mimi::test
