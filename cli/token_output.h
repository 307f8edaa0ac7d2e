// Token files to write.
#pragma once

#include "cli/output_file.h"
#include "core/token_file.h"

namespace mimi::cli {

// What TokenWriter and cut_tokens() write to. Whoever reads a pipe has all of it at once.
TokenWriter::Sink token_sink(OutputFile& file);

// Frames of a block: `asked`, or else a full block into a file and one into a pipe, whose reader
// should not wait for a block to fill.
int block_frames(int asked, const OutputFile& file);

}  // namespace mimi::cli
