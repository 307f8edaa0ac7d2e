// A row of a dataset: a recording, or a part of one, that is to be tokenised.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cli/dataset/file_stamp.h"
#include "cli/json_text.h"

namespace mimi::cli {

// What a row may ask for of its recording.
constexpr double kMostRowSeconds = 1e9;  // 30 years, of its start and of its length
constexpr int kMostRowChannels = 256;
constexpr std::size_t kMostIdBytes = 1 << 16;  // of what every form can name

struct Row {
  // A recording within a tar file.
  struct Member {
    std::string name;
    std::int64_t offset = 0;  // of its bytes in the tar file
    std::int64_t bytes = 0;
    // The tar file when it was listed; none: it is listed elsewhere.
    std::optional<FileStamp> tar = {};
  };

  std::uint64_t number = 0;
  std::string id;
  std::string source;  // the file to open
  std::optional<Member> member;
  std::optional<double> start_s, end_s;
  std::optional<int> channel;  // from 1
  Json fields;                 // an object of what a manifest says besides; null: nothing
  std::string error;           // what is wrong with it already, in one line
  std::string manifest;        // whose, and the line, for messages alone; empty: none's

  // The name for messages.
  std::string name() const { return member ? source + ": " + member->name : source; }
};

// Everything about the row but `manifest`, for row_from_json(), which throws mimi::Error or
// Json::exception where there is no such row.
Json to_json(const Row& row);
Row row_from_json(const Json& json);

// A line of manifest.jsonl or errors.jsonl. Discarded (is_discarded()) where it is no object with
// the number of its row, or has a number that no recording could have.
Json parse_row_line(std::string_view line);

// The beginning of the row's line in manifest.jsonl or errors.jsonl: which one it is.
Json describe(const Row& row);

// The id of a recording that was given none: its path without what only says where to begin (a
// leading /, . and ..; "." where nothing else is left) and without its suffix, and, where the
// manifest chose, its start and end in milliseconds and its channel.
std::string derived_id(const Row& row, std::string_view path);
std::string without_suffix(std::string_view path);

// Throws mimi::Error about `what` where the name has a zero byte: what opens a file would see only
// what comes before.
void check_file_name(const std::string& what, std::string_view name);

// What an id is called in files; see DATASET.md.
std::string file_name_of_id(std::string_view id);
std::string tar_key_of_id(std::string_view id);
std::string tensor_name_of_id(std::string_view id);
// Whether a file system can hold that name.
bool fits_file_system(std::string_view file_name);

}  // namespace mimi::cli
