// Who works on what: whole rows, long ones first, and, when no row is left to begin, what is left
// of a long one.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cli/dataset/plan.h"
#include "cli/dataset/shard.h"

namespace mimi::cli {

// The shards that one task of several takes: those whose number modulo `of` is `index`.
struct ShardShare {
  std::uint64_t index = 0;  // from 0
  std::uint64_t of = 1;

  bool has(std::uint64_t shard) const { return shard % of == index; }
};

// The pieces that one worker goes through, one after the other.
struct PieceRange {
  std::uint32_t first = 0;
  std::uint32_t next = 0;          // to be begun
  std::uint32_t end = UINT32_MAX;  // before it; another's begin, where that took some over
  std::uint32_t total = 0;         // of the row, where its length is known and it can be split
  bool is_closed = false;          // nothing more of it will be begun
  bool is_void = false;            // what comes of it is not wanted
};

struct Task {
  std::shared_ptr<Shard> shard;
  std::uint64_t index = 0;  // of the row in its shard
  Row row;
  std::shared_ptr<PieceRange> range;
};

struct ScheduleCounts {
  std::uint64_t rows = 0;     // of this task
  std::uint64_t settled = 0;  // by this process
  std::uint64_t failed = 0;   // by this process
  std::uint64_t skipped = 0;  // settled before
  std::uint64_t failed_before = 0;
  // Seconds, as expected_seconds() has them, of the rows looked at so far.
  std::uint64_t rows_expected = 0;
  double expected_left = 0, expected_done = 0;
  std::uint64_t samples_done = 0;  // of those in expected_done, at the codec's rate
};

struct ScheduleOptions {
  ShardShare share;
  bool strict = false;  // a row that fails, or did before, ends everything
};

// From any thread. Whatever goes wrong with the dataset rather than with a row ends everything:
// stop() passes it on to the one who waits in take_finished().
class Schedule {
 public:
  Schedule(const Plan& plan, const Workspace& workspace, const DatasetSettings& settings,
           const ScheduleOptions& options);

  // Waits for work. None: there is no more.
  std::optional<Task> next();
  // The task's recording is open; `total_pieces` where its length is known and it can be begun
  // anywhere. Returns the piece to begin with.
  std::uint32_t begin(const Task& task, const Sha256Digest& source,
                      std::optional<std::uint32_t> total_pieces);
  // Whether to do a piece, the one to begin with or the one after the last.
  bool go_on(const Task& task, std::uint32_t piece);
  void add(const Task& task, Piece piece);
  void fail(const Task& task, const std::string& error);
  // All of the task has been added. What is left of the row waits for another; a row that does not
  // come to its end though one worker has read all of it fails.
  void end(const Task& task);

  // Waits for a shard whose rows are all settled, at most for `wait`. None: not yet, or
  // is_finished(). Rethrows what stop() was given.
  std::shared_ptr<Shard> take_finished(std::chrono::milliseconds wait);
  // Whether take_finished() has given all.
  bool is_finished() const;
  // Makes durable what was journalled so far.
  void sync();
  void stop(std::exception_ptr failure);
  ScheduleCounts counts() const;

 private:
  struct Waiting {
    std::shared_ptr<Shard> shard;
    std::uint64_t index;
  };
  struct SettledBefore {
    std::uint64_t rows = 0, failed = 0;
  };
  using Lock = std::unique_lock<std::mutex>;

  bool has_few_rows() const;
  bool may_load() const;
  void load(Lock& lock);
  void skip_finished(std::uint64_t shard, SettledBefore& before) const;
  void wait_for_work(const std::shared_ptr<Shard>& shard, std::vector<Waiting>& batch,
                     SettledBefore& before) const;
  void check_not_strict(const Row& failed, const std::string& error) const;
  std::optional<Task> take_waiting();
  std::optional<Task> take_over();
  static std::uint32_t missing_pieces(const Task& task);
  Task activate(const Waiting& waiting, const PieceRange& range);
  void void_others(const Task& task);
  void leave_to_one(const Task& task);
  static void do_in_one_go(RowState& row);
  void settle_failed(const Task& task, const std::string& error);
  void try_again(const Task& task);
  void count_settled(const Task& task);

  const Plan& plan_;
  const Workspace& workspace_;
  const DatasetSettings& settings_;
  ScheduleOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_shard_;
  bool is_loading_ = false;
  std::deque<std::vector<Waiting>> batches_;  // of each, the most work last
  std::list<Task> active_;
  std::vector<std::shared_ptr<Shard>> open_;
  std::deque<std::shared_ptr<Shard>> finished_;
  std::exception_ptr failure_;
  bool is_stopped_ = false;
  ScheduleCounts counts_;
};

}  // namespace mimi::cli
