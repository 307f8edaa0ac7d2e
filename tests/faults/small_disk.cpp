// Preloaded into a program, makes a folder a small disk: MIMI_SMALL_DISK=BYTES:FOLDER. What write()
// brings beyond that is not written, as on a full disk; room comes back when files go.
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>

namespace {

namespace fs = std::filesystem;

struct Disk {
  std::uintmax_t bytes = 0;
  std::string folder;
};

const Disk& disk() {
  static const Disk disk = [] {
    const char* const told = std::getenv("MIMI_SMALL_DISK");
    if (told == nullptr) std::abort();
    char* folder = nullptr;
    const std::uintmax_t bytes = std::strtoull(told, &folder, 10);
    if (*folder != ':') std::abort();
    return Disk{bytes, folder + 1};
  }();
  return disk;
}

bool lies_on_disk(int fd) {
  std::error_code error;
  const std::string path = fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  return path.starts_with(disk().folder + "/");
}

// Files may go while they are counted.
std::uintmax_t used_bytes() {
  std::uintmax_t sum = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(disk().folder, error), end; entry != end;
       entry.increment(error)) {
    const std::uintmax_t bytes = entry->is_regular_file(error) ? entry->file_size(error) : 0;
    if (!error) sum += bytes;
    if (error) error.clear();
  }
  return sum;
}

}  // namespace

extern "C" ssize_t write(int fd, const void* data, std::size_t size) {
  static const auto original =
      reinterpret_cast<ssize_t (*)(int, const void*, std::size_t)>(dlsym(RTLD_NEXT, "write"));
  if (!lies_on_disk(fd)) return original(fd, data, size);
  static std::mutex mutex;
  const std::lock_guard guard(mutex);
  const std::uintmax_t used = used_bytes();
  const std::size_t room = used < disk().bytes ? disk().bytes - used : 0;
  if (room == 0 && size > 0) return errno = ENOSPC, -1;
  return original(fd, data, std::min(size, room));
}
