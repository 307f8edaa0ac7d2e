// The command line: what can be said, and how help looks.
#pragma once

#include "cli/commands.h"

namespace mimi::cli {

// Reads the command line into what it asks for, help and version included. Throws UsageError.
Command parse_command_line(int argc, const char* const* argv);

}  // namespace mimi::cli
