#include "cli/dataset/make_dataset.h"

#include <optional>

#include "cli/dataset/merge.h"
#include "cli/jobs.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

int exit_code(bool some_failed) { return some_failed ? kExitSomeFailed : kExitDone; }

}  // namespace

int make_dataset(const Workspace& workspace, const DatasetSettings& asked, bool are_all,
                 const CommonOptions& common, const MakeShards& make_shards) {
  std::optional<DatasetCounts> finished;
  try {
    const DatasetFile dataset = workspace.open(asked);
    finished = dataset.counts;
    if (!finished) {
      const bool some_failed = make_shards(dataset.settings);
      if (!are_all) return exit_code(some_failed);
      return exit_code(merge_shards(workspace, dataset.settings).failed > 0);
    }
  } catch (const Error&) {
    finished = finished_counts(workspace, asked);
    if (!finished) throw;
  }
  remove_work(workspace);
  if (!common.quiet) report(workspace.out() + ": is finished: nothing is left to do");
  return exit_code(finished->failed > 0);
}

std::string where_failures_are(const Workspace& workspace, const ShardShare& share) {
  return workspace.errors() + (share.of == 1 ? "" : ", once it is merged");
}

}  // namespace mimi::cli
