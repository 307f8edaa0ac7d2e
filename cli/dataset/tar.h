// tar files: POSIX ustar with pax headers, and what GNU tar writes for long names.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/byte_reader.h"
#include "cli/dataset/file_stamp.h"

namespace mimi::cli {

struct TarMember {
  std::string name;
  std::int64_t offset = 0;  // of its bytes in the file
  std::int64_t bytes = 0;
  bool is_sparse = false;  // its bytes lie in pieces, which are not put together
};

class TarReader {
 public:
  // Throws mimi::Error naming the file.
  explicit TarReader(const std::string& path);
  // A file opened already.
  TarReader(UniqueFd file, const std::string& name);

  // The next regular file. None: the end. Throws mimi::Error when the tar file is damaged or cut
  // short.
  std::optional<TarMember> next();
  // The bytes of a member that next() gave.
  std::string contents(const TarMember& member);
  // Which file it is, and that it stays the same.
  FileStamp stamp() const;
  // Links of either kind that next() has passed over.
  std::int64_t links() const { return links_; }

 private:
  struct Header;
  std::optional<Header> read_header();
  std::string text_of(const Header& header);
  std::int64_t after_sparse_headers(const Header& header);
  [[noreturn]] void throw_at(std::int64_t offset, const std::string& cause) const;

  ByteReader bytes_;
  std::int64_t next_header_ = 0;
  std::int64_t links_ = 0;
};

// Appends the header of a member, with nothing that depends on who writes it or when.
void append_tar_header(const std::string& name, std::int64_t bytes, std::vector<std::uint8_t>& out);
// How many zero bytes follow a member.
std::size_t tar_padding(std::int64_t bytes);
// How many zero bytes end a file.
constexpr std::size_t kTarEndBytes = 1024;

}  // namespace mimi::cli
