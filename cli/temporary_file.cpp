#include "cli/temporary_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"

namespace mimi::cli {
namespace {

// For file systems without O_TMPFILE. Signals wait until the name is gone again.
int open_and_unlink(const std::string& directory) {
  std::string path = directory + "/mimi-XXXXXX";
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int fd = mkostemp(path.data(), O_CLOEXEC);
  if (fd >= 0) unlink(path.c_str());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return fd;
}

}  // namespace

UniqueFd open_temporary_file() {
  const char* configured = std::getenv("TMPDIR");
  const std::string directory = configured != nullptr && *configured != 0 ? configured : "/tmp";
  int fd = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) fd = open_and_unlink(directory);
  if (fd < 0) {
    throw Error(directory + ": cannot create a temporary file: " + std::strerror(errno));
  }
  return UniqueFd(fd);
}

}  // namespace mimi::cli
