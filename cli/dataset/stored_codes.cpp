#include "cli/dataset/stored_codes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <variant>

#include "cli/dataset/file_io.h"
#include "cli/dataset/line_reader.h"
#include "cli/dataset/npy.h"
#include "cli/dataset/parquet.h"
#include "cli/dataset/safetensors_header.h"
#include "cli/dataset/tar.h"
#include "cli/named_error.h"
#include "cli/temporary_file.h"
#include "cli/token_input.h"
#include "core/byte_order.h"

namespace mimi::cli {
namespace {

constexpr std::uint64_t kFramesAtOnce = 2048;
constexpr std::size_t kNpyBeginBytes = 10;
constexpr std::uint64_t kMostHeaderBytes = 1 << 30;
constexpr std::uint64_t kMostFrames = std::uint64_t{1} << 40;

UniqueFd duplicate(const UniqueFd& file) {
  UniqueFd same(fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  if (!same) throw_system_error("a temporary file", errno, "cannot open: ");
  return same;
}

std::int64_t size_of(const UniqueFd& file, const std::string& path) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0) throw NamedError(path, std::strerror(errno));
  return status.st_size;
}

class ArrayCodes : public StoredCodes {
 public:
  ArrayCodes(UniqueFd file, std::string path, std::int64_t offset, const NpyShape& shape)
      : file_(std::move(file)), path_(std::move(path)), offset_(offset), shape_(shape) {}

  int levels() const override { return shape_.levels; }
  std::uint64_t frames() const override { return shape_.frames; }

  void each_frame(const Take& take) const override {
    const auto levels = static_cast<std::size_t>(shape_.levels);
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint16_t> codes;
    for (std::uint64_t first = 0; first < shape_.frames; first += kFramesAtOnce) {
      const std::size_t count = std::min(kFramesAtOnce, shape_.frames - first);
      bytes.resize(2 * count);
      codes.resize(count * levels);
      for (std::size_t level = 0; level < levels; ++level) {
        const std::uint64_t place = level * shape_.frames + first;
        read_all_at(file_.get(), offset_ + static_cast<std::int64_t>(2 * place), bytes, path_);
        LittleEndianParser parser(std::as_bytes(std::span(bytes)));
        for (std::size_t f = 0; f < count; ++f) codes[f * levels + level] = parser.u16();
      }
      take(codes);
    }
  }

 private:
  UniqueFd file_;
  std::string path_;
  std::int64_t offset_;
  NpyShape shape_;
};

class TokenFileCodes : public StoredCodes {
 public:
  TokenFileCodes(const std::string& path, const DatasetSettings& settings, const Json& row)
      : path_(path), frames_(row.at("frames")) {
    open_for_reading(path);  // throws for what is not a regular file, which might never answer
    const TokenInput input(path);
    const TokenHeader& header = input.header();
    levels_ = header.levels;
    const bool same =
        header.streams == 1 && header.codebook_size == settings.codebook_size &&
        hex_text(header.model_fingerprint) == settings.fingerprint &&
        header.window == settings.window && token_dtype_name(header.dtype) == settings.dtype &&
        header.arithmetic == settings.arithmetic && header.sample_rate_hz == settings.sample_rate &&
        header.source_rate_hz == row.at("source_rate") &&
        header.source_samples == row.at("source_samples").get<std::uint64_t>();
    if (!same) throw NamedError(path, "its header is not what the dataset says");
  }

  int levels() const override { return levels_; }
  std::uint64_t frames() const override { return frames_; }

  void each_frame(const Take& take) const override {
    TokenInput input(path_);
    while (const std::optional<TokenRecord> record = input.next()) {
      if (std::holds_alternative<TokenGap>(*record)) throw NamedError(path_, "has a gap");
      if (const auto* block = std::get_if<TokenBlock>(&*record)) take(block->codes);
    }
  }

 private:
  std::string path_;
  std::uint64_t frames_;
  int levels_ = 0;
};

struct Tensor {
  std::uint64_t begin = 0;
  std::string name;
  std::uint64_t frames = 0;
};

// What the header of a safetensors file names, by place. Throws Json::exception.
std::vector<Tensor> tensors_in_order(const std::string& header) {
  const auto json = nlohmann::json::parse(header);  // finds a name quickly, keeps no order
  std::vector<Tensor> tensors;
  for (const auto& [name, about] : json.items()) {
    if (name == "__metadata__") continue;
    tensors.push_back({about.at("data_offsets").at(0), name, about.at("shape").at(1)});
    if (tensors.back().frames > kMostFrames) throw Error("tensor '" + name + "' is too long");
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const Tensor& a, const Tensor& b) { return a.begin < b.begin; });
  return tensors;
}

std::unique_ptr<StoredCodes> open_npy(const std::string& path) {
  UniqueFd file = open_for_reading(path);
  std::vector<std::uint8_t> header(kNpyBeginBytes);
  NpyShape shape;
  naming(path, [&] {
    read_all_at(file.get(), 0, header, path);
    header.resize(npy_header_bytes(header));
    read_all_at(file.get(), 0, header, path);
    shape = parse_npy_header(header);
    if (static_cast<std::uint64_t>(size_of(file, path)) != npy_bytes(shape)) {
      throw Error("its length is not that of its codes");
    }
  });
  return std::make_unique<ArrayCodes>(std::move(file), path,
                                      static_cast<std::int64_t>(header.size()), shape);
}

}  // namespace

void check_shape(const StoredCodes& codes, int levels, std::uint64_t frames) {
  if (codes.levels() == levels && codes.frames() == frames) return;
  throw Error("has " + std::to_string(codes.levels()) + " levels of " +
              std::to_string(codes.frames()) + " frames, expected " + std::to_string(levels) +
              " of " + std::to_string(frames));
}

StoredShard::StoredShard(const Workspace& workspace, const DatasetSettings& settings,
                         std::uint64_t shard)
    : workspace_(workspace), settings_(settings) {
  if (is_file_per_row(settings.form)) return;
  path_ = workspace.path(output_place(settings.form, "", shard));
  try {
    if (settings.form == Form::kWds) {
      read_tar();
    } else if (settings.form == Form::kParquet) {
      read_parquet(shard);
    } else {
      read_safetensors(shard);
    }
  } catch (const Json::exception&) {
    throw NamedError(path_, "its header is damaged");
  }
}

// Pairs of KEY.npy and KEY.json, each as append_tar_header() has it.
void StoredShard::read_tar() {
  const UniqueFd file = open_for_reading(path_);
  TarReader tar(duplicate(file), path_);
  std::int64_t next = 0;
  while (const std::optional<TarMember> npy = tar.next()) {
    const std::string key = npy->name.substr(0, npy->name.rfind(".npy"));
    const std::optional<TarMember> json = tar.next();
    if (npy->name != key + ".npy" || !json || json->name != key + ".json") {
      throw NamedError(path_, "'" + npy->name + "' is not followed by its .json");
    }
    next = check_member(file, *json, check_member(file, *npy, next));
    const Array array = read_array(file, *npy, line_in(tar, *json));
    if (!arrays_.emplace(key, array).second) throw NamedError(path_, "has '" + key + "' twice");
  }
  expect_bytes(file, next, std::vector<std::uint8_t>(kTarEndBytes));
  if (size_of(file, path_) != next + static_cast<std::int64_t>(kTarEndBytes)) {
    throw NamedError(path_, "goes on after its end");
  }
}

std::string StoredShard::line_in(TarReader& tar, const TarMember& json) const {
  if (json.bytes <= static_cast<std::int64_t>(kMostLineBytes)) return tar.contents(json);
  throw NamedError(
      path_, "'" + json.name + "' is longer than " + std::to_string(kMostLineBytes) + " bytes");
}

// The header before a member and the padding after it. Returns where the next one must begin.
std::int64_t StoredShard::check_member(const UniqueFd& file, const TarMember& member,
                                       std::int64_t begin) const {
  std::vector<std::uint8_t> header;
  append_tar_header(member.name, member.bytes, header);
  expect_bytes(file, begin, header);
  const std::int64_t end = member.offset + member.bytes;
  const std::vector<std::uint8_t> padding(tar_padding(member.bytes));
  expect_bytes(file, end, padding);
  return end + static_cast<std::int64_t>(padding.size());
}

void StoredShard::expect_bytes(const UniqueFd& file, std::int64_t offset,
                               const std::vector<std::uint8_t>& expected) const {
  std::vector<std::uint8_t> found(expected.size());
  read_all_at(file.get(), offset, found, path_);
  if (found == expected) return;
  throw NamedError(path_, "is damaged (byte " + std::to_string(offset) + ")");
}

StoredShard::Array StoredShard::read_array(const UniqueFd& file, const TarMember& npy,
                                           const std::string& line) const {
  std::vector<std::uint8_t> header(kNpyBeginBytes);
  read_all_at(file.get(), npy.offset, header, path_);
  const NpyShape shape = naming(path_, [&] {
    header.resize(npy_header_bytes(header));
    read_all_at(file.get(), npy.offset, header, path_);
    return parse_npy_header(header);
  });
  if (shape.levels != settings_.levels ||
      npy_bytes(shape) != static_cast<std::uint64_t>(npy.bytes)) {
    throw NamedError(path_, "'" + npy.name + "' has not the shape that it should have");
  }
  return {.offset = npy.offset + static_cast<std::int64_t>(header.size()),
          .frames = shape.frames,
          .line = line};
}

// By way of a tar file, in which what becomes of it is the same again.
void StoredShard::read_parquet(std::uint64_t shard) {
  tar_ = open_temporary_file();
  const UniqueFd file = open_for_reading(path_);
  parquet_to_tar(file.get(), path_, [this](std::span<const std::uint8_t> bytes) {
    write_all(tar_.get(), bytes, "a temporary file");
  });
  metadata_ = json_text(codes_metadata(settings_, shard));
  lseek(tar_.get(), 0, SEEK_SET);
  TarReader tar(duplicate(tar_), path_);
  while (const std::optional<TarMember> npy = tar.next()) {
    const std::string line = line_in(tar, tar.next().value());
    const std::string id = parse_json(line).at("id");
    if (!arrays_.emplace(id, read_array(tar_, *npy, line)).second) {
      throw NamedError(path_, "has '" + id + "' twice");
    }
  }
}

void StoredShard::check_file() const {
  if (settings_.form != Form::kParquet) return;
  const UniqueFd file = open_for_reading(path_);
  std::int64_t offset = 0;
  tar_to_parquet(tar_.get(), metadata_, path_, [&](std::span<const std::uint8_t> bytes) {
    expect_bytes(file, offset, {bytes.begin(), bytes.end()});
    offset += static_cast<std::int64_t>(bytes.size());
  });
  if (offset != size_of(file, path_)) throw NamedError(path_, "goes on after its end");
}

void StoredShard::read_safetensors(std::uint64_t shard) {
  const UniqueFd file = open_for_reading(path_);
  const std::int64_t bytes = size_of(file, path_);
  std::vector<std::uint8_t> size(8);
  read_all_at(file.get(), 0, size, path_);
  const std::uint64_t header_bytes = LittleEndianParser(std::as_bytes(std::span(size))).u64();
  if (header_bytes > kMostHeaderBytes || static_cast<std::int64_t>(header_bytes) > bytes - 8) {
    throw NamedError(path_, "its header is longer than the file");
  }
  std::string header(header_bytes, '\0');
  read_all_at(file.get(), 8, {reinterpret_cast<std::uint8_t*>(header.data()), header.size()},
              path_);
  const std::int64_t data = 8 + static_cast<std::int64_t>(header_bytes);
  SafetensorsHeader expected(settings_, shard);
  const auto tensors = naming(path_, [&] { return tensors_in_order(header); });
  for (const auto& [begin, name, frames] : tensors) {
    arrays_[name] = {.offset = data + static_cast<std::int64_t>(expected.data_bytes()),
                     .frames = frames};
    expected.add(name, frames);
  }
  if (header != expected.text()) throw NamedError(path_, "its header is not as it should be");
  if (data + static_cast<std::int64_t>(expected.data_bytes()) != bytes) {
    throw NamedError(path_, "its length is not that of its tensors");
  }
}

std::unique_ptr<StoredCodes> StoredShard::codes(const Json& row, std::string_view line) const {
  const std::string id = row.at("id");
  const std::string path = workspace_.path(output_place(settings_.form, id, 0));
  if (settings_.form == Form::kMimi) {
    return std::make_unique<TokenFileCodes>(path, settings_, row);
  }
  if (settings_.form == Form::kNpy) return open_npy(path);
  const auto found = arrays_.find(array_key(id));
  if (found == arrays_.end()) throw NamedError(path_, "'" + id + "' is missing");
  const Array& array = found->second;
  if (!says_the_same(array, row, line)) {
    throw NamedError(path_, "what it says of '" + id + "' is not its line of the manifest");
  }
  return std::make_unique<ArrayCodes>(tar_ ? duplicate(tar_) : open_for_reading(path_), path_,
                                      array.offset, NpyShape{settings_.levels, array.frames});
}

std::string StoredShard::array_key(const std::string& id) const {
  if (settings_.form == Form::kWds) return tar_key_of_id(id);
  return settings_.form == Form::kSafetensors ? tensor_name_of_id(id) : id;
}

bool StoredShard::says_the_same(const Array& array, const Json& row, std::string_view line) const {
  if (settings_.form == Form::kWds) return array.line == line;
  if (settings_.form == Form::kSafetensors) return true;  // nothing
  Json expected = row;
  expected.erase("output");
  return parse_json(array.line) == expected;
}

}  // namespace mimi::cli
