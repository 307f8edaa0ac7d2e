// Token files to write.
#pragma once

#include "cli/audio_input.h"
#include "cli/output_file.h"
#include "core/token_file.h"

namespace mimi::cli {

// The header of a file of all of `input`.
TokenHeader recording_header(const Model& model, const AudioInput& input, int levels,
                             Window window);

// What TokenWriter and cut_tokens() write to.
TokenWriter::Sink token_sink(OutputFile& file);

// Reads what was written and throws where it is not whole or has other totals.
void verify_tokens(OutputFile& file, const TokenTotals& written);

}  // namespace mimi::cli
