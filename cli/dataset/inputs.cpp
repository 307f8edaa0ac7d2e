#include "cli/dataset/inputs.h"

#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

#include "cli/dataset/line_reader.h"
#include "cli/dataset/manifest_reader.h"
#include "cli/dataset/tar.h"
#include "cli/named_error.h"
#include "core/quote.h"
#include "core/utf8.h"

namespace mimi::cli {
namespace {

constexpr std::array<std::string_view, 15> kSoundSuffixes = {
    "wav",  "wave", "flac", "ogg", "oga", "opus", "mp3", "aif",
    "aiff", "aifc", "au",   "snd", "caf", "w64",  "rf64"};
constexpr std::int64_t kMostSidecarBytes = 1 << 20;
// Of what its other files say, once for each of its recordings.
constexpr std::int64_t kMostSampleBytes = 1 << 24;
constexpr const char* kIsSparse = "is stored as a sparse file, which is not read";

std::string_view last_part(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string lower_suffix(std::string_view path) {
  path = last_part(path);
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return "";
  std::string suffix(path.substr(dot + 1));
  for (char& c : suffix) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return suffix;
}

bool is_sound(std::string_view path) {
  return std::find(kSoundSuffixes.begin(), kSoundSuffixes.end(), lower_suffix(path)) !=
         kSoundSuffixes.end();
}

std::optional<ManifestKind> manifest_kind(const std::string& path) {
  const std::string suffix = lower_suffix(path);
  if (suffix == "jsonl" || suffix == "ndjson") return ManifestKind::kJsonl;
  if (suffix == "csv") return ManifestKind::kCsv;
  if (suffix == "tsv") return ManifestKind::kTsv;
  return std::nullopt;
}

bool is_folder(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

// "a/b/c.left.flac" -> "a/b/c": what the files of one WebDataset sample share.
std::string sample_key(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t base = slash == std::string_view::npos ? 0 : slash + 1;
  return std::string(name.substr(0, name.find('.', base)));
}

// One folder that is being gone through.
struct Folder {
  std::string path;    // with a slash at its end
  std::string inside;  // the same from the input on: empty, or with a slash at its end
};

// The files of a tar file that WebDataset takes for one sample.
struct Sample {
  std::string key;
  std::vector<Row> rows;   // its recordings
  Json fields;             // what its other files say
  std::int64_t bytes = 0;  // of those files
  std::string error;       // what is wrong with them
};

class Lister {
 public:
  Lister(const InputOptions& options, const std::function<void(Row)>& take)
      : options_(options), take_(take) {
    struct stat status {};
    if (!options.left_out.empty() && stat(options.left_out.c_str(), &status) == 0) {
      left_out_ = {status.st_dev, status.st_ino};
    }
  }

  bool is_left_out(const std::string& folder) const {
    struct stat status {};
    return stat(folder.c_str(), &status) == 0 &&
           FileIdentity(status.st_dev, status.st_ino) == left_out_;
  }

  void add_input(const std::string& path) {
    if (path == "-") {
      add_list("-");
    } else if (is_folder(path)) {
      if (is_left_out(path)) {
        throw NamedError(path, "is the output folder itself, which is not gone into");
      }
      add_folder({.path = path.ends_with('/') ? path : path + "/", .inside = ""});
    } else if (const auto kind = manifest_kind(path)) {
      const std::string root =
          options_.root.value_or(std::filesystem::path(path).parent_path().string());
      read_manifest(path, *kind, root, [this](Row row) { add(std::move(row)); });
    } else {
      add_file(path, path);
    }
  }

  void add_list(const std::string& path) {
    LineReader lines(path);
    for (std::string line; lines.next(line);) {
      naming(lines.name(),
             [&] { check_file_name("line " + std::to_string(lines.number()), line); });
      if (line == "-") throw NamedError(lines.name(), "'-' cannot stand in a list");
      if (!line.empty()) add_input(line);
    }
  }

  InputCounts counts() const { return counts_; }

 private:
  using FileIdentity = std::pair<dev_t, ino_t>;

  void add(Row row) {
    if (!is_utf8(row.id) || !is_utf8(row.source) || (row.member && !is_utf8(row.member->name))) {
      row.error = "its name is not UTF-8";
      row.id = quote(row.id);
      row.source = quote(row.source);
      if (row.member) row.member->name = quote(row.member->name);
    }
    row.number = static_cast<std::uint64_t>(counts_.rows++);
    take_(std::move(row));
  }

  // `inside` is what its id comes from.
  void add_file(const std::string& path, const std::string& inside) {
    if (lower_suffix(path) == "tar") {
      add_tar(path, inside);
      return;
    }
    Row row = {.source = path};
    row.id = derived_id(row, inside);
    add(std::move(row));
  }

  void add_broken(const std::string& path, const std::string& inside, const std::string& cause) {
    Row row = {.source = path, .error = cause};
    row.id = derived_id(row, inside);
    add(std::move(row));
  }

  // What lies there is not known.
  void add_unknown(const std::string& path, const std::string& inside, const std::string& what,
                   int error_number) {
    if (is_shortage(error_number)) throw_system_error(path, error_number, what);
    add_broken(path, inside, what + std::strerror(error_number));
  }

  void add_folder(const Folder& folder);
  void add_entry(const Folder& folder, const std::string& name);
  void add_tar(const std::string& path, const std::string& inside);
  void add_sample(Sample& sample);
  void add_sidecar(TarReader& tar, const TarMember& member, Sample& sample);
  static Json read_sidecar(TarReader& tar, const TarMember& member, bool is_text);
  static void add_fields(const Json& fields, Sample& sample);

  bool is_wanted(const std::string& inside, const std::string& name) const {
    if (options_.include.empty()) return is_sound(name);
    return std::any_of(options_.include.begin(), options_.include.end(),
                       [&](const std::string& pattern) {
                         const bool has_folder = pattern.find('/') != std::string::npos;
                         const std::string& text = has_folder ? inside : name;
                         return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
                       });
  }

  const InputOptions& options_;
  const std::function<void(Row)>& take_;
  FileIdentity left_out_;
  std::vector<FileIdentity> open_folders_;  // against links that lead in circles
  InputCounts counts_;
};

void Lister::add_folder(const Folder& folder) {
  struct Close {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  const std::string& inside = folder.inside.empty() ? folder.path : folder.inside;
  std::unique_ptr<DIR, Close> directory(opendir(folder.path.c_str()));
  struct stat status {};
  if (directory == nullptr || fstat(dirfd(directory.get()), &status) != 0) {
    add_unknown(folder.path, inside, "cannot list: ", errno);
    return;
  }
  const FileIdentity identity = {status.st_dev, status.st_ino};
  if (identity == left_out_) return;
  if (std::find(open_folders_.begin(), open_folders_.end(), identity) != open_folders_.end()) {
    return;
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) {
    add_unknown(folder.path, inside, "cannot list: ", errno);
    return;
  }
  directory.reset();  // however deep the folders are, no more of them are open
  std::sort(names.begin(), names.end());
  open_folders_.push_back(identity);
  for (const std::string& name : names) add_entry(folder, name);
  open_folders_.pop_back();
}

void Lister::add_entry(const Folder& folder, const std::string& name) {
  const std::string path = folder.path + name;
  const std::string inside = folder.inside + name;
  struct stat status {};
  const bool is_known = stat(path.c_str(), &status) == 0;
  if (!is_known && errno != ENOENT) {  // a folder, for all that is known
    add_unknown(path, inside, "cannot be examined: ", errno);
  } else if (is_known && S_ISDIR(status.st_mode)) {
    add_folder({.path = path + "/", .inside = inside + "/"});
  } else if (is_wanted(inside, name)) {
    add_file(path, inside);
  } else {
    ++counts_.passed_over;
  }
}

void Lister::add_tar(const std::string& path, const std::string& inside) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    add_broken(path, inside, "is not a regular file");
    return;
  }
  Sample sample{};
  try {
    TarReader tar(path);
    const FileStamp stamp = tar.stamp();
    while (const std::optional<TarMember> member = tar.next()) {
      const std::string_view name = last_part(member->name);
      if (name.starts_with('.')) continue;
      if (sample_key(member->name) != sample.key) {
        add_sample(sample);
        sample.key = sample_key(member->name);
      }
      if (is_sound(name)) {
        Row row = {.source = path,
                   .member = Row::Member{member->name, member->offset, member->bytes, stamp}};
        row.id = derived_id({}, inside) + "/" + derived_id(row, member->name);
        if (member->is_sparse) row.error = kIsSparse;
        sample.rows.push_back(std::move(row));
      } else {
        add_sidecar(tar, *member, sample);
      }
    }
    add_sample(sample);
    counts_.passed_over += tar.links();
  } catch (const ShortageError&) {
    throw;
  } catch (const Error& broken) {
    add_sample(sample);
    add_broken(path, inside, broken.what());
  }
}

// And makes way for the next one.
void Lister::add_sample(Sample& sample) {
  const auto count = static_cast<std::int64_t>(sample.rows.size());
  const std::size_t bytes = count > 1 ? json_text(sample.fields).size() + sample.error.size() : 0;
  if (count * static_cast<std::int64_t>(bytes) > kMostSampleBytes) {
    sample.fields = Json();
    sample.error = "its fields, said of " + std::to_string(count) +
                   " recordings, are longer than " + std::to_string(kMostSampleBytes) + " bytes";
  }
  for (Row& row : sample.rows) {
    row.fields = sample.fields;
    if (row.error.empty()) row.error = sample.error;
    add(std::move(row));
  }
  sample = Sample{};
}

void Lister::add_sidecar(TarReader& tar, const TarMember& member, Sample& sample) {
  const std::string suffix = lower_suffix(member.name);
  if (suffix != "json" && suffix != "txt") {
    ++counts_.passed_over;
    return;
  }
  if (!sample.error.empty()) return;  // which is enough
  sample.bytes += member.bytes;
  try {
    if (sample.bytes > kMostSampleBytes) {
      throw Error("makes its fields longer than " + std::to_string(kMostSampleBytes) + " bytes");
    }
    add_fields(read_sidecar(tar, member, suffix == "txt"), sample);
  } catch (const NamedError&) {  // about the tar file
    throw;
  } catch (const Error& error) {
    sample.error = "its '" + member.name + "' " + error.what();
  }
}

Json Lister::read_sidecar(TarReader& tar, const TarMember& member, bool is_text) {
  if (member.is_sparse) throw Error(kIsSparse);
  if (member.bytes > kMostSidecarBytes) {
    throw Error("is longer than " + std::to_string(kMostSidecarBytes) + " bytes");
  }
  const std::string text = tar.contents(member);
  if (!is_utf8(text)) throw Error("is not UTF-8");
  if (is_text) return {{"txt", text}};
  Json value = parse_input_json(text);
  return value.is_object() ? value : Json{{"json", value}};
}

// What was said before them stays.
void Lister::add_fields(const Json& fields, Sample& sample) {
  if (sample.fields.size() + fields.size() > kMostJsonKeys) {
    throw Error("makes its fields more than " + std::to_string(kMostJsonKeys));
  }
  for (const auto& [key, value] : fields.items()) {
    const auto same = sample.fields.find(key);
    if (same == sample.fields.end()) {
      sample.fields[key] = value;
    } else if (*same != value) {
      throw Error("says another " + quote(key) + " than a file before it");
    }
  }
}

// What the command line names may be mistyped: no row that fails is begun with it.
void check_is_there(const std::string& input) {
  struct stat status {};
  if (input != "-" && stat(input.c_str(), &status) != 0) throw_system_error(input, errno);
}

}  // namespace

InputCounts list_rows(const InputOptions& options, const std::function<void(Row)>& take) {
  if (options.root && !is_folder(*options.root)) {
    throw NamedError("--root " + *options.root, "is not a folder");
  }
  Lister lister(options, take);
  for (const std::string& input : options.inputs) check_is_there(input);
  for (const std::string& input : options.inputs) lister.add_input(input);
  if (options.list) lister.add_list(*options.list);
  return lister.counts();
}

}  // namespace mimi::cli
