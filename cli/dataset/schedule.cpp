#include "cli/dataset/schedule.h"

#include <algorithm>
#include <utility>

#include "cli/dataset/expected_work.h"
#include "cli/named_error.h"

namespace mimi::cli {
namespace {

// Rows and shards to be loaded at once: among so many, the long ones come first.
constexpr std::uint64_t kBatchRows = 4096;
constexpr std::size_t kBatchShards = 64;
// When so few rows are left, the next batch is loaded.
constexpr std::size_t kFewRows = 64;
// Each has its journal open until it is committed; while there are so many, no batch is loaded.
constexpr std::size_t kMostOpenShards = 64;

}  // namespace

Schedule::Schedule(const Plan& plan, const Workspace& workspace, const DatasetSettings& settings,
                   const ScheduleOptions& options)
    : plan_(plan),
      workspace_(workspace),
      settings_(settings),
      options_(options),
      next_shard_(options.share.index) {
  for (std::uint64_t shard = next_shard_; shard < settings.shards(); shard += options.share.of) {
    counts_.rows += settings.rows_of(shard);
  }
}

std::optional<Task> Schedule::next() {
  Lock lock(mutex_);
  while (!is_stopped_) {
    if (has_few_rows() && may_load()) load(lock);
    if (auto task = take_waiting()) return task;
    if (may_load()) continue;
    if (!is_loading_) {
      if (auto task = take_over()) return task;
      if (active_.empty() && next_shard_ >= settings_.shards()) return std::nullopt;
    }
    changed_.wait(lock);
  }
  return std::nullopt;
}

bool Schedule::has_few_rows() const {
  return batches_.empty() || (batches_.size() == 1 && batches_.front().size() < kFewRows);
}

bool Schedule::may_load() const {
  return !is_loading_ && next_shard_ < settings_.shards() && open_.size() < kMostOpenShards;
}

// Without the lock while it reads: others go on meanwhile.
void Schedule::load(Lock& lock) {
  is_loading_ = true;
  std::uint64_t number = next_shard_, rows = 0;
  SettledBefore before;
  lock.unlock();
  std::vector<std::shared_ptr<Shard>> shards;
  std::vector<Waiting> batch;
  for (; number < settings_.shards() && rows < kBatchRows && shards.size() < kBatchShards;
       number += options_.share.of) {
    if (workspace_.is_finished(number, settings_)) {
      skip_finished(number, before);
      continue;
    }
    auto shard = std::make_shared<Shard>(workspace_, settings_, number);
    if (workspace_.is_finished(number, settings_)) {  // by another, before the journal was locked
      shard->journal().remove();
      skip_finished(number, before);
      continue;
    }
    workspace_.check_unfinished();
    shards.push_back(std::move(shard));
    rows += settings_.rows_of(number);
    wait_for_work(shards.back(), batch, before);
  }
  const auto less_work = [](const Waiting& a, const Waiting& b) {
    return a.shard->rows()[a.index].expected < b.shard->rows()[b.index].expected;
  };
  std::stable_sort(batch.begin(), batch.end(), less_work);
  lock.lock();
  for (const auto& shard : shards) {
    for (const RowState& row : shard->rows()) counts_.expected_left += row.expected;
    if (shard->unsettled() == 0) finished_.push_back(shard);
  }
  open_.insert(open_.end(), shards.begin(), shards.end());
  const std::size_t batch_rows = batch.size();
  if (!batch.empty()) batches_.push_back(std::move(batch));
  counts_.skipped += before.rows;
  counts_.failed_before += before.failed;
  counts_.rows_expected += batch_rows;
  next_shard_ = number;
  is_loading_ = false;
  changed_.notify_all();
}

void Schedule::skip_finished(std::uint64_t shard, SettledBefore& before) const {
  const FailedRows failed = workspace_.failed_rows(shard, settings_);
  if (failed.count > 0) check_not_strict(plan_.row(failed.first), failed.error);
  before.rows += settings_.rows_of(shard);
  before.failed += failed.count;
}

void Schedule::wait_for_work(const std::shared_ptr<Shard>& shard, std::vector<Waiting>& batch,
                             SettledBefore& before) const {
  for (std::uint64_t i = 0; i < shard->rows().size(); ++i) {
    RowState& row = shard->rows()[i];
    if (!row.is_settled) {
      row.expected = expected_seconds(plan_.row(shard->first_row() + i));
      batch.push_back({shard, i});
      continue;
    }
    ++before.rows;
    if (!row.failed()) continue;
    check_not_strict(plan_.row(shard->first_row() + i), row.error);
    ++before.failed;
  }
}

void Schedule::check_not_strict(const Row& failed, const std::string& error) const {
  if (options_.strict) throw NamedError(failed.name(), error);
}

// The older batch first, so that no shard waits for ever.
std::optional<Task> Schedule::take_waiting() {
  if (batches_.empty()) return std::nullopt;
  const Waiting waiting = batches_.front().back();
  batches_.front().pop_back();
  if (batches_.front().empty()) batches_.pop_front();
  return activate(waiting, {});
}

// The second half of what is missing of the recording with the most missing.
std::optional<Task> Schedule::take_over() {
  const Task* longest = nullptr;
  std::uint32_t most_missing = 1;  // of less there is nothing to share
  for (const Task& task : active_) {
    const std::uint32_t missing = missing_pieces(task);
    if (missing <= most_missing) continue;
    most_missing = missing;
    longest = &task;
  }
  if (longest == nullptr) return std::nullopt;
  PieceRange& range = *longest->range;
  const RowState& row = longest->shard->rows()[longest->index];
  std::uint32_t middle = row.first_missing(range.next);
  for (std::uint32_t kept = most_missing - most_missing / 2; kept > 0; --kept) {
    middle = row.first_missing(middle + 1);
  }
  const PieceRange taken = {
      .first = middle, .next = middle, .end = range.end, .total = range.total};
  range.end = middle;
  return activate({longest->shard, longest->index}, taken);
}

// That its worker is to begin, and another may.
std::uint32_t Schedule::missing_pieces(const Task& task) {
  const PieceRange& range = *task.range;
  if (range.is_closed || range.is_void) return 0;
  const RowState& row = task.shard->rows()[task.index];
  const std::uint32_t end = std::min(range.end, range.total);
  std::uint32_t missing = 0;
  for (std::uint32_t piece = row.first_missing(range.next); piece < end;
       piece = row.first_missing(piece + 1)) {
    ++missing;
  }
  return missing;
}

Task Schedule::activate(const Waiting& waiting, const PieceRange& range) {
  active_.push_back({.shard = waiting.shard,
                     .index = waiting.index,
                     .row = plan_.row(waiting.shard->first_row() + waiting.index),
                     .range = std::make_shared<PieceRange>(range)});
  return active_.back();
}

std::uint32_t Schedule::begin(const Task& task, const Sha256Digest& source,
                              std::optional<std::uint32_t> total_pieces) {
  const Lock lock(mutex_);
  RowState& row = task.shard->rows()[task.index];
  PieceRange& range = *task.range;
  if (row.is_settled || range.is_void) return range.first;
  if (row.in_one_go) return 0;
  if (row.source != source) row.forget_pieces(0);
  const bool is_whole = range.first == 0 && range.end == UINT32_MAX;
  range.first = row.first_missing(range.first);
  range.total = total_pieces.value_or(0);
  if (total_pieces && range.first >= *total_pieces) {
    if (is_whole) {  // and yet none of the pieces that are there is the last
      do_in_one_go(row);
      range.first = range.total = 0;
    } else {
      range.end = range.first;
    }
  }
  range.next = range.first;
  changed_.notify_all();
  return range.first;
}

bool Schedule::go_on(const Task& task, std::uint32_t piece) {
  const Lock lock(mutex_);
  const RowState& row = task.shard->rows()[task.index];
  PieceRange& range = *task.range;
  const bool is_there = !row.in_one_go && piece < row.pieces.size() && row.pieces[piece].codes >= 0;
  range.is_closed =
      is_stopped_ || range.is_void || row.is_settled || piece >= range.end || is_there;
  range.next = piece + 1;
  return !range.is_closed;
}

void Schedule::add(const Task& task, Piece piece) {
  piece.row = task.index;
  const Shard::Recorded recorded = task.shard->append(std::move(piece));
  const Lock lock(mutex_);
  const RowState& row = task.shard->rows()[task.index];
  if (task.range->is_void || row.is_settled) return;
  task.shard->mark(recorded);
  if (row.is_settled) count_settled(task);
}

void Schedule::fail(const Task& task, const std::string& error) {
  const Lock lock(mutex_);
  RowState& row = task.shard->rows()[task.index];
  if (task.range->is_void || row.is_settled || is_stopped_) return;
  // What goes wrong is told as one who reads from the beginning would find it.
  if (task.range->first > 0) {
    leave_to_one(task);
    return;
  }
  settle_failed(task, error);
}

void Schedule::settle_failed(const Task& task, const std::string& error) {
  check_not_strict(task.row, error);
  void_others(task);
  task.shard->fail(task.index, error);
  count_settled(task);
}

void Schedule::void_others(const Task& task) {
  for (const Task& other : active_) {
    if (other.shard != task.shard || other.index != task.index) continue;
    if (other.range != task.range) other.range->is_void = true;
  }
}

// The rest of the row is for the worker that began it, if there is one still reading; else the row
// waits for another to do all of it.
void Schedule::leave_to_one(const Task& task) {
  RowState& row = task.shard->rows()[task.index];
  row.in_one_go = true;
  std::uint32_t kept = 0;
  for (const Task& other : active_) {
    if (other.shard != task.shard || other.index != task.index) continue;
    PieceRange& range = *other.range;
    if (range.first > 0 || range.is_closed) {
      range.is_void = true;
    } else {
      range.end = UINT32_MAX;
      range.total = 0;
      kept = range.next;
    }
  }
  row.forget_pieces(kept);
}

void Schedule::end(const Task& task) {
  const Lock lock(mutex_);
  std::erase_if(active_, [&](const Task& other) { return other.range == task.range; });
  const bool is_shared = std::any_of(active_.begin(), active_.end(), [&](const Task& other) {
    return other.shard == task.shard && other.index == task.index;
  });
  if (!is_shared && !is_stopped_ && !task.shard->rows()[task.index].is_settled) try_again(task);
  changed_.notify_all();
}

// Not for ever: what has brought the row no further is done in one go, and that only once.
void Schedule::try_again(const Task& task) {
  RowState& row = task.shard->rows()[task.index];
  const PieceRange& range = *task.range;
  if (row.in_one_go && !range.is_void) {
    settle_failed(task, "cannot be read to its end, for a cause that is not known");
    return;
  }
  if (row.first_missing(range.first) == range.first) do_in_one_go(row);
  batches_.push_front({{task.shard, task.index}});
}

void Schedule::do_in_one_go(RowState& row) {
  row.in_one_go = true;
  row.forget_pieces(0);
}

void Schedule::count_settled(const Task& task) {
  const RowState& row = task.shard->rows()[task.index];
  ++counts_.settled;
  if (row.failed()) ++counts_.failed;
  counts_.expected_left -= row.expected;
  counts_.expected_done += row.expected;
  if (row.end) counts_.samples_done += row.end->samples;
  if (task.shard->unsettled() == 0) finished_.push_back(task.shard);
  changed_.notify_all();
}

std::shared_ptr<Shard> Schedule::take_finished(std::chrono::milliseconds wait) {
  Lock lock(mutex_);
  changed_.wait_for(lock, wait, [this] { return failure_ || !finished_.empty(); });
  if (failure_) std::rethrow_exception(failure_);
  if (finished_.empty()) return nullptr;
  std::shared_ptr<Shard> shard = finished_.front();
  finished_.pop_front();
  std::erase(open_, shard);
  changed_.notify_all();
  return shard;
}

bool Schedule::is_finished() const {
  const Lock lock(mutex_);
  return open_.empty() && !is_loading_ && next_shard_ >= settings_.shards();
}

void Schedule::sync() {
  std::vector<std::shared_ptr<Shard>> open;
  {
    const Lock lock(mutex_);
    open = open_;
  }
  for (const auto& shard : open) shard->journal().sync();
}

void Schedule::stop(std::exception_ptr failure) {
  const Lock lock(mutex_);
  if (!failure_) failure_ = std::move(failure);
  is_stopped_ = true;
  changed_.notify_all();
}

ScheduleCounts Schedule::counts() const {
  const Lock lock(mutex_);
  return counts_;
}

}  // namespace mimi::cli
