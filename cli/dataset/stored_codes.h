// The codes of finished datasets, whatever form they are in.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/dataset/tar.h"
#include "cli/dataset/workspace.h"
#include "cli/unique_fd.h"

namespace mimi::cli {

// The codes of one row.
class StoredCodes {
 public:
  virtual ~StoredCodes() = default;

  virtual int levels() const = 0;
  virtual std::uint64_t frames() const = 0;
  // Calls `take` with frame after frame, [frames x levels], a bounded number at a time. Throws
  // mimi::Error naming the file.
  using Take = std::function<void(std::span<const std::uint16_t>)>;
  virtual void each_frame(const Take& take) const = 0;
};

// Throws mimi::Error, naming nothing, where the codes are of another shape.
void check_shape(const StoredCodes& codes, int levels, std::uint64_t frames);

// What holds a shard's codes: its file, or the files of its rows. Everything in it that is not
// codes is verified as it is read. From any thread once it is made.
class StoredShard {
 public:
  // Throws mimi::Error naming the file.
  StoredShard(const Workspace& workspace, const DatasetSettings& settings, std::uint64_t shard);

  // `line` is the row's of the manifest.
  std::unique_ptr<StoredCodes> codes(const Json& row, std::string_view line) const;
  // Throws mimi::Error where a byte of the shard's file is not what tokenize would write of the
  // rows in it, as far as making it has not shown that already.
  void check_file() const;
  // How many rows the shard's file holds; 0 where the rows have their own.
  std::uint64_t rows_in_file() const { return arrays_.size(); }

 private:
  // An array [levels x frames] of little-endian uint16 in the shard's file.
  struct Array {
    std::int64_t offset = 0;
    std::uint64_t frames = 0;
    std::string line;  // of wds and Parquet: what is said of the row
  };
  void read_tar();
  std::string line_in(TarReader& tar, const TarMember& json) const;
  std::int64_t check_member(const UniqueFd& file, const TarMember& member,
                            std::int64_t begin) const;
  void expect_bytes(const UniqueFd& file, std::int64_t offset,
                    const std::vector<std::uint8_t>& expected) const;
  Array read_array(const UniqueFd& file, const TarMember& npy, const std::string& line) const;
  void read_safetensors(std::uint64_t shard);
  void read_parquet(std::uint64_t shard);
  std::string array_key(const std::string& id) const;
  bool says_the_same(const Array& array, const Json& row, std::string_view line) const;

  const Workspace& workspace_;
  const DatasetSettings& settings_;
  std::string path_;                     // of the shard's file
  std::map<std::string, Array> arrays_;  // by array_key()
  UniqueFd tar_;                         // of Parquet: its rows, in a temporary file
  std::string metadata_;                 // of Parquet
};

}  // namespace mimi::cli
