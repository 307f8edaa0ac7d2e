// Standard output, where what cannot be written is told at the end.
#pragma once

namespace mimi::cli {

// Writes what is held back. Work goes on where that fails.
void flush_output();
// The same at the end. Throws NamedError, with the cause of the first failure.
void finish_output();

}  // namespace mimi::cli
