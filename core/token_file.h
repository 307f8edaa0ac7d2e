// The `.mimi` file of tokens, version 1, as core/FORMAT.md specifies it. No model is needed.
//
//   mimi::TokenWriter writer(sink, header);        // the signature and the header go out at once
//   writer.begin_segment();
//   writer.write(codes);                           // whole frames, as often as wanted
//   writer.write(last_codes, padding_samples);     // what Encoder::finish gave
//   writer.end_segment(source_samples);
//   writer.finish();
//
//   mimi::TokenReader reader(source);
//   while (const auto record = reader.next()) {
//     if (const auto* block = std::get_if<mimi::TokenBlock>(&*record)) use(block->codes);
//   }
//
// Codes are uint16 in the order [frames x streams x levels]: frame by frame, within a frame stream
// by stream, within a stream level by level. Sample counts are those of one stream. Errors are
// mimi::Error and say where (byte offset, block number), but name no file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/codec.h"

namespace mimi {

constexpr std::uint16_t kTokenVersion = 1;  // the only one that is read and written
constexpr int kMaxBlockFrames = 125;
constexpr int kMaxTokenLevels = 64;
constexpr int kMaxTokenStreams = 255;
// Every count of samples fits a double.
constexpr std::uint64_t kMaxTokenSamples = (std::uint64_t{1} << 53) - 1;

// What computed the codes.
enum class TokenDtype : std::uint8_t { kUnknown = 0, kF32 = 1, kBf16 = 2, kInt8 = 3 };
TokenDtype token_dtype(Dtype dtype);
std::string_view token_dtype_name(TokenDtype dtype);  // "unknown", "f32", "bf16", "int8"

// The one arithmetic that each dtype has so far; its bits are the same on every machine.
constexpr std::uint8_t kFirstArithmetic = 1;

struct TokenHeader {
  int sample_rate_hz = 0;                       // of the codec
  int frame_samples = 0;                        // at that rate; below 65536
  int levels = 0;                               // the first ones of the model
  int streams = 1;                              // channels coded separately
  int codebook_size = 0;                        // 2 to 65536; every code is below it
  std::uint32_t source_rate_hz = 0;             // 0: none, or not the same in all segments
  std::optional<std::uint64_t> source_samples;  // of the whole file; none: not known beforehand
  std::string model_name;                       // at most 255 bytes of UTF-8
  std::uint32_t model_fingerprint = 0;          // ModelInfo::fingerprint; 0: not known
  Window window = Window::kOffline;
  TokenDtype dtype = TokenDtype::kUnknown;
  // Which arithmetic of that dtype, as codes of two arithmetics may differ; 0: not known.
  std::uint8_t arithmetic = 0;
  std::vector<std::pair<std::string, std::string>> text;  // free keys and values, UTF-8

  int code_bits() const;  // 11 for 2048 entries
  // Codes of one frame.
  std::size_t frame_codes() const;
};

// A run of frames that begins with a fresh decoder: the whole of an encoded recording, or a part
// that `cut` took. Decoding starts at position `origin_frame` of the stream it was encoded as, and
// the first `lead_in_samples` only bring the state up and are dropped.
struct TokenSegment {
  std::uint32_t number = 0;       // TokenWriter sets it
  std::uint32_t first_frame = 0;  // of the file; TokenWriter sets it
  std::uint32_t origin_frame = 0;
  std::uint32_t lead_in_samples = 0;
  std::uint32_t source_rate_hz = 0;  // 0: TokenWriter takes the header's

  bool operator==(const TokenSegment&) const = default;
};

struct TokenBlock {
  std::uint32_t number = 0;       // counts through the whole file, gaps included
  std::uint32_t first_frame = 0;  // of the file
  int frames = 0;                 // 1 to kMaxBlockFrames
  int padding_samples = 0;        // at the end, not audio; only in a segment's last block
  std::span<const std::uint16_t> codes =
      {};  // [frames x streams x levels], valid until the next call
};

// Blocks that were lost. A decoder gives silence for their frames and begins afresh after them, at
// the position that it would have reached.
struct TokenGap {
  std::uint32_t first_block = 0;  // TokenWriter sets it
  std::uint32_t blocks = 0;       // at least 1
  std::uint32_t first_frame = 0;  // TokenWriter sets it
  std::uint32_t frames = 0;       // blocks to kMaxBlockFrames x blocks
  int padding_samples = 0;        // as in TokenBlock

  bool operator==(const TokenGap&) const = default;
};

struct TokenSegmentEnd {
  std::uint32_t number = 0;
  std::uint32_t frames = 0;          // lost ones included
  std::uint64_t samples = 0;         // frames x frame_samples, less lead-in and padding
  std::uint64_t source_samples = 0;  // at the segment's source_rate_hz; 0 where that is 0

  bool operator==(const TokenSegmentEnd&) const = default;
};

struct TokenTotals {
  std::uint32_t frames = 0;  // lost ones included
  std::uint32_t blocks = 0;  // lost ones excluded
  std::uint32_t segments = 0;
  std::uint32_t gaps = 0;
  std::uint32_t lost_frames = 0;
  std::uint32_t codes_crc = 0;       // CRC-32C of all codes as little-endian uint16
  std::uint64_t samples = 0;         // at the codec's rate
  std::uint64_t source_samples = 0;  // at the header's source_rate_hz; 0 where that is 0

  bool operator==(const TokenTotals&) const = default;
};

// Writes a file front to back in memory that does not grow with its length: one block, and an entry
// for each run of equal blocks.
class TokenWriter {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;  // takes all of it, or throws

  // Writes the signature and the header. Blocks hold `block_frames` frames, 1 to kMaxBlockFrames
  // (fewer if a record cannot hold that many); with 1 nothing is ever held back.
  TokenWriter(Sink sink, TokenHeader header, int block_frames = kMaxBlockFrames);
  ~TokenWriter();
  TokenWriter(TokenWriter&&) noexcept;
  TokenWriter& operator=(TokenWriter&&) noexcept;

  void begin_segment(const TokenSegment& segment = {});
  // `codes` is [frames x streams x levels]. `padding_samples`, less than a frame, is how many
  // samples at the end of the last of them are not audio; after a padded frame the segment must
  // end.
  void write(std::span<const std::uint16_t> codes, int padding_samples = 0);
  void write_gap(const TokenGap& gap);
  // `source_samples` is the segment's length at its source rate (0 without one).
  void end_segment(std::uint64_t source_samples = 0);
  // Writes the index, the header again and the totals. Throws when the header promised another
  // number of source samples than the segments had.
  TokenTotals finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

using TokenRecord = std::variant<TokenSegment, TokenBlock, TokenGap, TokenSegmentEnd, TokenTotals>;

// Reads a file front to back, from a pipe as well, in memory that does not grow with its length or
// with what it claims. Every checksum, count, offset and reserved bit is verified as it goes by.
class TokenReader {
 public:
  // Reads at most a buffer's worth to its beginning, returns how many bytes; 0 only at the end.
  using Source = std::function<std::size_t(std::span<std::byte>)>;

  // Reads the signature and the header.
  explicit TokenReader(Source source);
  ~TokenReader();
  TokenReader(TokenReader&&) noexcept;
  TokenReader& operator=(TokenReader&&) noexcept;

  const TokenHeader& header() const;
  // The next record: TokenTotals is the last, then nothing. A block comes as soon as its bytes have
  // been read. What is damaged, cut off or follows the end throws; what came before
  // it is good.
  std::optional<TokenRecord> next();
  // Bytes read so far.
  std::uint64_t offset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct TokenFileInfo {
  struct Segment {
    TokenSegment start;
    TokenSegmentEnd end;
  };
  TokenHeader header;
  TokenTotals totals;
  std::vector<Segment> segments;
  std::vector<TokenGap> gaps;
  int largest_block_frames = 0;
  std::uint64_t bytes = 0;
};

// Reads and verifies a whole file. Throws what TokenReader throws.
TokenFileInfo read_token_info(TokenReader::Source source);

}  // namespace mimi
