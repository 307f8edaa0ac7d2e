// Manifests of recordings: jsonl, csv and tsv.
#pragma once

#include <functional>
#include <string>

#include "cli/dataset/row.h"

namespace mimi::cli {

enum class ManifestKind { kJsonl, kCsv, kTsv };

// Calls `take` for each line, with all of the row but its number; an id that was not given is
// derived. A relative path starts at `root`. Throws mimi::Error naming the file and the line of
// what is not as it must be.
void read_manifest(const std::string& path, ManifestKind kind, const std::string& root,
                   const std::function<void(Row)>& take);

}  // namespace mimi::cli
