#pragma once

#include "cli/unique_fd.h"

namespace mimi::cli {

// A file for reading and writing in TMPDIR (else /tmp) that has no name, so that nothing of it
// outlives the process.
UniqueFd open_temporary_file();

}  // namespace mimi::cli
