// Where things are in the folder of a dataset; see DATASET.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/dataset/settings.h"

namespace mimi::cli {

struct FailedRows {
  std::uint64_t count = 0;
  std::uint64_t first = 0;  // its number
  std::string error;        // of the first
};

class Workspace {
 public:
  explicit Workspace(const std::string& out) : out_(out) {}

  const std::string& out() const { return out_; }
  std::string path(std::string_view place) const { return out_ + "/" + std::string(place); }
  std::string dataset_file() const { return path("dataset.json"); }
  std::string manifest() const { return path("manifest.jsonl"); }
  std::string errors() const { return path("errors.jsonl"); }

  std::string work() const { return path(".work"); }
  std::string journal(std::uint64_t shard) const { return in_work(shard, ".journal"); }
  std::string finished(std::uint64_t shard) const { return in_work(shard, ".jsonl"); }
  std::string unfinished(std::uint64_t shard, std::string_view what) const {
    return in_work(shard, "." + std::string(what) + ".part");
  }

  // Opens or begins the dataset: dataset.json and .work are there afterwards, unless it is
  // finished. Throws mimi::Error when the folder holds another dataset, or other things and none.
  DatasetFile open(const DatasetSettings& settings) const;
  // What open() would open, which throws as this does; none: it would begin the dataset.
  std::optional<DatasetFile> find_same(const DatasetSettings& asked) const;
  // Throws mimi::Error where the dataset is finished: to be asked by whoever has a shard's journal
  // to itself, because .work goes with all that tells of finished shards, and may be made anew.
  void check_unfinished() const;
  // Throws mimi::Error where .work is a link, of a stranger's dataset to somebody's files.
  void check_work() const;
  // What a dataset in the folder says of itself; none: there is none.
  std::optional<DatasetFile> find() const;

  // Whether a shard is finished, of a dataset of these settings.
  bool is_finished(std::uint64_t shard, const DatasetSettings& settings) const;
  FailedRows failed_rows(std::uint64_t finished_shard, const DatasetSettings& settings) const;

 private:
  bool is_begun() const;
  std::string in_work(std::uint64_t shard, const std::string& suffix) const;

  std::string out_;
};

// Throws mimi::Error where the folder holds no finished dataset.
DatasetFile find_finished(const Workspace& workspace);
// Throws mimi::Error naming the dataset when it was made with another model, or says of the codec
// what that model is not.
void check_model(const DatasetSettings& settings, const ModelInfo& model, const std::string& name);
// The first line of a finished shard's .jsonl.
std::string shard_head(const DatasetSettings& settings, std::uint64_t shard);
// "shard-000012"
std::string shard_name(std::uint64_t shard);
// Where in the folder the codes of a row are.
std::string output_place(Form form, std::string_view id, std::uint64_t shard);

}  // namespace mimi::cli
