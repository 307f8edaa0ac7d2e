#include "cli/token_output.h"

#include <cstdint>
#include <span>

#include "cli/named_error.h"
#include "cli/token_input.h"

namespace mimi::cli {

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
