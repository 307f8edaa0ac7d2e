#include <bit>
#include <limits>
#include <string_view>

#include "core/byte_order.h"
#include "core/quote.h"
#include "core/token_record.h"
#include "core/utf8.h"

namespace mimi {
namespace {

constexpr std::size_t kFixedHeaderBytes = 37;  // up to the model's name
constexpr std::size_t kMaxNameBytes = 255;     // of the model and of a key
constexpr std::size_t kMaxValueBytes = 65535;
constexpr std::uint64_t kUnknownSamples = std::numeric_limits<std::uint64_t>::max();

void check_range(const char* what, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value >= least && value <= most) return;
  throw Error(std::string(what) + " is " + std::to_string(value) + ", expected " +
              std::to_string(least) + " to " + std::to_string(most));
}

void check_text(const char* what, std::string_view text, std::size_t least, std::size_t most) {
  if (text.size() < least || text.size() > most) {
    throw Error(std::string(what) + " " + quote(text) + " has " + std::to_string(text.size()) +
                " bytes, expected " + std::to_string(least) + " to " + std::to_string(most));
  }
  if (!is_utf8(text)) throw Error(std::string(what) + " " + quote(text) + " is not UTF-8");
}

std::uint8_t window_number(Window window) {
  switch (window) {
    case Window::kOffline:
      return 0;
    case Window::kMoshiStreaming:
      return 1;
    case Window::kRust:
      return 2;
  }
  throw Error("window rule is not one that a token file can record");
}

Window parse_window_number(std::uint8_t number) {
  for (const Window window : {Window::kOffline, Window::kMoshiStreaming, Window::kRust}) {
    if (window_number(window) == number) return window;
  }
  throw Error("window rule is number " + std::to_string(number) + ", expected 0 to 2");
}

std::size_t text_bytes(const TokenHeader& header) {
  std::size_t bytes = 2;  // how many pairs
  for (const auto& [key, value] : header.text) bytes += 1 + key.size() + 2 + value.size();
  return bytes;
}

void append_text(std::string_view text, std::vector<std::byte>& out) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

// Strings whose lengths stand before them.
class TextParser {
 public:
  explicit TextParser(std::span<const std::byte> bytes) : parser_(bytes) {}

  std::string with_length_u8(const char* what) { return text(number<std::uint8_t>(what), what); }
  std::string with_length_u16(const char* what) { return text(number<std::uint16_t>(what), what); }
  std::size_t count_u16(const char* what) { return number<std::uint16_t>(what); }
  std::size_t remaining() const { return parser_.remaining(); }

 private:
  template <typename Unsigned>
  std::size_t number(const char* what) {
    require(sizeof(Unsigned), what);
    if constexpr (sizeof(Unsigned) == 1) return parser_.u8();
    return parser_.u16();
  }
  std::string text(std::size_t size, const char* what) {
    require(size, what);
    const auto bytes = parser_.bytes(size);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void require(std::size_t size, const char* what) const {
    if (size <= remaining()) return;
    throw Error(std::string(what) + " needs " + std::to_string(size) + " bytes, " +
                std::to_string(remaining()) + " are left");
  }

  LittleEndianParser parser_;
};

}  // namespace

int TokenHeader::code_bits() const {
  return static_cast<int>(std::bit_width(static_cast<unsigned>(codebook_size) - 1));
}

std::size_t TokenHeader::frame_codes() const {
  return static_cast<std::size_t>(streams) * static_cast<std::size_t>(levels);
}

TokenDtype token_dtype(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return TokenDtype::kF32;
    case Dtype::kBf16:
      return TokenDtype::kBf16;
    case Dtype::kInt8:
      break;
  }
  return TokenDtype::kInt8;
}

std::string_view token_dtype_name(TokenDtype dtype) {
  switch (dtype) {
    case TokenDtype::kF32:
      return "f32";
    case TokenDtype::kBf16:
      return "bf16";
    case TokenDtype::kInt8:
      return "int8";
    case TokenDtype::kUnknown:
      break;
  }
  return "unknown";
}

void check_header(const TokenHeader& header) {
  check_range("sample rate", header.sample_rate_hz, 1, std::numeric_limits<int>::max());
  check_range("frame size", header.frame_samples, 1, 65535);
  check_range("level count", header.levels, 1, kMaxTokenLevels);
  check_range("stream count", header.streams, 1, kMaxTokenStreams);
  check_range("codebook size", header.codebook_size, 2, 65536);
  if (header.source_samples) {
    if (header.source_rate_hz == 0) throw Error("source has a sample count but no rate");
    if (*header.source_samples > kMaxTokenSamples) throw Error("source has too many samples");
  }
  check_text("model name", header.model_name, 0, kMaxNameBytes);
  for (const auto& [key, value] : header.text) {
    check_text("key", key, 1, kMaxNameBytes);
    check_text("value", value, 0, kMaxValueBytes);
  }
  const std::size_t bytes = kFixedHeaderBytes + header.model_name.size() + text_bytes(header);
  if (bytes > kMaxPayloadBytes) {
    throw Error("header with its text has " + std::to_string(bytes) + " bytes, expected at most " +
                std::to_string(kMaxPayloadBytes));
  }
}

std::vector<std::byte> pack_header(const TokenHeader& header) {
  check_header(header);
  std::vector<std::byte> out;
  append_little_endian(kTokenVersion, out);
  append_little_endian(std::uint16_t{0}, out);
  append_little_endian(static_cast<std::uint32_t>(header.sample_rate_hz), out);
  append_little_endian(static_cast<std::uint16_t>(header.frame_samples), out);
  append_little_endian(static_cast<std::uint8_t>(header.levels), out);
  append_little_endian(static_cast<std::uint8_t>(header.streams), out);
  append_little_endian(static_cast<std::uint32_t>(header.codebook_size), out);
  append_little_endian(static_cast<std::uint8_t>(header.code_bits()), out);
  append_little_endian(window_number(header.window), out);
  append_little_endian(static_cast<std::uint8_t>(header.dtype), out);
  append_little_endian(header.arithmetic, out);
  append_little_endian(header.source_rate_hz, out);
  append_little_endian(header.source_samples.value_or(kUnknownSamples), out);
  append_little_endian(header.model_fingerprint, out);
  append_little_endian(static_cast<std::uint8_t>(header.model_name.size()), out);
  append_text(header.model_name, out);
  append_little_endian(static_cast<std::uint16_t>(header.text.size()), out);
  for (const auto& [key, value] : header.text) {
    append_little_endian(static_cast<std::uint8_t>(key.size()), out);
    append_text(key, out);
    append_little_endian(static_cast<std::uint16_t>(value.size()), out);
    append_text(value, out);
  }
  return out;
}

namespace {

void parse_fixed_header(LittleEndianParser& parser, TokenHeader& header) {
  if (parser.u16() != 0) throw Error("reserved bits are not zero");
  const std::uint32_t sample_rate_hz = parser.u32();
  check_range("sample rate", sample_rate_hz, 1, std::numeric_limits<int>::max());
  header.sample_rate_hz = static_cast<int>(sample_rate_hz);
  header.frame_samples = parser.u16();
  header.levels = parser.u8();
  header.streams = parser.u8();
  const std::uint32_t codebook_size = parser.u32();
  check_range("codebook size", codebook_size, 2, 65536);
  header.codebook_size = static_cast<int>(codebook_size);
  const int bits = parser.u8();
  if (bits != header.code_bits()) {
    throw Error("bits of a code is " + std::to_string(bits) + ", expected " +
                std::to_string(header.code_bits()) + " for " + std::to_string(codebook_size) +
                " entries");
  }
  header.window = parse_window_number(parser.u8());
  header.dtype = static_cast<TokenDtype>(parser.u8());
  header.arithmetic = parser.u8();
  header.source_rate_hz = parser.u32();
  const std::uint64_t source_samples = parser.u64();
  if (source_samples != kUnknownSamples) header.source_samples = source_samples;
  header.model_fingerprint = parser.u32();
}

}  // namespace

TokenHeader parse_header(std::span<const std::byte> payload) {
  constexpr std::size_t kBeforeName = kFixedHeaderBytes - 1;
  if (payload.size() >= 2) {
    const std::uint16_t version = LittleEndianParser(payload).u16();
    if (version != kTokenVersion) {
      throw Error("file is of version " + std::to_string(version) +
                  ", this program reads version " + std::to_string(kTokenVersion));
    }
  }
  if (payload.size() < kFixedHeaderBytes) {
    throw Error("header has " + std::to_string(payload.size()) + " bytes, expected at least " +
                std::to_string(kFixedHeaderBytes));
  }
  TokenHeader header;
  LittleEndianParser fixed(payload.subspan(2, kBeforeName - 2));
  parse_fixed_header(fixed, header);
  TextParser texts(payload.subspan(kBeforeName));
  header.model_name = texts.with_length_u8("model name");
  for (std::size_t left = texts.count_u16("count of texts"); left > 0; --left) {
    std::string key = texts.with_length_u8("key");
    header.text.emplace_back(std::move(key), texts.with_length_u16("value"));
  }
  if (texts.remaining() != 0) {
    throw Error(std::to_string(texts.remaining()) + " bytes follow the last text");
  }
  check_header(header);
  return header;
}

}  // namespace mimi
