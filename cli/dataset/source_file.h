// The file that a row comes from: which one it is, and that it stays the same.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>

#include "cli/dataset/file_stamp.h"
#include "cli/dataset/row.h"
#include "cli/dataset/sha256.h"

namespace mimi::cli {

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
