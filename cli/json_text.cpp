#include "cli/json_text.h"

#include <set>
#include <vector>

namespace mimi::cli {

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

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace mimi::cli
