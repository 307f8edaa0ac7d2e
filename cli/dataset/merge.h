#pragma once

#include <functional>

#include "cli/commands.h"
#include "cli/dataset/workspace.h"

namespace mimi::cli {

// Makes a dataset, or a share of its shards, and returns the exit code. `make_shards` makes them
// and returns whether a row failed; where they are all of the dataset's, the dataset is merged
// then. Where another task has finished it, now or meanwhile, nothing is left to do.
using MakeShards = std::function<bool(const DatasetSettings&)>;
int make_dataset(const Workspace& workspace, const DatasetSettings& asked, bool are_all,
                 const CommonOptions& common, const MakeShards& make_shards);

// `mimi merge` of what was made in shares. Returns the counts of a finished dataset as they are.
// Throws mimi::Error where a shard is missing or is not as it must be, or there is no dataset. What
// was begun by an earlier call is done again.
DatasetCounts merge_dataset(const Workspace& workspace);

// "3, 7-9": shards that are not finished; empty: all are.
std::string missing_shards(const Workspace& workspace, const DatasetSettings& settings);

}  // namespace mimi::cli
