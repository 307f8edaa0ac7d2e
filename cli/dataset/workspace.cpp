#include "cli/dataset/workspace.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "cli/byte_reader.h"
#include "cli/dataset/durable_file.h"
#include "cli/dataset/file_io.h"
#include "cli/dataset/line_reader.h"
#include "cli/dataset/sha256.h"
#include "cli/named_error.h"

namespace mimi::cli {
namespace {

namespace fs = std::filesystem;

bool exists(const std::string& path) { return type_of(path) != fs::file_type::not_found; }

// Tasks of one dataset may be on several machines, where numbers of processes are the same.
std::string random_name() {
  std::array<std::uint8_t, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw Error(std::string("no random numbers: ") + std::strerror(errno));
  }
  return hex(bytes);
}

bool holds_other_things(const std::string& out) {
  std::error_code error;
  for (fs::directory_iterator entry(out, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename() != ".work") return true;
  }
  if (error) throw NamedError(out, "cannot list: " + error.message());
  return false;
}

}  // namespace

std::optional<DatasetFile> Workspace::find() const {
  if (!exists(dataset_file())) return std::nullopt;
  return read_dataset_file(dataset_file());
}

std::optional<DatasetFile> Workspace::find_same(const DatasetSettings& asked) const {
  const bool is_there = is_begun();
  check_work();
  if (!is_there) return std::nullopt;
  DatasetFile dataset = read_dataset_file(dataset_file());
  check_same(dataset.settings, asked, out_);
  return dataset;
}

bool Workspace::is_begun() const {
  if (exists(dataset_file())) return true;
  const fs::file_type type = type_of(out_);
  if (type == fs::file_type::not_found) return false;
  if (type != fs::file_type::directory) throw NamedError(out_, "is not a folder");
  if (!holds_other_things(out_)) return false;
  // Another task's may be among them: it puts this file there before any other.
  if (!exists(dataset_file())) throw NamedError(out_, "holds other things and no dataset");
  return true;
}

DatasetFile Workspace::open(const DatasetSettings& settings) const {
  std::optional<DatasetFile> dataset = find_same(settings);
  if (dataset && dataset->counts) return *dataset;
  make_folder(work());
  if (!dataset) {
    DurableFile file(dataset_file(), path(".work/dataset." + random_name() + ".part"));
    file.write(bytes_of(dataset_text(settings, std::nullopt)));
    file.commit(DurableFile::IfThere::kKeep);  // of several tasks one comes first
  }
  // Once more: another may have finished the dataset before .work was made, and so made anew.
  dataset = find_same(settings);
  if (!dataset) throw NamedError(dataset_file(), "was removed");
  return *dataset;
}

void Workspace::check_unfinished() const {
  const std::optional<DatasetFile> dataset = find();
  if (dataset && dataset->counts) throw NamedError(out_, "another task has finished it");
}

void Workspace::check_work() const {
  std::error_code ignored;
  if (!fs::is_symlink(work(), ignored)) return;
  throw NamedError(work(), "is a link: what it leads to may be another's");
}

bool Workspace::is_finished(std::uint64_t shard, const DatasetSettings& settings) const {
  const std::string name = finished(shard);
  if (!exists(name)) return false;
  const std::string expected = shard_head(settings, shard) + "\n";
  ByteReader bytes(open_for_reading(name), name);
  std::vector<std::uint8_t> found(expected.size());
  found.resize(bytes.read_fully(found));
  return std::equal(found.begin(), found.end(), expected.begin(), expected.end());
}

FailedRows Workspace::failed_rows(std::uint64_t shard, const DatasetSettings& settings) const {
  LineReader lines(open_for_reading(finished(shard)), finished(shard));
  std::string line;
  lines.next(line);  // of the shard itself
  FailedRows failed;
  for (std::uint64_t i = 0; i < settings.rows_of(shard) && lines.next(line); ++i) {
    if (line.find("\"error\"") == std::string::npos) continue;  // or it would take long
    const Json json = parse_row_line(line);
    const auto error = json.find("error");
    if (error == json.end() || !error->is_string()) continue;
    if (failed.count++ > 0) continue;
    failed.first = settings.first_row(shard) + i;
    failed.error = error->get<std::string>();
  }
  return failed;
}

std::string Workspace::in_work(std::uint64_t shard, const std::string& suffix) const {
  return work() + "/" + shard_name(shard) + suffix;
}

DatasetFile find_finished(const Workspace& workspace) {
  std::optional<DatasetFile> dataset = workspace.find();
  if (!dataset) throw NamedError(workspace.out(), "holds no dataset");
  if (dataset->counts) return *dataset;
  throw NamedError(workspace.out(), "is not finished: mimi tokenize goes on, mimi merge ends");
}

void check_model(const DatasetSettings& settings, const ModelInfo& model, const std::string& name) {
  const std::string found = hex_text(model.fingerprint);
  if (found != settings.fingerprint) {
    throw NamedError(name, "was made with the model '" + settings.model + "' (fingerprint " +
                               settings.fingerprint + "), not with '" + model.name +
                               "' (fingerprint " + found + "); --model chooses another");
  }
  const auto check = [&name](const char* key, int there, bool is_right, const std::string& own) {
    if (is_right) return;
    throw NamedError(name, "its '" + std::string(key) + "' is " + std::to_string(there) +
                               ", that of its model " + own);
  };
  const auto check_equal = [&check](const char* key, int there, int own) {
    check(key, there, there == own, std::to_string(own));
  };
  check_equal("sample_rate", settings.sample_rate, model.sample_rate);
  check_equal("frame_samples", settings.frame_samples, model.frame_samples);
  check_equal("codebook_size", settings.codebook_size, model.codebook_size);
  check("levels", settings.levels, settings.levels <= model.levels,
        "at most " + std::to_string(model.levels));
}

std::string shard_head(const DatasetSettings& settings, std::uint64_t shard) {
  return json_text({{"shard", shard},
                    {"first_row", settings.first_row(shard)},
                    {"rows", settings.rows_of(shard)},
                    {"dataset", settings.sha256()}});
}

std::string shard_name(std::uint64_t shard) {
  char text[40];
  std::snprintf(text, sizeof text, "shard-%06llu", static_cast<unsigned long long>(shard));
  return text;
}

std::string output_place(Form form, std::string_view id, std::uint64_t shard) {
  switch (form) {
    case Form::kMimi:
      return file_name_of_id(id) + ".mimi";
    case Form::kNpy:
      return file_name_of_id(id) + ".npy";
    case Form::kWds:
      return shard_name(shard) + ".tar";
    case Form::kSafetensors:
      return shard_name(shard) + ".safetensors";
    case Form::kParquet:
      return shard_name(shard) + ".parquet";
    case Form::kWav:
    case Form::kFlac:
    case Form::kOgg:
      break;
  }
  return file_name_of_id(id) + "." + std::string(form_name(form));
}

}  // namespace mimi::cli
