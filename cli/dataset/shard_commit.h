#pragma once

#include "cli/dataset/plan.h"
#include "cli/dataset/shard.h"

namespace mimi::cli {

// Writes the outputs of a shard whose rows are all settled and puts them into their places, then
// says that it is finished, then removes its journal.
void commit_shard(Shard& shard, const Plan& plan, const Workspace& workspace,
                  const DatasetSettings& settings);

}  // namespace mimi::cli
