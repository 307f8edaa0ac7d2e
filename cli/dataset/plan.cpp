#include "cli/dataset/plan.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "cli/dataset/file_io.h"
#include "cli/dataset/line_reader.h"
#include "cli/dataset/unique_ids.h"
#include "cli/named_error.h"
#include "cli/temporary_file.h"

namespace mimi::cli {
namespace {

// Appends to a temporary file.
class Spool {
 public:
  Spool() : file_(open_temporary_file()) {}

  void write(std::span<const std::uint8_t> bytes) {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    if (pending_.size() >= kBufferBytes) flush();
  }

  UniqueFd finish() {
    flush();
    return std::move(file_);
  }

 private:
  static constexpr std::size_t kBufferBytes = 1 << 16;

  void flush() {
    write_all(file_.get(), pending_, "a temporary file (TMPDIR)");
    pending_.clear();
  }

  UniqueFd file_;
  std::vector<std::uint8_t> pending_;
};

// Beside what to_json() has of a row: no part of what it asks for.
constexpr const char* kTarKey = "tar";
constexpr const char* kManifestKey = "manifest";

Json stamp_json(const FileStamp& stamp) {
  return {stamp.device, stamp.inode, stamp.bytes, stamp.modified_s, stamp.modified_ns};
}

FileStamp stamp_from(const Json& json) {
  return {.device = json.at(0),
          .inode = json.at(1),
          .bytes = json.at(2),
          .modified_s = json.at(3),
          .modified_ns = json.at(4)};
}

// So that the row's line of the manifest, which says some more, can be read.
constexpr std::size_t kMostRowBytes = kMostLineBytes - (1 << 20);

template <typename T>
std::span<const std::uint8_t> object_bytes(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

void read_back(const UniqueFd& file, std::uint64_t offset, void* data, std::size_t size) {
  read_all_at(file.get(), static_cast<std::int64_t>(offset),
              {static_cast<std::uint8_t*>(data), size}, "a temporary file (TMPDIR)");
}

std::string origin(const Row& row) {
  return row.name() + (row.manifest.empty() ? "" : " (" + row.manifest + ")");
}

[[noreturn]] void throw_empty(const InputOptions& options, std::int64_t passed_over) {
  constexpr std::size_t kMostNames = 8;
  std::vector<std::string> inputs = options.inputs;
  if (options.list) inputs.push_back(*options.list);
  std::string names;
  for (std::size_t i = 0; i < std::min(inputs.size(), kMostNames); ++i) {
    names += (i == 0 ? "" : ", ") + (inputs[i] == "-" ? "standard input" : inputs[i]);
  }
  if (inputs.size() > kMostNames) names += ", ...";
  if (passed_over > 0) names += " (" + std::to_string(passed_over) + " other files passed over)";
  throw Error("no recordings in " + names);
}

}  // namespace

Plan::Plan(const InputOptions& options, std::string_view suffix) {
  OutputPlaces places(suffix, "a manifest can give ids");
  Spool lines, offsets;
  UniqueIds ids;
  Sha256 hash;
  std::uint64_t offset = 0;
  counts_ = list_rows(options, [&](const Row& row) {
    Json json = to_json(row);
    hash.update(json_text(json) + "\n");
    if (row.member && row.member->tar) json[kTarKey] = stamp_json(*row.member->tar);
    if (!row.manifest.empty()) json[kManifestKey] = row.manifest;
    const std::string line = json_text(json) + "\n";
    if (line.size() > kMostRowBytes) {
      throw NamedError(row.source, "what is said of it is longer than " +
                                       std::to_string(kMostRowBytes) + " bytes");
    }
    if (!suffix.empty()) places.add(row.id);
    ids.add(row.id);
    offsets.write(object_bytes(offset));
    lines.write(bytes_of(line));
    offset += line.size();
  });
  if (counts_.rows == 0) throw_empty(options, counts_.passed_over);
  offsets.write(object_bytes(offset));
  lines_ = lines.finish();
  offsets_ = offsets.finish();
  sha256_ = hex(hash.finish());
  if (const auto same = ids.find_same()) {
    const Row first = row(same->first), second = row(same->second);
    throw Error("two recordings have the id '" + first.id + "': " + origin(first) + " and " +
                origin(second) + "; a manifest's 'id' can tell them apart");
  }
  check_places(places);
}

void Plan::check_places(const OutputPlaces& places) const {
  places.check_own();
  if (!places.may_be_taken()) return;
  for (std::uint64_t number = 0; number < rows(); ++number) places.check(row(number).id);
}

Row Plan::row(std::uint64_t number) const {
  std::array<std::uint64_t, 2> ends;
  read_back(offsets_, number * sizeof ends[0], ends.data(), sizeof ends);
  std::string line(ends[1] - ends[0], '\0');
  read_back(lines_, ends[0], line.data(), line.size());
  const Json json = Json::parse(line);
  Row row = row_from_json(json);
  if (json.contains(kTarKey)) row.member->tar = stamp_from(json[kTarKey]);
  if (json.contains(kManifestKey)) row.manifest = json[kManifestKey];
  return row;
}

}  // namespace mimi::cli
