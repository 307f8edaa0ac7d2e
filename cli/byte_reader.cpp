#include "cli/byte_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/named_error.h"

namespace mimi::cli {

ByteReader::ByteReader(const std::string& path)
    : name_(path == "-" ? "standard input" : path), cancel_(eventfd(0, EFD_CLOEXEC)) {
  if (path == "-") {
    fd_ = STDIN_FILENO;
  } else {
    owned_ = UniqueFd(open(path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC));
    fd_ = owned_.get();
    if (fd_ < 0) throw_system_error(name_, errno);
  }
  measure();
}

ByteReader::ByteReader(UniqueFd fd, const std::string& name)
    : name_(name), owned_(std::move(fd)), fd_(owned_.get()), cancel_(eventfd(0, EFD_CLOEXEC)) {
  measure();
}

ByteReader::ByteReader(const std::string& path, const std::string& name, std::int64_t offset,
                       std::int64_t bytes)
    : ByteReader(path) {
  name_ = name;
  if (!is_regular() || *size_ < offset || *size_ - offset < bytes) {
    throw NamedError(name_, "is not all there: the file is shorter than it was");
  }
  start_ = offset;
  size_ = bytes;
  ends_at_size_ = true;
  seek(0);
}

void ByteReader::measure() {
  struct stat status {};
  if (fstat(fd_, &status) != 0) throw NamedError(name_, std::strerror(errno));
  if (S_ISDIR(status.st_mode)) throw NamedError(name_, "is a directory");
  if (!S_ISREG(status.st_mode)) return;
  const off_t start = lseek(fd_, 0, SEEK_CUR);
  if (start < 0) return;
  start_ = start;
  size_ = std::max<std::int64_t>(0, status.st_size - start);
}

std::size_t ByteReader::read(std::span<std::uint8_t> bytes) {
  std::size_t most = bytes.size();
  if (ends_at_size_) {
    most = std::min(most, static_cast<std::size_t>(std::max<std::int64_t>(0, *size_ - position_)));
  }
  const std::size_t count = most == 0 ? 0 : read_some(bytes.data(), most);
  position_ += static_cast<std::int64_t>(count);
  return count;
}

std::size_t ByteReader::read_fully(std::span<std::uint8_t> bytes) {
  std::size_t total = 0;
  while (total < bytes.size()) {
    const std::size_t count = read(bytes.subspan(total));
    if (count == 0) break;
    total += count;
  }
  return total;
}

std::vector<std::uint8_t> ByteReader::read_all() {
  constexpr std::size_t kPiece = 1 << 16;
  std::vector<std::uint8_t> bytes;
  std::size_t size = 0, count = 0;
  do {
    if (bytes.size() - size < kPiece) bytes.resize(2 * size + kPiece);
    count = read(std::span(bytes).subspan(size));
    size += count;
  } while (count > 0);
  bytes.resize(size);
  return bytes;
}

std::int64_t ByteReader::skip(std::int64_t count) {
  if (is_regular()) {
    const std::int64_t there = std::max<std::int64_t>(0, *size_ - position_);
    seek(position_ + std::min(count, there));
    return std::min(count, there);
  }
  std::array<std::uint8_t, 4096> scratch;
  std::int64_t done = 0;
  while (done < count) {
    const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(count - done, 4096));
    const std::size_t got = read(std::span(scratch).first(wanted));
    if (got == 0) break;
    done += static_cast<std::int64_t>(got);
  }
  return done;
}

void ByteReader::seek(std::int64_t position) {
  if (lseek(fd_, start_ + position, SEEK_SET) < 0) {
    throw NamedError(name_, std::string("cannot seek: ") + std::strerror(errno));
  }
  position_ = position;
}

void ByteReader::cancel() { eventfd_write(cancel_.get(), 1); }

bool ByteReader::wait_for_data() {
  std::array<pollfd, 2> waited = {pollfd{.fd = cancel_.get(), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = fd_, .events = POLLIN, .revents = 0}};
  while (poll(waited.data(), waited.size(), -1) < 0) {
    if (errno != EINTR)
      throw NamedError(name_, std::string("cannot read: ") + std::strerror(errno));
  }
  return waited[0].revents == 0;
}

std::size_t ByteReader::read_some(std::uint8_t* data, std::size_t size) {
  while (true) {
    if (!is_regular() && !wait_for_data()) return 0;
    const ssize_t count = ::read(fd_, data, size);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR && errno != EAGAIN) {
      throw NamedError(name_, std::string("cannot read: ") + std::strerror(errno));
    }
  }
}

}  // namespace mimi::cli
