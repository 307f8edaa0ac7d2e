// mimi: the command line of the codec.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/signals.h"

namespace mimi::cli {
namespace {

int run(int argc, char** argv) {
  try {
    const int exit_code = parse_command_line(argc, argv)();
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
    report(std::string("standard output: cannot write: ") + std::strerror(errno));
  } catch (const UsageError& error) {
    report(error.what());
    return kExitUsage;
  } catch (const std::bad_alloc&) {
    report("not enough memory");
  } catch (const std::exception& error) {
    report(error.what());
  }
  return kExitFailed;
}

}  // namespace
}  // namespace mimi::cli

int main(int argc, char** argv) {
  mimi::cli::install_signal_handlers();
  return mimi::cli::run(argc, argv);
}
