// What others wrote (names of files and models, texts in files) as it may be shown: a terminal
// obeys control characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace mimi::cli {

// In one line, control characters (C0, DEL and C1) and bytes that are no UTF-8 as \xNN.
std::string printable(std::string_view text);
// How many of the first bytes stay as they are. Async-signal-safe.
std::size_t printable_prefix(std::string_view text);

// Indented where `indent` is not negative; control characters as \uNNNN, what is no UTF-8 as
// U+FFFD.
std::string printable_json(const nlohmann::ordered_json& json, int indent = -1);

// With an s where the count is not 1.
std::string counted(std::uint64_t count, const std::string& thing);

// A fingerprint or a checksum: 8 hexadecimal digits.
std::string hex_text(std::uint32_t value);

}  // namespace mimi::cli
