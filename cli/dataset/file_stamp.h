#pragma once

#include <sys/stat.h>

#include <cstdint>

namespace mimi::cli {

// Of a file that may be replaced: another file, or other contents, have another.
struct FileStamp {
  std::uint64_t device = 0, inode = 0;
  std::int64_t bytes = 0;
  std::int64_t modified_s = 0, modified_ns = 0;  // apart: together, 64 bits end with the year 2262

  bool operator==(const FileStamp&) const = default;
};

inline FileStamp stamp_of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .bytes = status.st_size,
          .modified_s = status.st_mtim.tv_sec,
          .modified_ns = status.st_mtim.tv_nsec};
}

}  // namespace mimi::cli
