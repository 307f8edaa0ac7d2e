#include "cli/dataset/file_io.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/named_error.h"

namespace mimi::cli {
namespace {

void check_regular(const UniqueFd& file, const std::string& name) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0) throw NamedError(name, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) throw NamedError(name, "is not a regular file");
}

}  // namespace

void write_all(int fd, std::span<const std::uint8_t> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw NamedError(name, std::string("cannot write: ") + std::strerror(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void read_all_at(int fd, std::int64_t offset, std::span<std::uint8_t> bytes,
                 const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t count = pread(fd, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw NamedError(name, std::string("cannot read: ") + std::strerror(errno));
    if (count == 0) throw NamedError(name, "cut short (byte " + std::to_string(offset) + ")");
    offset += count;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

std::filesystem::file_type type_of(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_type type = std::filesystem::status(path, error).type();
  if (type != std::filesystem::file_type::none) return type;
  throw NamedError(path, "cannot be examined: " + error.message());
}

UniqueFd open_for_reading(const std::string& path) {
  UniqueFd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) throw_system_error(path, errno);
  check_regular(file, path);
  return file;
}

void sync_file(int fd, const std::string& name) {
  if (fsync(fd) == 0) return;
  throw NamedError(name, std::string("cannot write: ") + std::strerror(errno));
}

void sync_folder(const std::string& path) {
  const UniqueFd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) throw NamedError(path, std::strerror(errno));
  // Some file systems have nothing to do for a folder, and say that it cannot be done.
  if (fsync(folder.get()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    throw NamedError(path, std::string("cannot write: ") + std::strerror(errno));
  }
}

void move_into_place(const std::string& part, const std::string& place) {
  const std::string folder = std::filesystem::path(place).parent_path();
  make_folder(folder);
  if (rename(part.c_str(), place.c_str()) != 0) {
    throw NamedError(place, std::string("cannot be put into place: ") + std::strerror(errno));
  }
  sync_folder(folder);
}

void lock_alone(int fd, const std::string& name) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return;
  // File systems that know no locks are left to their user's care.
  if (errno == EWOULDBLOCK) throw NamedError(name, "another process is working on it");
}

UniqueFd lock_new_file(const std::string& path) {
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666));
  if (!file) throw NamedError(path, std::string("cannot open: ") + std::strerror(errno));
  check_regular(file, path);
  lock_alone(file.get(), path);
  return file;
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw NamedError(path, "cannot be made: " + error.message());
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace mimi::cli
