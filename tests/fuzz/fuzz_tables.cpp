// Codes in other programs' formats: what is read must be written to a whole .mimi file or refused,
// and read again from each format that keeps all.
#include <cstdlib>

#include "cli/token_table.h"
#include "core/error.h"
#include "tests/token_samples.h"

namespace {

using mimi::cli::TokenTable;

std::vector<std::uint8_t> mimi_file(const TokenTable& table) {
  std::vector<std::uint8_t> file;
  mimi::cli::write_mimi(table, [&file](std::span<const std::byte> bytes) {
    const auto* const first = reinterpret_cast<const std::uint8_t*>(bytes.data());
    file.insert(file.end(), first, first + bytes.size());
  });
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  TokenTable table;
  std::vector<std::uint8_t> file;
  try {
    table = mimi::cli::read_table(std::span(data, size), mimi::test::made_up_header());
    file = mimi_file(table);
  } catch (const mimi::Error&) {
    return 0;
  }
  const TokenTable whole = mimi::cli::read_mimi(file);
  if (whole.codes != table.codes) std::abort();
  if (mimi_file(mimi::cli::read_text(mimi::cli::text_file(whole), {})) != file) std::abort();
  if (whole.header.codebook_size > 32768) return 0;
  const auto type = mimi::cli::CodeType::kInt16;
  if (mimi_file(mimi::cli::read_safetensors(mimi::cli::safetensors_file(whole, type), {})) !=
      file) {
    std::abort();
  }
  return 0;
}
