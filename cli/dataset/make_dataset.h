// What tokenize and detokenize have in common: a dataset begins, goes on or is finished already.
#pragma once

#include <functional>

#include "cli/commands.h"
#include "cli/dataset/schedule.h"
#include "cli/dataset/workspace.h"

namespace mimi::cli {

// Makes shards of the dataset, and returns whether a row failed.
using MakeShards = std::function<bool(const DatasetSettings&)>;

// Returns the exit code. Where the shards are all of the dataset's, they are merged. Where another
// task has finished the dataset, before or meanwhile, nothing is left to do, whatever fails here.
int make_dataset(const Workspace& workspace, const DatasetSettings& asked, bool are_all,
                 const CommonOptions& common, const MakeShards& make_shards);

// Where the failures of a call's rows are told.
std::string where_failures_are(const Workspace& workspace, const ShardShare& share);

}  // namespace mimi::cli
