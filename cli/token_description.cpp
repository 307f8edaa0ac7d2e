// The JSON that goes with codes in safetensors and text.
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "cli/printable.h"
#include "cli/token_table.h"
#include "core/quote.h"
#include "core/token_record.h"

namespace mimi::cli {
namespace {

// Of what anyone may have written: the other kind looks for a key among all of them.
using Parsed = nlohmann::json;
using Json = nlohmann::ordered_json;

constexpr int kDescriptionVersion = 1;

// Members of an object, each of which must be there and within its bounds.
class Members {
 public:
  explicit Members(const Parsed& object) : object_(object) {
    if (!object.is_object()) throw Error("description: expected an object");
  }

  template <typename Number>
  Number number(const char* key) const {
    const Parsed& value = member(key);
    if (!value.is_number_unsigned() ||
        value.get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<Number>::max())) {
      fail(key, "a number within its bounds");
    }
    return value.get<Number>();
  }
  std::string text(const char* key) const {
    const Parsed& value = member(key);
    if (!value.is_string()) fail(key, "a text");
    return value.get<std::string>();
  }
  const Parsed& list(const char* key) const {
    const Parsed& value = member(key);
    if (!value.is_array()) fail(key, "a list");
    return value;
  }
  bool is_null(const char* key) const { return member(key).is_null(); }
  bool is_number(const char* key) const { return member(key).is_number(); }
  [[noreturn]] void fail(const char* key, const char* expected) const {
    throw Error("description: '" + std::string(key) + "' is not " + expected);
  }

 private:
  const Parsed& member(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) throw Error("description: '" + std::string(key) + "' is missing");
    return *found;
  }

  const Parsed& object_;
};

std::uint32_t parse_hex(const std::string& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Error("description: fingerprint is " + quote(text) + ", expected 8 hexadecimal digits");
  }
  return value;
}

// A name, or the number of one that this version does not know.
TokenDtype parse_dtype(const Members& members) {
  if (members.is_number("dtype"))
    return static_cast<TokenDtype>(members.number<std::uint8_t>("dtype"));
  const std::string name = members.text("dtype");
  for (const TokenDtype dtype :
       {TokenDtype::kUnknown, TokenDtype::kF32, TokenDtype::kBf16, TokenDtype::kInt8}) {
    if (token_dtype_name(dtype) == name) return dtype;
  }
  throw Error("description: dtype is " + quote(name) + ", expected unknown, f32, bf16 or int8");
}

TokenHeader parse_described_header(const Members& members) {
  TokenHeader header;
  header.sample_rate_hz = members.number<int>("sample_rate");
  header.frame_samples = members.number<int>("frame_samples");
  header.levels = members.number<int>("levels");
  header.streams = members.number<int>("streams");
  header.codebook_size = members.number<int>("codebook_size");
  header.source_rate_hz = members.number<std::uint32_t>("source_rate");
  if (!members.is_null("source_samples")) {
    header.source_samples = members.number<std::uint64_t>("source_samples");
  }
  header.model_name = members.text("model");
  header.model_fingerprint = parse_hex(members.text("fingerprint"));
  header.window = parse_window(members.text("window"));
  header.dtype = parse_dtype(members);
  header.arithmetic = members.number<std::uint8_t>("arithmetic");
  for (const Parsed& pair : members.list("text")) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      members.fail("text", "a list of pairs");
    }
    header.text.emplace_back(pair[0].get<std::string>(), pair[1].get<std::string>());
  }
  check_header(header);
  return header;
}

TokenTable::Segment parse_described_segment(const Parsed& json) {
  const Members members(json);
  return {.frames = members.number<std::uint32_t>("frames"),
          .origin_frame = members.number<std::uint32_t>("origin_frame"),
          .lead_in_samples = members.number<std::uint32_t>("lead_in_samples"),
          .padding_samples = members.number<int>("padding_samples"),
          .source_rate_hz = members.number<std::uint32_t>("source_rate"),
          .source_samples = members.number<std::uint64_t>("source_samples")};
}

Json described_dtype(TokenDtype dtype) {
  if (dtype > TokenDtype::kInt8) return static_cast<std::uint8_t>(dtype);
  return token_dtype_name(dtype);
}

}  // namespace

std::string describe(const TokenTable& table) {
  const TokenHeader& header = table.header;
  Json text = Json::array(), segments = Json::array();
  for (const auto& [key, value] : header.text) text.push_back({key, value});
  for (const TokenTable::Segment& segment : table.segments) {
    segments.push_back({{"frames", segment.frames},
                        {"origin_frame", segment.origin_frame},
                        {"lead_in_samples", segment.lead_in_samples},
                        {"padding_samples", segment.padding_samples},
                        {"source_rate", segment.source_rate_hz},
                        {"source_samples", segment.source_samples}});
  }
  const Json all = {
      {"mimi", kDescriptionVersion},
      {"sample_rate", header.sample_rate_hz},
      {"frame_samples", header.frame_samples},
      {"levels", header.levels},
      {"streams", header.streams},
      {"codebook_size", header.codebook_size},
      {"source_rate", header.source_rate_hz},
      {"source_samples", header.source_samples ? Json(*header.source_samples) : Json(nullptr)},
      {"model", header.model_name},
      {"fingerprint", hex_text(header.model_fingerprint)},
      {"window", window_name(header.window)},
      {"dtype", described_dtype(header.dtype)},
      {"arithmetic", header.arithmetic},
      {"text", text},
      {"segments", segments}};
  return all.dump();
}

void apply_description(std::string_view json, TokenTable& table) {
  const Parsed parsed = Parsed::parse(json, nullptr, false);
  if (parsed.is_discarded()) throw Error("description is not valid JSON");
  const Members members(parsed);
  if (members.number<int>("mimi") != kDescriptionVersion) {
    throw Error("description is of another version than 1");
  }
  table.header = parse_described_header(members);
  table.segments.clear();
  for (const Parsed& segment : members.list("segments")) {
    table.segments.push_back(parse_described_segment(segment));
  }
}

}  // namespace mimi::cli
