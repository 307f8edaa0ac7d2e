#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace mimi {

namespace {

[[noreturn]] void fail(const std::string& path, const char* what) {
  throw Error(path + ": " + what + ": " + std::generic_category().message(errno));
}

// Non-blocking, so that a FIFO is refused and not waited for.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) fail(path, "cannot be opened");
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }
  int get() const { return fd_; }

 private:
  int fd_;
};

// What mapped_file_at() looks through. More files at once than there are entries stay unnamed.
struct Mapping {
  std::atomic<const std::byte*> begin{nullptr};
  std::atomic<std::size_t> size{0};
  char path[PATH_MAX] = "";
};
std::array<Mapping, 8> g_mappings;
std::mutex g_mappings_mutex;  // of those who change them

void remember(const std::byte* begin, std::size_t size, const std::string& path) {
  const std::lock_guard lock(g_mappings_mutex);
  for (Mapping& mapping : g_mappings) {
    if (mapping.begin != nullptr) continue;
    mapping.path[path.copy(mapping.path, PATH_MAX - 1)] = '\0';
    mapping.size = size;
    mapping.begin = begin;
    return;
  }
}

void forget(const std::byte* begin) {
  const std::lock_guard lock(g_mappings_mutex);
  for (Mapping& mapping : g_mappings) {
    if (mapping.begin == begin) mapping.begin = nullptr;
  }
}

}  // namespace

const char* mapped_file_at(const void* address) {
  const auto* const at = static_cast<const std::byte*>(address);
  for (const Mapping& mapping : g_mappings) {
    const std::byte* const begin = mapping.begin;
    if (begin != nullptr && at >= begin && at < begin + mapping.size) return mapping.path;
  }
  return nullptr;
}

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file(path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(path, "cannot be examined");
  if (!S_ISREG(status.st_mode)) throw Error(path + ": is not a regular file");
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;  // an empty mapping is an error to the system

  void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail(path, "cannot be mapped");
  data_ = static_cast<const std::byte*>(address);
  remember(data_, size_, path);
  ::madvise(address, size_, MADV_WILLNEED);  // advice only: reading works without it
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::release(std::span<const std::byte> part) const {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t first = (begin + page - 1) / page * page;
  const std::uintptr_t last = (begin + part.size()) / page * page;
  if (first >= last) return;
  // Advice only: what is not taken back costs memory, nothing else.
  ::madvise(const_cast<std::byte*>(part.data()) + (first - begin), last - first, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  forget(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace mimi
