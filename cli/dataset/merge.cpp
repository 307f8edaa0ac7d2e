#include "cli/dataset/merge.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "cli/dataset/durable_file.h"
#include "cli/dataset/file_io.h"
#include "cli/dataset/line_reader.h"
#include "cli/dataset/unique_ids.h"
#include "cli/named_error.h"

namespace mimi::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostNamedRuns = 8;

class Merger {
 public:
  Merger(const Workspace& workspace, const DatasetSettings& settings)
      : workspace_(workspace),
        settings_(settings),
        dataset_(settings.sha256()),
        manifest_(workspace.manifest(), workspace.path(".work/manifest.part")),
        errors_(workspace.errors(), workspace.path(".work/errors.part")) {
    if (settings.form == Form::kSafetensors) {
      index_ = std::make_unique<DurableFile>(workspace.path("index.json"),
                                             workspace.path(".work/index.part"));
      index_->write(bytes_of("{\"weight_map\": {"));
    }
  }

  DatasetCounts run() {
    for (std::uint64_t shard = 0; shard < settings_.shards(); ++shard) take_shard(shard);
    if (ids_.find_same()) throw NamedError(workspace_.out(), "two rows have the same id");
    manifest_.commit();
    errors_.commit();
    if (index_) end_index();
    return counts_;
  }

 private:
  void take_shard(std::uint64_t shard) {
    const std::string name = workspace_.finished(shard);
    LineReader lines(open_for_reading(name), name);
    try {
      std::string line;
      lines.next(line);
      check_head(parse_json(line), shard);
      const std::uint64_t first = settings_.first_row(shard);
      for (std::uint64_t row = first; row < first + settings_.rows_of(shard); ++row) {
        if (!lines.next(line)) throw NamedError(name, "row " + std::to_string(row) + " is missing");
        const Json json = parse_row_line(line);
        if (json.is_discarded()) throw_damaged(lines);
        take_row(line, json, row, name);
      }
      if (lines.next(line)) throw NamedError(name, "has more rows than a shard");
    } catch (const Json::exception&) {
      throw_damaged(lines);
    }
    if (!is_file_per_row(settings_.form))
      check_output(output_place(settings_.form, "", shard), name);
  }

  [[noreturn]] static void throw_damaged(const LineReader& lines) {
    throw NamedError(lines.name(), "line " + std::to_string(lines.number()) + " is damaged");
  }

  void check_head(const Json& head, std::uint64_t shard) const {
    const std::string name = workspace_.finished(shard);
    if (head.at("dataset") != dataset_)
      throw NamedError(name, "is of a dataset with other settings");
    if (head.at("shard") != shard || head.at("first_row") != settings_.first_row(shard) ||
        head.at("rows") != settings_.rows_of(shard)) {
      throw NamedError(name, "is not the shard that its name says");
    }
  }

  void take_row(const std::string& line, const Json& json, std::uint64_t row,
                const std::string& name) {
    if (json.at("row") != row) {
      throw NamedError(name, "has row " + json_text(json.at("row")) + " where row " +
                                 std::to_string(row) + " must be");
    }
    ids_.add(json.at("id").get<std::string>());
    if (json.contains("error")) {
      errors_.write(bytes_of(line + "\n"));
      ++counts_.failed;
      return;
    }
    if (is_file_per_row(settings_.form)) check_output(json.at("output"), name);
    manifest_.write(bytes_of(line + "\n"));
    ++counts_.done;
    counts_.samples += json.at("samples").get<std::uint64_t>();
    counts_.frames += json.at("frames").get<std::uint64_t>();
    counts_.seconds += json.at("seconds").get<double>();
    if (index_) add_to_index(json);
  }

  void check_output(const std::string& place, const std::string& name) const {
    if (type_of(workspace_.path(place)) != fs::file_type::regular) {
      throw NamedError(name, "its output " + workspace_.path(place) + " is missing");
    }
  }

  void add_to_index(const Json& row) {
    const std::string name = tensor_name_of_id(row.at("id").get<std::string>());
    index_->write(bytes_of((counts_.done > 1 ? ",\n" : "\n") + json_text(name) + ": " +
                           json_text(row.at("output"))));
  }

  void end_index() {
    const std::uint64_t bytes = 2 * counts_.frames * static_cast<std::uint64_t>(settings_.levels);
    index_->write(
        bytes_of("\n}, \"metadata\": {\"total_size\": " + std::to_string(bytes) + "}}\n"));
    index_->commit();
  }

  const Workspace& workspace_;
  const DatasetSettings& settings_;
  std::string dataset_;
  DurableFile manifest_, errors_;
  std::unique_ptr<DurableFile> index_;  // of safetensors alone
  UniqueIds ids_;
  DatasetCounts counts_;
};

// The numbers of the shards that have a .jsonl in .work, in order.
std::vector<std::uint64_t> listed_shards(const Workspace& workspace,
                                         const DatasetSettings& settings) {
  std::vector<std::uint64_t> shards;
  std::error_code error;
  for (fs::directory_iterator entry(workspace.work(), error), end; !error && entry != end;
       entry.increment(error)) {
    unsigned long long shard = 0;
    if (std::sscanf(entry->path().filename().c_str(), "shard-%llu.jsonl", &shard) != 1) continue;
    if (entry->path() == workspace.finished(shard) && shard < settings.shards()) {
      shards.push_back(shard);
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw NamedError(workspace.work(), "cannot list: " + error.message());
  }
  std::sort(shards.begin(), shards.end());
  return shards;
}

}  // namespace

void remove_work(const Workspace& workspace) {
  constexpr int kMostTries = 100;
  std::error_code error;
  for (int tries = 0; tries < kMostTries; ++tries) {
    fs::remove_all(workspace.work(), error);
    // Another task removes it too, or has just begun a file there.
    if (error != std::errc::no_such_file_or_directory && error != std::errc::directory_not_empty) {
      break;
    }
  }
  if (error) throw NamedError(workspace.work(), "cannot be removed: " + error.message());
}

DatasetCounts merge_shards(const Workspace& workspace, const DatasetSettings& settings) {
  workspace.check_work();
  const std::string missing = missing_shards(workspace, settings);
  if (!missing.empty()) {
    throw NamedError(workspace.out(), "of " + std::to_string(settings.shards()) +
                                          " shards these are not finished: " + missing);
  }
  const std::string lock_name = workspace.path(".work/merge.lock");
  const UniqueFd lock = lock_new_file(lock_name);
  const DatasetCounts counts = Merger(workspace, settings).run();
  DurableFile file(workspace.dataset_file(), workspace.path(".work/dataset.part"));
  file.write(bytes_of(dataset_text(settings, counts)));
  file.commit();
  remove_work(workspace);
  return counts;
}

std::optional<DatasetCounts> finished_counts(const Workspace& workspace,
                                             const DatasetSettings& asked) {
  try {
    const std::optional<DatasetFile> dataset = workspace.find();
    if (!dataset || !dataset->counts) return std::nullopt;
    check_same(dataset->settings, asked, workspace.out());
    return dataset->counts;
  } catch (const Error&) {
    return std::nullopt;
  }
}

DatasetCounts merge_dataset(const Workspace& workspace) {
  const std::optional<DatasetFile> dataset = workspace.find();
  if (!dataset) throw NamedError(workspace.out(), "holds no dataset");
  std::optional<DatasetCounts> finished = dataset->counts;
  try {
    if (!finished) return merge_shards(workspace, dataset->settings);
  } catch (const Error&) {
    finished = finished_counts(workspace, dataset->settings);
    if (!finished) throw;
  }
  remove_work(workspace);
  return *finished;
}

// By what is there, not by what dataset.json claims that there must be.
std::string missing_shards(const Workspace& workspace, const DatasetSettings& settings) {
  std::vector<std::uint64_t> boundaries = listed_shards(workspace, settings);
  boundaries.push_back(settings.shards());
  std::string text;
  std::size_t runs = 0;
  std::uint64_t first = 0;  // that may be missing
  for (const std::uint64_t end : boundaries) {
    if (end > first) {
      if (++runs > kMostNamedRuns) return text + ", ...";
      text += (text.empty() ? "" : ", ") + std::to_string(first);
      if (end - first > 1) text += "-" + std::to_string(end - 1);
    }
    first = end + 1;
  }
  return text;
}

}  // namespace mimi::cli
