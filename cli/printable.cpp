#include "cli/printable.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/utf8.h"

namespace mimi::cli {
namespace {

// Length of the character that `text` begins with; 0: is not to be shown.
std::size_t printable_character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return first >= 0x20 && first != 0x7F ? 1 : 0;
  for (std::size_t length = 2; length <= 4 && length <= text.size(); ++length) {
    if (!is_utf8(text.substr(0, length))) continue;
    const bool is_c1 = first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    return is_c1 ? 0 : length;
  }
  return 0;
}

std::string escaped(const char* format, unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

std::size_t printable_prefix(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size()) {
    const std::size_t length = printable_character(text.substr(size));
    if (length == 0) break;
    size += length;
  }
  return size;
}

std::string printable(std::string_view text) {
  std::string shown;
  while (true) {
    const std::size_t size = printable_prefix(text);
    shown += text.substr(0, size);
    if (size == text.size()) return shown;
    shown += escaped("\\x%02x", static_cast<unsigned char>(text[size]));
    text.remove_prefix(size + 1);
  }
}

std::string printable_json(const nlohmann::ordered_json& json, int indent) {
  using Json = nlohmann::ordered_json;
  const std::string text = json.dump(indent, ' ', false, Json::error_handler_t::replace);
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (byte == 0x7F) {
      shown += escaped("\\u%04x", byte);
    } else if (byte == 0xC2 && next < 0xA0) {  // the text is UTF-8: C1
      shown += escaped("\\u%04x", next);
      ++i;
    } else {
      shown += text[i];
    }
  }
  return shown;
}

std::string counted(std::uint64_t count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

std::string hex_text(std::uint32_t value) { return escaped("%08x", value); }

}  // namespace mimi::cli
