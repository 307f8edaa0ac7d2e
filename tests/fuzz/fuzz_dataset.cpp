// What `mimi verify` reads of a dataset that somebody else may have made: its files one after the
// other, between two bytes of 0x1E.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "cli/dataset/tokenize.h"
#include "core/error.h"
#include "tests/fuzz/temporary_folder.h"

namespace {

constexpr std::array kFiles = {
    "dataset.json",     "manifest.jsonl",           "errors.jsonl", "index.json",
    "shard-000000.tar", "shard-000000.safetensors", "a.mimi",       "a.npy"};
constexpr std::string_view kSeparator = "\x1e\x1e";

// A file of nothing is not there.
void fill(const TemporaryFolder& folder, std::string_view files) {
  for (const char* const name : kFiles) {
    const std::size_t end = files.find(kSeparator);
    const std::string_view text = files.substr(0, end);
    if (text.empty()) {
      folder.remove(name);
    } else {
      folder.write(name, text);
    }
    files = end == std::string_view::npos ? "" : files.substr(end + kSeparator.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view files(reinterpret_cast<const char*>(data), size);
  if (files.find("parquet") != std::string_view::npos) return 0;  // another program's to read
  static const TemporaryFolder folder;
  // Problems are told there; the sanitizers have its number.
  static std::FILE* const nowhere = stderr = std::fopen("/dev/null", "w");
  if (nowhere == nullptr) std::abort();
  fill(folder, files);
  mimi::cli::VerifyOptions options;
  options.dataset = folder.path();
  try {
    mimi::cli::run_verify(options, {});
  } catch (const mimi::Error&) {
    return 0;
  }
  return 0;
}
