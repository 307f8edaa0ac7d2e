// The file that a row comes from: which one it is, and that it stays the same.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>

#include "cli/dataset/row.h"
#include "cli/dataset/sha256.h"

namespace mimi::cli {

// Of a file that may be replaced: another file, or other contents, have another.
struct FileStamp {
  std::uint64_t device = 0, inode = 0;
  std::int64_t bytes = 0, modified_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

// Throws mimi::Error naming the row when its file is missing or not a regular one.
FileStamp stamp_of(const Row& row);

// SHA-256 of sources. Of files that many rows come from, each is read once. From any thread.
class SourceHashes {
 public:
  // Throws mimi::Error naming the row.
  Sha256Digest of(const Row& row, const FileStamp& stamp);

 private:
  struct Known {
    FileStamp stamp;
    std::int64_t offset;
    Sha256Digest digest;
  };
  std::mutex mutex_;
  std::list<Known> known_;  // the last used first
};

}  // namespace mimi::cli
