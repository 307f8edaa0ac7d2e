// mimi: the command line of the codec.
#include <fcntl.h>
#include <unistd.h>

#include <exception>
#include <new>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/standard_output.h"

namespace mimi::cli {
namespace {

// A file opened later must not take the place of a standard stream that was closed. What takes it
// here can only be used the wrong way round, and so fails.
void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

// Libraries' static objects may already throw.
[[gnu::constructor(101)]] void before_static_objects() { install_terminate_handler(); }

int run(int argc, char** argv) {
  try {
    const int exit_code = parse_command_line(argc, argv)();
    finish_output();
    return exit_code;
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
  mimi::cli::hold_standard_streams();
  mimi::cli::install_signal_handlers();
  return mimi::cli::run(argc, argv);
}
