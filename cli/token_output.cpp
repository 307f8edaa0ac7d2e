#include "cli/token_output.h"

#include <cstdint>
#include <span>

#include "cli/named_error.h"
#include "cli/token_input.h"

namespace mimi::cli {

TokenHeader recording_header(const Model& model, const AudioInput& input, int levels,
                             Window window) {
  const ModelInfo& info = model.info();
  TokenHeader header;
  header.sample_rate_hz = info.sample_rate;
  header.frame_samples = info.frame_samples;
  header.levels = levels;
  header.streams = input.streams();
  header.codebook_size = info.codebook_size;
  header.source_rate_hz = static_cast<std::uint32_t>(input.source_rate_hz());
  if (input.source_frames()) {
    header.source_samples = static_cast<std::uint64_t>(*input.source_frames());
  }
  header.model_name = info.name;
  header.model_fingerprint = info.fingerprint;
  header.window = window;
  header.dtype = token_dtype(info.dtype);
  header.arithmetic = kFirstArithmetic;
  return header;
}

TokenWriter::Sink token_sink(OutputFile& file) {
  return [&file](std::span<const std::byte> bytes) {
    file.write({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  };
}

void verify_tokens(OutputFile& file, const TokenTotals& written) {
  if (!file.is_regular()) throw NamedError(file.name(), "--verify cannot read what it wrote here");
  ByteReader bytes = file.reread();
  const TokenFileInfo info =
      naming(file.name(), [&] { return read_token_info(token_source(bytes)); });
  if (info.totals == written) return;
  throw NamedError(file.name(), "what was read back is not what was written");
}

}  // namespace mimi::cli
