#pragma once

#include "cli/dataset/workspace.h"

namespace mimi::cli {

// Makes the finished dataset of its finished shards: the manifest, the errors, the index, and the
// counts. Throws mimi::Error where a shard is missing or is not as it must be. What was begun by an
// earlier call is done again.
DatasetCounts merge_dataset(const Workspace& workspace, const DatasetSettings& settings);

// Removes what is only there while a dataset is made.
void remove_work(const Workspace& workspace);

// "3, 7-9": shards that are not finished; empty: all are.
std::string missing_shards(const Workspace& workspace, const DatasetSettings& settings);

}  // namespace mimi::cli
