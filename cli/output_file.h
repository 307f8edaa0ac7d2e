// A file that appears whole or not at all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/byte_reader.h"
#include "cli/signals.h"
#include "cli/unique_fd.h"

namespace mimi::cli {

// A regular file is written beside its place under another name and renamed by commit(); without
// commit() nothing stays. Standard output ("-"), a device or a FIFO is written directly. Errors are
// mimi::Error with the file's name and the system's reason.
class OutputFile {
 public:
  // Refuses to replace a regular file unless `force`, and leaves the new one the permissions of the
  // old. Symbolic links are followed.
  OutputFile(const std::string& path, bool force, OnSignal on_signal = OnSignal::kRemove);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Appends. What is held back is written by flush() and commit().
  void write(std::span<const std::uint8_t> bytes);
  void flush();
  // Overwrites bytes written before; only where is_regular().
  void overwrite(std::int64_t offset, std::span<const std::uint8_t> bytes);
  void commit();
  // What was written, from the disk; only where is_regular(). Nothing may be written any more.
  ByteReader reread();

  // Whether it is written beside its place, so that nobody reads it before commit().
  bool is_regular() const { return unfinished_ != nullptr; }
  // The name for messages.
  const std::string& name() const { return name_; }
  // For a library that does its own writing, with nothing held back here.
  int fd() const { return fd_; }
  [[noreturn]] void throw_write_error(int error_number) const;

 private:
  // With the permissions `mode`; none: as the umask has them.
  void open_beside(const std::string& place, std::optional<mode_t> mode);
  void write_all(const std::uint8_t* data, std::size_t size);
  void move_into_place();

  std::string name_;
  std::string place_;  // with symbolic links followed
  bool force_;
  OnSignal on_signal_;
  UniqueFd owned_;
  int fd_ = -1;
  std::unique_ptr<UnfinishedFile> unfinished_;
  std::vector<std::uint8_t> pending_;
};

}  // namespace mimi::cli
