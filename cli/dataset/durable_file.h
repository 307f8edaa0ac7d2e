#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/unique_fd.h"

namespace mimi::cli {

// A file that is written under another name, and is in its place once it is whole and will outlast
// a power failure. What a kill leaves is the other name, which the next one to use it replaces.
// From any thread; errors are mimi::Error with the place's name.
class DurableFile {
 public:
  enum class IfThere { kReplace, kKeep };

  // The folder of `part` must be there, and on the same file system.
  DurableFile(const std::string& place, const std::string& part);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  void write(std::span<const std::uint8_t> bytes);
  // What was written is to be read by others under the other name.
  void flush();
  // Makes the folders that the place needs.
  void commit(IfThere if_there = IfThere::kReplace);
  // In its place, but durable only after syncfs() and sync_folder().
  void commit_without_sync();

 private:
  void move_into_place(IfThere if_there);

  std::string place_;
  std::string part_;
  UniqueFd file_;
  std::vector<std::uint8_t> pending_;
};

}  // namespace mimi::cli
