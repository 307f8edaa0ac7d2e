// Codes as other programs hold them: arrays and text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/token_file.h"

namespace mimi::cli {

// All codes of a file, and what a .mimi file says besides.
struct TokenTable {
  static constexpr std::int32_t kLost = -1;  // every code of a lost frame

  struct Segment {
    std::uint32_t frames = 0;
    std::uint32_t origin_frame = 0;
    std::uint32_t lead_in_samples = 0;
    int padding_samples = 0;
    std::uint32_t source_rate_hz = 0;
    std::uint64_t source_samples = 0;
  };

  TokenHeader header;
  std::vector<Segment> segments;
  std::vector<std::int32_t> codes;  // [frames x streams x levels]

  std::size_t frames() const { return codes.size() / header.frame_codes(); }
  bool is_lost(std::size_t frame) const { return codes[frame * header.frame_codes()] == kLost; }
};

// Counts the codes of lost frames while a file is read: a table holds each of them, and a few bytes
// of the file must not claim much memory.
class LostCodes {
 public:
  explicit LostCodes(std::size_t file_bytes) : most_(kFree + file_bytes) {}
  // Throws mimi::Error where they are too many.
  void add(std::uint64_t codes);

 private:
  static constexpr std::uint64_t kFree = 1 << 22;
  std::uint64_t most_;
  std::uint64_t codes_ = 0;
};

enum class TableFormat { kMimi, kNpy, kSafetensors, kMoshi, kText };
enum class CodeType { kUint16, kInt16, kInt32, kInt64 };

// The code that marks a lost frame in an array of this type.
std::int64_t lost_code(CodeType type);

// What a file's first bytes show it to be.
TableFormat table_format_of(std::span<const std::uint8_t> bytes);

// Each reads a whole file. What a format does not say is taken from `like`: all but levels and
// streams, one segment of whole frames. Throws mimi::Error, which names no file.
TokenTable read_mimi(std::span<const std::uint8_t> bytes);
TokenTable read_npy(std::span<const std::uint8_t> bytes, const TokenHeader& like);
TokenTable read_safetensors(std::span<const std::uint8_t> bytes, const TokenHeader& like);
TokenTable read_moshi(std::span<const std::uint8_t> bytes, const TokenHeader& like);
TokenTable read_text(std::span<const std::uint8_t> bytes, const TokenHeader& like);
TokenTable read_table(std::span<const std::uint8_t> bytes, const TokenHeader& like);

// Each gives a whole file. Throws mimi::Error where a code does not fit.
void write_mimi(const TokenTable& table, const TokenWriter::Sink& out);
std::vector<std::uint8_t> npy_file(const TokenTable& table, CodeType type);
std::vector<std::uint8_t> safetensors_file(const TokenTable& table, CodeType type);
std::vector<std::uint8_t> moshi_file(const TokenTable& table);
std::vector<std::uint8_t> text_file(const TokenTable& table);

// What arrays and text can carry of a .mimi file besides its codes, as JSON on one line.
std::string describe(const TokenTable& table);
// Sets all but the codes. Throws mimi::Error.
void apply_description(std::string_view json, TokenTable& table);

}  // namespace mimi::cli
