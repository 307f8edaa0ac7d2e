// Records that outlast a kill at any moment: what is whole in the file is there on the next start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/unique_fd.h"

namespace mimi::cli {

class Journal {
 public:
  // Opens or creates the file for this process alone. Its first record is `owner`: one that begins
  // otherwise is another's, and becomes empty. Calls `take` with each other record that is whole
  // and its place; the first that it returns false for is cut off, with what follows it. Throws
  // mimi::Error naming the file, also when another process has it open.
  using Take = std::function<bool(std::int64_t offset, std::span<const std::byte> record)>;
  Journal(const std::string& path, std::string_view owner, const Take& take);

  // From any thread. Returns the record's place. Where the disk is full nothing of it stays.
  std::int64_t append(std::span<const std::byte> record);
  // Bytes of a record, from its place plus what lies before them in it.
  void read(std::int64_t offset, std::span<std::byte> bytes) const;
  // Makes durable what was appended.
  void sync();
  // Removes the file.
  void remove();

 private:
  void replay(std::span<const std::byte> owner, const Take& take);
  bool read_record(std::int64_t file_bytes, std::vector<std::byte>& record) const;

  std::string path_;
  UniqueFd file_;
  std::mutex mutex_;
  std::int64_t end_ = 0;
  std::int64_t synced_ = 0;
};

}  // namespace mimi::cli
