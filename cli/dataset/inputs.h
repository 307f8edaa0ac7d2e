// What the command line names as inputs, row by row.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/dataset/row.h"

namespace mimi::cli {

struct InputOptions {
  std::vector<std::string> inputs;   // recordings, folders, manifests, tar files; "-": a list
  std::optional<std::string> list;   // a file with one of those in each line; "-": standard input
  std::vector<std::string> include;  // patterns; empty: by the suffixes of sound files
  std::optional<std::string> root;   // where a manifest's relative paths begin; none: its folder
  std::string left_out;              // a folder that is not gone into
};

struct InputCounts {
  std::int64_t rows = 0;
  std::int64_t passed_over = 0;  // files in folders and tar files that are no recordings
};

// Calls `take` for each row, in the order that DATASET.md defines. What cannot be listed is a row
// with an error; a manifest or a list that is wrong throws mimi::Error.
InputCounts list_rows(const InputOptions& options, const std::function<void(Row)>& take);

}  // namespace mimi::cli
