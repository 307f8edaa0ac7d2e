#include "cli/standard_output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "cli/named_error.h"

namespace mimi::cli {
namespace {

int g_first_error = 0;  // as errno; what failed once is dropped, and a later flush may succeed

}  // namespace

void flush_output() {
  if (std::fflush(stdout) != 0 && g_first_error == 0) g_first_error = errno;
}

void finish_output() {
  flush_output();
  if (g_first_error == 0 && std::ferror(stdout) == 0) return;
  const std::string cause =
      g_first_error == 0 ? "" : std::string(": ") + std::strerror(g_first_error);
  throw NamedError("standard output", "cannot write" + cause);
}

}  // namespace mimi::cli
