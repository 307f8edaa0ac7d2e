#include "cli/json_text.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "core/error.h"
#include "core/quote.h"

namespace mimi::cli {
namespace {

template <typename Integer>
bool fits(std::string_view digits) {
  Integer value = 0;
  return std::from_chars(digits.data(), digits.data() + digits.size(), value).ec == std::errc();
}

std::size_t end_of_string(std::string_view json, std::size_t begin) {
  std::size_t place = begin + 1;
  while (place < json.size() && json[place] != '"') place += json[place] == '\\' ? 2U : 1U;
  return place + 1;
}

// In what is JSON.
std::optional<std::string_view> find_long_integer(std::string_view json) {
  for (std::size_t place = 0; place < json.size();) {
    if (json[place] == '"') {
      place = end_of_string(json, place);
    } else if (json[place] == '-' || (json[place] >= '0' && json[place] <= '9')) {
      const std::string_view rest = json.substr(place);
      const std::string_view number = rest.substr(0, rest.find_first_not_of("+-.0123456789Ee"));
      const bool is_integer = number.find_first_of(".Ee") == std::string_view::npos;
      if (is_integer && !fits<std::int64_t>(number) && !fits<std::uint64_t>(number)) return number;
      place += number.size();
    } else {
      ++place;
    }
  }
  return std::nullopt;
}

}  // namespace

Json parse_json(std::string_view text, int most_levels) {
  using Event = Json::parse_event_t;
  bool refused = false;
  std::vector<std::set<std::string>> keys;  // of each object that is open
  const auto keep = [&](int depth, Event event, const Json& value) {
    if (refused) return false;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    refused = depth > most_levels ||
              (event == Event::key && (keys.back().size() == kMostJsonKeys ||
                                       !keys.back().insert(value.get<std::string>()).second));
    return !refused;
  };
  Json json = Json::parse(text, keep, /*allow_exceptions=*/false);
  if (refused) return Json(Json::value_t::discarded);
  return json;
}

Json parse_input_json(std::string_view text) {
  Json json = parse_json(text, kMostInputLevels);
  if (json.is_discarded()) {
    throw Error("is not JSON of at most " + std::to_string(kMostInputLevels) +
                " levels with each key once");
  }
  if (const auto number = find_long_integer(text)) {
    throw Error("has the integer " + quote(*number) + ", which has more than 64 bits");
  }
  return json;
}

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace mimi::cli
