// What a dataset is made of: manifests, lists and tar files of recordings. The first byte chooses.
// Every row that is taken can be read back as it was, and has names that are names.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "cli/dataset/inputs.h"
#include "cli/dataset/plan.h"
#include "cli/dataset/row.h"
#include "core/error.h"
#include "core/utf8.h"
#include "tests/fuzz/temporary_folder.h"

namespace {

namespace fs = std::filesystem;
using mimi::cli::InputOptions;

// So that the headers' contents are tried: chance would hardly find a checksum.
void correct_checksums(std::string& tar) {
  for (std::size_t block = 0; block + 512 <= tar.size(); block += 512) {
    if (tar.compare(block + 257, 5, "ustar") != 0) continue;
    tar.replace(block + 148, 8, 8, ' ');
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[block + i]);
    for (std::size_t digit = 0; digit < 6; ++digit, sum /= 8) {
      tar[block + 148 + 5 - digit] = static_cast<char>('0' + sum % 8);
    }
  }
}

// A list must not lead to this machine's own files.
bool names_a_file(const std::string& text) {
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (begin == 0 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (line.ends_with('\r')) line.pop_back();
    std::error_code error;
    if (!line.empty() && fs::exists(line.c_str(), error)) return true;
    begin = end + 1;
  }
  return false;
}

// Nothing: this input is not for trying.
std::optional<InputOptions> options_for(char kind, std::string text) {
  static const TemporaryFolder folder;
  InputOptions options;
  if (kind == 'l') {
    if (names_a_file(text)) return std::nullopt;
    options.list = folder.write("in", text);
    return options;
  }
  if (kind == 't') correct_checksums(text);
  const char* const name = kind == 'j'   ? "in.jsonl"
                           : kind == 'c' ? "in.csv"
                           : kind == 's' ? "in.tsv"
                                         : "in.tar";
  options.inputs = {folder.write(name, text)};
  return options;
}

void check_row(const mimi::cli::Row& row) {
  const bool has_names = mimi::is_utf8(mimi::cli::file_name_of_id(row.id)) &&
                         !mimi::cli::tar_key_of_id(row.id).empty() &&
                         !mimi::cli::tensor_name_of_id(row.id).empty();
  const bool is_within = !row.member || (row.member->offset >= 512 && row.member->bytes >= 0);
  const std::string line = mimi::cli::json_text(mimi::cli::to_json(row));
  const mimi::cli::Row again = mimi::cli::row_from_json(mimi::cli::parse_json(line));
  if (!has_names || !is_within || mimi::cli::json_text(mimi::cli::to_json(again)) != line) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto* const text = reinterpret_cast<const char*>(data);
  const std::optional<InputOptions> options =
      options_for(text[0], std::string(text + 1, text + size));
  if (!options) return 0;
  std::optional<mimi::cli::Plan> plan;
  try {
    plan.emplace(*options);
  } catch (const mimi::Error&) {
    return 0;
  }
  for (std::uint64_t row = 0; row < plan->rows(); ++row) check_row(plan->row(row));
  return 0;
}
