#include "cli/dataset/manifest_reader.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <initializer_list>
#include <utility>
#include <vector>

#include "cli/dataset/line_reader.h"
#include "cli/named_error.h"
#include "core/quote.h"
#include "core/utf8.h"

namespace mimi::cli {
namespace {

// Each is looked for among all of them.
constexpr std::size_t kMostColumns = 4096;

struct Taken {       // NOLINT(bugprone-exception-escape): of a Json's move, which throws nothing
  std::string name;  // as the manifest has it; none: it has not
  Json value;
};

// Takes `names` out of `object`; only one of them may be there.
Taken take_one_of(Json& object, std::initializer_list<const char*> names) {
  Taken taken;
  for (const char* name : names) {
    const auto place = object.find(name);
    if (place == object.end()) continue;
    if (!taken.name.empty()) throw Error("'" + taken.name + "' and '" + name + "' mean the same");
    taken = {name, *place};
    object.erase(place);
  }
  return taken;
}

[[noreturn]] void throw_not(const Taken& taken, const std::string& expected) {
  throw Error("'" + taken.name + "' is " + json_text(taken.value) + ", not " + expected);
}

// As csv has it, an empty text.
bool is_missing(const Json& value) {
  return value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty());
}

std::string text_of(const Taken& taken) {
  if (!taken.value.is_string() || is_missing(taken.value)) throw_not(taken, "a text");
  return taken.value;
}

// A number, or, as csv has it, the text of one; null and "": none.
std::optional<double> number_of(const Taken& taken) {
  if (is_missing(taken.value)) return std::nullopt;
  double number = NAN;
  if (taken.value.is_number()) number = taken.value;
  if (taken.value.is_string()) {
    const std::string& text = taken.value.get_ref<const std::string&>();
    std::size_t used = 0;
    try {
      number = std::stod(text, &used);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used != text.size()) number = NAN;
  }
  if (number >= 0 && number <= kMostRowSeconds) return number;
  throw_not(taken, "a number from 0 to 1e9");
}

void take_range(Json& object, Row& row) {
  row.start_s = number_of(take_one_of(object, {"start", "offset"}));
  row.end_s = number_of(take_one_of(object, {"end"}));
  const auto duration = number_of(take_one_of(object, {"duration"}));
  if (row.end_s && duration) throw Error("'end' and 'duration' exclude each other");
  if (duration) row.end_s = row.start_s.value_or(0) + *duration;
  if (row.end_s && *row.end_s <= row.start_s.value_or(0)) {
    throw Error("its end, " + json_text(*row.end_s) + " s, is not after its start");
  }
}

void take_channel(Json& object, Row& row) {
  const Taken taken = take_one_of(object, {"channel"});
  const auto channel = number_of(taken);
  if (!channel) return;
  if (*channel < 1 || *channel > kMostRowChannels || *channel != std::floor(*channel)) {
    throw_not(taken, "a number from 1 to 256");
  }
  row.channel = static_cast<int>(*channel);
}

Row row_of(Json object, const std::string& root) {
  if (!object.is_object()) throw Error("is not a JSON object");
  Row row{};
  const Taken taken = take_one_of(object, {"path", "audio_filepath", "audio"});
  if (taken.name.empty()) throw Error("has none of 'path', 'audio_filepath' and 'audio'");
  const std::string path = text_of(taken);
  check_file_name("'" + taken.name + "'", path);
  row.source = (std::filesystem::path(root) / path).string();
  take_range(object, row);
  take_channel(object, row);
  const Taken id = take_one_of(object, {"id"});
  row.id = id.value.is_number_integer() ? json_text(id.value)
           : is_missing(id.value)       ? derived_id(row, path)
                                        : text_of(id);
  if (!object.empty()) row.fields = std::move(object);
  return row;
}

// The records of a csv file (RFC 4180): fields in quotes may hold anything, quotes doubled. A quote
// that does not begin a field is one of its characters.
class CsvReader {
 public:
  CsvReader(LineReader& lines, char separator) : lines_(lines), separator_(separator) {}

  // False at the end. Empty lines are no records.
  bool next(std::vector<std::string>& fields) {
    do {
      if (!next_line()) return false;
    } while (line_.empty());
    bytes_ = line_.size();
    fields.clear();
    for (place_ = 0;; ++place_) {
      if (fields.size() == kMostColumns) {
        throw Error("has more than " + std::to_string(kMostColumns) + " fields");
      }
      fields.push_back(line_.substr(place_, 1) == "\"" ? quoted_field() : plain_field());
      if (place_ == line_.size()) return true;
    }
  }

 private:
  bool next_line() {
    if (!lines_.next(line_)) return false;
    if (!is_utf8(line_)) throw Error("is not UTF-8");
    return true;
  }

  std::string plain_field() {
    const std::size_t begin =
        std::exchange(place_, std::min(line_.find(separator_, place_), line_.size()));
    return line_.substr(begin, place_ - begin);
  }

  std::string quoted_field() {
    const std::int64_t first_line = lines_.number();
    std::string field;
    for (++place_;;) {
      const std::size_t quote = line_.find('"', place_);
      field.append(line_, place_, quote - place_);
      if (quote == std::string::npos) {
        field += lines_.ending();
        go_on_in_quotes(first_line);
        continue;
      }
      place_ = quote + 1;
      if (line_.substr(place_, 1) != "\"") break;
      field += line_[place_++];
    }
    if (place_ < line_.size() && line_[place_] != separator_) {
      throw Error("after the quote that ends a field comes " + quote(line_.substr(place_)));
    }
    return field;
  }

  void go_on_in_quotes(std::int64_t first_line) {
    const std::string which = "the quote that begins in line " + std::to_string(first_line);
    bytes_ += lines_.ending().size();
    if (!next_line()) throw Error(which + " does not end");
    bytes_ += line_.size();
    if (bytes_ > kMostLineBytes) throw Error(which + " is too long");
    place_ = 0;
  }

  LineReader& lines_;
  char separator_;
  std::string line_;
  std::size_t place_ = 0;  // in the line
  std::size_t bytes_ = 0;  // of the record
};

void read_jsonl(LineReader& lines, const std::string& root, const std::function<void(Row)>& take) {
  for (std::string line; lines.next(line);) {
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    take(row_of(parse_input_json(line), root));
  }
}

void read_csv(LineReader& lines, char separator, const std::string& root,
              const std::function<void(Row)>& take) {
  CsvReader records(lines, separator);
  std::vector<std::string> names, fields;
  if (!records.next(names)) return;
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (std::find(names.begin(), name, *name) != name)
      throw Error("has " + quote(*name) + " twice");
  }
  while (records.next(fields)) {
    if (fields.size() != names.size()) {
      throw Error("has " + std::to_string(fields.size()) + " fields, the first line " +
                  std::to_string(names.size()));
    }
    Json object = Json::object();
    for (std::size_t i = 0; i < names.size(); ++i) object[names[i]] = fields[i];
    take(row_of(std::move(object), root));
  }
}

}  // namespace

void read_manifest(const std::string& path, ManifestKind kind, const std::string& root,
                   const std::function<void(Row)>& take) {
  LineReader lines(path);
  const auto take_from_here = [&](Row row) {
    row.manifest = path + ", line " + std::to_string(lines.number());
    take(std::move(row));
  };
  try {
    if (kind == ManifestKind::kJsonl) {
      read_jsonl(lines, root, take_from_here);
    } else {
      read_csv(lines, kind == ManifestKind::kCsv ? ',' : '\t', root, take_from_here);
    }
  } catch (const NamedError&) {
    throw;
  } catch (const Error& error) {
    throw NamedError(path, "line " + std::to_string(lines.number()) + ": " + error.what());
  }
}

}  // namespace mimi::cli
