#include "cli/output_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "cli/named_error.h"

namespace mimi::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBufferBytes = 1 << 16;

// The path that opening `path` for writing would create or replace, even when the last link points
// to nothing.
std::string follow_links(const std::string& path) {
  fs::path place = path;
  std::error_code error;
  for (int links = 0;; ++links) {
    const fs::file_status status = fs::symlink_status(place, error);
    if (status.type() == fs::file_type::none) break;
    if (!fs::is_symlink(status)) return place;
    if (links == 40) throw NamedError(path, std::strerror(ELOOP));
    const fs::path target = fs::read_symlink(place, error);
    if (error) break;
    place = target.is_absolute() ? target : place.parent_path() / target;
  }
  throw NamedError(path, "cannot be examined: " + error.message());
}

}  // namespace

OutputFile::OutputFile(const std::string& path, bool force, OnSignal on_signal)
    : name_(path == "-" ? "standard output" : path), force_(force), on_signal_(on_signal) {
  if (path == "-") {
    fd_ = STDOUT_FILENO;
    return;
  }
  struct stat status {};
  const bool exists = stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) throw NamedError(name_, "is a directory");
  if (exists && S_ISREG(status.st_mode) && !force) {
    throw NamedError(name_, "already exists; -f overwrites it");
  }
  if (exists && !S_ISREG(status.st_mode)) {
    owned_ = UniqueFd(open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC));
    fd_ = owned_.get();
    if (fd_ < 0)
      throw NamedError(name_, std::string("cannot open for writing: ") + std::strerror(errno));
    return;
  }
  constexpr mode_t kAccess = S_IRWXU | S_IRWXG | S_IRWXO;
  open_beside(follow_links(path), exists ? std::optional(status.st_mode & kAccess) : std::nullopt);
}

OutputFile::~OutputFile() = default;

void OutputFile::open_beside(const std::string& place, std::optional<mode_t> mode) {
  place_ = place;
  const fs::path directory = fs::path(place).parent_path();
  const std::string prefix = ".mimi-" + std::to_string(getpid()) + "-";
  for (int attempt = 0;; ++attempt) {
    const fs::path temporary = directory / (prefix + std::to_string(attempt) + ".part");
    std::error_code ignored;  // open() will tell
    if (fs::exists(fs::symlink_status(temporary, ignored))) continue;
    // Named before it is made, so that a signal between the two finds it.
    unfinished_ = std::make_unique<UnfinishedFile>(temporary.string(), on_signal_);
    owned_ = UniqueFd(
        open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode.value_or(0666)));
    fd_ = owned_.get();
    // What it replaces may have had more than the umask leaves.
    if (fd_ >= 0 && mode && fchmod(fd_, *mode) != 0) {
      throw NamedError(name_, std::string("cannot have its mode again: ") + std::strerror(errno));
    }
    if (fd_ >= 0) return;
    const int error = errno;
    if (error == EEXIST) unfinished_->keep();  // another's
    unfinished_.reset();
    if (error != EEXIST)
      throw NamedError(name_, std::string("cannot create: ") + std::strerror(error));
  }
}

void OutputFile::write(std::span<const std::uint8_t> bytes) {
  if (pending_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() > kBufferBytes) {
    write_all(bytes.data(), bytes.size());
  } else {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  }
}

void OutputFile::flush() {
  write_all(pending_.data(), pending_.size());
  pending_.clear();
}

void OutputFile::write_all(const std::uint8_t* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(fd_, data, size);
    if (written >= 0) {
      data += written;
      size -= static_cast<std::size_t>(written);
    } else if (errno == EAGAIN) {  // standard output may have been left non-blocking by another
      pollfd ready = {.fd = fd_, .events = POLLOUT, .revents = 0};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      throw_write_error(errno);
    }
  }
}

void OutputFile::overwrite(std::int64_t offset, std::span<const std::uint8_t> bytes) {
  assert(is_regular());
  flush();
  const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), offset);
  if (written < 0) throw_write_error(errno);
  if (static_cast<std::size_t>(written) != bytes.size()) throw_write_error(ENOSPC);
}

ByteReader OutputFile::reread() {
  assert(is_regular());
  flush();
  if (fsync(fd_) != 0) throw_write_error(errno);
  posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);  // advice only: reading works without it
  UniqueFd copy(fcntl(fd_, F_DUPFD_CLOEXEC, 0));
  if (!copy || lseek(copy.get(), 0, SEEK_SET) < 0) throw_write_error(errno);
  return {std::move(copy), name_};
}

void OutputFile::commit() {
  flush();
  if (is_regular() && fsync(fd_) != 0) throw_write_error(errno);
  if (owned_ && owned_.reset() != 0) throw_write_error(errno);
  if (is_regular()) move_into_place();
}

void OutputFile::move_into_place() {
  const char* from = unfinished_->path().c_str();
  const unsigned flags = force_ ? 0 : RENAME_NOREPLACE;
  int failed = renameat2(AT_FDCWD, from, AT_FDCWD, place_.c_str(), flags);
  // Not every file system can promise not to replace.
  if (failed != 0 && (errno == EINVAL || errno == ENOSYS)) failed = rename(from, place_.c_str());
  if (failed != 0 && errno == EEXIST) {
    throw NamedError(name_, "came to exist meanwhile; -f overwrites it");
  }
  if (failed != 0)
    throw NamedError(name_, std::string("cannot rename into place: ") + std::strerror(errno));
  unfinished_->keep();
}

void OutputFile::throw_write_error(int error_number) const {
  throw NamedError(name_, std::string("cannot write: ") + std::strerror(error_number));
}

}  // namespace mimi::cli
