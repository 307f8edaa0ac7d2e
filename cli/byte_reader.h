// A file or a pipe, read forwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/unique_fd.h"

namespace mimi::cli {

class ByteReader {
 public:
  // "-" is standard input. Throws mimi::Error naming the file.
  explicit ByteReader(const std::string& path);
  // A file opened already, from where it stands.
  ByteReader(UniqueFd fd, const std::string& name);
  // `bytes` bytes of a regular file from `offset` on, as if they were the whole.
  ByteReader(const std::string& path, const std::string& name, std::int64_t offset,
             std::int64_t bytes);

  // At least one byte as soon as there is any, at most bytes.size(); 0 at the end, or after
  // cancel().
  std::size_t read(std::span<std::uint8_t> bytes);
  // Reads until `bytes` is full or the input ends; returns how many there were.
  std::size_t read_fully(std::span<std::uint8_t> bytes);
  // All that is left.
  std::vector<std::uint8_t> read_all();
  // Passes over `count` bytes; returns how many there were.
  std::int64_t skip(std::int64_t count);
  // The next byte is number `position`; only where is_regular().
  void seek(std::int64_t position);
  // From any thread: ends a read that waits for a pipe, and every later one.
  void cancel();

  // The name for messages.
  const std::string& name() const { return name_; }
  // The number of the next byte.
  std::int64_t position() const { return position_; }
  // Bytes from the first to the last; none for what is not a regular file.
  std::optional<std::int64_t> size() const { return size_; }
  bool is_regular() const { return size_.has_value(); }
  int fd() const { return fd_; }

 private:
  void measure();
  bool wait_for_data();
  std::size_t read_some(std::uint8_t* data, std::size_t size);

  std::string name_;
  UniqueFd owned_;
  int fd_ = -1;
  UniqueFd cancel_;         // an eventfd that is readable after cancel()
  std::int64_t start_ = 0;  // where in the file the first byte is, if it is regular
  std::optional<std::int64_t> size_;
  bool ends_at_size_ = false;  // though the file may go on
  std::int64_t position_ = 0;
};

}  // namespace mimi::cli
