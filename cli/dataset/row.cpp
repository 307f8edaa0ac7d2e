#include "cli/dataset/row.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "cli/named_error.h"

namespace mimi::cli {
namespace {

constexpr std::size_t kMostPartBytes = 240;  // of 255, so that a suffix fits

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

std::string percent(char c) {
  char text[4];
  std::snprintf(text, sizeof text, "%%%02X", static_cast<unsigned char>(c));
  return text;
}

std::string escaped_part(std::string_view part, bool escape_all_dots) {
  if (part.empty()) return "%";
  std::string text;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const char c = part[i];
    const auto byte = static_cast<unsigned char>(c);
    const bool is_special =
        byte < 32 || byte == 127 || c == '%' || (c == '.' && (i == 0 || escape_all_dots));
    text += is_special ? percent(c) : std::string(1, c);
  }
  return text;
}

std::string escaped(std::string_view id, bool for_tar) {
  const std::vector<std::string_view> parts = parts_of(id);
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool is_last = i + 1 == parts.size();
    text += (i == 0 ? "" : "/") + escaped_part(parts[i], for_tar && is_last);
  }
  return text;
}

std::string number_text(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.12g", number);
  return text;
}

// A stranger's manifest may say anything.
double number_of(const Row& row, const char* what, const Json& found, double low, double high) {
  const double number = found.is_number() ? found.get<double>() : NAN;
  if (number >= low && number <= high) return number;
  throw NamedError(row.name(), "row " + std::to_string(row.number) + ": its " + what + " is " +
                                   json_text(found) + ", expected " + number_text(low) + " to " +
                                   number_text(high));
}

std::string milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "-%08lld", std::llround(seconds * 1000));
  return text;
}

}  // namespace

Json to_json(const Row& row) {
  Json json = describe(row);
  if (row.member) {
    json["offset"] = row.member->offset;
    json["bytes"] = row.member->bytes;
  }
  if (!row.fields.is_null()) json["fields"] = row.fields;
  if (!row.error.empty()) json["error"] = row.error;
  return json;
}

Row row_from_json(const Json& json) {
  Row row = {.number = json.at("row"), .id = json.at("id"), .source = json.at("source")};
  if (json.contains("member")) row.member = {.name = json["member"]};
  if (row.member && json.contains("offset")) row.member->offset = json["offset"];
  if (row.member && json.contains("bytes")) row.member->bytes = json["bytes"];
  if (json.contains("start")) {
    row.start_s = number_of(row, "start", json["start"], 0, kMostRowSeconds);
  }
  if (json.contains("end")) {
    row.end_s = number_of(row, "end", json["end"], row.start_s.value_or(0), 2 * kMostRowSeconds);
  }
  if (json.contains("channel")) {
    row.channel = static_cast<int>(number_of(row, "channel", json["channel"], 1, kMostRowChannels));
  }
  if (json.contains("fields")) row.fields = json["fields"];
  if (json.contains("error")) row.error = json["error"];
  return row;
}

Json parse_row_line(std::string_view line) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 50;
  Json json = parse_json(line);
  if (!json.is_object() || !json.contains("row")) return Json(Json::value_t::discarded);
  for (const char* const key : {"row", "samples", "source_samples", "frames", "levels"}) {
    const auto number = json.find(key);
    if (number == json.end()) continue;
    if (!number->is_number_unsigned() || *number > kMost) return Json(Json::value_t::discarded);
  }
  return json;
}

Json describe(const Row& row) {
  Json json = {{"id", row.id}, {"row", row.number}, {"source", row.source}};
  if (row.member) json["member"] = row.member->name;
  if (row.start_s) json["start"] = *row.start_s;
  if (row.end_s) json["end"] = *row.end_s;
  if (row.channel) json["channel"] = *row.channel;
  return json;
}

std::string without_suffix(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string_view::npos ? 0 : slash + 1;
  const std::size_t dot = path.rfind('.');
  const bool has_suffix = dot != std::string_view::npos && dot > name;
  return std::string(has_suffix ? path.substr(0, dot) : path);
}

std::string derived_id(const Row& row, std::string_view path) {
  std::string clean;
  for (const std::string_view part : parts_of(path)) {
    if (part.empty() || part == "." || part == "..") continue;
    clean.append(clean.empty() ? "" : "/").append(part);
  }
  if (clean.empty()) clean = ".";
  std::string id = without_suffix(clean);
  if (row.start_s) {
    id += milliseconds(*row.start_s);
    if (row.end_s) id += milliseconds(*row.end_s);
  }
  if (row.channel) id += "-c" + std::to_string(*row.channel);
  return id;
}

void check_file_name(const std::string& what, std::string_view name) {
  if (name.find('\0') == std::string_view::npos) return;
  throw Error(what + " has a zero byte, as no file's name has");
}

std::string file_name_of_id(std::string_view id) { return escaped(id, /*for_tar=*/false); }

std::string tar_key_of_id(std::string_view id) { return escaped(id, /*for_tar=*/true); }

std::string tensor_name_of_id(std::string_view id) {
  const std::size_t percents = std::min(id.find_first_not_of('%'), id.size());
  const bool is_reserved = id.substr(percents) == "__metadata__";
  return (is_reserved ? "%" : "") + std::string(id);
}

bool fits_file_system(std::string_view file_name) {
  for (const std::string_view part : parts_of(file_name)) {
    if (part.size() > kMostPartBytes) return false;
  }
  return file_name.size() < 3000;
}

}  // namespace mimi::cli
