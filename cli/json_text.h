// JSON from anyone, and as it stands in the files of a dataset.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mimi::cli {

using Json = nlohmann::ordered_json;

constexpr int kMostJsonLevels = 64;
// Of what becomes a part of something else, which must still be read.
constexpr int kMostInputLevels = kMostJsonLevels - 2;
constexpr std::size_t kMostJsonKeys = 4096;

// Discarded (is_discarded()) where the text is not JSON, where it is nested more than so many
// levels deep (what copies or writes JSON calls itself at each level), and where an object has more
// than 4096 keys, or one twice, of which only one would be kept.
Json parse_json(std::string_view text, int most_levels = kMostJsonLevels);

// Of a stranger's manifest or tar file. Throws mimi::Error where parse_json() discards it, and
// where an integer has more than 64 bits, of which only the nearest double would be kept.
Json parse_input_json(std::string_view text);

// In one line.
std::string json_text(const Json& json);

}  // namespace mimi::cli
