// Token files made of token files, without the model: parts, and files joined.
#pragma once

#include <cstdint>
#include <optional>

#include "core/token_file.h"

namespace mimi {

// The whole file is one line of time: the samples of its segments at the codec's rate, one after
// the other.
struct TokenCut {
  std::uint64_t from_sample = 0;
  std::optional<std::uint64_t> to_sample;  // the first that is left out; none: the end
  int levels = 0;                          // the first ones; 0: all
  // How many frames before from_sample are kept as a lead-in, as far as its segment has them: with
  // a decoder's receptive field, the part decodes to the bits of the whole.
  std::uint32_t lead_in_frames = 0;
  int block_frames = kMaxBlockFrames;
};

// Reads `in` to its end and writes the part. Throws when the file ends before the part does.
void cut_tokens(TokenReader& in, const TokenCut& cut, const TokenWriter::Sink& out);

// What a file of both files' segments says of itself. Throws what differs where they are not of one
// model, coded alike (codecs' dimensions, levels, streams, window, fingerprint or arithmetic), or
// that their texts are too long together.
TokenHeader joined_header(const TokenHeader& first, const TokenHeader& second);

// Appends every segment of `in`, read to its end.
void append_tokens(TokenReader& in, TokenWriter& out);

// Where sample `sample` at `rate_hz` is at `other_hz`, rounded to the nearest, a half upwards;
// 2^64 - 1 where that is beyond 64 bits.
std::uint64_t sample_at_rate(std::uint64_t sample, std::uint32_t rate_hz, std::uint32_t other_hz);

}  // namespace mimi
