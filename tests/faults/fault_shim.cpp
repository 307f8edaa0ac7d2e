// Preloaded into a program, makes one of its calls to the system or the allocator go wrong. Calls
// that libraries make as they are loaded do not count: no program can help what becomes of those.
//
//   MIMI_FAULT=read:7:fail      the 7th read() fails, with the error that a bad disk gives
//   MIMI_FAULT=write:7:short    the 7th write() writes one byte
//   MIMI_FAULT=read:7:intr      the 7th read() is interrupted by a signal
//   MIMI_FAULT=rename:1:deny    the first rename() or link() is none that the file system knows
//   MIMI_FAULT=fsync:7:stop     the program stops, as by SIGSTOP, before the 7th fsync()
//   MIMI_FAULT=mapfile:1:truncate  the first mapped file is cut to its first page once it is mapped
//   MIMI_FAULT_COUNTS=FILE      at the end, FILE gets a line "name calls" for each function
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// What glibc's own malloc is called inside: asking dlsym() for it would need malloc.
extern "C" void* __libc_malloc(std::size_t);
extern "C" void* __libc_calloc(std::size_t, std::size_t);
extern "C" void* __libc_realloc(void*, std::size_t);
extern "C" void* __libc_memalign(std::size_t, std::size_t);

namespace {

enum Call {
  kRead,
  kPread,
  kWrite,
  kPwrite,
  kFsync,
  kRename,  // and link()
  kMmap,
  kMapFile,
  kMalloc,
  kOpen,
  kList,    // opendir() and fdopendir(), with which the listing of a folder begins
  kEntry,   // readdir()
  kRemove,  // unlink(), unlinkat() and rmdir()
  kThread,  // pthread_create()
  kCalls
};
constexpr std::array<const char*, kCalls> kNames = {"read",   "pread", "write",   "pwrite", "fsync",
                                                    "rename", "mmap",  "mapfile", "malloc", "open",
                                                    "list",   "entry", "remove",  "thread"};
enum class Mode { kNone, kFail, kDeny, kShort, kInterrupt, kStop, kTruncate };

std::array<std::atomic<long>, kCalls> g_counts;
std::atomic<bool> g_is_loaded = false;  // and the program's own code runs

struct Plan {
  int call = -1;
  long number = 0;
  Mode mode = Mode::kNone;
};

// Without anything that may allocate: the first caller is malloc.
Plan parse_plan() {
  Plan plan;
  const char* const name = std::getenv("MIMI_FAULT");
  if (name == nullptr) return plan;
  const char* const number = std::strchr(name, ':');
  const char* const mode = number == nullptr ? nullptr : std::strchr(number + 1, ':');
  if (mode == nullptr) std::abort();
  for (int call = 0; call < kCalls; ++call) {
    const char* const known = kNames[static_cast<std::size_t>(call)];
    const auto length = static_cast<std::size_t>(number - name);
    if (std::strlen(known) == length && std::strncmp(name, known, length) == 0) plan.call = call;
  }
  plan.number = std::strtol(number + 1, nullptr, 10);
  if (std::strcmp(mode, ":fail") == 0) plan.mode = Mode::kFail;
  if (std::strcmp(mode, ":deny") == 0) plan.mode = Mode::kDeny;
  if (std::strcmp(mode, ":short") == 0) plan.mode = Mode::kShort;
  if (std::strcmp(mode, ":intr") == 0) plan.mode = Mode::kInterrupt;
  if (std::strcmp(mode, ":stop") == 0) plan.mode = Mode::kStop;
  if (std::strcmp(mode, ":truncate") == 0) plan.mode = Mode::kTruncate;
  if (plan.call < 0 || plan.mode == Mode::kNone) std::abort();
  return plan;
}

// Counts a call and says what is to happen to it.
Mode next(Call call) {
  static const Plan plan = parse_plan();
  if (!g_is_loaded) return Mode::kNone;
  const long number = ++g_counts[call];
  if (call != plan.call || number != plan.number) return Mode::kNone;
  if (plan.mode == Mode::kStop) raise(SIGSTOP);
  return plan.mode;
}

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// 0, or the error that the call gets.
int error_of(Mode mode, int failure) {
  if (mode == Mode::kInterrupt) return EINTR;
  if (mode == Mode::kDeny) return EPERM;
  return mode == Mode::kFail ? failure : 0;
}

// Of a build that counts its lines (scripts/coverage), which maps where it counts as it begins.
bool is_of_coverage(const char* path) {
  constexpr const char* kSuffix = ".profraw";
  const std::size_t length = std::strlen(path), end = std::strlen(kSuffix);
  return length > end && std::strcmp(path + length - end, kSuffix) == 0;
}

bool is_of_coverage(int fd) {
  char link[64], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return false;
  path[length] = 0;
  return is_of_coverage(path);
}

struct CountsAtEnd {
  ~CountsAtEnd() {
    const char* const path = std::getenv("MIMI_FAULT_COUNTS");
    if (path == nullptr) return;
    std::FILE* const file = std::fopen(path, "w");
    if (file == nullptr) return;
    for (std::size_t i = 0; i < kCalls; ++i) {
      std::fprintf(file, "%s %ld\n", kNames[i], g_counts[i].load());
    }
    std::fclose(file);
  }
} g_counts_at_end;

}  // namespace

extern "C" {

// Where a program begins, with its static objects.
int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(),
                      void (*fini)(), void (*rtld_fini)(), void* stack_end) {
  const auto original = real<decltype(&__libc_start_main)>("__libc_start_main");
  g_is_loaded = true;
  return original(main, argc, argv, init, fini, rtld_fini, stack_end);
}

ssize_t read(int fd, void* data, std::size_t size) {
  static const auto original = real<ssize_t (*)(int, void*, std::size_t)>("read");
  const Mode mode = next(kRead);
  if (const int error = error_of(mode, EIO)) return errno = error, -1;
  return original(fd, data, mode == Mode::kShort && size > 1 ? 1 : size);
}

ssize_t write(int fd, const void* data, std::size_t size) {
  static const auto original = real<ssize_t (*)(int, const void*, std::size_t)>("write");
  const Mode mode = next(kWrite);
  if (const int error = error_of(mode, ENOSPC)) return errno = error, -1;
  return original(fd, data, mode == Mode::kShort && size > 1 ? 1 : size);
}

ssize_t pwrite(int fd, const void* data, std::size_t size, off_t offset) {
  static const auto original = real<ssize_t (*)(int, const void*, std::size_t, off_t)>("pwrite");
  const Mode mode = next(kPwrite);
  if (const int error = error_of(mode, ENOSPC)) return errno = error, -1;
  return original(fd, data, mode == Mode::kShort && size > 1 ? 1 : size, offset);
}

ssize_t pread(int fd, void* data, std::size_t size, off_t offset) {
  static const auto original = real<ssize_t (*)(int, void*, std::size_t, off_t)>("pread");
  const Mode mode = next(kPread);
  if (const int error = error_of(mode, EIO)) return errno = error, -1;
  return original(fd, data, mode == Mode::kShort && size > 1 ? 1 : size, offset);
}

int fsync(int fd) {
  static const auto original = real<int (*)(int)>("fsync");
  if (const int error = error_of(next(kFsync), EIO)) return errno = error, -1;
  return original(fd);
}

int rename(const char* from, const char* to) {
  static const auto original = real<int (*)(const char*, const char*)>("rename");
  if (const int error = error_of(next(kRename), EIO)) return errno = error, -1;
  return original(from, to);
}

int link(const char* from, const char* to) {
  static const auto original = real<int (*)(const char*, const char*)>("link");
  if (const int error = error_of(next(kRename), EIO)) return errno = error, -1;
  return original(from, to);
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
  static const auto original =
      real<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  if (const int error = error_of(next(kRename), EIO)) return errno = error, -1;
  return original(from_fd, from, to_fd, to, flags);
}

int open(const char* path, int flags, ...) {
  static const auto original = real<int (*)(const char*, int, ...)>("open");
  mode_t permissions = 0;
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
    __builtin_va_list arguments;
    __builtin_va_start(arguments, flags);
    permissions = __builtin_va_arg(arguments, mode_t);
    __builtin_va_end(arguments);
  }
  if (is_of_coverage(path)) return original(path, flags, permissions);
  if (const int error = error_of(next(kOpen), EMFILE)) return errno = error, -1;
  return original(path, flags, permissions);
}

DIR* opendir(const char* path) {
  static const auto original = real<DIR* (*)(const char*)>("opendir");
  if (const int error = error_of(next(kList), EMFILE)) return errno = error, nullptr;
  return original(path);
}

DIR* fdopendir(int fd) {
  static const auto original = real<DIR* (*)(int)>("fdopendir");
  if (const int error = error_of(next(kList), ENOMEM)) return errno = error, nullptr;
  return original(fd);
}

int unlink(const char* path) {
  static const auto original = real<int (*)(const char*)>("unlink");
  if (const int error = error_of(next(kRemove), EIO)) return errno = error, -1;
  return original(path);
}

int unlinkat(int fd, const char* path, int flags) {
  static const auto original = real<int (*)(int, const char*, int)>("unlinkat");
  if (const int error = error_of(next(kRemove), EIO)) return errno = error, -1;
  return original(fd, path, flags);
}

int rmdir(const char* path) {
  static const auto original = real<int (*)(const char*)>("rmdir");
  if (const int error = error_of(next(kRemove), EIO)) return errno = error, -1;
  return original(path);
}

dirent* readdir(DIR* folder) {
  static const auto original = real<dirent* (*)(DIR*)>("readdir");
  if (const int error = error_of(next(kEntry), EIO)) return errno = error, nullptr;
  return original(folder);
}

void* mmap(void* address, std::size_t size, int protection, int flags, int fd, off_t offset) {
  static const auto original = real<void* (*)(void*, std::size_t, int, int, int, off_t)>("mmap");
  if (fd >= 0 && is_of_coverage(fd)) return original(address, size, protection, flags, fd, offset);
  const Mode mode = fd < 0 ? Mode::kNone : next(kMapFile);
  if (const int error = error_of(next(kMmap), ENOMEM)) return errno = error, MAP_FAILED;
  void* const mapped = original(address, size, protection, flags, fd, offset);
  if (mode == Mode::kTruncate) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (truncate(path, 4096) != 0) std::abort();
  }
  return mapped;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* data) {
  static const auto original = real<decltype(&pthread_create)>("pthread_create");
  if (const int error = error_of(next(kThread), EAGAIN)) return error;
  return original(thread, attributes, run, data);
}

void* malloc(std::size_t size) {
  if (next(kMalloc) == Mode::kFail) return errno = ENOMEM, nullptr;
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) {
  if (next(kMalloc) == Mode::kFail) return errno = ENOMEM, nullptr;
  return __libc_calloc(count, size);
}

void* realloc(void* memory, std::size_t size) {
  if (next(kMalloc) == Mode::kFail) return errno = ENOMEM, nullptr;
  return __libc_realloc(memory, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  if (next(kMalloc) == Mode::kFail) return errno = ENOMEM, nullptr;
  return __libc_memalign(alignment, size);
}

}  // extern "C"
