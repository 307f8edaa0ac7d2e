// RIFF/WAVE headers: reading what others write, and writing our own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cli/audio_format.h"
#include "cli/byte_reader.h"
#include "cli/pcm.h"

namespace mimi::cli {

struct WavHeader {
  std::optional<PcmEncoding> encoding;  // none: compressed, left to libsndfile
  int channels = 0;
  int rate_hz = 0;
  std::optional<std::int64_t> data_bytes;  // none: to the end of the input
};

// What was found at the beginning of an input.
struct WavProbe {
  // None: not a RIFF/WAVE file. Otherwise, where the encoding is known, the reader stands at the
  // first sample.
  std::optional<WavHeader> header;
  // Where the encoding is not known, of a pipe: all the bytes read so far.
  std::vector<std::uint8_t> seen;
};

// Reads from where `reader` stands as far as the samples. Throws mimi::Error when the header is
// damaged, or its sizes are not a regular file's: they reach beyond its end, or much follows. A
// size of 0xFFFFFFFF stands for "unknown", as does 0 where RIFF's size ends with it, and those that
// sox, espeak, opusdec and arecord write before they know, in a regular file where they reach
// beyond its end.
WavProbe probe_wav(ByteReader& reader);

// RIFF's sizes have 32 bits, RF64's 64 (EBU Tech 3306).
enum class WavForm { kRiff, kRf64 };

// The form that holds `data_bytes` bytes of samples.
WavForm wav_form(double data_bytes);

// The header of a WAV of `data_bytes` bytes of samples; none, or more than the form holds:
// "unknown". Its length depends on `format` and `form` alone.
std::vector<std::uint8_t> wav_header(SampleFormat format, int rate_hz, int channels, WavForm form,
                                     std::optional<std::int64_t> data_bytes);

}  // namespace mimi::cli
