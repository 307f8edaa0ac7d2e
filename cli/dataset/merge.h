// The finished shards of a dataset become the finished dataset.
#pragma once

#include <optional>
#include <string>

#include "cli/dataset/workspace.h"

namespace mimi::cli {

// Writes the manifest, the errors, the index and the counts. Throws mimi::Error where a shard is
// missing or is not as it must be. What was begun by an earlier call is done again.
DatasetCounts merge_shards(const Workspace& workspace, const DatasetSettings& settings);

// The same of whatever dataset is there, which may be finished already, or be finished by another
// task meanwhile. Throws mimi::Error also where there is none.
DatasetCounts merge_dataset(const Workspace& workspace);

// The counts of the dataset that was asked for; none: it is not there, or not finished.
std::optional<DatasetCounts> finished_counts(const Workspace& workspace,
                                             const DatasetSettings& asked);

// Removes what is only there while a dataset is made.
void remove_work(const Workspace& workspace);

// "3, 7-9": shards that are not finished; empty: all are.
std::string missing_shards(const Workspace& workspace, const DatasetSettings& settings);

}  // namespace mimi::cli
