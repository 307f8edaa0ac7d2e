#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/byte_reader.h"

namespace mimi::cli {

constexpr std::size_t kMostLineBytes = 1 << 24;

// The lines of a text file: without what ends them, be it LF or CR LF, and without the byte order
// mark that some programs put before the first.
class LineReader {
 public:
  // "-" is standard input. Throws mimi::Error naming the file.
  explicit LineReader(const std::string& path);
  // A file opened already.
  LineReader(UniqueFd file, const std::string& name);

  // False at the end. Throws mimi::Error where a line is longer than kMostLineBytes.
  bool next(std::string& line);
  // Of the line that next() gave last, from 1; and what ended it, which the last may lack.
  std::int64_t number() const { return number_; }
  const std::string& ending() const { return ending_; }
  const std::string& name() const { return bytes_.name(); }

 private:
  ByteReader bytes_;
  std::vector<std::uint8_t> buffer_;
  std::size_t next_ = 0;  // in the buffer
  std::int64_t number_ = 0;
  std::string ending_;
};

}  // namespace mimi::cli
