// Workers that share a recording, one of which comes when the others are done.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "cli/dataset/row_reader.h"
#include "cli/dataset/schedule.h"
#include "cli/dataset/source_file.h"
#include "tests/files.h"

namespace mimi::test {
namespace {

using cli::Piece;
using cli::Schedule;
using cli::Sha256Digest;
using cli::Task;

constexpr std::uint32_t kPieces = 4;

// Of one level and one frame.
Piece piece(std::uint32_t index, const Sha256Digest& source) {
  Piece piece = {.index = index, .source = source, .codes = {7}};
  if (index + 1 == kPieces) piece.end = {.samples = 4, .source_samples = 4, .source_rate_hz = 1};
  return piece;
}

cli::DatasetSettings settings_of_one_row() {
  cli::DatasetSettings settings = {.shard_size = 1, .rows = 1, .fingerprint = "00000000"};
  settings.frame_samples = settings.levels = 1;
  settings.codebook_size = 64;
  return settings;
}

// A row of which these pieces are there from a call that was killed.
struct OneRow {
  OneRow(const Sha256Digest& source, const std::vector<std::uint32_t>& there) {
    std::filesystem::create_directories(workspace.work());
    cli::Shard shard(workspace, settings, 0);
    for (const std::uint32_t index : there) shard.append(piece(index, source));
  }

  std::string file() const {
    write_file(folder / "a.wav", "sound");
    return folder / "a.wav";
  }

  TempDir folder;
  cli::DatasetSettings settings = settings_of_one_row();
  cli::Plan plan{{.inputs = {file()}}};
  cli::Workspace workspace{folder / "out"};
};

TEST_CASE("a helper that comes late leaves a row that is settled as it is") {
  const Sha256Digest source = {1}, another = {2};
  const OneRow row(source, {kPieces - 1});

  Schedule schedule(row.plan, row.workspace, row.settings, {});
  const std::optional<Task> first = schedule.next();
  REQUIRE(first);
  CHECK(schedule.begin(*first, source, kPieces) == 0);
  REQUIRE(schedule.go_on(*first, 0));
  const std::optional<Task> helper = schedule.next();
  REQUIRE(helper);
  for (std::uint32_t index = 0; index + 1 < kPieces; ++index) {
    schedule.add(*first, piece(index, source));
  }
  schedule.end(*first);
  const std::uint32_t begins = schedule.begin(*helper, another, kPieces);
  CHECK_FALSE(schedule.go_on(*helper, begins));
  schedule.end(*helper);

  const std::shared_ptr<cli::Shard> shard = schedule.take_finished(std::chrono::seconds(10));
  REQUIRE(shard);
  CHECK(shard->rows()[0].end);
  CHECK(shard->rows()[0].frames() == kPieces);
}

// Does all of a task that is to be done.
std::vector<std::uint32_t> work_on(Schedule& schedule, const Task& task,
                                   const Sha256Digest& source) {
  std::vector<std::uint32_t> done;
  for (std::uint32_t index = schedule.begin(task, source, kPieces); schedule.go_on(task, index);
       ++index) {
    schedule.add(task, piece(index, source));
    done.push_back(index);
    if (index + 1 == kPieces) break;
  }
  schedule.end(task);
  return done;
}

TEST_CASE("a worker takes over what is not there from a call that was killed") {
  const Sha256Digest source = {1};
  const OneRow row(source, {kPieces - 1});
  Schedule schedule(row.plan, row.workspace, row.settings, {});
  const std::optional<Task> first = schedule.next();
  REQUIRE(first);
  REQUIRE(schedule.begin(*first, source, kPieces) == 0);
  REQUIRE(schedule.go_on(*first, 0));
  const std::optional<Task> helper = schedule.next();
  REQUIRE(helper);
  CHECK(work_on(schedule, *helper, source) == std::vector<std::uint32_t>{2});
}

TEST_CASE("a row whose pieces are there but for its end is done again") {
  const Sha256Digest source = {1};
  const OneRow row({}, {});
  {
    cli::Shard shard(row.workspace, row.settings, 0);
    for (std::uint32_t index = 0; index < kPieces; ++index) {
      Piece without_end = piece(index, source);
      without_end.end.reset();
      shard.append(without_end);
    }
  }
  Schedule schedule(row.plan, row.workspace, row.settings, {});
  const std::optional<Task> task = schedule.next();
  REQUIRE(task);
  CHECK(work_on(schedule, *task, source) == std::vector<std::uint32_t>{0, 1, 2, 3});
  CHECK_FALSE(schedule.next());
  CHECK(schedule.counts().failed == 0);
}

TEST_CASE("a row of which nothing comes fails instead of being tried for ever") {
  const OneRow row({}, {});
  Schedule schedule(row.plan, row.workspace, row.settings, {});
  int tries = 0;
  while (const std::optional<Task> task = schedule.next()) {
    schedule.end(*task);
    REQUIRE(++tries < 10);
  }
  CHECK(schedule.counts().failed == 1);
}

TEST_CASE("no more shards are loaded than the committing of them keeps up with") {
  constexpr int kShards = 300;
  constexpr std::size_t kMostOpen = 128;
  const TempDir folder;
  std::vector<std::string> inputs;
  for (int i = 0; i < kShards; ++i) {
    inputs.push_back(folder / std::to_string(i) + ".wav");
    write_file(inputs.back(), "sound");
  }
  const cli::Plan plan({.inputs = inputs});
  cli::DatasetSettings settings = {.shard_size = 1, .rows = kShards, .fingerprint = "00000000"};
  settings.frame_samples = settings.levels = 1;
  const cli::Workspace workspace(folder / "out");
  std::filesystem::create_directories(workspace.work());
  const auto journals = [&] {
    const std::filesystem::directory_iterator work(workspace.work());
    return static_cast<std::size_t>(std::distance(begin(work), end(work)));
  };

  Schedule schedule(plan, workspace, settings, {});
  std::thread worker([&] {
    while (const std::optional<Task> task = schedule.next()) {
      schedule.fail(*task, "a cause");
      schedule.end(*task);
    }
  });
  std::size_t most = 0;
  int committed = 0;
  while (!schedule.is_finished()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    most = std::max(most, journals());
    const auto shard = schedule.take_finished(std::chrono::milliseconds(100));
    if (!shard) continue;
    shard->journal().remove();
    ++committed;
  }
  worker.join();
  CHECK(committed == kShards);
  CHECK(most <= kMostOpen);
}

// Of one channel at the codec's rate, silent.
std::string wav(std::uint32_t samples) {
  constexpr std::uint32_t kRate = 24000;
  std::string text;
  const auto put = [&text](std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  };
  text += "RIFF";
  put(36 + 2 * samples, 4);
  text += "WAVEfmt ";
  put(16, 4);
  put(1, 2);
  put(1, 2);
  put(kRate, 4);
  put(2 * kRate, 4);
  put(2, 2);
  put(16, 2);
  text += "data";
  put(2 * samples, 4);
  return text + std::string(std::size_t{2} * samples, '\0');
}

TEST_CASE("a recording that changes is told of by one who reads its first half") {
  constexpr int kFrameSamples = 1920;
  const TempDir folder;
  write_file(folder / "a.wav", wav(8 * kFrameSamples));
  const cli::Plan plan({.inputs = {folder / "a.wav"}});
  cli::DatasetSettings settings = {.shard_size = 1, .rows = 1, .fingerprint = "00000000"};
  settings.frame_samples = kFrameSamples;
  settings.levels = 1;
  const cli::Workspace workspace(folder / "out");
  std::filesystem::create_directories(workspace.work());
  Schedule schedule(plan, workspace, settings, {});
  cli::SourceHashes hashes;
  std::optional<Task> helper;
  std::string error;
  const auto give = [&](const cli::StreamItem& item) {
    if (std::holds_alternative<cli::StreamSamples>(item) && !helper) {
      helper = schedule.next();
      std::filesystem::last_write_time(folder / "a.wav", {});
    }
    const auto* const end = std::get_if<cli::TaskEnd>(&item);
    if (end != nullptr) error = end->error;
    return end == nullptr;
  };
  cli::RowReader(schedule, hashes,
                 {.rate_hz = 24000, .frame_samples = kFrameSamples, .piece_frames = 1}, give)
      .run();
  REQUIRE(helper);
  CHECK(error == "changed while it was read");
}

}  // namespace
}  // namespace mimi::test
